"""The body of a blob's reply: checked against what was asked for, then read."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from oci_pull.adapters.registry.http import translating
from oci_pull.adapters.registry.origin import origin_of
from oci_pull.errors import BadReply, ConnectionFailed, SizeMismatch, TlsFailed, TransferError
from oci_pull.oci.descriptor import Descriptor, media_type
from oci_pull.oci.ranges import ContentRange, Span

#: From this many bytes on it pays to read past httpx, which costs the connection.
_LARGE = 8 * 1024 * 1024
#: What can be undone in little memory: a chunk grows a thousandfold at most. Brotli and zstd have
#: no such bound, and httpx undoes several encodings, one in another, chunk by chunk.
_ENCODINGS = ("gzip", "deflate")
_PLAIN = ("", "identity")
_MULTIPART = "multipart/"


def open_body(
    response: httpx.Response, blob: Descriptor, span: Span, *, on_broken: Callable[[], None]
) -> "HttpBody":
    """The bytes from the start of `span`, or from 0 where the server sends all of the blob.

    `on_broken` is called where the reply turns out to be of no use while it is read.

    Raises:
        BadReply: another range, another length, or an encoding that was not asked for.
        SizeMismatch: the server's blob has another size.
    """
    whole = Span(0, blob.size)
    is_ranged = "Range" in response.request.headers
    is_encoded = _is_encoded(response, is_ranged=is_ranged)
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        expected = span if is_ranged else whole
        _check_part(response, expected, blob.size)
        return HttpBody(response, expected, on_broken=on_broken)
    length = _length_of(response)
    if not is_encoded and length not in (None, blob.size):
        raise SizeMismatch(
            f"{origin_of(response.url)} has {length} bytes, the manifest says {blob.size}",
            facts=[f"blob: {blob.digest}"],
            hint="ask its publisher to push it again",
        )
    return HttpBody(response, whole, on_broken=on_broken, is_encoded=is_encoded)


def size_in(response: httpx.Response) -> int | None:
    """The size of the whole blob as a reply to HEAD or for a part of it has it; None if not there.

    A length of 0 is what servers write that do not know it: nobody asks about an empty blob.
    """
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        served = ContentRange.parse(response.headers.get("Content-Range", ""))
        return served.total if served else None
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if response.status_code != httpx.codes.OK or encoding not in _PLAIN:
        return None
    return _length_of(response) or None


def _is_encoded(response: httpx.Response, *, is_ranged: bool) -> bool:
    """Whether the body has to be decoded; raises `BadReply` where that cannot be.

    A range is one of the encoded bytes, or of the others: servers differ, and do not tell.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in _PLAIN:
        return False
    is_part = is_ranged or response.status_code == httpx.codes.PARTIAL_CONTENT
    if is_part or encoding not in _ENCODINGS:
        origin = origin_of(response.url)
        raise BadReply(f"{origin} sent a blob with the encoding {encoding[:40]}", origin=origin)
    return True


def _check_part(response: httpx.Response, expected: Span, size: int) -> None:
    """Refuse a 206 that is not exactly the part that is expected; raises `BadReply`."""
    origin = origin_of(response.url)
    served = ContentRange.parse(response.headers.get("Content-Range", ""))
    has_parts = media_type(response.headers.get("Content-Type", "")).startswith(_MULTIPART)
    if has_parts or not served or served.span != expected or served.total not in (None, size):
        raise BadReply(f"{origin} sent another range than the one asked for", origin=origin)
    if _length_of(response) not in (None, expected.size):
        raise BadReply(f"{origin} sent a range of the wrong length", origin=origin)


def _length_of(response: httpx.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


class HttpBody:
    """Reads the body of a reply into whatever the caller provides."""

    def __init__(
        self,
        response: httpx.Response,
        span: Span,
        *,
        on_broken: Callable[[], None],
        is_encoded: bool = False,
    ) -> None:
        self.start = span.start
        self.origin = origin_of(response.url)
        self._response = response
        self._on_broken = on_broken
        self._left = span.size
        self._chunks: Iterator[bytes] = response.iter_bytes() if is_encoded else response.iter_raw()
        self._rest = memoryview(b"")
        is_direct = span.size > _LARGE and not is_encoded
        self._socket = _direct_socket(response) if is_direct else None
        self._is_begun = False
        self._is_aborted = False
        self._failure: TransferError | SizeMismatch | None = None

    def readinto(self, view: memoryview) -> int:
        """Fill some of `view`, 0 at the end; a body that has failed fails again.

        Raises:
            TransferError: the connection broke, or it was aborted.
            SizeMismatch: there is more than there should be.
        """
        failure = self._failure
        if failure is None:
            try:
                count = self._read(view)
            except (TransferError, SizeMismatch) as error:
                failure = error
            else:
                if not self._is_aborted:
                    return count
            if failure is None or self._is_aborted:
                # An end that was brought about may look like one of the server's.
                message = f"the reply of {self.origin} was given up"
                failure = ConnectionFailed(message, origin=self.origin)
            self._failure = failure
            self._on_broken()
        raise failure

    def _read(self, view: memoryview) -> int:
        if self._socket and self._is_begun and not self._rest:
            return self._receive(self._socket, view)
        if not self._rest:
            self._rest = memoryview(self._next())
            self._is_begun = True
            self._left -= len(self._rest)
            if self._left < 0 or (self._left == 0 and not self._is_at_its_end()):
                raise SizeMismatch(f"{self.origin} sends more bytes than the blob has")
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _receive(self, connection: socket.socket, view: memoryview) -> int:
        """Read past httpx, whose first chunk was all that it had buffered."""
        if not self._left:
            return 0
        try:
            count = connection.recv_into(view[: min(len(view), self._left)])
        except OSError:
            # Not around the call, which is made so often that the context would cost as much.
            with _reading(self.origin):
                raise
        if not count:
            raise ConnectionFailed(f"{self.origin} ended the reply too early", origin=self.origin)
        self._left -= count
        return count

    def _next(self) -> bytes:
        with _reading(self.origin):
            return next(self._chunks, b"")

    def _is_at_its_end(self) -> bool:
        """Whether nothing follows; seeing the end also lets the connection be used again."""
        try:
            return not self._next()
        except TransferError:
            # All bytes are here: how the connection ends is nobody's concern.
            return True

    def abort(self) -> None:
        """Make a `readinto` that waits in another thread fail now, and every later one."""
        self._is_aborted = True
        connection = _socket_of(self._response)
        # A body that was read to its end has left its connection to somebody else.
        if connection is not None and not self._response.is_closed:
            try:
                # Not SSLSocket's own, which takes TLS away from the thread that reads: that would
                # get encrypted bytes and take them for the blob's.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                return

    def close(self) -> None:
        """Release the connection."""
        self._response.close()


@contextmanager
def _reading(origin: str) -> Iterator[None]:
    """As `translating`; but TLS was agreed upon long ago, so what fails of it is the line."""
    try:
        with translating(origin):
            yield
    except TlsFailed as error:
        raise ConnectionFailed(f"the connection to {origin} is damaged", origin=origin) from error


def _socket_of(response: httpx.Response) -> socket.socket | None:
    stream = response.extensions.get("network_stream")
    found = stream.get_extra_info("socket") if stream else None
    return found if isinstance(found, socket.socket) else None


def _direct_socket(response: httpx.Response) -> socket.socket | None:
    """The socket, where the rest of the body is nothing but the bytes that come out of it.

    httpx costs a gigabyte of body more processor time than its hash does. Reading past it is right
    for HTTP/1.1 with a length; not for chunks, and not in TLS within TLS (a proxy spoken to by
    https), where the socket is that of the outer connection. None means: by `iter_raw()`.
    """
    headers = response.headers
    is_plain = "Content-Length" in headers and "Transfer-Encoding" not in headers
    if response.http_version != "HTTP/1.1" or not is_plain:
        return None
    stream = response.extensions.get("network_stream")
    if stream is None or isinstance(stream.get_extra_info("ssl_object"), ssl.SSLObject):
        return None
    return _socket_of(response)

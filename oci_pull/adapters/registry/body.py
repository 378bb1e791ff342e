"""The body of a blob's reply: checked against what was asked for, then read."""

import socket
import ssl
from collections.abc import Iterator

import httpx

from oci_pull.adapters.registry.http import origin_of, translating
from oci_pull.errors import BadReply, ConnectionFailed, SizeMismatch, TransferError
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.ranges import ContentRange, Span


def open_body(response: httpx.Response, blob: Descriptor, span: Span) -> "HttpBody":
    """The bytes from the start of `span`, or from 0 where the server knows no ranges.

    Raises:
        BadReply: another range, another length, or an encoding that was not asked for.
        SizeMismatch: the server's blob has another size.
    """
    origin = origin_of(response.url)
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise BadReply(f"{origin} sent a blob with the encoding {encoding[:40]}", origin=origin)
    length = response.headers.get("Content-Length", "")
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        served = ContentRange.parse(response.headers.get("Content-Range", ""))
        if not served or served.span != span or served.total not in (None, blob.size):
            raise BadReply(f"{origin} sent another range than the one asked for", origin=origin)
        if length.isdigit() and int(length) != span.size:
            raise BadReply(f"{origin} sent a range of the wrong length", origin=origin)
        return HttpBody(response, span)
    if length.isdigit() and int(length) != blob.size:
        raise SizeMismatch(
            f"{origin} has {int(length)} bytes for {blob.digest}, the manifest says {blob.size}"
        )
    return HttpBody(response, Span(0, blob.size))


class HttpBody:
    """Reads the body of a reply into whatever the caller provides."""

    def __init__(self, response: httpx.Response, span: Span) -> None:
        self.start = span.start
        self.origin = origin_of(response.url)
        self._response = response
        self._left = span.size
        self._chunks: Iterator[bytes] = response.iter_raw()
        self._rest = memoryview(b"")
        self._socket = _direct_socket(response)
        self._is_begun = False

    def readinto(self, view: memoryview) -> int:
        """Fill some of `view`, 0 at the end.

        Raises:
            TransferError: the connection broke.
            SizeMismatch: there is more than there should be.
        """
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
        with translating(self.origin):
            count = connection.recv_into(view[: min(len(view), self._left)])
        if not count:
            raise ConnectionFailed(f"{self.origin} ended the reply too early", origin=self.origin)
        self._left -= count
        return count

    def _next(self) -> bytes:
        with translating(self.origin):
            return next(self._chunks, b"")

    def _is_at_its_end(self) -> bool:
        """Whether nothing follows; seeing the end also lets the connection be used again."""
        try:
            return not self._next()
        except TransferError:
            # All bytes are here: how the connection ends is nobody's concern.
            return True

    def abort(self) -> None:
        """Make a `readinto` that waits in another thread fail now."""
        connection = _socket_of(self._response)
        if connection is not None:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def close(self) -> None:
        """Release the connection."""
        self._response.close()


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

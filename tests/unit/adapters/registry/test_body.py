"""The reply to a request for a blob is checked, not believed."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
import respx

from oci_pull.adapters.registry.body import HttpBody
from oci_pull.adapters.registry.http import Network
from oci_pull.errors import (
    BadReply,
    ConnectionFailed,
    OciPullError,
    SizeMismatch,
    TransferError,
)
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.proxy import Proxies
from oci_pull.oci.ranges import Span
from tests.builders import OCI_MANIFEST
from tests.fakes.memory import blob_of
from tests.fakes.registry import BlobFaults, FakeRegistry
from tests.servers.tls import Authority
from tests.unit.adapters.pulling import (
    BLOB,
    CONTENT,
    GO_ON,
    NETWORK,
    PART,
    REPOSITORY,
    WHOLE,
    Pull,
    serve,
)
from tests.unit.adapters.scripted import listening, read_head, scripted, tunnel

SIZE = len(CONTENT)


@pytest.mark.parametrize(
    ("faults", "span", "error"),
    [
        ({"no_content_range": True}, PART, BadReply),
        ({"shift": 1}, PART, BadReply),
        ({"shorter": 1}, PART, BadReply),
        ({"content_range_total": str(SIZE + 1)}, PART, BadReply),
        ({"content_range_total": "0"}, PART, BadReply),
        ({"content_range_total": "x"}, PART, BadReply),
        ({"gzip": True}, PART, BadReply),
        ({"content_encoding": "deflate"}, WHOLE, BadReply),
        ({"content_encoding": "br"}, WHOLE, BadReply),
        ({"content_encoding": "gzip, gzip"}, WHOLE, BadReply),
        ({"content_encoding": "gzip"}, WHOLE, BadReply),
        ({"content_encoding": "br"}, PART, BadReply),
        ({"content_encoding": "gzip"}, PART, BadReply),
        ({"short_by": 1, "framing": "sent"}, PART, BadReply),
        ({"long_by": 1, "framing": "sent"}, PART, BadReply),
        ({"short_by": 1, "framing": "sent"}, WHOLE, SizeMismatch),
        ({"long_by": 1, "framing": "sent"}, WHOLE, SizeMismatch),
        ({"long_by": 1, "framing": "chunked"}, WHOLE, SizeMismatch),
        ({"long_by": 1, "framing": "chunked"}, PART, SizeMismatch),
        ({"long_by": 1, "framing": "close"}, PART, SizeMismatch),
        ({"short_by": 1}, WHOLE, ConnectionFailed),
        ({"short_by": 1}, PART, ConnectionFailed),
        ({"cut_after": 10}, PART, ConnectionFailed),
        ({"cut_after": 0}, WHOLE, ConnectionFailed),
        ({"cut_after": 10, "reset": True}, WHOLE, ConnectionFailed),
        ({"cut_after": 10, "framing": "chunked"}, WHOLE, ConnectionFailed),
    ],
    ids=str,
)
def test_every_lie_of_a_reply(
    registry: FakeRegistry,
    puller: Pull,
    faults: dict[str, Any],
    span: Span,
    error: type[OciPullError],
) -> None:
    registry.blob_faults = BlobFaults(**faults, times=1)
    pull = puller()
    with pytest.raises(error) as caught:
        pull.read(span)
    if isinstance(caught.value, TransferError):
        assert caught.value.retryable
        assert caught.value.origin == registry.address
    assert pull.read(span) == CONTENT[span.start : span.end]


@pytest.mark.parametrize(
    "faults",
    [
        {"content_range_total": "*"},
        {"content_encoding": "identity"},
        {"content_encoding": "Identity"},
        {"framing": "chunked"},
        {"framing": "close"},
    ],
    ids=str,
)
@pytest.mark.parametrize("span", [WHOLE, PART])
def test_what_is_no_lie(
    registry: FakeRegistry, puller: Pull, faults: dict[str, Any], span: Span
) -> None:
    registry.blob_faults = BlobFaults(**faults)
    assert puller().read(span) == CONTENT[span.start : span.end]


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_body_without_a_length_that_is_short_just_ends(
    registry: FakeRegistry, puller: Pull, framing: str
) -> None:
    registry.blob_faults = BlobFaults(short_by=1, framing=framing)  # type: ignore[arg-type]
    assert puller().read(PART) == CONTENT[PART.start : PART.end - 1]


class Chunks(httpx.SyncByteStream):
    """Bytes in pieces."""

    def __init__(self, content: bytes, size: int) -> None:
        self._content = content
        self._size = size

    def __iter__(self) -> Iterator[bytes]:
        for offset in range(0, len(self._content), self._size):
            yield self._content[offset : offset + self._size]


class Cut(httpx.SyncByteStream):
    """All the bytes, and then no proper end."""

    def __iter__(self) -> Iterator[bytes]:
        yield CONTENT
        raise httpx.ReadError("it was cut")


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        ({"cut_after": 5000}, ConnectionFailed),
        ({"cut_after": 5000, "framing": "chunked"}, ConnectionFailed),
        ({"stall_after": 5000}, ConnectionFailed),
        ({"long_by": 1, "framing": "chunked"}, SizeMismatch),
        ({"content_encoding": "gzip"}, BadReply),
    ],
    ids=str,
)
def test_a_body_that_failed_fails_again(
    registry: FakeRegistry, puller: Pull, faults: dict[str, Any], error: type[OciPullError]
) -> None:
    """Whoever keeps what came before it asks once more to hear why there is no more."""
    registry.blob_faults = BlobFaults(**faults)
    is_silent = "stall_after" in faults
    pull = puller(network=replace(NETWORK, stall_timeout=3) if is_silent else NETWORK)
    body = pull.source.open(BLOB, WHOLE, cancel=GO_ON)
    with pytest.raises(error) as first:
        read_all(body)
    for _ in range(2):
        with pytest.raises(error) as again:
            body.readinto(memoryview(bytearray(1000)))
        assert again.value.message == first.value.message
    body.close()


def test_how_a_connection_ends_behind_the_last_byte_does_not_matter(puller: Pull) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Cut()))
    assert puller(transport=transport).read() == CONTENT


REGISTRY = "https://registry.example/"
#: Headers of replies, each to be one of exactly the bytes of PART.
OF_PART = {"Content-Range": f"bytes 1000-1999/{SIZE}"}


@pytest.mark.parametrize("served", ["bytes 1000-1999/10240", "bytes 1000-1999/*", ""])
@respx.mock
def test_a_whole_blob_that_comes_as_a_part_is_none(puller: Pull, served: str) -> None:
    respx.get(url__startswith=REGISTRY).respond(
        206, headers={"Content-Range": served}, content=CONTENT[1000:2000]
    )
    with pytest.raises(BadReply):
        puller(plain_http=False, host="registry.example").read()


@respx.mock
def test_a_part_that_is_the_whole_may_answer_who_asked_for_no_part(puller: Pull) -> None:
    respx.get(url__startswith=REGISTRY).respond(
        206, headers={"Content-Range": f"bytes 0-{SIZE - 1}/{SIZE}"}, content=CONTENT
    )
    assert puller(plain_http=False, host="registry.example").read() == CONTENT


@pytest.mark.parametrize("first", [0, 1000])
@respx.mock
def test_who_asks_without_a_range_in_the_end_gets_none(puller: Pull, first: int) -> None:
    """Not even the one that was asked for before."""
    content = CONTENT[first:] if first == 0 else CONTENT[PART.start : PART.end]
    headers = {"Content-Range": f"bytes {first}-{first + len(content) - 1}/{SIZE}"}
    respx.get(url__startswith=REGISTRY, headers={"Range": PART.header}).respond(416)
    respx.get(url__startswith=REGISTRY).respond(206, headers=headers, content=content)
    pull = puller(plain_http=False, host="registry.example")
    if first == 0:
        assert pull.read(PART) == CONTENT
    else:
        with pytest.raises(BadReply):
            pull.read(PART)


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Type", "multipart/byteranges; boundary=x")],
        [("Content-Type", "Multipart/ByteRanges; boundary=x"), *OF_PART.items()],
        [*OF_PART.items(), *OF_PART.items()],
        [("Content-Range", f"bytes 1000-2999/{SIZE}")],
        [("Content-Range", f"bytes 999-1998/{SIZE}")],
        [("Content-Range", f"bytes 1000-1998/{SIZE}")],
        [("Content-Range", "bytes */10240")],
        [("Content-Range", f"items 1000-1999/{SIZE}")],
    ],
    ids=str,
)
@respx.mock
def test_what_is_not_exactly_the_part_asked_for(
    puller: Pull, headers: list[tuple[str, str]]
) -> None:
    content = CONTENT[PART.start : PART.end]
    respx.get(url__startswith=REGISTRY).respond(206, headers=headers, content=content)
    with pytest.raises(BadReply) as caught:
        puller(plain_http=False, host="registry.example").read(PART)
    assert caught.value.retryable


# --- encodings that nobody asked for


def zlib_of(content: bytes) -> bytes:
    return zlib.compress(content)


def raw_deflate_of(content: bytes) -> bytes:
    return zlib.compress(content, wbits=-zlib.MAX_WBITS)


@pytest.mark.parametrize(
    ("label", "encode"),
    [
        ("gzip", gzip.compress),
        ("GZip ", gzip.compress),
        ("deflate", zlib_of),
        ("deflate", raw_deflate_of),
    ],
)
@pytest.mark.parametrize("status", [200, 206])
@respx.mock
def test_a_whole_blob_is_decoded(
    puller: Pull, label: str, encode: Callable[[bytes], bytes], status: int
) -> None:
    """But not what claims to be a part of it, be that as large as the whole."""
    headers = {"Content-Encoding": label}
    if status == 206:
        headers["Content-Range"] = f"bytes 0-{SIZE - 1}/{SIZE}"
    transport = httpx.MockTransport(
        lambda _: httpx.Response(status, headers=headers, stream=Chunks(encode(CONTENT), 100))
    )
    pull = puller(transport=transport)
    if status == 200:
        assert pull.read() == CONTENT
    else:
        with pytest.raises(BadReply):
            pull.read()


def test_a_length_of_an_encoded_blob_says_nothing(registry: FakeRegistry, puller: Pull) -> None:
    registry.blob_faults = BlobFaults(gzip=True)
    pull = puller()
    assert [pull.read() for _ in range(3)] == [CONTENT] * 3
    assert registry.registry.connections == 1


def test_what_is_decoded_to_too_little_is_short(puller: Pull) -> None:
    packed = gzip.compress(CONTENT)[:-100]
    transport = httpx.MockTransport(
        lambda _: httpx.Response(
            200, headers={"Content-Encoding": "gzip"}, stream=Chunks(packed, 100)
        )
    )
    found = puller(transport=transport).read()
    assert len(found) < SIZE
    assert CONTENT.startswith(found)


class Bomb(httpx.SyncByteStream):
    """Zeros without end, compressed."""

    def __init__(self) -> None:
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
        while True:
            piece = packer.compress(bytes(1 << 20))
            self.sent += len(piece)
            if self.sent > 1 << 20:
                raise AssertionError("far too much of it was read")
            if piece:
                yield piece


def test_a_bomb_is_not_read_to_its_end(puller: Pull) -> None:
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Bomb())
    )
    with pytest.raises(SizeMismatch, match="more bytes"):
        puller(transport=transport).read()


# --- ends


@respx.mock
def test_a_success_that_is_not_ok_has_no_bytes(puller: Pull) -> None:
    respx.get(url__startswith="https://registry.example/").respond(204)
    assert puller(plain_http=False, host="registry.example").read() == b""


def test_any_buffer_will_do(puller: Pull) -> None:
    body = puller().source.open(BLOB, WHOLE, cancel=GO_ON)
    found = bytearray()
    for size in (1, 5, 10_000, 1_000_000, 10):
        view = memoryview(bytearray(size))
        found += view[: body.readinto(view)]
    while count := body.readinto(view):
        found += view[:count]
    assert bytes(found) == CONTENT
    assert body.readinto(view) == 0
    body.close()


# --- connections


LARGE = bytes(range(256)) * (48 << 10)
LARGE_BLOB = blob_of(LARGE)
EIGHT = 8 << 20


@pytest.fixture
def large(registry: FakeRegistry) -> FakeRegistry:
    registry.put(REPOSITORY, None, b"{}", OCI_MANIFEST, {str(LARGE_BLOB.digest): LARGE})
    return registry


def read_all(body: HttpBody) -> bytes:
    found = bytearray()
    view = memoryview(bytearray(128 << 10))
    while count := body.readinto(view):
        found += view[:count]
    body.close()
    return bytes(found)


@pytest.mark.parametrize(
    ("size", "connections"), [(1, 1), (300_000, 1), (EIGHT, 1), (EIGHT + 1, 3)]
)
def test_small_bodies_leave_their_connection_to_others(
    large: FakeRegistry, puller: Pull, size: int, connections: int
) -> None:
    pull = puller()
    for start in (0, 1000, 2000):
        span = Span(start, start + size)
        body = pull.source.open(LARGE_BLOB, span, cancel=GO_ON)
        assert read_all(body) == LARGE[span.start : span.end]
    assert large.registry.connections == connections


@pytest.mark.parametrize("span", [Span(0, len(LARGE)), Span(7, len(LARGE) - 7)])
@pytest.mark.parametrize("framing", ["asked", "chunked", "close"])
def test_large_bodies_in_every_framing(
    large: FakeRegistry, puller: Pull, span: Span, framing: str
) -> None:
    large.blob_faults = BlobFaults(framing=framing)  # type: ignore[arg-type]
    body = puller().source.open(LARGE_BLOB, span, cancel=GO_ON)
    assert read_all(body) == LARGE[span.start : span.end]


@pytest.mark.parametrize("cut", [0, 100, EIGHT + 5, len(LARGE) - 1])
def test_a_large_body_that_is_cut(large: FakeRegistry, puller: Pull, cut: int) -> None:
    large.blob_faults = BlobFaults(cut_after=cut)
    body = puller().source.open(LARGE_BLOB, Span(0, len(LARGE)), cancel=GO_ON)
    with pytest.raises(ConnectionFailed):
        read_all(body)
    body.close()


# --- giving up


PATIENT = Network(connect_timeout=60, stall_timeout=120)


@contextmanager
def given_up(body: HttpBody, seen: int) -> Iterator[None]:
    """Read in another thread up to `seen` bytes and beyond; the block must make that fail."""
    arrived = threading.Event()
    view = memoryview(bytearray(128 << 10))

    def read() -> int:
        count = 0
        while True:
            if count >= seen:
                arrived.set()
            count += body.readinto(view)

    with ThreadPoolExecutor(1) as executor:
        reading = executor.submit(read)
        assert arrived.wait(60)
        yield
        with pytest.raises(ConnectionFailed, match="given up") as caught:
            reading.result(60)
    assert caught.value.retryable
    body.close()


@pytest.mark.parametrize("framing", ["asked", "chunked", "close"])
@pytest.mark.parametrize("stall", [0, 1000, EIGHT + 1000])
def test_another_thread_can_end_a_read_that_waits(
    large: FakeRegistry, puller: Pull, framing: str, stall: int
) -> None:
    large.blob_faults = BlobFaults(stall_after=stall, framing=framing)  # type: ignore[arg-type]
    pull = puller(network=PATIENT)
    body = pull.source.open(LARGE_BLOB, Span(0, len(LARGE)), cancel=GO_ON)
    with given_up(body, stall):
        body.abort()
    body.abort()


def test_a_read_of_an_encoded_body_can_be_ended(large: FakeRegistry, puller: Pull) -> None:
    large.blob_faults = BlobFaults(gzip=True, stall_after=5000)
    pull = puller(network=PATIENT)
    body = pull.source.open(LARGE_BLOB, Span(0, len(LARGE)), cancel=GO_ON)
    with given_up(body, 0):
        body.abort()


def test_nothing_is_read_after_an_abort(large: FakeRegistry, puller: Pull) -> None:
    body = puller().source.open(LARGE_BLOB, Span(0, len(LARGE)), cancel=GO_ON)
    view = memoryview(bytearray(1000))
    assert body.readinto(view)
    body.abort()
    for _ in range(2):
        with pytest.raises(ConnectionFailed, match="given up"):
            body.readinto(view)
    body.close()
    body.abort()


def test_a_wait_for_the_end_behind_the_last_byte_can_be_ended(puller: Pull) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    sent = threading.Event()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(head + b"%x\r\n%b\r\n" % (SIZE, CONTENT))
        sent.set()
        connection.recv(1)

    with listening(serve) as address:
        pull = puller(network=PATIENT, host=address)
        body = pull.source.open(BLOB, WHOLE, cancel=GO_ON)
        assert sent.wait(60)
        with given_up(body, 0):
            body.abort()


def test_an_abort_of_what_is_broken_already_is_nothing(large: FakeRegistry, puller: Pull) -> None:
    large.blob_faults = BlobFaults(cut_after=EIGHT, reset=True)
    body = puller().source.open(LARGE_BLOB, Span(0, len(LARGE)), cancel=GO_ON)
    with pytest.raises(ConnectionFailed, match="reset"):
        read_all(body)
    body.abort()
    body.close()


def test_an_abort_that_comes_too_late_hits_nobody_else(
    registry: FakeRegistry, puller: Pull
) -> None:
    """The connection of a body that was read to its end is there for others."""
    pull = puller()
    for _ in range(3):
        body = pull.source.open(BLOB, PART, cancel=GO_ON)
        assert read_all(body) == CONTENT[PART.start : PART.end]
        body.abort()
    assert registry.registry.connections == 1


# --- TLS and proxies


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def tls(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Of a server that is whatever it is called, and that the client trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    return authority.server("127.0.0.1", "registry.example").server_context()


@pytest.fixture
def secure(tls: ssl.SSLContext) -> Iterator[FakeRegistry]:
    with FakeRegistry(tls=tls) as registry:
        serve(registry)
        registry.put(REPOSITORY, None, b"{}", OCI_MANIFEST, {str(LARGE_BLOB.digest): LARGE})
        yield registry


@pytest.fixture(params=["", "http", "https"], ids=["direct", "proxy", "secure-proxy"])
def via(
    request: pytest.FixtureRequest, secure: FakeRegistry, tls: ssl.SSLContext
) -> Iterator[tuple[str, Proxies]]:
    """How the registry is called: by its address, or by a name that only a proxy knows."""
    if not request.param:
        yield secure.address, Proxies()
        return
    context = tls if request.param == "https" else None
    with listening(tunnel(secure.address), tls=context) as proxy:
        yield "registry.example", Proxies.of({"HTTPS_PROXY": f"{request.param}://{proxy}"})


@pytest.mark.parametrize("span", [Span(5, 1000), Span(0, EIGHT), Span(3, len(LARGE))], ids=str)
def test_bodies_in_tls(
    secure: FakeRegistry, puller: Pull, via: tuple[str, Proxies], span: Span
) -> None:
    host, proxies = via
    network = replace(NETWORK, proxies=proxies)
    pull = puller(registry=secure, plain_http=False, network=network, host=host)
    body = pull.source.open(LARGE_BLOB, span, cancel=GO_ON)
    assert read_all(body) == LARGE[span.start : span.end]


@pytest.mark.parametrize("stall", [0, 1000, EIGHT + 1000])
def test_a_read_in_tls_can_be_ended(
    secure: FakeRegistry, puller: Pull, via: tuple[str, Proxies], stall: int
) -> None:
    secure.blob_faults = BlobFaults(stall_after=stall)
    host, proxies = via
    network = replace(PATIENT, proxies=proxies)
    pull = puller(registry=secure, plain_http=False, network=network, host=host)
    body = pull.source.open(LARGE_BLOB, Span(0, len(LARGE)), cancel=GO_ON)
    with given_up(body, stall):
        body.abort()


@pytest.mark.parametrize("blob", [BLOB, LARGE_BLOB], ids=["small", "large"])
def test_bytes_that_break_tls_on_the_way_can_be_asked_for_again(
    tls: ssl.SSLContext, puller: Pull, blob: Descriptor
) -> None:
    """Once it was agreed upon, no failure of TLS means that it never works."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % blob.size
    server = scripted(head, CONTENT[:100], behind_tls=b"<html>" * 10)
    with listening(server, tls=tls) as address:
        pull = puller(plain_http=False, host=address)
        body = pull.source.open(blob, Span(0, blob.size), cancel=GO_ON)
        with pytest.raises(ConnectionFailed, match="damaged") as caught:
            read_all(body)
        body.close()
    assert caught.value.retryable


def test_a_body_without_a_socket_is_given_up_at_its_next_byte(puller: Pull) -> None:
    with respx.mock:
        respx.get(url__startswith="https://registry.example/").respond(200, content=CONTENT)
        pull = puller(plain_http=False, host="registry.example")
        body = pull.source.open(BLOB, WHOLE, cancel=GO_ON)
        body.abort()
        with pytest.raises(ConnectionFailed, match="given up"):
            body.readinto(memoryview(bytearray(10)))
        body.close()
        assert isinstance(respx.calls.last.response, httpx.Response)

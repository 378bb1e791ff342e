"""The reply to a request for a blob is checked, not believed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import respx

from oci_pull.errors import (
    BadReply,
    ConnectionFailed,
    OciPullError,
    SizeMismatch,
    TransferError,
)
from oci_pull.oci.ranges import Span
from tests.fakes.registry import BlobFaults, FakeRegistry
from tests.unit.adapters.pulling import BLOB, CONTENT, GO_ON, PART, WHOLE, Pull

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
        ({"gzip": True}, WHOLE, BadReply),
        ({"content_encoding": "gzip"}, WHOLE, BadReply),
        ({"content_encoding": "br"}, PART, BadReply),
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


class Cut(httpx.SyncByteStream):
    """All the bytes, and then no proper end."""

    def __iter__(self) -> Iterator[bytes]:
        yield CONTENT
        raise httpx.ReadError("it was cut")


def test_how_a_connection_ends_behind_the_last_byte_does_not_matter(puller: Pull) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Cut()))
    assert puller(transport=transport).read() == CONTENT


@pytest.mark.parametrize("served", ["bytes 1000-1999/10240", "bytes 1000-1999/*"])
@respx.mock
def test_a_whole_blob_that_comes_as_a_part_is_none(puller: Pull, served: str) -> None:
    respx.get(url__startswith="https://registry.example/").respond(
        206, headers={"Content-Range": served}, content=CONTENT[1000:2000]
    )
    with pytest.raises(BadReply):
        puller(plain_http=False, host="registry.example").read()


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


def test_another_thread_can_end_a_read_that_waits(registry: FakeRegistry, puller: Pull) -> None:
    registry.blob_faults = BlobFaults(stall_after=1000)
    pull = puller()
    body = pull.source.open(BLOB, WHOLE, cancel=GO_ON)
    view = memoryview(bytearray(SIZE))
    begun = threading.Event()

    def read() -> int:
        count = 0
        while True:
            count += body.readinto(view[count:])
            begun.set()

    with ThreadPoolExecutor(1) as executor:
        reading = executor.submit(read)
        assert begun.wait(5)
        body.abort()
        with pytest.raises(ConnectionFailed):
            reading.result(4)
    body.abort()
    body.close()
    body.abort()


def test_a_body_without_a_socket_cannot_be_aborted_and_is_closed(puller: Pull) -> None:
    with respx.mock:
        respx.get(url__startswith="https://registry.example/").respond(200, content=CONTENT)
        pull = puller(plain_http=False, host="registry.example")
        body = pull.source.open(BLOB, WHOLE, cancel=GO_ON)
        body.abort()
        body.close()
        assert isinstance(respx.calls.last.response, httpx.Response)

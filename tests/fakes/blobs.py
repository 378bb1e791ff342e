"""How a blob is served: ranges as they should be, and everything that can be wrong with them."""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.fakes.replies import refusal, refused_by
from tests.fakes.wire import Delivery, Pieces, Reply, pieces_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.fakes.faults import BlobFaults
    from tests.fakes.journal import Request

_CHUNK = 256 << 10
_ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    stop: int
    partial: bool


class _UnsatisfiableError(Exception):
    pass


def blob_reply(
    data: bytes | Path, request: Request, faults: BlobFaults, headers: Mapping[str, str]
) -> Reply:
    """Return the reply to a GET or HEAD; `headers` are those of the origin that serves."""
    refused = refused_by(faults)
    if refused is not None:
        return replace(refused, hold=faults.hold)
    size = len(data) if isinstance(data, bytes) else data.stat().st_size
    head = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
    try:
        span = _span(request, size, faults, head.get("ETag"))
    except _UnsatisfiableError:
        refused = refusal(416, headers={"Content-Range": f"bytes */{size}"})
        return replace(refused, hold=faults.hold)
    if span.partial and not faults.no_content_range:
        total = faults.content_range_total or str(size)
        head["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{total}"
    if faults.gzip:
        packed = gzip.compress(data if isinstance(data, bytes) else data.read_bytes(), mtime=0)
        body, promised = pieces_of(packed), len(packed)
        head["Content-Encoding"] = "gzip"
    else:
        body, promised = _read(data, span, faults.corrupt_at), span.stop - span.start
        if faults.content_encoding is not None:
            head["Content-Encoding"] = faults.content_encoding
    length = max(promised - faults.short_by, 0)
    return Reply(
        status=206 if span.partial else 200,
        headers=tuple(head.items()),
        body=_resized(body, length, faults.long_by),
        length=length + faults.long_by,
        promised=promised,
        framing=faults.framing,
        hold=faults.hold,
        delivery=Delivery(
            cut_after=faults.cut_after() if callable(faults.cut_after) else faults.cut_after,
            reset=faults.reset,
            stall_after=faults.stall_after,
            drip_after=faults.drip_after,
            drip_interval=faults.drip_interval,
        ),
    )


def etag_of(text: str) -> str:
    """Return an ETag that, like those of object stores, does not give the digest away."""
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def _span(request: Request, size: int, faults: BlobFaults, etag: str | None) -> _Span:
    whole = _Span(0, size, partial=False)
    asked = request.headers.get("range")
    match = _ONE_RANGE.fullmatch(asked or "")
    unchanged = request.headers.get("if-range") in (None, etag)
    if asked is None or faults.ignore_range or faults.gzip or not unchanged:
        return whole
    if faults.refuse_ranges:
        raise _UnsatisfiableError
    if match is None or match.groups() == ("", ""):
        return whole  # several ranges, or nonsense: a server may ignore them
    first, last = match.groups()
    if faults.refuse_open_ended and not last:
        raise _UnsatisfiableError
    if first and last and int(first) > int(last):
        return whole
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= size:
        raise _UnsatisfiableError
    start = min(start + faults.shift, stop - 1)
    return _Span(start, max(stop - faults.shorter, start + 1), partial=True)


def _read(data: bytes | Path, span: _Span, corrupt_at: int | None) -> Pieces:
    position = span.start
    for piece in _chunks(data, span):
        if corrupt_at == -1:
            yield bytes(len(piece))
        elif corrupt_at is not None and position <= corrupt_at < position + len(piece):
            wrong = bytearray(piece)
            wrong[corrupt_at - position] ^= 0xFF
            yield bytes(wrong)
        else:
            yield piece
        position += len(piece)


def _chunks(data: bytes | Path, span: _Span) -> Pieces:
    if isinstance(data, bytes):
        view = memoryview(data)[span.start : span.stop]
        for offset in range(0, len(view), _CHUNK):
            yield view[offset : offset + _CHUNK]
        return
    with data.open("rb") as file:
        file.seek(span.start)
        left = span.stop - span.start
        while left and (chunk := file.read(min(left, _CHUNK))):
            yield chunk
            left -= len(chunk)


def _resized(body: Pieces, length: int, extra: int) -> Pieces:
    left = length
    for piece in body:
        if left:
            yield piece[:left]
        left -= min(left, len(piece))
    if extra:
        yield b"!" * extra

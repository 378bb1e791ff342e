"""Tar archives block by block, as no library would write them; every checksum is right."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Mapping, Sequence

BLOCK = 512
END = bytes(2 * BLOCK)


def header(name: str | bytes, size: int, kind: bytes = tarfile.REGTYPE, **fields: bytes) -> bytes:
    """A header in the GNU dialect; `at_124=b"..."` overwrites what is at a position."""
    info = tarfile.TarInfo(name if isinstance(name, str) else "")
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    if isinstance(name, bytes):
        block[: len(name)] = name
    block[124:136] = b"%011o\0" % size if 0 <= size < 8**11 else base_256(size)
    for position, value in fields.items():
        start = int(position.removeprefix("at_"))
        block[start : start + len(value)] = value
    return checked(block)


def checked(block: bytearray, *, signed: bool = False) -> bytes:
    block[148:156] = b" " * 8
    total = sum(byte - 256 if signed and byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\0 " % total
    return bytes(block)


def base_256(size: int) -> bytes:
    return b"\x80" + size.to_bytes(11, "big")


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % BLOCK)


def file(name: str | bytes, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> bytes:
    """A whole entry."""
    return header(name, len(content), kind) + padded(content)


def pax(
    headers: Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]],
    kind: bytes = tarfile.XHDTYPE,
) -> bytes:
    """An extended header with these records, in order."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    lines = b"".join(pax_record(key, value) for key, value in pairs)
    return header("pax", len(lines), kind) + padded(lines)


def pax_record(key: str, value: str | bytes) -> bytes:
    content = b" " + key.encode() + b"=" + (value.encode() if isinstance(value, str) else value)
    length = len(content) + 1
    total = next(n for n in range(length, length + 8) if len(str(n)) + length == n)
    return b"%d%s\n" % (total, content)


def old_sparse(name: str, size: int, stretches: Sequence[tuple[int, int]], content: bytes) -> bytes:
    """A sparse file as GNU tar wrote it before POSIX.1-2001."""
    pairs = [b"%011o\0%011o\0" % pair for pair in stretches]
    more = [pairs[at : at + 21] for at in range(4, len(pairs), 21)]
    extensions = b"".join(
        b"".join(each).ljust(504, b"\0") + bytes([each is not more[-1]]) + bytes(7) for each in more
    )
    fields = {
        "at_386": b"".join(pairs[:4]).ljust(96, b"\0"),
        "at_482": bytes([bool(more)]),
        "at_483": b"%011o\0" % size if size < 8**11 else base_256(size),
    }
    first = header(name, len(content), tarfile.GNUTYPE_SPARSE, **fields)
    return first + extensions + padded(content)

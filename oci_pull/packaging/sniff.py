"""What a blob is by its first bytes, whatever its media type says."""

import sys
import zlib

from oci_pull.packaging.plan import Compression

#: How many bytes have to be seen. A zstd block is decoded as a whole and has 128 KiB at most
#: (RFC 8878, 3.1.1.2.3); in front of the first there may be skippable frames.
LOOK = 132 * 1024

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
#: The magic number of a skippable frame, behind its first byte (RFC 8878, 3.1.2).
_SKIPPABLE = b"\x2a\x4d\x18"
#: The header of a tar member (POSIX.1-1988 ustar), its magic, and the octal sum of its bytes.
_HEADER = 512
_MAGIC = slice(257, 262)
_CHECKSUM = slice(148, 156)


def archive_compression(start: bytes) -> Compression | None:
    """How a tar archive that starts with these bytes is compressed, None where it is none."""
    found = _compression(start)
    return found if _is_tar(_plain(start, found)) else None


def _compression(start: bytes) -> Compression:
    if start.startswith(_GZIP):
        return Compression.GZIP
    if start.startswith(_ZSTD) or (start[1:4] == _SKIPPABLE and start[0] >> 4 == 5):  # noqa: PLR2004
        return Compression.ZSTD
    return Compression.NONE


def _plain(start: bytes, compression: Compression) -> bytes:
    """The first bytes of what is compressed; nothing where they cannot be had."""
    match compression:
        case Compression.GZIP:
            return _inflated(start)
        case Compression.ZSTD:
            return _decompressed(start)
        case _:
            return start


def _inflated(start: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(start, _HEADER)
    except zlib.error:
        return b""


def _decompressed(start: bytes) -> bytes:
    """The content of the first zstd frame that has any."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    while start:
        decompressor = zstd.ZstdDecompressor()
        try:
            content = decompressor.decompress(start, _HEADER)
        except zstd.ZstdError:
            return b""
        if content or not decompressor.eof:
            return content
        start = decompressor.unused_data
    return b""


def _is_tar(start: bytes) -> bool:
    """Whether a tar archive starts so: by its magic, or where it is older by its checksum."""
    if start[_MAGIC] == b"ustar":
        return True
    header = start[:_HEADER]
    try:
        expected = int(header[_CHECKSUM].strip(b" \0"), 8)
    except ValueError:
        return False
    # The checksum itself counts as blanks.
    return len(header) == _HEADER and expected == sum(header) - sum(header[_CHECKSUM]) + 8 * 0x20

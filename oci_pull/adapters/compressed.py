"""Compressed files as streams, told by their first bytes and read in bounded memory."""

import bz2
import gzip
import lzma
import sys
import zlib
from collections.abc import Callable
from typing import IO, Protocol

from oci_pull.ports import Reader

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: What reading a damaged file raises, beside `OSError` of bzip2 and gzip without a number.
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zstd.ZstdError)
_CHUNK = 256 * 1024
#: `xz -9` takes 65 MiB, `zstd --ultra` a window of 128 MiB; more is asked for by an attacker.
_XZ_MEMORY = 192 * 1024 * 1024
_ZSTD_WINDOW_LOG = 27


class _Decompressor(Protocol):
    """What bz2, lzma and zstd have in common: one frame, and never more than `max_length` of it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def opened(file: IO[bytes]) -> Reader | None:
    """The content of a file that is at its beginning, None where it is not compressed.

    Reading it raises one of `DAMAGED`, or `OSError`, where the file is cut off or is something
    else; a file of several frames is all of them, as `cat` joins them.
    """
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if magic.startswith(b"\xfd7zXZ\0"):
        # The reader of the standard library cannot be told how much memory a file may ask for.
        return _Frames(
            file, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY), padding=b"\0"
        )
    if magic.startswith(b"BZh"):
        return _Frames(file, bz2.BZ2Decompressor)
    # Of the second kind is what pzstd begins with: a frame that decompressors skip.
    if magic.startswith(b"\x28\xb5\x2f\xfd") or magic[1:4] == b"\x2a\x4d\x18":
        options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG}
        return _Frames(file, lambda: zstd.ZstdDecompressor(options=options))
    return None


class _Frames:
    """Frame after frame of a file."""

    def __init__(
        self, file: IO[bytes], make: Callable[[], _Decompressor], *, padding: bytes = b""
    ) -> None:
        self._file = file
        self._make = make
        #: What may stand between two frames.
        self._padding = padding
        self._frame = make()

    def read(self, size: int) -> bytes:
        """At most `size` bytes, empty at the end."""
        while True:
            if self._frame.eof:
                left = self._after(self._frame.unused_data)
                if not left:
                    return b""
                self._frame = self._make()
            else:
                left = self._file.read(_CHUNK) if self._frame.needs_input else b""
                if not left and self._frame.needs_input:
                    raise EOFError("it ends in the middle")
            if content := self._frame.decompress(left, size):
                return content

    def _after(self, left: bytes) -> bytes:
        """What follows a frame, without padding."""
        while not (left := left.lstrip(self._padding) if self._padding else left):
            if not (left := self._file.read(_CHUNK)):
                return b""
        return left

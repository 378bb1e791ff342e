"""Compressed streams, told by their media type or their first bytes, read in bounded memory."""

import bz2
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from oci_pull.errors import DamagedArchive
from oci_pull.packaging.plan import Compression
from oci_pull.ports import Pipelined, Reader

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: What reading a damaged stream raises, beside `OSError` of bzip2 without a number.
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError)
#: Compressed bytes that are read at once.
_CHUNK = 128 * 1024
#: Of these, given to a frame at first.
_STEP = 4 * 1024
#: `xz -9` takes 65 MiB, `zstd --ultra` a window of 128 MiB; more is asked for by an attacker.
_XZ_MEMORY = 192 * 1024 * 1024
_ZSTD_WINDOW_LOG = 27
#: The longest of the signatures.
_SIGNATURE = 6
#: RFC 1952: with the header and the check sum of gzip around the data.
_GZIP_BITS = 31
_GZIP = b"\x1f\x8b"


class _Decompressor(Protocol):
    """What bz2, lzma and zstd have in common: one frame, and never more than `max_length` of it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: memoryview, max_length: int = -1) -> bytes: ...


class _GzipMember:
    """One member of a gzip file, with the interface that the others have."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_BITS)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data

    def decompress(self, data: memoryview, max_length: int = -1) -> bytes:
        content = self._member.decompress(self._member.unconsumed_tail or data, max_length)
        # What fills the buffer may have more behind it, even where all the input was taken.
        self.needs_input = len(content) < max_length and not self._member.unconsumed_tail
        return content


@runtime_checkable
class Seekable(Reader, Protocol):
    """A stream that can go on elsewhere."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As files do it."""


def opened(file: Reader) -> Reader | None:
    """The content of a compressed stream that is at its beginning, None where it is another one.

    Reading it raises one of `DAMAGED`, or `OSError`, where it is cut off or is something else; a
    stream of several frames is all of them, as `cat` joins them.
    """
    signature, stream = _looked_at(file)
    if signature.startswith(_GZIP):
        return _gzip(stream)
    if signature.startswith(b"\xfd7zXZ\0"):
        # The reader of the standard library cannot be told how much memory a file may ask for.
        return _Frames(
            stream, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY), padding=b"\0"
        )
    if signature.startswith(b"BZh"):
        return _Frames(stream, bz2.BZ2Decompressor)
    if _is_zstd(signature):
        return _zstd(stream)
    return None


def decompressed(reader: Reader, compression: Compression) -> Reader:
    """The content of a layer; what it raises when read is told by `reading`.

    Of the compressions that the specifications have: layers are compressed with gzip or zstd.
    """
    content = _content(reader, compression)
    return reader.ahead(content) if isinstance(reader, Pipelined) else content


def _content(reader: Reader, compression: Compression) -> Reader:
    if compression is Compression.SNIFFED:
        signature, reader = _looked_at(reader)
        if signature.startswith(_GZIP):
            return _gzip(reader)
        return _zstd(reader) if _is_zstd(signature) else reader
    if compression is Compression.GZIP:
        return _gzip(reader)
    return _zstd(reader) if compression is Compression.ZSTD else reader


@contextmanager
def reading() -> Iterator[None]:
    """Reads what may be damaged; raises `DamagedArchive` instead of whatever says so."""
    try:
        yield
    except DAMAGED as error:
        raise DamagedArchive(f"the archive is damaged: {error}") from error


def _gzip(stream: Reader) -> Reader:
    return _Frames(stream, _GzipMember, padding=b"\0")


def _zstd(stream: Reader) -> Reader:
    options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG}
    return _Frames(stream, lambda: zstd.ZstdDecompressor(options=options))


def _is_zstd(signature: bytes) -> bool:
    # Of the second kind is what pzstd begins with: a frame that decompressors skip.
    return signature.startswith(b"\x28\xb5\x2f\xfd") or signature[1:4] == b"\x2a\x4d\x18"


def _looked_at(reader: Reader) -> tuple[bytes, Reader]:
    """The first bytes of a stream, and the stream as it was before they were read."""
    signature = b""
    while len(signature) < _SIGNATURE and (more := reader.read(_SIGNATURE - len(signature))):
        signature += more
    if isinstance(reader, Seekable):
        reader.seek(-len(signature), 1)
        return signature, reader
    return signature, _Pushed(signature, reader)


class _Frames:
    """Frame after frame of a stream."""

    def __init__(
        self, stream: Reader, make: Callable[[], _Decompressor], *, padding: bytes | None = None
    ) -> None:
        self._stream = stream
        self._make = make
        #: The byte that may stand between two frames, and behind the last, any number of times.
        self._padding = padding
        self._frame = make()
        #: What was read, and how much of it the frames have taken.
        self._input = b""
        self._taken = 0
        self._step = _STEP

    def read(self, size: int) -> bytes:
        """At most `size` bytes, empty at the end."""
        while True:
            if self._frame.eof:
                if not self._is_more():
                    return b""
                self._frame = self._make()
                self._step = _STEP
            piece = self._piece() if self._frame.needs_input else memoryview(b"")
            content = self._frame.decompress(piece, size)
            self._taken += len(piece) - len(self._frame.unused_data)
            if content:
                return content

    def _piece(self) -> memoryview:
        """What the frame is given next.

        Little at first: what is behind its end is copied, and there may be very many ends.
        """
        if self._taken == len(self._input) and not self._refill():
            raise EOFError("it ends in the middle")
        piece = memoryview(self._input)[self._taken : self._taken + self._step]
        self._step = min(2 * self._step, _CHUNK)
        return piece

    def _is_more(self) -> bool:
        """Whether another frame follows, which the input begins with then."""
        while True:
            while self._input[self._taken : self._taken + 1] == self._padding:
                self._taken += 1
            if self._taken < len(self._input):
                return True
            if not self._refill():
                return False

    def _refill(self) -> bool:
        self._input = self._stream.read(_CHUNK)
        self._taken = 0
        return bool(self._input)


class _Pushed:
    """A stream with some bytes in front of it that were read already."""

    def __init__(self, ahead: bytes, stream: Reader) -> None:
        self._ahead = ahead
        self._stream = stream

    def read(self, size: int) -> bytes:
        """At most `size` bytes, empty at the end."""
        if not self._ahead:
            return self._stream.read(size)
        piece, self._ahead = self._ahead[:size], self._ahead[size:]
        return piece

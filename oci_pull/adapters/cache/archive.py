"""Tar archives as a stream of regular files, read without trusting a word of them."""

import gzip
import sys
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from oci_pull.errors import DamagedArchive, UnsafeArchive, UnsafePath
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import Compression
from oci_pull.ports import Reader

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from oci_pull.oci.digest import Bytes

#: More files than any model has.
MAX_ENTRIES = 100_000
#: How much more than the compressed archive its files may be, and how much is let pass anyway:
#: weights shrink by a third at most, tables of a tokenizer by ten, and a bomb by a thousand.
_MAX_RATIO = 100
_SLACK = 64 * 1024 * 1024
#: The longest header of an extended tar format (bytes); tarfile reads one into memory as a whole.
_MAX_READ = 1024 * 1024
_CHUNK = 128 * 1024
#: As `zstd --ultra` goes by default; a larger window is asked for by nobody but an attacker.
_WINDOW_LOG = 27

#: tarfile reads a chain of extended headers by recursion.
_DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, zstd.ZstdError, RecursionError)


class Entry:
    """A regular file of an archive, to be read before the next one."""

    def __init__(self, path: RelPath, size: int, body: IO[bytes]) -> None:
        self.path = path
        self.size = size
        self._body = body

    def chunks(self) -> Iterator[bytes]:
        """The content, in pieces; raises `DamagedArchive`."""
        with _reading():
            while chunk := self._body.read(_CHUNK):
                yield chunk


def entries(reader: Reader, compression: Compression, size: int) -> Iterator[Entry]:
    """Every regular file of an archive of `size` bytes, in order.

    Raises:
        DamagedArchive: it is no archive of this type, ends early, or grows beyond reason.
        UnsafeArchive, UnsafePath: it holds a link, a device, or a name that leaves the directory.
    """
    if size == 0:
        return
    limit = size if compression is Compression.NONE else size * _MAX_RATIO + _SLACK
    stream = _Forward(_opened(reader, compression), limit)
    with _reading():
        archive = tarfile.TarFile(fileobj=cast("IO[bytes]", stream))
    count = 0
    while member := _next(archive):
        count += 1
        if count > MAX_ENTRIES:
            raise DamagedArchive(f"the archive has more than {MAX_ENTRIES} entries")
        if entry := _entry(archive, member):
            yield entry
        # tarfile remembers every member; a million empty ones would fill the memory.
        archive.members.clear()  # type: ignore[attr-defined]
    if stream.last.strip(b"\0"):
        # tarfile takes a header that it cannot read for the end; that is zeros, or nothing.
        raise DamagedArchive("the archive is damaged: a header in the middle is none")


def _opened(reader: Reader, compression: Compression) -> Reader:
    file = cast("IO[bytes]", reader)
    if compression is Compression.GZIP:
        return gzip.GzipFile(fileobj=file)
    if compression is Compression.ZSTD:
        options = {int(zstd.DecompressionParameter.window_log_max): _WINDOW_LOG}
        return zstd.ZstdFile(file, options=options)
    return reader


def _next(archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    with _reading():
        return archive.next()


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Entry | None:
    if member.isdir():
        if set(member.name.split("/")) - {"", "."}:
            RelPath.parse(member.name)
        return None
    if not member.isfile():
        kind = "link" if member.islnk() or member.issym() else "device"
        raise UnsafeArchive(f"the archive holds a {kind}: {member.name[:200]!r}")
    if member.issparse() or member.size < 0:
        # A sparse file is as long as it says, without a byte of it in the archive.
        raise DamagedArchive(f"a file of the archive is sparse: {member.name[:200]!r}")
    with _reading():
        body = archive.extractfile(member)
    assert body is not None
    return Entry(RelPath.parse(member.name), member.size, body)


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except tarfile.TarError as error:
        raise DamagedArchive(f"the archive is damaged: {error}") from error
    except _DAMAGED as error:
        raise DamagedArchive(f"the archive is damaged: {error}") from error
    except (ValueError, OverflowError) as error:
        # tarfile lets some nonsense in headers through to whoever computes with it.
        raise DamagedArchive(f"the archive is damaged: {error}") from error


class _Forward:
    """A stream as tarfile wants it: it seeks, but only forwards, and reads a little at once."""

    def __init__(self, reader: Reader, limit: int) -> None:
        self._reader = reader
        self._limit = limit
        self._position = 0
        #: What the last `read` gave.
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        """Exactly `size` bytes, fewer only at the end."""
        if not 0 <= size <= _MAX_READ:
            raise DamagedArchive(f"a header of the archive claims {size} bytes")
        content: Bytes = self._read(size)
        while 0 < len(content) < size and (more := self._read(size - len(content))):
            content = bytes(content) + more
        self.last = bytes(content)
        return self.last

    def _read(self, size: int) -> bytes:
        content = self._reader.read(size)
        self._position += len(content)
        if self._position > self._limit:
            raise DamagedArchive(
                f"the archive expands to more than {self._limit} bytes, which no model does"
            )
        return content

    def tell(self) -> int:
        """How much was read."""
        return self._position

    def seek(self, position: int, whence: int = 0) -> int:
        """Read on until `position`."""
        if whence or position < self._position:
            raise DamagedArchive("the archive points backwards")
        while self._position < position and self.read(min(_CHUNK, position - self._position)):
            pass
        return self._position


def member(reader: Reader, name: RelPath, size: int, limit: int) -> bytes | None:
    """One file of an uncompressed archive, None if it is not in it; raises `DamagedArchive`."""
    try:
        for entry in entries(reader, Compression.NONE, size):
            if entry.path == name:
                if entry.size > limit:
                    raise DamagedArchive(f"{name} has {entry.size} bytes, at most {limit} are read")
                return b"".join(entry.chunks())
    except (UnsafeArchive, UnsafePath):
        # The archive will be refused when it is unpacked, with its own words.
        return None
    return None

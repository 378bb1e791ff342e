"""The files of an image layout that is in a tar archive, compressed or not.

No member is ever extracted under a name: a file of the layout is a stretch of an open file. An
archive that is compressed is decompressed once, into a file without a name beside the cache, which
is gone with the process that has it open, however that ends.
"""

import os
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from oci_pull.adapters import compressed
from oci_pull.adapters.disk import nearest, writing
from oci_pull.adapters.space import DiskSpace
from oci_pull.errors import Cancelled, DamagedArchive, ManifestUnknown, NoSpace
from oci_pull.events import Counter, Unpacking
from oci_pull.ports import Cancel, Observer, Reader

#: More files than any layout has.
_MAX_ENTRIES = 100_000
#: How much more than the compressed archive may come out of it, and how much is let pass anyway.
_MAX_RATIO = 100
_SLACK = 64 * 1024 * 1024
#: The longest header of an extended tar format (bytes); tarfile reads one into memory as a whole.
_MAX_READ = 1024 * 1024
_CHUNK = 1024 * 1024
#: Written between two looks at how much room is left (bytes).
_STEP = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Scratch:
    """Where a compressed archive may be decompressed, and who may stop that."""

    #: The file system of the cache.
    space: DiskSpace
    observer: Observer
    cancel: Cancel


@dataclass(frozen=True, slots=True)
class Stretch:
    """Part of an open file; whoever gets it closes the descriptor."""

    descriptor: int
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class ArchiveFiles:
    """The files of an archive by name: where each begins, and how long it is."""

    file: IO[bytes]
    members: Mapping[str, tuple[int, int]]

    def find(self, name: str) -> Stretch:
        """One of the files; raises `OSError` if it is not there, `ValueError` if all is closed."""
        if name not in self.members:
            raise FileNotFoundError(2, "it is not in the archive")
        start, size = self.members[name]
        return Stretch(os.dup(self.file.fileno()), start, size)


def open_archive(path: Path, scratch: Scratch, stack: ExitStack) -> ArchiveFiles:
    """The files of an archive, until `stack` is closed; a compressed one was decompressed.

    Raises:
        ManifestUnknown: the file cannot be read.
        DamagedArchive: it is no tar archive, ends early, or grows beyond what it may.
        NoSpace, NotWritable: it is compressed, and there is no room for what is in it.
        Cancelled: stopped meanwhile.
    """
    if not path.is_file():
        raise DamagedArchive(f"{path} is not a file, and no archive", hint=f"oci-pull oci:{path}")
    with ExitStack() as opened:
        try:
            file: IO[bytes] = opened.enter_context(path.open("rb"))
            content = compressed.opened(file)
        except OSError as error:
            raise ManifestUnknown(f"{path} cannot be read: {error.strerror}") from error
        if content is not None:
            file = _decompressed(path, file, content, scratch, opened)
        found = ArchiveFiles(file, _members(path, file, scratch.cancel))
        stack.push(opened.pop_all())
    return found


def _decompressed(
    path: Path, file: IO[bytes], content: Reader, scratch: Scratch, stack: ExitStack
) -> IO[bytes]:
    """What is in a compressed archive, in a file that nobody else can see."""
    length = os.fstat(file.fileno()).st_size
    # What it will grow to is written nowhere; that it does not shrink is known.
    scratch.space.check(length, 0)
    read = Counter()
    scratch.observer.on(Unpacking(f"{path.name} beside the cache", length, read))
    root = scratch.space.cache
    with writing(root):
        spool = tempfile.TemporaryFile(dir=nearest(root))  # noqa: SIM115 - the stack closes it
    stack.callback(spool.close)
    written = checked = 0
    while chunk := _read(path, content):
        if scratch.cancel.is_set():
            raise Cancelled("stopped while an archive was decompressed")
        written += len(chunk)
        read.value = min(length, file.tell())
        _keep_within(path, written, length, scratch.space)
        if written - checked >= _STEP:
            scratch.space.check(_STEP, 0)
            checked = written
        with writing(root):
            spool.write(chunk)
    with writing(root):
        spool.flush()
    return cast("IO[bytes]", spool)


def _read(path: Path, content: Reader) -> bytes:
    try:
        return content.read(_CHUNK)
    except (*compressed.DAMAGED, OSError) as error:
        raise DamagedArchive(f"{path} is damaged: {error}") from error


def _keep_within(path: Path, written: int, length: int, space: DiskSpace) -> None:
    if written > length * _MAX_RATIO + _SLACK:
        raise DamagedArchive(
            f"{path} expands to more than {written - 1} bytes, which no archive of a model does"
        )
    if space.quota is not None and written > space.quota:
        raise NoSpace(
            f"not enough space: {path} expands to more than --max-bytes allows",
            hint="a larger --max-bytes SIZE,  or decompress it elsewhere and name what comes out",
            needed=written,
            free=space.quota,
        )


def _members(path: Path, file: IO[bytes], cancel: Cancel) -> Mapping[str, tuple[int, int]]:
    """Where each file of an archive begins, so that blobs are read in place."""
    found = {}
    try:
        file.seek(0)
        archive = tarfile.TarFile(fileobj=cast("IO[bytes]", _Careful(file)))
        count = 0
        while member := archive.next():
            count += 1
            if count > _MAX_ENTRIES:
                raise DamagedArchive(f"{path} has more than {_MAX_ENTRIES} entries")
            if cancel.is_set():
                raise Cancelled("stopped while an archive was read")
            # A sparse file is as long as it says, without a byte of it in the archive.
            if member.isfile() and not member.issparse() and member.size >= 0:
                name = member.name.removeprefix("./")
                found[name] = (member.offset_data, member.size)
            # tarfile remembers every member; a million empty ones would fill the memory.
            archive.members.clear()  # type: ignore[attr-defined]
    except (tarfile.TarError, OSError, ValueError, OverflowError, RecursionError) as error:
        raise DamagedArchive(
            f"{path} is no tar archive, or is cut off: {error}",
            hint="write it again:  skopeo copy docker://NAME oci-archive:FILE:TAG",
        ) from error
    return found


class _Careful:
    """A file as tarfile reads it, a little at once: a header may claim any length."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_READ:
            raise tarfile.ReadError(f"a header claims {size} bytes")
        return self._file.read(size)

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, position: int, whence: int = 0) -> int:
        return self._file.seek(position, whence)

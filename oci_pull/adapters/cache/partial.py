"""Unfinished blobs: `partial/<hex>/<owner>/` with the data and the journal of the ranges on disk.

A process owns what is under its own name. It gets there by one rename: of a new directory to
`partial/<hex>`, or of a dead owner's to its own. Renames have one winner, whatever the file system.
"""

import errno
import os
import secrets
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from oci_pull.adapters.cache.owner import Owner
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.disk import preallocate, remove_tree, sync_directory, writing
from oci_pull.errors import Busy
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Bytes
from oci_pull.oci.ranges import Span, merge
from oci_pull.oci.verify import Verified
from oci_pull.ports import StoredBlob, Taken, Unfinished

_DATA = "data"
_JOURNAL = "journal"
#: Start, end, and a check sum of both: a record that was torn by a crash is seen as one.
_RECORD = struct.Struct("<QQI")
_READ_ONLY = 0o444
_WRITABLE = 0o644
#: An owner on another machine that has not been heard of for so long is dead (seconds).
_SILENCE = 60.0
#: The name of a directory that its owner gave up.
_FREE = "free"


def claim(cache: Cache, blob: Descriptor) -> "OwnedPartial | Taken":
    """Own what is on disk of a blob, unless a living process does; raises `DiskError`."""
    home = cache.partial(blob.digest)
    me = Owner.new()
    with writing(home):
        while True:
            found = _entry(home)
            if found is None:
                if _create(home, me):
                    return OwnedPartial(cache, blob, home / str(me))
                continue
            owner = Owner.parse(found.name)
            if owner and _is_alive(owner, found):
                return Taken(owner.describe())
            may_wake_up = found.name != _FREE and not (owner and owner.is_here)
            if _take_over(found, home / str(me), copied=may_wake_up):
                return OwnedPartial(cache, blob, home / str(me))


def unfinished(cache: Cache, blob: Descriptor) -> Unfinished:
    """How much of an unfinished blob is on disk, whoever owns it."""
    found = _entry(cache.partial(blob.digest))
    if not found:
        return Unfinished()
    present = sum(span.size for span in merge(_read_journal(found / _JOURNAL, blob.size)))
    try:
        allocated = (found / _DATA).stat().st_blocks * 512
    except OSError:
        allocated = 0
    return Unfinished(present, min(blob.size, allocated))


def _create(home: Path, me: Owner) -> bool:
    """Make `home` with our directory in it, unless it is there; one of many callers wins."""
    new = home.with_name(f".{me}")
    (new / str(me)).mkdir(parents=True)
    try:
        new.rename(home)
    except OSError as error:
        remove_tree(new)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _entry(home: Path) -> Path | None:
    """The directory of the owner, if there is one."""
    try:
        return next(iter(sorted(home.iterdir())), None)
    except FileNotFoundError:
        return None


def _take_over(dead: Path, mine: Path, *, copied: bool) -> bool:
    """Rename it; False if somebody else was quicker. Raises `OSError`."""
    with suppress(OSError):
        # Or a third host would take its new owner for dead as well.
        os.utime(dead)
    try:
        dead.rename(mine)
    except FileNotFoundError:
        return False
    if copied:
        try:
            _copy_away(mine / _DATA)
        except OSError:
            mine.rename(dead)
            raise
    return True


def _copy_away(data: Path) -> None:
    """Give the data an inode of its own: a writer that was only slow still has the old one open."""
    copy = data.with_suffix(".copy")
    with suppress(FileNotFoundError):
        try:
            with data.open("rb") as reader, copy.open("wb") as writer:
                while chunk := reader.read(1024 * 1024):
                    writer.write(chunk)
            copy.replace(data)
        finally:
            copy.unlink(missing_ok=True)


def _is_alive(owner: Owner, directory: Path) -> bool:
    """Whether the process still runs: seen from here, or heard of lately from elsewhere.

    Silence is measured by the clock of the file system, which is the same for both sides.
    """
    if owner.is_here and owner.start:
        return owner.runs()
    probe = directory.parent.with_name(f".{owner.nonce}-{secrets.token_hex(4)}")
    try:
        last_heard = max(directory.stat().st_mtime, *_times(directory))
        probe.touch()
        return probe.stat().st_mtime - last_heard < _SILENCE
    except OSError:
        return True
    finally:
        probe.unlink(missing_ok=True)


def _times(directory: Path) -> Iterator[float]:
    yield 0.0
    for name in (_DATA, _JOURNAL):
        with suppress(OSError):
            yield (directory / name).stat().st_mtime


def _read_journal(path: Path, size: int) -> tuple[Span, ...]:
    """The ranges that are on disk; everything behind the first damaged record is forgotten."""
    try:
        content = path.read_bytes()
    except OSError:
        return ()
    return tuple(_records(content, size))


def _records(content: bytes, size: int) -> Iterator[Span]:
    whole = len(content) - len(content) % _RECORD.size
    for start, end, checksum in _RECORD.iter_unpack(content[:whole]):
        if checksum != _checksum(start, end) or not start < end <= size:
            return
        yield Span(start, end)


def _checksum(start: int, end: int) -> int:
    return zlib.crc32(struct.pack("<QQ", start, end))


class OwnedPartial:
    """A blob that is being fetched, and that belongs to this process alone."""

    def __init__(self, cache: Cache, blob: Descriptor, directory: Path) -> None:
        self._cache = cache
        self._blob = blob
        self._directory = directory
        self._is_released = False
        self._data = self._journal = -1
        records = _read_journal(directory / _JOURNAL, blob.size)
        self._present = merge(records)
        with writing(directory):
            try:
                self._open()
                # What is recorded from now on must not come behind damage.
                os.ftruncate(self._journal, len(records) * _RECORD.size)
                if os.fstat(self._data).st_size != blob.size:
                    self._start_over()
            except OSError:
                self.release()
                raise

    def _open(self) -> None:
        with suppress(OSError):
            # Read-only already, if its owner was killed just before the final name.
            (self._directory / _DATA).chmod(_WRITABLE)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._data = os.open(self._directory / _DATA, flags, _WRITABLE)
        self._journal = os.open(self._directory / _JOURNAL, flags | os.O_APPEND, _WRITABLE)

    @property
    def present(self) -> tuple[Span, ...]:
        """The ranges that are on disk, merged and in order."""
        return self._present

    def write_at(self, offset: int, data: Bytes) -> None:
        """Write bytes; they count when they are recorded. Raises `DiskError`."""
        with writing(self._directory):
            view = memoryview(data)
            while view:
                written = os.pwrite(self._data, view, offset)
                view, offset = view[written:], offset + written

    def record(self, span: Span) -> None:
        """Note that a range was written, so that a later run does not fetch it again."""
        record = _RECORD.pack(span.start, span.end, _checksum(span.start, span.end))
        with writing(self._directory):
            os.write(self._journal, record)
        self._present = merge((*self._present, span))

    def pread(self, view: memoryview, offset: int) -> int:
        """Read back what was written; the number of bytes, 0 at the end."""
        with writing(self._directory):
            return os.preadv(self._data, [view], offset)

    def keep_alive(self) -> None:
        """Tell other hosts that the owner lives."""
        with suppress(OSError):
            os.utime(self._directory)

    def commit(self, proof: Verified) -> StoredBlob:
        """Give the blob its final name, durably.

        Raises:
            Busy: another host took it over meanwhile.
            DiskError: it cannot be written.
        """
        final = self._cache.blob(self._blob.digest)
        data = self._directory / _DATA
        with writing(final):
            os.fsync(self._data)
            os.fchmod(self._data, _READ_ONLY)
            final.parent.mkdir(parents=True, exist_ok=True)
            if not self._is_mine():
                raise Busy(f"{self._blob.digest} was taken over by another process")
            try:
                data.rename(final)
            except FileNotFoundError as error:
                raise Busy(f"{self._blob.digest} was taken over by another process") from error
            sync_directory(final.parent)
        self._remove()
        return StoredBlob(proof.descriptor, final)

    def discard(self) -> None:
        """Forget every byte and stay the owner."""
        with writing(self._directory):
            self._start_over()

    def release(self) -> None:
        """Give up ownership and keep what is on disk for whoever claims it next."""
        if self._is_released:
            return
        self._is_released = True
        for descriptor in (self._data, self._journal):
            if descriptor >= 0:
                os.close(descriptor)
        self._data = self._journal = -1
        if self._present:
            # Gone already after a commit, or somebody else's by now: both are fine.
            with suppress(OSError):
                self._directory.rename(self._directory.with_name(_FREE))
        else:
            self._remove()

    def _start_over(self) -> None:
        os.ftruncate(self._journal, 0)
        os.ftruncate(self._data, 0)
        self._present = ()
        preallocate(self._data, self._blob.size)

    def _is_mine(self) -> bool:
        try:
            named = (self._directory / _DATA).stat()
        except OSError:
            return False
        held = os.fstat(self._data)
        return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)

    def _remove(self) -> None:
        """Remove what is left of the directory, without touching what others may have made."""
        remove_tree(self._directory)
        with suppress(OSError):
            self._directory.parent.rmdir()

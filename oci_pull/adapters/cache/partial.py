"""Unfinished blobs: `partial/<hex>/<owner>/` with the data and the journal of the ranges on disk.

A process owns what is under its own name. It gets there by one rename: of a new directory to
`partial/<hex>`, or of a dead owner's to its own. Renames have one winner, whatever the file system.
What has neither an owner's name nor none is not ours, and is left alone.
"""

import errno
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from oci_pull.adapters.cache import journal, moving
from oci_pull.adapters.cache.moving import DATA, JOURNAL
from oci_pull.adapters.cache.owner import Owner, is_alive
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.disk import preallocate, remove_tree, sync_directory, translated, writing
from oci_pull.errors import Busy
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Bytes, Digest
from oci_pull.oci.ranges import Span
from oci_pull.oci.verify import Verified
from oci_pull.ports import StoredBlob, Taken, Unfinished

#: What was being pulled when the partial was begun, as text.
_REFERENCE = "reference"
#: How long the blob is, as text; earlier releases did not say.
_SIZE = "size"
_READ_ONLY = 0o444
#: Less what the umask takes: another of the group may go on.
_WRITABLE = 0o666
#: The name of a directory that its owner gave up.
FREE = "free"


def claim(cache: Cache, blob: Descriptor, reference: str = "") -> "OwnedPartial | Taken":
    """Own what is on disk of a blob, unless a living process does; raises `DiskError`.

    What is begun now is marked with the text of the `reference` that it is for.
    """
    home = cache.partial(blob.digest)
    me = Owner.new()
    with writing(home):
        while True:
            found = _entry(home)
            if found is None:
                if _create(home, me, blob, reference):
                    return OwnedPartial(cache, blob, home / str(me))
                continue
            owner = Owner.parse(found.name)
            if owner and is_alive(owner, found):
                return Taken(owner.describe())
            if _take_over(found, home / str(me), blob, is_moved=_may_wake_up(owner)):
                return OwnedPartial(cache, blob, home / str(me))


def unfinished(cache: Cache, blob: Descriptor) -> Unfinished:
    """How much of an unfinished blob is on disk, whoever owns it."""
    with suppress(OSError):
        if found := _entry(cache.partial(blob.digest)):
            return _measured(found, blob.digest.hex, blob.size)
    return Unfinished()


def abandoned(
    cache: Cache, reference: str | None, needed: Collection[Digest]
) -> tuple[Unfinished, ...]:
    """What nobody fetches any more of what was begun, for a reference or any, and is not needed."""
    wanted = {digest.hex for digest in needed}
    try:
        homes = [home for home in (cache.root / "partial").iterdir() if home.name not in wanted]
    except OSError:
        return ()
    return tuple(left for home in homes for left in _left_behind(home, reference))


def excess(directory: Path) -> int:
    """By how many bytes an unfinished blob is longer than its blob; 0 where that is not known."""
    try:
        return max(0, (directory / DATA).stat().st_size - int((directory / _SIZE).read_text()))
    except (OSError, ValueError):
        return 0


def shorten(directory: Path) -> bool:
    """Take the excess away, and keep what was fetched; False if somebody goes on with it by now.

    Raises `OSError`.
    """
    mine = directory.with_name(str(Owner.new()))
    try:
        directory.rename(mine)
    except FileNotFoundError:
        return False
    try:
        data = mine / DATA
        os.truncate(data, data.stat().st_size - excess(mine))
    finally:
        mine.rename(mine.with_name(FREE))
    return True


def _left_behind(home: Path, reference: str | None) -> Iterator[Unfinished]:
    with suppress(OSError):
        found = _entry(home)
        if found and _is_for(found, reference):
            owner = Owner.parse(found.name)
            if not (owner and is_alive(owner, found)):
                yield _measured(found, home.name, (found / DATA).stat().st_size)


def _is_for(directory: Path, reference: str | None) -> bool:
    """Whether it was begun for that, if that is asked; raises `OSError`."""
    return reference is None or (directory / _REFERENCE).read_bytes() == os.fsencode(reference)


def _measured(directory: Path, blob: str, size: int) -> Unfinished:
    present = sum(span.size for span in moving.recorded(directory, blob, size))
    return Unfinished(present, min(size, moving.allocated(directory)))


def _may_wake_up(owner: Owner | None) -> bool:
    """Whether an owner that seems dead may only be slow: nobody here can see its process."""
    return owner is not None and not owner.is_here


def _create(home: Path, me: Owner, blob: Descriptor, reference: str) -> bool:
    """Make `home` with our directory in it, unless somebody's is there; one of many callers wins.

    Raises `OSError`.
    """
    new = home.with_name(f".{me}")
    try:
        (new / str(me)).mkdir(parents=True)
        (new / str(me) / _REFERENCE).write_bytes(os.fsencode(reference))
        (new / str(me) / _SIZE).write_text(f"{blob.size}\n")
        new.rename(home)
        return True
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return _is_nobodys(home) and _move_in(new / str(me), home)
    finally:
        remove_tree(new)


def _is_nobodys(home: Path) -> bool:
    """Whether there are things in it, and none of them is ours."""
    try:
        return _entry(home) is None and any(home.iterdir())
    except FileNotFoundError:
        return False


def _move_in(new: Path, home: Path) -> bool:
    """Put a directory beside strange things; two that do so at once fetch the blob twice, no more.

    False if `home` is gone by now. Raises `OSError`.
    """
    try:
        new.rename(home / new.name)
    except FileNotFoundError:
        return False
    return True


def _entry(home: Path) -> Path | None:
    """The directory of the owner, if there is one."""
    try:
        with os.scandir(home) as entries:
            names = [each.name for each in entries if each.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return None
    known = (name for name in sorted(names) if name == FREE or Owner.parse(name))
    return next((home / name for name in known), None)


def _take_over(dead: Path, mine: Path, blob: Descriptor, *, is_moved: bool) -> bool:
    """Rename it; False if it has to be looked at again. Raises `OSError`."""
    with suppress(OSError):
        # Or a third host would take its new owner for dead as well.
        os.utime(dead)
    try:
        dead.rename(mine)
    except FileNotFoundError:
        return False
    try:
        if is_moved or _is_of_another(mine / DATA):
            moving.set_aside(mine, mine.name.rpartition("-")[2])
        moving.finish(mine, blob.digest.hex, blob.size)
    except FileNotFoundError:
        # It took so long that somebody took this process for dead; or its last owner was only slow,
        # and took away what was to be moved. Then it is ours, and nobody may wait for us.
        with suppress(FileNotFoundError):
            mine.rename(dead.with_name(FREE))
        return False
    except BaseException:
        mine.rename(dead)
        raise
    return True


def _is_of_another(data: Path) -> bool:
    """Whether it is of another of the group, who alone may say what may be done with it."""
    try:
        return data.stat().st_uid != os.geteuid() != 0
    except FileNotFoundError:
        return False


class OwnedPartial:
    """A blob that is being fetched, and that belongs to this process alone.

    Several threads may write and read at once. One at a time may do anything else, and while it
    discards, commits or releases, nobody writes: the file that they would write to is the blob by
    then, or closed.
    """

    def __init__(self, cache: Cache, blob: Descriptor, directory: Path) -> None:
        self._cache = cache
        self._blob = blob
        self._directory = directory
        self._is_released = False
        self._data = -1
        with writing(directory):
            try:
                self._journal = journal.Journal(directory / JOURNAL, blob.digest.hex, blob.size)
            except BaseException:
                self._set_free()
                raise
            try:
                self._open()
                size = os.fstat(self._data).st_size
                if size > blob.size:
                    os.ftruncate(self._data, blob.size)
                elif size < blob.size:
                    self._start_over()
            except BaseException:
                # Whatever it is: this process may run on, and nobody takes from the living.
                self.release()
                raise

    def _open(self) -> None:
        data = self._directory / DATA
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        with suppress(FileNotFoundError):
            mode = stat.S_IMODE(data.stat().st_mode)
            if not mode & stat.S_IWUSR:
                # Its owner was killed just before the final name.
                data.chmod(mode | stat.S_IWUSR)
        self._data = os.open(data, flags, _WRITABLE)

    @property
    def present(self) -> tuple[Span, ...]:
        """The ranges that were on disk when it was claimed and still are, merged and in order."""
        return self._journal.present

    def write_at(self, offset: int, data: Bytes) -> None:
        """Write bytes; they count when they are recorded. Raises `DiskError`."""
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(self._data, view, offset)
                view, offset = view[written:], offset + written
        except OSError as error:
            # Not with `writing`, which costs as much as the call when it is made so often.
            raise translated(error, self._cache.root) from error

    def record(self, span: Span) -> None:
        """Note that a range was written, so that a later run does not fetch it again."""
        with writing(self._cache.root):
            self._journal.add(span)

    def pread(self, view: memoryview, offset: int) -> int:
        """Read back what was written; the number of bytes, 0 at the end."""
        with writing(self._cache.root):
            return os.preadv(self._data, [view], offset)

    def sync(self) -> None:
        """What was written is on the disk; raises `DiskError`."""
        with writing(self._cache.root):
            os.fsync(self._data)

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
        data = self._directory / DATA
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
        self._journal.close()
        if self._data >= 0:
            os.close(self._data)
        self._data = -1
        if self._journal.is_empty:
            self._remove()
        else:
            self._set_free()

    def _set_free(self) -> None:
        # Gone already after a commit, or somebody else's by now: both are fine.
        with suppress(OSError):
            self._directory.rename(self._directory.with_name(FREE))

    def _start_over(self) -> None:
        self._journal.clear()
        os.ftruncate(self._data, 0)
        preallocate(self._data, self._blob.size)

    def _is_mine(self) -> bool:
        try:
            named = (self._directory / DATA).stat()
        except OSError:
            return False
        held = os.fstat(self._data)
        return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)

    def _remove(self) -> None:
        """Remove what is left of the directory, without touching what others may have made."""
        remove_tree(self._directory)
        with suppress(OSError):
            self._directory.parent.rmdir()

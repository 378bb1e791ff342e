"""The few things that are done to files everywhere, and what their failures mean."""

import ctypes
import errno
import fcntl
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from oci_pull.errors import Cancelled, DiskError, NoSpace, NotWritable
from oci_pull.events import Counter
from oci_pull.ports import Cancel

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
#: Of a disk that is full.
KEPT = "what was fetched is kept"
_READ_ONLY = 0o444
_DIRECTORY = 0o755
#: The ways of giving a file to a directory; `auto` takes the first of its own that works.
AUTO = "auto"
LINK_MODES = (AUTO, "reflink", "hardlink", "symlink", "copy")
_AUTOMATIC = ("reflink", "hardlink", "copy")
#: Copied between two looks at whether to stop (bytes).
_CHUNK = 1024 * 1024
#: Copied before it has to be on the disk (bytes): else a large file is still for minutes in the
#: end, and nobody elsewhere could tell that anybody is at it.
_UNSYNCED = 1024 * _CHUNK
#: _IOW(0x94, 9, int) of linux/fs.h: share the blocks of another file.
_FICLONE = 0x40049409


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Translate what the operating system says into our errors, naming the path.

    Raises:
        NoSpace, NotWritable, DiskError: instead of the `OSError` inside.
    """
    try:
        yield
    except OSError as error:
        raise translated(error, path) from error


def translated(error: OSError, path: Path) -> DiskError:
    """The error of ours that an `OSError` means."""
    if error.errno in _FULL:
        return NoSpace(
            f"the disk is full: {path}",
            facts=[KEPT],
            hint="make room, and run the same command again",
            place=str(path),
        )
    if error.errno in _FORBIDDEN:
        return NotWritable(
            f"cannot write {path}: {os.strerror(error.errno or 0)}",
            hint="--cache-dir DIR  or OCI_PULL_CACHE_DIR for another place",
        )
    return DiskError(f"{path}: {error.strerror or error}")


def sync_directory(path: Path) -> None:
    """Make renames in a directory durable, where the file system can."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Give `path` this content at once and durably, or leave it as it was; raises `DiskError`.

    What may be written by its owner may be by whomever the umask leaves: caches are shared.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                if mode & stat.S_IWUSR:
                    mode |= stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            temporary.chmod(mode)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(path.parent)


def open_to_all(directory: Path) -> None:
    """Everybody can look into a directory, whatever the umask; what else may be done stays.

    So it keeps the group of a directory that is shared (setgid). Raises `OSError`.
    """
    directory.chmod(stat.S_IMODE(directory.stat().st_mode) | _DIRECTORY)


def preallocate(descriptor: int, size: int) -> None:
    """Reserve `size` bytes for an open file, without ever writing them.

    `os.posix_fallocate` would: glibc writes a byte into every block where the file system cannot
    reserve, so that one more copy of the model goes to the disk. Raises `OSError` if it is full.
    """
    allocate = _fallocate()
    if allocate and size:
        code = allocate(descriptor, 0, 0, size)
        if code == 0:
            return
        if ctypes.get_errno() in _FULL:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.ftruncate(descriptor, size)


@cache
def _fallocate() -> "ctypes._NamedFuncPointer | None":
    """fallocate(2) of the C library, which macOS has not."""
    try:
        function = ctypes.CDLL(None, use_errno=True).fallocate64
    except (OSError, AttributeError):
        try:
            function = ctypes.CDLL(None, use_errno=True).fallocate
        except (OSError, AttributeError):
            return None
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return function


def nearest(path: Path) -> Path:
    """The path, or the nearest directory above it that exists.

    What does not exist yet will be made on its file system. Raises `OSError`.
    """
    return next(each for each in (path, *path.absolute().parents) if each.exists())


def place(
    source: Path,
    target: Path,
    cancel: Cancel,
    mode: str = AUTO,
    *,
    placed: Counter,
    name: str | None = None,
) -> str:
    """Give `target`, which must not exist, the content of `source`; the way in which it has it.

    By the wanted way, or by the first that works of reflink, hard link and copy; read-only.
    `placed` grows by the size of the file. `name` is what a symbolic link calls the source, where
    that is not its path.

    Raises:
        NotWritable: the wanted way does not work here.
        OSError, Cancelled: nor does any other, or it was stopped.
    """
    for way in _AUTOMATIC if mode == AUTO else (mode,):
        if way == "copy":
            copy(source, target, cancel, mode=_READ_ONLY, copied=placed)
            return way
        if _linked(way, source, target, name or str(source)):
            placed.value += source.stat().st_size
            return way
    raise NotWritable(
        f"no {mode} of {source} can be made at {target.parent}: the file system has none",
        hint="--link-mode auto",
    )


def _linked(way: str, source: Path, target: Path, name: str) -> bool:
    """Whether it could be done in this way; raises `OSError` where it is not for the way."""
    if way == "reflink":
        if not reflink(source, target):
            return False
        target.chmod(_READ_ONLY)
        return True
    try:
        if way == "symlink":
            target.symlink_to(name)
        else:
            # Not followed: a cache may be reached through links, its blobs never are links.
            os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in _FULL:
            raise
        return False
    return True


def copy(source: Path, target: Path, cancel: Cancel, *, mode: int, copied: Counter) -> None:
    """A file of its own with the same content, durably; `copied` grows as it does.

    Raises `OSError`, `Cancelled`.
    """
    unsynced = 0
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(_CHUNK):
            if cancel.is_set():
                raise Cancelled("stopped while copying")
            writer.write(chunk)
            copied.value += len(chunk)
            unsynced += len(chunk)
            if unsynced >= _UNSYNCED:
                os.fsync(writer.fileno())
                unsynced = 0
        writer.flush()
        os.fsync(writer.fileno())
    target.chmod(mode)


def reflink(source: Path, target: Path) -> bool:
    """Whether `target`, which must not exist, is now a file that shares the blocks of `source`."""
    if sys.platform != "linux":
        return False
    with source.open("rb") as reader, target.open("xb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
        except OSError:
            target.unlink()
            return False
    return True


def rename_tree(new: Path, final: Path, is_good: Callable[[], bool]) -> None:
    """Rename a directory; what has the name already stays if it is good, else it makes room.

    A file in its place, which is nothing of ours, ends beside it under another name. Raises
    `OSError`.
    """
    try:
        new.rename(final)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        if is_good():
            return
        aside = new.with_name(f"{new.name}.old")
        final.rename(aside)
        new.rename(final)
        remove_tree(aside)


def remove(path: Path) -> None:
    """Remove a file, or a directory with everything in it; raises `OSError` where a file stays."""
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)


def remove_tree(path: Path) -> None:
    """Remove a directory of ours with everything in it; what cannot be removed stays."""
    with suppress(OSError):
        # That it ignores errors is not so for all of what it does.
        shutil.rmtree(path, ignore_errors=True)

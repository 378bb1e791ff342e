"""One answer to what a moving tag is, for all processes that ask while one of them pulls it.

`locks/tag-<hash>` holds the digest. Whoever pulls has the locks of its first two bytes: that of
the second until the digest is written, that of the first to the end of the pull. The system lets
go of both when the process ends, however it does. Where it knows no locks, or the cache cannot be
written, everybody asks for themselves; what is in the cache does not depend on it.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from oci_pull.adapters.cache.paths import Cache
from oci_pull.errors import DiskError, OciPullError
from oci_pull.oci.digest import Digest
from oci_pull.oci.reference import Locator
from oci_pull.ports import Cancel, Clock

_HELD = (errno.EAGAIN, errno.EACCES)
#: How often it is looked whether the other one knows, in seconds.
_POLL = 0.1
#: The bytes that are locked, as a start and a length.
_BOTH, _SECOND = (0, 2), (1, 1)
_LONGEST = 256


class Agreement:
    """What one process knows of the tag, and tells to those that ask meanwhile."""

    def __init__(self, descriptor: int | None = None, found: Digest | None = None) -> None:
        #: What another process found that began to pull first; None where this one has to ask.
        self.found = found
        self._descriptor = descriptor

    def tell(self, digest: Digest) -> None:
        """The others go on with what this process found."""
        if self._descriptor is None or self.found:
            return
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{digest}\n".encode(), 0)
        except OSError:
            # They had better ask for themselves than wait.
            _release(self._descriptor, _BOTH)
        else:
            _release(self._descriptor, _SECOND)


@contextmanager
def agreement(
    cache: Cache, reference: Locator, clock: Clock, cancel: Cancel, patience: float
) -> Iterator[Agreement]:
    """What a tag is, where another process that pulls it knows; else it is this one's to tell.

    Whoever finds out nothing for `patience` seconds asks for themselves. Raises `Cancelled`.
    """
    descriptor = _open(cache, reference)
    if descriptor is None:
        yield Agreement()
        return
    try:
        found = _wait(descriptor, clock, cancel, clock.now() + patience)
        yield Agreement(descriptor, found)
    finally:
        os.close(descriptor)


def _open(cache: Cache, reference: Locator) -> int | None:
    path = cache.locks / f"tag-{Digest.of(str(reference).encode()).hex[:16]}"
    try:
        cache.prepare()
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except (OSError, DiskError):
        return None


def _wait(descriptor: int, clock: Clock, cancel: Cancel, end: float) -> Digest | None:
    """What the process has found that began first; None where this one has."""
    is_first = True
    while not _take(descriptor, fcntl.LOCK_EX, _BOTH):
        is_first = False
        if _take(descriptor, fcntl.LOCK_SH, _SECOND):
            found = _read(descriptor)
            _release(descriptor, _SECOND)
            if found:
                return found
        if clock.now() >= end:
            return None
        clock.wait(_POLL, cancel)
    # What is there from before this process began is an answer to somebody else.
    found = None if is_first else _read(descriptor)
    if found:
        _release(descriptor, _BOTH)
    else:
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
    return found


def _take(descriptor: int, kind: int, span: tuple[int, int]) -> bool:
    """Whether the lock is ours now, or cannot be anybody's."""
    start, length = span
    try:
        fcntl.lockf(descriptor, kind | fcntl.LOCK_NB, length, start)
    except OSError as error:
        return error.errno not in _HELD
    return True


def _release(descriptor: int, span: tuple[int, int]) -> None:
    start, length = span
    with suppress(OSError):
        fcntl.lockf(descriptor, fcntl.LOCK_UN, length, start)


def _read(descriptor: int) -> Digest | None:
    try:
        return Digest.parse(os.pread(descriptor, _LONGEST, 0).decode().strip())
    except (OSError, ValueError, OciPullError):
        return None

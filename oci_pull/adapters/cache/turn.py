"""One process at a time: `locks/<what>/<owner>`, taken by a rename, which has one winner."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oci_pull.adapters.cache.heart import Heart
from oci_pull.adapters.cache.owner import Owner, is_alive
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.disk import remove_tree, writing
from oci_pull.errors import Busy, NoSpace
from oci_pull.ports import Cancel


@contextmanager
def turn(cache: Cache, what: str, cancel: Cancel) -> Iterator[Cancel]:
    """While this lasts, no other process has the same turn.

    What is yielded is `cancel`, and whenever it is asked other machines hear that this process
    lives. On a full disk nobody can take a turn, and it is done without: what is done may make
    room.

    Raises:
        Busy: another one has it, and lives.
        DiskError: the cache cannot be written.
    """
    home, me = cache.locks / what, Owner.new()
    cache.prepare()
    with suppress(NoSpace), writing(home):
        _take(home, me, what)
    try:
        heart = Heart(cancel)
        with heart.beats(home / str(me)):
            yield heart
    finally:
        remove_tree(home / str(me))
        with suppress(OSError):
            home.rmdir()


def _take(home: Path, me: Owner, what: str) -> None:
    """Own the directory; raises `Busy`, `OSError`."""
    new = home.with_name(f".{me}")
    try:
        (new / str(me)).mkdir(parents=True)
        while True:
            try:
                new.rename(home)
                return
            except NotADirectoryError:
                # A file of that name is nobody's turn.
                home.unlink(missing_ok=True)
                continue
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            for entry in _entries(home):
                owner = Owner.parse(entry.name)
                if owner is None or is_alive(owner, entry):
                    who = owner.describe() if owner else str(entry)
                    raise Busy(f"another {what} works on this cache: {who}")
                with suppress(FileNotFoundError):
                    # Or a third machine would take its new owner for dead as well.
                    os.utime(entry)
                    # Whoever is quicker has it, and is found alive in the next round.
                    entry.rename(home / str(me))
                    return
    finally:
        remove_tree(new)


def _entries(home: Path) -> list[Path]:
    try:
        return list(home.iterdir())
    except FileNotFoundError:
        return []

"""What living processes rely on: `locks/pull-<owner>`, a file that lists digests.

A pull takes blobs from the cache before it has a tree that needs them. Whoever prunes asks here;
nobody waits here, and a cache that cannot be written has no leases, because nothing goes from it.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.cache.heart import Heart
from oci_pull.adapters.cache.owner import BEATS, LEASE, Owner, is_dead, remove_dead
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.disk import remove_tree, write_file
from oci_pull.errors import DiskError, OciPullError
from oci_pull.oci.digest import Digest

#: A process that cannot be seen is believed to rely on it for so long without a sign of life
#: (seconds): it may be stopped, or of an earlier release, which gave none. It costs but room.
_LONGEST = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class DirectoryLeases:
    """The leases in the `locks` directory of a cache."""

    cache: Cache
    #: What keeps young what is held; for those who hold something.
    heart: Heart

    @contextmanager
    def hold(self, digests: Collection[Digest]) -> Iterator[None]:
        """While this lasts, nobody removes what has or is made of one of these digests."""
        # Where nobody prunes, those of runs that were killed would be more and more.
        remove_dead(self.cache.locks, _LONGEST)
        path = self.cache.locks / f"{LEASE}{Owner.new()}"
        lines = "".join(f"{line}\n" for line in (BEATS, *sorted(map(str, digests))))
        try:
            # Where nothing can be written, what was wanted fails on its own or does not need to.
            with suppress(DiskError):
                write_file(path, lines.encode())
            with self.heart.beats(path):
                yield
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def held(cache: Cache) -> frozenset[Digest]:
    """What living processes rely on; what dead ones have left in `locks` is removed."""
    remove_dead(cache.locks, _LONGEST)
    try:
        leases = [path for path in cache.locks.iterdir() if path.name.startswith(LEASE)]
    except OSError:
        return frozenset()
    found: set[Digest] = set()
    for path in leases:
        with suppress(OSError):
            if not is_dead(path, _LONGEST):
                found.update(_read(path))
    return frozenset(found)


def discard(cache: Cache) -> None:
    """The cache is gone, unless another process works with it: whoever is last removes it."""
    if any(_is_at_work(path, cache) for path in cache.locks.glob(f"{LEASE}*")):
        return
    # At once, for whoever begins meanwhile; what a kill leaves of it is swept.
    aside = cache.root.with_name(f"old-{Owner.new()}")
    with suppress(OSError):
        cache.root.rename(aside)
    remove_tree(aside)


def _is_at_work(lease: Path, cache: Cache) -> bool:
    with suppress(OSError):
        return not is_dead(lease, _LONGEST, cache.locks)
    return False


def _read(lease: Path) -> Iterator[Digest]:
    for line in lease.read_text().splitlines():
        with suppress(OciPullError):
            yield Digest.parse(line)

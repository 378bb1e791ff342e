"""What living processes rely on: `locks/pull-<owner>`, a file that lists digests.

A pull takes blobs from the cache before it has a tree that needs them. Whoever prunes asks here;
nobody waits here, and a cache that cannot be written has no leases, because nothing goes from it.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.cache.owner import Owner, is_dead, remove_dead
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.disk import write_file
from oci_pull.errors import DiskError, OciPullError
from oci_pull.oci.digest import Digest

_KIND = "pull-"
#: A process that cannot be seen is believed to live for so long (seconds); it says nothing
#: meanwhile, and what is kept for it costs nothing but room.
_LONGEST = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class DirectoryLeases:
    """The leases in the `locks` directory of a cache."""

    cache: Cache

    @contextmanager
    def hold(self, digests: Collection[Digest]) -> Iterator[None]:
        """While this lasts, nobody removes what has or is made of one of these digests."""
        path = self.cache.locks / f"{_KIND}{Owner.new()}"
        lines = "".join(f"{digest}\n" for digest in sorted(map(str, digests)))
        try:
            # Where nothing can be written, what was wanted fails on its own or does not need to.
            with suppress(DiskError):
                write_file(path, lines.encode())
            yield
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def held(self) -> frozenset[Digest]:
        """What living processes rely on; what dead ones have left here is removed."""
        remove_dead(self.cache.locks, _LONGEST)
        try:
            leases = [path for path in self.cache.locks.iterdir() if path.name.startswith(_KIND)]
        except OSError:
            return frozenset()
        held: set[Digest] = set()
        for path in leases:
            with suppress(OSError):
                if not is_dead(path, _LONGEST):
                    held.update(_read(path))
        return frozenset(held)


def _read(lease: Path) -> Iterator[Digest]:
    for line in lease.read_text().splitlines():
        with suppress(OciPullError):
            yield Digest.parse(line)

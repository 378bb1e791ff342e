"""What is in a cache, and what it takes on disk."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.cache.inventory import read_inventory, read_partials, read_trees
from oci_pull.adapters.cache.paths import LAYOUTS, Cache
from oci_pull.adapters.cache.stored import entries
from oci_pull.adapters.disk import nearest, writing
from oci_pull.inventory import CachedTree, Inventory, Piece


@dataclass(frozen=True, slots=True)
class Usage:
    """Everything that is in a cache, and the room beside it."""

    path: Path
    inventory: Inventory
    #: Bytes that are free on its file system.
    free: int


def trees(root: Path) -> tuple[CachedTree, ...]:
    """The models, what was used last first; raises `CacheTooNew`."""
    return read_trees(_known(root))


def partials(root: Path) -> tuple[Piece, ...]:
    """The unfinished blobs; raises `CacheTooNew`."""
    return read_partials(_known(root))


def registries(root: Path) -> frozenset[str]:
    """Those that the models are from, damaged ones as well."""
    homes = {path.name for path in entries(root / "models")} - {LAYOUTS}
    return frozenset(name.replace("+", ":") for name in homes)


def usage(root: Path) -> Usage:
    """All of it; raises `CacheTooNew`, `DiskError`."""
    cache = _known(root)
    with writing(root):
        free = shutil.disk_usage(nearest(root)).free
    return Usage(root, read_inventory(cache), free)


def _known(root: Path) -> Cache:
    cache = Cache(root)
    cache.require_known()
    return cache

"""What this machine knows that helps after a failure: room to be made, and names that are here."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.disk import nearest
from oci_pull.inventory import Inventory
from oci_pull.verbs.prune import Limits, Surroundings, decide, names_of, seen
from oci_pull.verbs.usage import partials, trees

_DAY = 86400.0
#: For how long (seconds) what goes was not used, what is missed least first.
_AGES = (30 * _DAY, 7 * _DAY, _DAY)
#: How much of a name has to be right; one letter of ten may be wrong.
_CLOSE = 0.9


@dataclass(frozen=True, slots=True)
class Room:
    """What a prune would free."""

    #: In bytes.
    frees: int
    #: Seconds for which none of it was used.
    unused: float


def is_beside(root: Path, place: Path) -> bool:
    """Whether what goes from a cache is free at a place; raises `OSError`."""
    return nearest(root).stat().st_dev == nearest(place).stat().st_dev


def room(root: Path, missing: int, keep: frozenset[str] = frozenset()) -> Room | None:
    """The gentlest prune of the cache; see `gentlest`.

    Raises:
        CacheTooNew: a newer release wrote the cache.
        OSError: it cannot be looked into.
    """
    _, inventory, around, _ = seen(root)
    return gentlest(inventory, around, missing, keep)


def gentlest(
    inventory: Inventory, around: Surroundings, missing: int, keep: frozenset[str] = frozenset()
) -> Room | None:
    """The prune of what was not used for longest that frees `missing` bytes, else the most.

    None where nothing would go. Models in `keep` stay.
    """
    most: Room | None = None
    for unused in _AGES:
        frees = decide(inventory, Limits(older_than=unused, keep=keep), around).freed
        if frees > (most.frees if most else 0):
            most = Room(frees, unused)
        if most and most.frees >= missing:
            break
    return most


def is_begun(root: Path, wanted: str) -> bool:
    """Whether an unfinished download of a reference is there; raises `CacheTooNew`."""
    return any(piece.reference == wanted for piece in partials(root))


def near(root: Path, wanted: str) -> str | None:
    """The model in the cache whose name is nearly the wanted one, None where there is none."""
    # By a tag: without one a name means `latest`.
    names = [
        name
        for tree in trees(root)
        for name in names_of(tree)
        if name.rpartition(":")[2] in tree.tags
    ]
    return next(iter(difflib.get_close_matches(wanted, names, n=1, cutoff=_CLOSE)), None)

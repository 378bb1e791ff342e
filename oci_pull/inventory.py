"""What is in a cache: model directories, what they are made of, and what none of them needs."""

import enum
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from oci_pull.oci.digest import Digest
from oci_pull.packaging.receipt import Receipt


class Kind(enum.Enum):
    """What a piece is."""

    BLOB = "blob"
    LAYER = "layer"
    PARTIAL = "partial"
    #: What a run that was killed was building, or writing.
    LEFTOVER = "leftover"


@dataclass(frozen=True, slots=True)
class CachedTree:
    """A model directory of the cache."""

    path: Path
    receipt: Receipt
    #: The last use, in seconds since 1970.
    used: float
    #: What of the cache it is made of.
    needs: frozenset[Digest]
    #: The tags that were last seen to be it.
    tags: tuple[str, ...]
    #: Bytes on disk that are in it and nowhere else in the cache.
    own: int = 0

    @property
    def name(self) -> str:
        """What to call it: by its tags where it has any, else by its digest."""
        if self.tags:
            return f"{self.bare_name}:{','.join(self.tags)}"
        return f"{self.bare_name}@{self.receipt.digest.algorithm}:{self.receipt.digest.short}"

    @property
    def bare_name(self) -> str:
        """What it was pulled as, without tag and digest."""
        name = self.receipt.reference.partition("@")[0]
        head, colon, tail = name.rpartition(":")
        return head if colon and "/" not in tail else name

    @property
    def size(self) -> int:
        """The sum of its files in bytes."""
        return self.receipt.size


@dataclass(frozen=True, slots=True)
class Piece:
    """Something that trees are made of, or that was meant for one."""

    kind: Kind
    path: Path
    #: The blob that it is, or is made of; None for a leftover.
    digest: Digest | None
    #: Bytes on disk.
    size: int
    #: In seconds since 1970.
    modified: float
    #: Whether a directory outside of the cache shares its bytes: removing it frees nothing.
    is_shared: bool = False
    #: The living process that works on it, for people; empty where there is none.
    owner: str = ""
    #: What was pulled when it was begun, where that is known.
    reference: str = ""

    @property
    def frees(self) -> int:
        """Bytes that are free once it is gone."""
        return 0 if self.is_shared else self.size


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything at one moment."""

    trees: Collection[CachedTree]
    pieces: Collection[Piece]

    @property
    def size(self) -> int:
        """Bytes on disk, each counted once."""
        return sum(tree.own for tree in self.trees) + sum(piece.size for piece in self.pieces)

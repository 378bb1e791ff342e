"""What goes from a cache to make room, and why: decided first, said, and only then done."""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from oci_pull.adapters.cache.inventory import read_inventory
from oci_pull.adapters.cache.leases import held
from oci_pull.adapters.cache.owner import Owner
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.removal import Removal
from oci_pull.adapters.in_use import OpenFiles
from oci_pull.errors import Busy, Cancelled, NotFoundError
from oci_pull.inventory import CachedTree, Inventory, Kind, Piece
from oci_pull.oci.digest import Digest
from oci_pull.ports import Cancel

#: What is younger than this (seconds) may belong to a run that has not said so yet.
_YOUNG = 3600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What is asked for; nothing at all is to remove what no model needs."""

    #: Seconds since the last use.
    older_than: float | None = None
    #: Bytes that may stay.
    max_size: int | None = None
    #: Unfinished downloads go as well.
    partials: bool = False
    #: Names of references that stay, with or without a tag.
    keep: frozenset[str] = frozenset()

    @property
    def is_nothing(self) -> bool:
        """Whether no limit was given."""
        return self.older_than is None and self.max_size is None and not self.partials


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What others do with the cache."""

    #: Seconds since 1970.
    now: float
    #: What living pulls rely on.
    leased: frozenset[Digest] = frozenset()
    #: The processes that have a file of a tree open, by the path of the tree.
    holders: Mapping[Path, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A tree, or what no tree needs, and what becomes of it."""

    name: str
    goes: bool
    why: str
    #: Bytes that are free once it is gone.
    frees: int = 0
    #: Bytes of it that stay, because others need them.
    shared: int = 0
    tree: CachedTree | None = None
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Pruning:
    """What was decided, or done. Sizes in bytes."""

    verdicts: tuple[Verdict, ...]
    before: int
    after: int
    #: Whether the system shows which files are open.
    is_use_known: bool = True

    @property
    def freed(self) -> int:
        """What is free because of it."""
        return sum(verdict.frees for verdict in self.verdicts if verdict.goes)


def decide(inventory: Inventory, limits: Limits, around: Surroundings) -> Pruning:
    """What goes, the least recently used first."""
    return _Decision(inventory, limits, around).made()


class _Decision:
    def __init__(self, inventory: Inventory, limits: Limits, around: Surroundings) -> None:
        self._inventory = inventory
        self._limits = limits
        self._around = around
        self._needed = Counter(digest for tree in inventory.trees for digest in tree.needs)
        self._left = inventory.size

    def made(self) -> Pruning:
        """Of everything that could go."""
        orphans = [piece for piece in self._inventory.pieces if self._is_free(piece)]
        candidates: list[CachedTree | Piece] = [*self._inventory.trees, *orphans]
        verdicts = tuple(
            self._tree(each) if isinstance(each, CachedTree) else self._piece(each)
            for each in sorted(candidates, key=_moment)
        )
        return Pruning(verdicts, self._inventory.size, self._left)

    def named(self, trees: Collection[CachedTree]) -> Pruning:
        """Of these, whatever the limits say."""
        verdicts = []
        for tree in trees:
            use = self._is_held(tree)
            verdicts.append(self._of_tree(tree, goes=not use, why=use or "asked for"))
        return Pruning(tuple(verdicts), self._inventory.size, self._left)

    def _is_free(self, piece: Piece) -> bool:
        """Whether no tree needs it."""
        if piece.digest is None or piece.kind is Kind.PARTIAL:
            return True
        return not self._needed[piece.digest]

    def _tree(self, tree: CachedTree) -> Verdict:
        if use := self._is_held(tree):
            return self._of_tree(tree, goes=False, why=use)
        goes, why = self._by_limits(tree.used, "last used")
        return self._of_tree(tree, goes=goes, why=why)

    def _of_tree(self, tree: CachedTree, *, goes: bool, why: str) -> Verdict:
        of_it = [piece for piece in self._inventory.pieces if self._belongs(piece, tree)]
        alone = tuple(p for p in of_it if p.digest and self._needed[p.digest] == 1)
        total, kept = sum(p.size for p in of_it), sum(p.size for p in alone)
        frees = tree.own + sum(piece.frees for piece in alone)
        if goes:
            self._needed.subtract(tree.needs)
            self._left -= tree.own + kept
        return Verdict(tree.name, goes, why, frees, total - kept, tree, alone)

    def _belongs(self, piece: Piece, tree: CachedTree) -> bool:
        is_whole = piece.kind in (Kind.BLOB, Kind.LAYER)
        return is_whole and piece.digest in tree.needs and piece.digest not in self._around.leased

    def _is_held(self, tree: CachedTree) -> str:
        if any(name in self._limits.keep for name in names_of(tree)):
            return "it is on the list of those to keep"
        if pid := self._around.holders.get(tree.path):
            return f"in use: pid {pid} has a file of it open"
        if tree.receipt.manifest.digest in self._around.leased:
            return "in use by a pull that is under way"
        return ""

    def _piece(self, piece: Piece) -> Verdict:
        what = piece.reference or (piece.digest.short if piece.digest else piece.path.name)
        goes, why = self._of_piece(piece)
        if goes:
            self._left -= piece.size
        name = f"{_NAMES[piece.kind]} {what}"
        return Verdict(name, goes, why, piece.frees, pieces=(piece,))

    def _of_piece(self, piece: Piece) -> tuple[bool, str]:
        since = self._around.now - piece.modified
        if piece.owner:
            return False, f"{piece.owner} works on it"
        if piece.digest in self._around.leased:
            return False, "in use by a pull that is under way"
        if piece.kind is Kind.PARTIAL:
            is_wanted = self._limits.partials
            return is_wanted, f"unfinished, {age(since)} old" + ("" if is_wanted else _PARTIALS)
        # Of what has an owner in its name it is known that nobody goes on with it.
        if since < _YOUNG and not (piece.kind is Kind.LEFTOVER and Owner.of(piece.path.name)):
            return False, "less than an hour old"
        if piece.kind is Kind.LEFTOVER:
            return True, "a run that was killed has left it"
        goes, why = self._by_limits(piece.modified, "no model needs it, fetched")
        return goes or self._limits.partials or self._limits.is_nothing, why

    def _by_limits(self, moment: float, what: str) -> tuple[bool, str]:
        limits = self._limits
        since = self._around.now - moment
        is_old = limits.older_than is not None and since > limits.older_than
        is_too_much = limits.max_size is not None and self._left > limits.max_size
        return is_old or is_too_much, f"{what} {age(since)} ago"


def _moment(candidate: CachedTree | Piece) -> float:
    return candidate.used if isinstance(candidate, CachedTree) else candidate.modified


_PARTIALS = "; --partials removes it"
_NAMES = {
    Kind.BLOB: "blob",
    Kind.LAYER: "unpacked",
    Kind.PARTIAL: "partial",
    Kind.LEFTOVER: "leftover",
}


def names_of(tree: CachedTree) -> Iterator[str]:
    """Every name by which somebody may mean a tree."""
    name = tree.bare_name
    yield tree.receipt.reference
    yield name
    yield f"{name}@{tree.receipt.digest}"
    yield from (f"{name}:{tag}" for tag in tree.tags)


def age(seconds: float) -> str:
    """A time that has passed, in one unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def prune(root: Path, limits: Limits, *, cancel: Cancel, is_dry: bool = False) -> Pruning:
    """What goes by the limits is gone; a dry run only says what that would be.

    Raises:
        CacheTooNew: a newer release wrote the cache.
        DiskError: something cannot be removed.
        Cancelled: before everything was.
    """
    cache, inventory, around, is_known = seen(root)
    decided = decide(inventory, limits, around)
    if not is_dry:
        _remove(cache, inventory, decided, cancel)
    return replace(decided, is_use_known=is_known)


def remove(root: Path, names: Collection[str], *, cancel: Cancel, is_dry: bool = False) -> Pruning:
    """The trees of these references are gone, and what nothing else needs; a dry run only says so.

    Raises:
        NotFoundError: one of them is not in the cache; then all of them stay.
        Busy: one of them is in use; the same.
        CacheTooNew, DiskError, Cancelled: as `prune`.
    """
    cache, inventory, around, is_known = seen(root)
    chosen: dict[Path, CachedTree] = {}
    for name in names:
        found = [tree for tree in inventory.trees if name in names_of(tree)]
        if not found:
            raise NotFoundError(f"{name} is not in the cache", hint="oci-pull cache ls")
        chosen |= {tree.path: tree for tree in found}
    decided = _Decision(inventory, Limits(), around).named(list(chosen.values()))
    for verdict in decided.verdicts:
        if not verdict.goes:
            raise Busy(f"{verdict.name} stays: {verdict.why}")
    if not is_dry:
        _remove(cache, inventory, decided, cancel)
    return replace(decided, is_use_known=is_known)


def seen(root: Path) -> tuple[Cache, Inventory, Surroundings, bool]:
    """The cache and who uses it; whether that can be known on this system.

    Raises:
        CacheTooNew: a newer release wrote the cache.
    """
    cache = Cache(root)
    cache.require_known()
    inventory = read_inventory(cache)
    files = OpenFiles.now()
    holders = {tree.path: files.holder(tree.path) for tree in inventory.trees}
    in_use = {path: pid for path, pid in holders.items() if pid}
    around = Surroundings(time.time(), held(cache), in_use)
    return cache, inventory, around, files.is_known


def _remove(cache: Cache, inventory: Inventory, decided: Pruning, cancel: Cancel) -> None:
    """What was decided to go is gone, and what the cache says of itself is true again."""
    removal = Removal(cache)
    going = [verdict for verdict in decided.verdicts if verdict.goes]
    gone: set[Path] = set()
    for verdict in going:
        if cancel.is_set():
            raise Cancelled("stopped; what was removed is gone")
        if verdict.tree:
            if not removal.tree(verdict.tree):
                continue
            gone.add(verdict.tree.path)
        leased = held(cache)
        for piece in verdict.pieces:
            if piece.digest not in leased:
                removal.piece(piece)
    if going:
        trees = [(tree.path in gone, tree.receipt.digest) for tree in inventory.trees]
        staying = {digest for is_gone, digest in trees if not is_gone}
        removal.tags({digest for is_gone, digest in trees if is_gone} - staying)

"""Whether what is in a cache is what it should be; and what is not becomes it again."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from oci_pull.adapters.cache import audit, stored
from oci_pull.adapters.cache.audit import Damage
from oci_pull.adapters.cache.inventory import read_trees
from oci_pull.adapters.cache.mending import Mending, put_away
from oci_pull.adapters.cache.paths import LAYOUTS, Cache
from oci_pull.adapters.cache.references import DirectoryReferences
from oci_pull.adapters.cache.store import DirectoryStore
from oci_pull.adapters.cache.stored import Part, Reading, Stored
from oci_pull.errors import Cancelled, NotFoundError, OciPullError
from oci_pull.events import Counter, Examining
from oci_pull.inventory import CachedTree
from oci_pull.oci.digest import Digest
from oci_pull.packaging.selection import Selection
from oci_pull.ports import Cancel, Fetcher, Observer
from oci_pull.verbs.prune import names_of

_SELECTED = "it was pulled with options that choose files; pull it again with them"
_UNKNOWN = "nobody knows any more what it was; pull it again"
#: What a tree is called: the beginning of a digest, and a selection.
_NAME = re.compile(r"(?P<repository>.+)@(?P<short>[0-9a-f]{12})(?P<selection>-[0-9a-f]{8})?")


@dataclass(frozen=True, slots=True)
class Lost:
    """A model that a repair could not bring back, and why."""

    name: str
    why: str
    #: What came of asking for it; None where nobody could be asked.
    error: OciPullError | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """What was read, and what came of it."""

    files: int
    #: Bytes that were read.
    size: int
    damage: Sequence[Damage]
    #: Where a content is, as far as nothing is wrong with it.
    places: Mapping[Digest, Sequence[Stored]] = field(repr=False)
    lost: Sequence[Lost] = ()
    #: What of the damage a repair found in the cache itself; the rest was removed.
    put_back: frozenset[Damage] = frozenset()
    #: Bytes that came over the network for a repair.
    fetched: int = 0
    is_repaired: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong any more."""
        return not self.damage or (self.is_repaired and not self.lost)


@dataclass(frozen=True, slots=True)
class Again:
    """A model as it was laid out: what a repair asks for."""

    reference: str
    #: Of what the reference was resolved to, and of the manifest behind it.
    digest: Digest
    manifest: Digest
    selection: Selection


#: Brings a model back; the bytes that were fetched for it.
Restore = Callable[[Again], int]


@dataclass(frozen=True, slots=True)
class _Model:
    """A tree that is to come back."""

    path: Path
    name: str
    #: What to ask for, or why nobody can tell.
    wanted: Again | str

    def restored(self, restore: Restore) -> int | Lost:
        """The bytes that were fetched for it, or why it is not there; raises `Cancelled`."""
        if isinstance(self.wanted, str):
            return Lost(self.name, self.wanted)
        try:
            return restore(self.wanted)
        except Cancelled:
            raise
        except OciPullError as error:
            return Lost(self.name, error.message, error)


@dataclass(frozen=True, slots=True)
class Examination:
    """One look at a cache."""

    root: Path
    fetcher: Fetcher
    observer: Observer
    cancel: Cancel
    #: Where manifests are that are not in the cache itself.
    store: DirectoryStore
    #: The reference that it is about; all of the cache without one.
    name: str = ""

    def examine(self) -> Examined:
        """Read everything, or what one model is made of.

        Raises:
            NotFoundError: that model is not in the cache.
            CacheTooNew, Cancelled: as their names say.
        """
        cache = Cache(self.root)
        cache.require_known()
        trees = self._trees(cache)
        files = list(self._files(cache, trees))
        meant = [each for each in files if self._is_meant(each, trees)]
        count, size, problems = self._read(meant)
        bad = {each.path: problem for each, problem in zip(meant, problems, strict=True) if problem}
        places = defaultdict(list)
        for each in files:
            if each.path not in bad:
                places[each.digest].append(each)
        damage = [*_damaged(meant, bad, trees), *self._missing(cache, trees)]
        listings = audit.damaged_listings(cache)
        if self.name:
            wholes = {each.whole for each in meant}
            damage += [each for each in listings if each.path in wholes]
        else:
            damage += listings
            references = DirectoryReferences(cache, DirectoryStore(cache))
            damage += audit.damaged_receipts(cache)
            damage += audit.damaged_directories(cache)
            damage += audit.damaged_partials(cache)
            damage += audit.damaged_references(cache)
            damage += audit.damaged_index(cache, references.index)
        # What is wrong with a whole says more than what is wrong with its files.
        once = {(each.part, each.path): each for each in damage}
        return Examined(count, size, tuple(once.values()), places)

    def _files(self, cache: Cache, trees: Sequence[CachedTree]) -> Iterator[Stored]:
        """Every file that should be there."""
        yield from stored.blobs(cache)
        yield from stored.layer_files(cache)
        for tree in read_trees(cache) if self.name else trees:
            yield from stored.tree_files(tree.path, tree.receipt)

    def _missing(self, cache: Cache, trees: Sequence[CachedTree]) -> Iterator[Damage]:
        """What is not there and should be, for the trees that still are."""
        names: dict[Digest, list[str]] = defaultdict(list)
        for tree in trees:
            if tree.path.exists():
                for digest in audit.missing_blobs(tree.receipt, self.store):
                    names[digest].append(tree.name)
        for digest, known in names.items():
            path = cache.blob(digest)
            file = Stored(Part.BLOB, path, digest, path)
            yield Damage(Part.BLOB, path, _part_of(stored.MISSING, known), digest, (file,))

    def _read(self, files: Sequence[Stored]) -> tuple[int, int, list[str]]:
        """How many files and bytes were read, and what is wrong with each of these.

        What is a link to a file that was read is not read again.
        """
        looks = [stored.look(each) for each in files]
        keys = [(each.digest, seen.inode) for each, seen in zip(files, looks, strict=True)]
        unread: dict[tuple[Digest, tuple[int, int]], tuple[int, Stored]] = {}
        for key, file, seen in zip(keys, files, looks, strict=True):
            if not seen.problem:
                unread.setdefault(key, (seen.size, file))
        # The largest first, so that none of the threads ends long after the others.
        order = sorted(unread, key=lambda key: -unread[key][0])
        size, counter = sum(size for size, _ in unread.values()), Counter()
        self.observer.on(Examining(len(order), size, counter))
        reading = Reading(self.cancel, counter)
        problems = self.fetcher.map(reading.problem, [unread[key][1] for key in order])
        found = dict(zip(order, problems, strict=True))
        told = [seen.problem or found[key] for key, seen in zip(keys, looks, strict=True)]
        return len(order), size, told

    def repair(self, found: Examined, restore: Restore) -> Examined:
        """What is damaged is right again or gone, and the models that it was part of are there.

        What another file of the cache has is taken from there, and only the rest is fetched. What
        cannot be had, or was a selection whose options nobody knows any more, is in `lost`.
        Raises `DiskError`, `Cancelled`.
        """
        cache = Cache(self.root)
        mending = Mending(cache, self.cancel, found.places)
        # Blobs come first: trees are linked to them.
        ordered = sorted(found.damage, key=lambda each: list(Part).index(each.part))
        put_back = frozenset(
            # The index is written anew in the end.
            each
            for each in ordered
            if each.part is Part.INDEX or mending.mend(each)
        )
        rest = [each for each in ordered if each not in put_back]
        models = self._models(cache, rest)
        for each in rest:
            # What is wrong with a directory is for its owner to change.
            if each.part not in (Part.DIRECTORY, Part.TREE):
                put_away(cache, each.path)
        damaged = {each.path for each in rest}
        lost: list[Lost] = []
        fetched = 0
        for model in models:
            # One after the other: a repair that is stopped has taken away one of them at most.
            if model.path in damaged:
                put_away(cache, model.path)
            result = model.restored(restore)
            if isinstance(result, Lost):
                lost.append(result)
            else:
                fetched += result
        lost += [Lost(str(each.path), each.why) for each in rest if each.part is Part.DIRECTORY]
        DirectoryReferences(cache, DirectoryStore(cache)).refresh()
        return replace(
            found, lost=tuple(lost), put_back=put_back, fetched=fetched, is_repaired=True
        )

    def _models(self, cache: Cache, damage: Sequence[Damage]) -> list[_Model]:
        """Those that are damaged, or made of what is."""
        bad = {each.digest for each in damage if each.digest}
        paths = {each.path for each in damage if each.part is Part.TREE}
        trees = [tree for tree in self._trees(cache) if tree.path in paths or tree.needs & bad]
        models = [_Model(tree.path, tree.name, _of_receipt(tree)) for tree in trees]
        unknown = sorted(paths - {tree.path for tree in trees})
        return models + [_Model(path, *_of_name(cache, path)) for path in unknown]

    def _trees(self, cache: Cache) -> Sequence[CachedTree]:
        trees = read_trees(cache)
        if not self.name:
            return trees
        found = [tree for tree in trees if self.name in names_of(tree)]
        if not found:
            raise NotFoundError(f"{self.name} is not in the cache", hint="oci-pull cache ls")
        return found

    def _is_meant(self, file: Stored, trees: Sequence[CachedTree]) -> bool:
        if not self.name:
            return True
        match file.part:
            case Part.BLOB:
                return any(file.digest in tree.needs for tree in trees)
            case Part.TREE:
                return any(file.whole == tree.path for tree in trees)
            case _:
                return any(each.hex in file.whole.name for tree in trees for each in tree.needs)


def _damaged(
    files: Sequence[Stored], bad: Mapping[Path, str], trees: Collection[CachedTree]
) -> Iterator[Damage]:
    """What the files are part of with which something is wrong."""
    wholes: dict[Path, list[Stored]] = defaultdict(list)
    for each in files:
        if each.path in bad:
            wholes[each.whole].append(each)
    for whole, of_it in wholes.items():
        first = of_it[0]
        why = bad[first.path]
        if first.part is Part.BLOB:
            # Somebody prunes: what is gone is not damaged.
            if why != stored.MISSING:
                names = [tree.name for tree in trees if first.digest in tree.needs]
                yield Damage(first.part, whole, _part_of(why, names), first.digest, tuple(of_it))
        elif os.path.lexists(whole):
            name = first.path.relative_to(whole).as_posix()
            more = f", and {len(of_it) - 1} more" if len(of_it) > 1 else ""
            yield Damage(first.part, whole, f"{name}: {why}{more}", None, tuple(of_it))


def _part_of(why: str, names: Sequence[str]) -> str:
    return f"{why}, part of {', '.join(names)}" if names else why


def _of_receipt(tree: CachedTree) -> Again | str:
    """What to ask for to have the tree again, or why nobody can tell."""
    receipt = tree.receipt
    if receipt.asked is None:
        return _SELECTED
    return Again(receipt.reference, receipt.digest, receipt.manifest.digest, receipt.asked)


def _of_name(cache: Cache, path: Path) -> tuple[str, Again | str]:
    """The same for a tree without a receipt: its name has the beginning of a digest."""
    name = path.relative_to(cache.root / "models").as_posix()
    found = _NAME.fullmatch(name)
    if found is None or name.startswith(f"{LAYOUTS}/"):
        return name, _UNKNOWN
    if found["selection"]:
        return name, _SELECTED
    manifests = list((cache.root / "blobs" / "sha256").glob(f"{found['short']}*"))
    if len(manifests) != 1:
        return name, _UNKNOWN
    manifest = Digest("sha256", manifests[0].name)
    reference = f"{found['repository'].replace('+', ':')}@{manifest}"
    return name, Again(reference, manifest, manifest, Selection())

"""Whether what is in a cache is what it should be; and what is not becomes it again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from oci_pull.adapters.cache import audit
from oci_pull.adapters.cache.audit import Damage, Part, Stored
from oci_pull.adapters.cache.inventory import read_trees
from oci_pull.adapters.cache.owner import Owner
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.references import DirectoryReferences
from oci_pull.adapters.cache.store import DirectoryStore
from oci_pull.adapters.disk import remove_tree, writing
from oci_pull.errors import Cancelled, NotFoundError, OciPullError
from oci_pull.inventory import CachedTree
from oci_pull.ports import Cancel, Fetcher
from oci_pull.verbs.prune import names_of

#: Pulls a reference again.
Fetch = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Examined:
    """What was read, and what came of it."""

    files: int
    #: Bytes that were read.
    size: int
    damage: Sequence[Damage]
    #: Models that a repair could not bring back, and why.
    lost: Sequence[tuple[str, str]] = ()
    is_repaired: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong any more."""
        return not self.damage or (self.is_repaired and not self.lost)


@dataclass(frozen=True, slots=True)
class Examination:
    """One look at a cache."""

    root: Path
    fetcher: Fetcher
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
        files = [each for each in audit.stored_files(cache) if self._is_meant(each, trees)]
        found = self.fetcher.map(lambda each: audit.content_damage(each, self.cancel), files)
        damage = [each for each in found if each]
        whole = [file.inode for file, bad in zip(files, found, strict=True) if bad is None]
        intact = frozenset(whole)
        paths = [tree.path for tree in trees] if self.name else list(audit.directories(cache))
        of_trees = self.fetcher.map(
            lambda path: audit.tree_damage(path, intact, self.store.recall, self.cancel), paths
        )
        damage += [each for each in of_trees if each]
        if not self.name:
            references = DirectoryReferences(cache, DirectoryStore(cache))
            damage += audit.damaged_directories(cache)
            damage += audit.damaged_partials(cache)
            damage += audit.damaged_listings(cache)
            damage += audit.damaged_references(cache)
            damage += audit.damaged_index(cache, references.index)
        once = {(each.part, each.path): each for each in damage}
        return Examined(len(files), sum(file.size for file in files), tuple(once.values()))

    def repair(self, found: Examined, fetch: Fetch) -> Examined:
        """What is damaged is gone, and every model that it was part of is there again.

        Only what is missing is fetched. What cannot be had, or was a selection whose patterns
        nobody knows any more, is in `lost`. Raises `DiskError`, `Cancelled`.
        """
        cache = Cache(self.root)
        bad = {each.digest for each in found.damage if each.digest}
        paths = {each.path for each in found.damage}
        trees = [tree for tree in self._trees(cache) if tree.path in paths or tree.needs & bad]
        for each in found.damage:
            _put_away(cache, each)
        again = [(tree.name, self._bring_back(tree, fetch)) for tree in trees]
        known = {tree.path for tree in trees}
        again += [
            self._found_again(cache, each.path, fetch)
            for each in found.damage
            if each.part is Part.TREE and each.path not in known
        ]
        again += [
            (str(each.path), each.why) for each in found.damage if each.part is Part.DIRECTORY
        ]
        lost = [(name, problem) for name, problem in again if problem]
        references = DirectoryReferences(cache, DirectoryStore(cache))
        references.refresh()
        return replace(found, lost=tuple(lost), is_repaired=True)

    def _bring_back(self, tree: CachedTree, fetch: Fetch) -> str:
        """Pull it again; why that was not possible, empty if it was."""
        receipt = tree.receipt
        if receipt.selection:
            return "" if tree.path.exists() else _SELECTED
        return _tried(fetch, f"{receipt.reference.partition('@')[0]}@{receipt.digest}")

    def _found_again(self, cache: Cache, path: Path, fetch: Fetch) -> tuple[str, str]:
        """The same for a tree without a receipt: its name has the beginning of a digest."""
        name = path.relative_to(cache.root / "models").as_posix()
        repository, _, short = name.replace("+", ":", 1).rpartition("@")
        if "-" in short:
            return name, _SELECTED
        manifests = list((cache.root / "blobs" / "sha256").glob(f"{short}*"))
        if len(manifests) != 1:
            return name, "nobody knows any more what it was; pull it again"
        return name, _tried(fetch, f"{repository}@sha256:{manifests[0].name}")

    def _trees(self, cache: Cache) -> list[CachedTree]:
        trees = read_trees(cache)
        if not self.name:
            return list(trees)
        found = [tree for tree in trees if self.name in names_of(tree)]
        if not found:
            raise NotFoundError(f"{self.name} is not in the cache", hint="oci-pull cache ls")
        return found

    def _is_meant(self, file: Stored, trees: Sequence[CachedTree]) -> bool:
        if not self.name:
            return True
        if file.part is Part.BLOB:
            return any(file.digest in tree.needs for tree in trees)
        return any(digest.hex in file.whole.name for tree in trees for digest in tree.needs)


_SELECTED = "it was pulled with options that choose files; pull it again with them"


def _tried(fetch: Fetch, reference: str) -> str:
    try:
        fetch(reference)
    except Cancelled:
        raise
    except OciPullError as error:
        return error.message
    return ""


def _put_away(cache: Cache, damage: Damage) -> None:
    """What is damaged has no final name any more."""
    if damage.part in (Part.INDEX, Part.DIRECTORY):
        # The first is written anew; what is wrong with the second is for its owner to change.
        return
    aside = cache.incomplete / f"damaged-{Owner.new()}"
    with writing(damage.path):
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            damage.path.rename(aside)
        except FileNotFoundError:
            return
        if aside.is_dir() and not aside.is_symlink():
            remove_tree(aside)
        else:
            aside.unlink()

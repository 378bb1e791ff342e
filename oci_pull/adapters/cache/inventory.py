"""Reads what is in a cache. What is not there, or goes meanwhile, is not in the inventory."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from oci_pull.adapters.cache.file_set import FILES
from oci_pull.adapters.cache.owner import Owner, is_alive, is_dead
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.references import DirectoryReferences
from oci_pull.adapters.cache.store import DirectoryStore
from oci_pull.adapters.cache.stored import entries
from oci_pull.adapters.cache.trees import RECEIPT, read_receipt
from oci_pull.errors import OciPullError
from oci_pull.inventory import CachedTree, Inventory, Kind, Piece
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import Manifest, parse_document
from oci_pull.oci.reference import Reference
from oci_pull.packaging.receipt import Receipt

_BLOCK = 512
_BARE = "-bare"
#: What receipts say of a tree all of whose files share blocks with the cache; see `disk.place`.
_SHARING = "reflink"
#: The hexadecimal digits of each algorithm that a partial may be of, whose name has no more.
_ALGORITHMS = {64: "sha256", 128: "sha512"}
#: A file until it is renamed, and one that is made for its time.
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}|\.[0-9a-f]+-[0-9a-f]{8}")


def read_trees(cache: Cache) -> tuple[CachedTree, ...]:
    """The complete trees, without looking at their files: what was used last comes first."""
    store = DirectoryStore(cache)
    tags = DirectoryReferences(cache, store).tags()
    trees = [
        CachedTree(path, receipt, _used(cache, path), _needs(receipt, store), _tags(receipt, tags))
        for path, receipt in _receipts(cache)
    ]
    return tuple(sorted(trees, key=lambda tree: (-tree.used, tree.name)))


def read_inventory(cache: Cache) -> Inventory:
    """Everything, with what it takes on disk."""
    found = read_trees(cache)
    is_sharing = any(tree.receipt.link == _SHARING for tree in found)
    contents = frozenset(_contents(cache)) if is_sharing else frozenset()
    trees = [replace(tree, own=_own(tree, contents)) for tree in found]
    #: How many names a content has in trees; more than these are outside of the cache.
    names = Counter(file.digest.hex for tree in trees for file in tree.receipt.files)
    return Inventory(tuple(trees), tuple(_Pieces(cache, names).read()))


def read_partials(cache: Cache) -> tuple[Piece, ...]:
    """The unfinished blobs alone."""
    begun = _Pieces(cache, Counter()).begun()
    return tuple(each for each in begun if each.kind is Kind.PARTIAL)


def _receipts(cache: Cache) -> Iterator[tuple[Path, Receipt]]:
    home = cache.root / "models"
    for directory, inside, _ in os.walk(home):
        # Below a tree there are no trees.
        trees = [name for name in inside if "@" in name]
        inside[:] = [name for name in inside if "@" not in name]
        for name in trees:
            path = Path(directory, name)
            if receipt := read_receipt(path):
                yield path, receipt


def _used(cache: Cache, tree: Path) -> float:
    stamp = cache.root / "used" / tree.relative_to(cache.root / "models")
    for path in (stamp, tree / RECEIPT):
        with suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def _needs(receipt: Receipt, store: DirectoryStore) -> frozenset[Digest]:
    """Earlier releases did not write it down; then it is what the manifest names."""
    named = {receipt.digest, receipt.manifest.digest, *receipt.needs}
    if not receipt.needs:
        named |= {file.digest for file in receipt.files}
        with suppress(OciPullError):
            raw = store.recall(receipt.manifest.digest)
            document = parse_document(raw, digest=receipt.manifest.digest) if raw else None
            if isinstance(document, Manifest):
                named |= {blob.digest for blob in document.blobs}
    return frozenset(named)


def _tags(receipt: Receipt, tags: Mapping[tuple[str, str, Digest], list[str]]) -> tuple[str, ...]:
    with suppress(OciPullError):
        reference = Reference.parse(receipt.reference)
        return tuple(sorted(tags.get((reference.host, reference.repository, receipt.digest), ())))
    return ()


def _own(tree: CachedTree, contents: frozenset[str]) -> int:
    """What is in no other place: a file with one name, and all that is ours.

    A file that shares blocks has a name of its own and is counted where its content is.
    """
    shared = {
        tree.path.joinpath(*file.path.parts)
        for file in tree.receipt.files
        if tree.receipt.link == _SHARING and file.digest.hex in contents
    }
    return sum(
        found.st_blocks * _BLOCK
        for path, found in _files(tree.path)
        if found.st_nlink == 1 and path not in shared
    )


def _contents(cache: Cache) -> Iterator[str]:
    """The hex digits of every content that is in a blob or was unpacked."""
    for home in entries(cache.root / "blobs"):
        yield from (path.name for path in entries(home))
    for layer in entries(cache.root / "layers"):
        yield from (path.name for path in entries(layer / FILES))


def _files(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for parent, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):
                path = Path(parent, name)
                yield path, path.lstat()


@dataclass(frozen=True, slots=True)
class _Pieces:
    cache: Cache
    names: Mapping[str, int]

    def read(self) -> Iterator[Piece]:
        yield from self.blobs()
        yield from self.layers()
        yield from self.begun()
        yield from self.leftovers()

    def blobs(self) -> Iterator[Piece]:
        for home in entries(self.cache.root / "blobs"):
            for path in entries(home):
                digest = _digest(home.name, path.name)
                with suppress(OSError):
                    found = path.lstat()
                    size, is_shared = found.st_blocks * _BLOCK, self._is_shared(found, path.name)
                    if digest:
                        yield Piece(
                            Kind.BLOB, path, digest, size, found.st_mtime, is_shared=is_shared
                        )
                    elif path.name.startswith("."):
                        yield Piece(Kind.LEFTOVER, path, None, size, found.st_mtime)

    def layers(self) -> Iterator[Piece]:
        for path in entries(self.cache.root / "layers"):
            if digest := _made_of(path.name):
                found = list(_files(path))
                size = sum(each.st_blocks for _, each in found) * _BLOCK
                is_shared = any(self._is_shared(each, file.name) for file, each in found)
                modified = max((each.st_mtime for _, each in found), default=0.0)
                yield Piece(Kind.LAYER, path, digest, size, modified, is_shared=is_shared)

    def begun(self) -> Iterator[Piece]:
        """Unfinished blobs, and what is left of some that are finished."""
        for home in entries(self.cache.root / "partial"):
            digest = _digest(_ALGORITHMS.get(len(home.name), ""), home.name)
            if digest is None:
                continue
            is_finished = self.cache.blob(digest).exists()
            for path in entries(home):
                owner = Owner.parse(path.name)
                who = owner.describe() if owner and is_alive(owner, path) else ""
                if is_finished and not who:
                    # Its run was killed just after the final name.
                    with suppress(OSError):
                        yield _leftover(path)
                    continue
                found = list(_files(path))
                yield Piece(
                    Kind.PARTIAL,
                    path,
                    digest,
                    sum(each.st_blocks for _, each in found) * _BLOCK,
                    max((each.st_mtime for _, each in found), default=0.0),
                    owner=who,
                    reference=_text(path / "reference"),
                )

    def leftovers(self) -> Iterator[Piece]:
        """What has no final name yet, and whoever was making it is dead, or left no name."""
        for home in (self.cache.incomplete, self.cache.root / "partial"):
            for path in entries(home):
                with suppress(OSError):
                    if is_dead(path, locks=self.cache.locks):
                        yield _leftover(path)
        for home in (self.cache.locks, self.cache.root / "partial"):
            yield from _temporary(entries(home))
        yield from _temporary(entries(self.cache.root))
        yield from _temporary(path for path, _ in _files(self.cache.root / "refs"))

    def _is_shared(self, found: os.stat_result, content: str) -> bool:
        return found.st_nlink > 1 + self.names.get(content, 0)


def _leftover(path: Path) -> Piece:
    found = [path.lstat(), *(each for _, each in _files(path))]
    size = sum(each.st_blocks for each in found if each.st_nlink == 1) * _BLOCK
    return Piece(Kind.LEFTOVER, path, None, size, max(each.st_mtime for each in found))


def _temporary(paths: Iterable[Path]) -> Iterator[Piece]:
    for path in paths:
        if _TEMPORARY.fullmatch(path.name) and not Owner.of(path.name):
            with suppress(OSError):
                yield _leftover(path)


def _digest(algorithm: str, digits: str) -> Digest | None:
    with suppress(OciPullError):
        return Digest.parse(f"{algorithm}:{digits}")
    return None


def _made_of(name: str) -> Digest | None:
    """What an entry of `layers` was made of: an archive, or the manifest or a layer of an image."""
    if name.startswith("image-"):
        digits = name.split("-")[1]
        return _digest(_ALGORITHMS.get(len(digits), ""), digits)
    algorithm, _, digits = name.removeprefix("headers-").removesuffix(_BARE).partition("-")
    return _digest(algorithm, digits)


def _text(path: Path) -> str:
    try:
        return os.fsdecode(path.read_bytes())
    except OSError:
        return ""

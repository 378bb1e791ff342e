"""Model directories in the cache: immutable, complete, and there by one rename."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from oci_pull.adapters.cache.contents import Contents
from oci_pull.adapters.cache.owner import Owner, remove_dead
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.disk import (
    AUTO,
    open_to_all,
    place,
    remove_tree,
    rename_tree,
    sync_directory,
    write_file,
    writing,
)
from oci_pull.events import Counter
from oci_pull.oci.digest import Digest
from oci_pull.oci.reference import Locator
from oci_pull.packaging.layout import Layout
from oci_pull.packaging.path import RESERVED, RelPath
from oci_pull.packaging.receipt import Receipt
from oci_pull.ports import Cancel, StagedTree, Tree

RECEIPT = Path(RESERVED) / "receipt.json"
_READ_ONLY = 0o444


@dataclass(frozen=True, slots=True)
class CacheTrees:
    """The `models` directory of a cache."""

    cache: Cache
    contents: Contents
    cancel: Cancel
    #: See `disk.place`.
    link_mode: str = AUTO
    #: Caches whose trees are taken as they are, before any is made here; never written.
    others: tuple[Cache, ...] = ()

    def check(self) -> None:
        """Nothing can be known here before the cache is needed: hits work where it is read-only."""

    def find(self, reference: Locator, manifest: Digest, selection: str) -> Tree | None:
        """The complete tree of a manifest, stamped as used unless it is in a cache of others."""
        for other in self.others:
            there = other.tree(reference, manifest, selection)
            if receipt := _whole(there, manifest):
                return Tree(there, receipt)
        path = self.cache.tree(reference, manifest, selection)
        receipt = _whole(path, manifest)
        if receipt is None:
            return None
        stamp(self.cache.used(reference, manifest, selection))
        return Tree(path, receipt)

    def sweep(self) -> None:
        """What killed runs were building is gone."""
        remove_dead(self.cache.incomplete, locks=self.cache.locks)

    def added(self, layout: Layout, unpacked: int) -> int:
        """Links and a receipt take no room; copies were asked for."""
        if self.link_mode != "copy":
            return 0
        return unpacked + sum(file.size for file in layout.files)

    def stage(
        self,
        reference: Locator,
        manifest: Digest,
        selection: str,
        layout: Layout,
        placed: Counter,
    ) -> StagedTree:
        """Build the tree of a layout whose blobs and archives are all here."""
        staged = _Staged(
            self.cache.incomplete / f"tree-{Owner.new()}",
            self.cache.tree(reference, manifest, selection),
            self.cache.used(reference, manifest, selection),
            layout,
            self.link_mode,
        )
        staged.build(self.contents, self.cancel, placed)
        return staged


def read_receipt(tree: Path) -> Receipt | None:
    """The receipt of a tree, None if there is none that this release understands."""
    try:
        return Receipt.from_json((tree / RECEIPT).read_bytes())
    except OSError:
        return None


def _whole(tree: Path, manifest: Digest) -> Receipt | None:
    """The receipt of the complete tree of a manifest.

    The name of a tree has only twelve digits of the digest.
    """
    receipt = read_receipt(tree)
    if receipt is None or receipt.manifest.digest != manifest:
        return None
    return receipt if is_complete(tree, receipt) else None


def is_complete(tree: Path, receipt: Receipt) -> bool:
    """Whether every file of the receipt is there with its size."""
    return all(_has_size(tree.joinpath(*file.path.parts), file.size) for file in receipt.files)


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def stamp(used: Path) -> None:
    """Note the time of a use, where the cache can be written."""
    with suppress(OSError):
        try:
            os.utime(used)
        except FileNotFoundError:
            used.parent.mkdir(parents=True, exist_ok=True)
            used.touch()


@dataclass(frozen=True, slots=True)
class _Staged:
    directory: Path
    final: Path
    used: Path
    layout: Layout
    link_mode: str
    #: The ways in which files were placed.
    _ways: set[str] = field(default_factory=set)

    def build(self, contents: Contents, cancel: Cancel, placed: Counter) -> None:
        """Place every file; raises `DiskError`, `Cancelled`."""
        try:
            with writing(self.directory):
                self.directory.mkdir(parents=True)
                for file in self.layout.files:
                    target = self.directory.joinpath(*file.path.parts)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    source = contents.path(file)
                    # Of the final place, and relative: a cache can be moved.
                    final = self.final.joinpath(*file.path.parts)
                    name = os.path.relpath(source, final.parent)
                    way = place(source, target, cancel, self.link_mode, placed=placed, name=name)
                    self._ways.add(way)
        except BaseException:
            self.discard()
            raise

    def sizes(self) -> Mapping[RelPath, int]:
        """The size of every file in bytes."""
        return {file.path: file.size for file in self.layout.files}

    def read(self, path: RelPath, limit: int) -> bytes:
        """The first `limit` bytes of a file; raises `DiskError`."""
        with writing(self.directory), self._content(path).open("rb") as file:
            return file.read(limit)

    def _content(self, path: RelPath) -> Path:
        """A file of the tree; a symbolic link leads there from its final place only."""
        staged = self.directory.joinpath(*path.parts)
        if not staged.is_symlink():
            return staged
        # Spelled out: the directories above the final place may not be there yet.
        final = self.final.joinpath(*path.parts).parent
        return Path(os.path.normpath(final / staged.readlink()))

    def publish(self, receipt: Receipt) -> Tree:
        """Give it its final name, whole; what has that name and is damaged makes room.

        Raises:
            DiskError: it cannot be.
        """
        receipt = receipt.with_files(receipt.files, "+".join(sorted(self._ways)))
        write_file(self.directory / RECEIPT, receipt.to_json(), _READ_ONLY)
        with writing(self.final):
            for directory, _, _ in os.walk(self.directory):
                open_to_all(Path(directory))
                sync_directory(Path(directory))
            self.final.parent.mkdir(parents=True, exist_ok=True)
            manifest = receipt.manifest.digest
            rename_tree(self.directory, self.final, lambda: bool(_whole(self.final, manifest)))
            sync_directory(self.final.parent)
        stamp(self.used)
        return Tree(self.final, receipt)

    def discard(self) -> None:
        """Remove it, unless it was published."""
        remove_tree(self.directory)

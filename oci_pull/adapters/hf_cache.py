"""The Hugging Face hub cache, filled so that loaders find a model there by its name.

A model is `models--org--name` with `blobs`, `snapshots/<commit>` of links to them, and `refs`.
What is ours is what has our receipt; nothing else is changed.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.cache.contents import Contents
from oci_pull.adapters.cache.owner import COPYING, Owner, remove_dead
from oci_pull.adapters.cache.trees import RECEIPT, is_complete, read_receipt
from oci_pull.adapters.disk import (
    AUTO,
    nearest,
    place,
    remove_tree,
    rename_tree,
    sync_directory,
    write_file,
    writing,
)
from oci_pull.errors import TargetNotUsable
from oci_pull.events import Counter
from oci_pull.oci.digest import Digest
from oci_pull.oci.reference import Locator
from oci_pull.packaging.hf_name import commit_of
from oci_pull.packaging.layout import Layout, TreeFile
from oci_pull.packaging.path import RESERVED, RelPath
from oci_pull.packaging.receipt import Receipt
from oci_pull.ports import Cancel, StagedTree, Tree

_MAIN = "main"


@dataclass(frozen=True, slots=True)
class HubCache:
    """One model in the hub cache; `tag` is what the reference says beside its digest, if any."""

    hub: Path
    name: str
    tag: str | None
    contents: Contents
    cancel: Cancel
    #: Of its blobs to those of the cache; see `disk.place`.
    link_mode: str = AUTO

    @property
    def path(self) -> Path:
        """The directory of the model."""
        return self.hub / f"models--{self.name.replace('/', '--')}"

    @property
    def refs(self) -> tuple[Path, ...]:
        """The files that say which snapshot a revision is; the one that loaders ask for is last."""
        names = dict.fromkeys((self.tag or _MAIN, _MAIN))
        return tuple(self.path / "refs" / name for name in names)

    def snapshot(self, commit: str) -> Path:
        """The directory of a revision."""
        return self.path / "snapshots" / commit

    def check(self) -> None:
        """Refuse a model that somebody else put there.

        Raises:
            TargetNotUsable: a revision that would be moved has a snapshot that is not ours.
        """
        for ref in self.refs:
            with writing(ref):
                commit = ref.read_text("utf-8", "replace").strip() if ref.exists() else None
            if commit is not None and read_receipt(self.snapshot(commit)) is None:
                raise _not_ours(ref)

    def find(self, reference: Locator, manifest: Digest, selection: str) -> Tree | None:
        """The complete snapshot of a manifest; the revisions name it afterwards."""
        commit = commit_of(manifest, selection)
        receipt = read_receipt(self.snapshot(commit))
        if receipt is None or not is_complete(self.snapshot(commit), receipt):
            return None
        self.point(commit)
        return Tree(self.snapshot(commit), receipt)

    def point(self, commit: str) -> None:
        """The revisions name a snapshot; raises `DiskError`."""
        for ref in self.refs:
            with writing(ref):
                if not ref.exists() or ref.read_text("utf-8", "replace") != commit:
                    ref.parent.mkdir(parents=True, exist_ok=True)
                    write_file(ref, commit.encode())

    def sweep(self) -> None:
        """What killed runs were building, here or in the cache, is gone."""
        cache = self.contents.store.cache
        remove_dead(self.path / RESERVED, COPYING, cache.locks)
        remove_dead(cache.incomplete, locks=cache.locks)

    def added(self, layout: Layout, unpacked: int) -> int:
        """What has to be copied, in bytes: nothing, unless it is on another file system."""
        if self.link_mode not in (AUTO, "copy"):
            return 0
        with writing(self.path):
            cache = nearest(self.contents.store.cache.root)
            is_one = nearest(self.path).stat().st_dev == cache.stat().st_dev
        if is_one and self.link_mode == AUTO:
            return 0
        new = {file.digest: file.size for file in layout.files if not self.has(file)}
        return unpacked + sum(new.values())

    def blob(self, file: TreeFile) -> Path:
        """Where the content of a file is."""
        return self.path / "blobs" / file.digest.hex

    def has(self, file: TreeFile) -> bool:
        """Whether the content of a file is there."""
        blob = self.blob(file)
        return blob.is_file() and blob.stat().st_size == file.size

    def stage(
        self,
        reference: Locator,
        manifest: Digest,
        selection: str,
        layout: Layout,
        placed: Counter,
    ) -> StagedTree:
        """Build a snapshot beside its place; raises `TargetNotUsable`, `DiskError`, `Cancelled`."""
        commit = commit_of(manifest, selection)
        final = self.snapshot(commit)
        with writing(final):
            if final.exists() and read_receipt(final) is None:
                raise _not_ours(final)
        staged = _Staged(self, commit, layout, self.path / RESERVED / f"new-{Owner.new()}", placed)
        staged.build()
        return staged


def _not_ours(path: Path) -> TargetNotUsable:
    return TargetNotUsable(
        f"{path} is in the way, and oci-pull did not make it",
        hint="--layout dir -o DIR, or HF_HUB_CACHE=DIR with another directory",
    )


@dataclass(frozen=True, slots=True)
class _Staged:
    target: HubCache
    commit: str
    layout: Layout
    directory: Path
    #: The bytes of the files that are in place.
    counter: Counter

    def build(self) -> None:
        """Place the content of every file, and link to it; raises `DiskError`, `Cancelled`."""
        try:
            with writing(self.target.path):
                self.directory.mkdir(parents=True)
                for file in self.layout.files:
                    self._link(file)
        except BaseException:
            self.discard()
            raise

    def _link(self, file: TreeFile) -> None:
        blob = self.target.blob(file)
        if not self.target.has(file):
            new = self.directory / RESERVED / "blob"
            new.parent.mkdir(exist_ok=True)
            source = self.target.contents.path(file)
            mode, cancel = self.target.link_mode, self.target.cancel
            place(source, new, cancel, mode, placed=self.counter)
            blob.parent.mkdir(exist_ok=True)
            new.replace(blob)
            # A rename of a link to the same file removes nothing.
            new.unlink(missing_ok=True)
        else:
            self.counter.value += file.size
        link = self.directory.joinpath(*file.path.parts)
        link.parent.mkdir(parents=True, exist_ok=True)
        # As deep below the model as a snapshot is, so that it holds after the move as well.
        link.symlink_to(Path(*[".."] * (len(file.path.parts) + 1), "blobs", blob.name))

    def sizes(self) -> Mapping[RelPath, int]:
        """The size of every file in bytes."""
        return {file.path: file.size for file in self.layout.files}

    def read(self, path: RelPath, limit: int) -> bytes:
        """The first `limit` bytes of a file; raises `DiskError`."""
        with writing(self.directory), self.directory.joinpath(*path.parts).open("rb") as file:
            return file.read(limit)

    def publish(self, receipt: Receipt) -> Tree:
        """Give it its final name, whole, and only then point the revisions to it.

        Raises:
            DiskError: it cannot be.
        """
        final = self.target.snapshot(self.commit)
        with writing(final):
            (self.directory / RESERVED).mkdir(exist_ok=True)
            write_file(self.directory / RECEIPT, receipt.to_json())
            for directory, _, _ in os.walk(self.directory):
                sync_directory(Path(directory))
            final.parent.mkdir(parents=True, exist_ok=True)
            rename_tree(self.directory, final, lambda: is_complete(final, receipt))
            sync_directory(final.parent)
        self.target.point(self.commit)
        return Tree(final, receipt)

    def discard(self) -> None:
        """Remove it, unless it was published."""
        remove_tree(self.directory)

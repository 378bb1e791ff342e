"""A directory of the user's, laid out and brought up to date again and again.

What is ours is what the receipt says. Foreign files stay; a small file that somebody edited is set
aside before it is replaced.
"""

import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from oci_pull.adapters.cache.contents import Contents
from oci_pull.adapters.cache.owner import COPYING, Owner, remove_dead
from oci_pull.adapters.cache.trees import RECEIPT, read_receipt
from oci_pull.adapters.disk import (
    AUTO,
    copy,
    nearest,
    open_to_all,
    place,
    remove_tree,
    sync_directory,
    write_file,
    writing,
)
from oci_pull.errors import TargetNotUsable
from oci_pull.events import Counter, Warned
from oci_pull.oci.digest import Digest, Hasher
from oci_pull.oci.reference import Locator
from oci_pull.packaging.layout import Layout, TreeFile
from oci_pull.packaging.path import RESERVED, RelPath
from oci_pull.packaging.receipt import PlacedFile, Receipt
from oci_pull.ports import Cancel, Observer, StagedTree, Tree

#: Files below this are copies that may be edited, the rest is linked (bytes).
_SMALL = 1_000_000
_CHUNK = 1024 * 1024
_EDITABLE = 0o644
#: What an engine looks for first comes last, so that it fails at once on half a tree.
_LAST = "config.json"
#: What is in a directory that counts as empty: our own, and what ext4 puts into a new volume.
_NOT_FOREIGN = (RESERVED, "lost+found")


@dataclass(frozen=True, slots=True)
class OutputDirectory:
    """The directory that `-o` names."""

    path: Path
    contents: Contents
    observer: Observer
    cancel: Cancel
    #: Of what is not small; see `disk.place`.
    link_mode: str = AUTO

    def check(self) -> None:
        """Refuse a target that is not ours to fill.

        Raises:
            TargetNotUsable: a file, or a directory that holds files and was not filled by us.
        """
        with writing(self.path):
            if self.path.exists() and not self.path.is_dir():
                raise TargetNotUsable(
                    f"{self.path} is a file, and a model needs a directory",
                    hint=f"-o {shlex.quote(f'{self.path}.d')}",
                )
            foreign = self.path.is_dir() and any(
                entry.name not in _NOT_FOREIGN for entry in self.path.iterdir()
            )
            is_ours = (self.path / RESERVED).is_dir()
        if foreign and not is_ours:
            raise TargetNotUsable(
                f"{self.path} is not empty, and oci-pull did not fill it",
                hint=f"-o {shlex.quote(str(self.path / 'model'))}",
            )

    def find(self, reference: Locator, manifest: Digest, selection: str) -> Tree | None:
        """The directory as it is, if it is the tree of this manifest and nothing is missing."""
        receipt = read_receipt(self.path)
        if receipt is None or (receipt.manifest.digest, receipt.selection) != (manifest, selection):
            return None
        edited = [file for file in receipt.files if not self.is_intact(file)]
        if any(file.is_linked or not self.where(file.path).is_file() for file in edited):
            return None
        for file in edited:
            self.observer.on(Warned(f"{file.path} was edited since it was laid out; it is kept"))
        return Tree(self.path, receipt)

    def sweep(self) -> None:
        """What killed runs were building, here or in the cache, is gone."""
        cache = self.contents.store.cache
        remove_dead(self.path / RESERVED, COPYING, cache.locks)
        remove_dead(cache.incomplete, locks=cache.locks)

    def added(self, layout: Layout, unpacked: int) -> int:
        """What has to be copied, in bytes.

        That is small files, and all that changes where the cache is on another file system.
        """
        with writing(self.path):
            cache = nearest(self.contents.store.cache.root)
            is_elsewhere = nearest(self.path).stat().st_dev != cache.stat().st_dev
        is_copied = self.link_mode == "copy" or (self.link_mode == AUTO and is_elsewhere)
        receipt = read_receipt(self.path)
        here = {file.path: file for file in receipt.files} if receipt else {}
        size = unpacked if is_copied else 0
        for file in layout.files:
            before = here.get(file.path)
            if file.size >= _SMALL:
                stays = before and before.digest == file.digest and self.is_intact(before)
                size += file.size if is_copied and not stays else 0
            else:
                size += file.size
        return size

    def stage(
        self,
        reference: Locator,
        manifest: Digest,
        selection: str,
        layout: Layout,
        placed: Counter,
    ) -> StagedTree:
        """Build what is new inside the directory, to be moved when all of it is there."""
        staged = _Staged(self, layout, self.path / RESERVED / f"new-{Owner.new()}", placed)
        staged.build()
        return staged

    @property
    def is_alone(self) -> bool:
        """Whether no cache stays beside it: that of `--no-cache` is inside, and goes."""
        return self.contents.store.cache.root.is_relative_to(self.path)

    def is_intact(self, file: PlacedFile) -> bool:
        """Whether a file is as it was placed: by content where it can be edited, else by size."""
        path = self.where(file.path)
        try:
            if path.stat().st_size != file.size:
                return False
            return file.is_linked or _digest_of(path) == file.digest
        except OSError:
            return False

    def where(self, path: RelPath) -> Path:
        """Where a file of the tree goes."""
        return self.path.joinpath(*path.parts)


def _make_directories(path: Path) -> None:
    """A directory that everybody can look into, and those above it."""
    if not path.is_dir():
        _make_directories(path.parent)
        path.mkdir(exist_ok=True)
        open_to_all(path)


def _digest_of(path: Path) -> Digest:
    hasher = Hasher()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.digest()


@dataclass(slots=True)
class _Staged:
    target: OutputDirectory
    layout: Layout
    directory: Path
    #: The bytes of the files that are in place.
    counter: Counter
    _placed: dict[RelPath, PlacedFile] = field(default_factory=dict)
    #: The ways in which weights were placed.
    _ways: set[str] = field(default_factory=set)

    def build(self) -> None:
        """Place every file that is not there already as it should be; raises `DiskError`."""
        old = self._old_files()
        try:
            with writing(self.target.path):
                _make_directories(self.directory)
                for file in self.layout.files:
                    before = old.get(file.path)
                    keep = before and self._may_stay(before, file)
                    self._placed[file.path] = before if before and keep else self._place(file)
                    if keep:
                        self.counter.value += file.size
        except BaseException:
            self.discard()
            raise

    def _old_files(self) -> Mapping[RelPath, PlacedFile]:
        receipt = read_receipt(self.target.path)
        return {file.path: file for file in receipt.files} if receipt else {}

    def _may_stay(self, before: PlacedFile, file: TreeFile) -> bool:
        """Whether a file needs no new copy: it is intact, or it is its user's own version."""
        path = self.target.where(file.path)
        if before.digest != file.digest or not path.is_file():
            return False
        if before.is_linked and self.target.is_alone:
            # It was read again, and is the content itself if it is still right.
            return self.target.contents.path(file) == path
        return not before.is_linked or self.target.is_intact(before)

    def _place(self, file: TreeFile) -> PlacedFile:
        target = self._new(file.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        source = self.target.contents.path(file)
        if file.size < _SMALL:
            copy(source, target, self.target.cancel, mode=_EDITABLE, copied=self.counter)
        else:
            mode, cancel = self.target.link_mode, self.target.cancel
            self._ways.add(place(source, target, cancel, mode, placed=self.counter))
        return PlacedFile(file.path, file.size, file.digest, is_linked=file.size >= _SMALL)

    def _new(self, path: RelPath) -> Path:
        return self.directory.joinpath(*path.parts)

    def sizes(self) -> Mapping[RelPath, int]:
        """The size of every file in bytes."""
        return {file.path: file.size for file in self.layout.files}

    def read(self, path: RelPath, limit: int) -> bytes:
        """The first `limit` bytes of a file; raises `DiskError`."""
        new, old = self._new(path), self.target.where(path)
        with writing(old), (new if new.exists() else old).open("rb") as file:
            return file.read(limit)

    def publish(self, receipt: Receipt) -> Tree:
        """Move what is new to its place, remove what is gone, and write the receipt.

        Raises:
            DiskError: it cannot be written; the same command again goes on from there.
        """
        old = self._old_files()
        files = tuple(self._placed[file.path] for file in receipt.files)
        before = read_receipt(self.target.path)
        kept = (before.link,) if before and before.link and not self._ways else ()
        receipt = receipt.with_files(files, "+".join(sorted((*self._ways, *kept))))
        if self.target.link_mode == AUTO and "copy" in self._ways and not self.target.is_alone:
            self._tell_of_copies()
        gone = old.keys() - self._placed.keys()
        in_the_way = {path for path in gone if self._is_in_the_way(path)}
        with writing(self.target.path):
            for path in in_the_way:
                self._retire(old[path])
            for path in sorted(self._placed, key=lambda path: (str(path) == _LAST, path)):
                if self._new(path).exists():
                    self._move(self._placed[path], old.get(path))
            for path in gone - in_the_way:
                self._retire(old[path])
        write_file(self.target.path / RECEIPT, receipt.to_json())
        sync_directory(self.target.path)
        return Tree(self.target.path, receipt)

    def _tell_of_copies(self) -> None:
        self.target.observer.on(
            Warned(
                f"the weights are on disk twice, in {self.target.path} and in the cache: "
                "nothing can link one to the other; --no-cache, or --cache-dir on the same file "
                "system, leaves one"
            )
        )

    def _is_in_the_way(self, old: RelPath) -> bool:
        """Whether a file that is gone has the name of a directory, or is in one that is a file."""
        if any(path.below(old.parts) for path in self._placed):
            return True
        above = (RelPath(old.parts[:depth]) for depth in range(1, len(old.parts)))
        return any(path in self._placed for path in above)

    def _move(self, file: PlacedFile, before: PlacedFile | None) -> None:
        final = self.target.where(file.path)
        if final.exists() and not file.is_linked:
            known = [each.digest for each in (before, file) if each]
            if _digest_of(final) not in known:
                self._set_aside(file.path, "is replaced")
        _make_directories(final.parent)
        self._new(file.path).replace(final)

    def _retire(self, file: PlacedFile) -> None:
        """Remove a file that the model no longer has, and the directories that this empties."""
        path = self.target.where(file.path)
        if not file.is_linked and path.exists() and not self.target.is_intact(file):
            self._set_aside(file.path, "is no longer part of the model")
        with suppress(NotADirectoryError):
            path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == self.target.path:
                break
            with suppress(OSError):
                # Not if something else is in it, or its user was quicker.
                parent.rmdir()

    def _set_aside(self, path: RelPath, why: str) -> None:
        edited = self.target.path / RESERVED / "edited"
        numbered = (edited / (f"{path}.{number}" if number else str(path)) for number in count())
        aside = next(each for each in numbered if not each.exists())
        aside.parent.mkdir(parents=True, exist_ok=True)
        self.target.where(path).replace(aside)
        self.target.observer.on(Warned(f"{path} was edited and {why}; your version is {aside}"))

    def discard(self) -> None:
        """Remove what is left of the new files."""
        remove_tree(self.directory)

"""Takes things out of a cache, so that nobody ever sees half of one."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.cache.owner import Owner
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.references import DirectoryReferences
from oci_pull.adapters.cache.store import DirectoryStore
from oci_pull.adapters.disk import remove_tree, writing
from oci_pull.inventory import CachedTree, Kind, Piece
from oci_pull.oci.digest import Digest


@dataclass(frozen=True, slots=True)
class Removal:
    """What is done to one cache."""

    cache: Cache

    def tree(self, tree: CachedTree) -> bool:
        """The tree is gone by one rename; False, and it stays, where it was used meanwhile.

        Raises:
            DiskError: it cannot be moved.
        """
        models = self.cache.root / "models"
        used = self.cache.root / "used" / tree.path.relative_to(models)
        with suppress(OSError):
            if used.stat().st_mtime > tree.used:
                return False
        aside = self._aside(tree.path)
        if aside:
            used.unlink(missing_ok=True)
            for path, top in ((tree.path, models), (used, self.cache.root / "used")):
                _remove_empty(path.parent, top)
            remove_tree(aside)
        return True

    def piece(self, piece: Piece) -> None:
        """It is gone, unless somebody has it by now. Raises `DiskError`."""
        match piece.kind:
            case Kind.BLOB:
                with writing(piece.path):
                    piece.path.unlink(missing_ok=True)
            case Kind.PARTIAL | Kind.LEFTOVER if piece.path.parent.parent == self._partials:
                self._partial(piece.path)
            case Kind.LAYER:
                if aside := self._aside(piece.path):
                    remove_tree(aside)
            case Kind.LEFTOVER if piece.path.is_dir():
                remove_tree(piece.path)
            case Kind.LEFTOVER:
                with writing(piece.path):
                    piece.path.unlink(missing_ok=True)

    def tags(self, gone: Collection[Digest]) -> None:
        """Tags that are one of these are forgotten, and the index says what is left.

        Raises:
            DiskError: it cannot be written.
        """
        references = DirectoryReferences(self.cache, DirectoryStore(self.cache))
        for host, repository, digest in references.tags():
            if digest in gone:
                references.forget(host, repository, digest)
        references.refresh()

    @property
    def _partials(self) -> Path:
        return self.cache.root / "partial"

    def _partial(self, path: Path) -> None:
        """As one claims it: a rename has one winner, and only what is ours is removed."""
        mine = path.with_name(str(Owner.new()))
        with suppress(FileNotFoundError), writing(path):
            path.rename(mine)
            remove_tree(mine)
        with suppress(OSError):
            path.parent.rmdir()

    def _aside(self, path: Path) -> Path | None:
        """Rename it to where nobody looks; None if it is gone already."""
        aside = self.cache.incomplete / f"removed-{Owner.new()}"
        with writing(path):
            aside.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.rename(aside)
            except FileNotFoundError:
                return None
        return aside


def _remove_empty(directory: Path, top: Path) -> None:
    with suppress(OSError):
        while directory != top:
            directory.rmdir()
            directory = directory.parent

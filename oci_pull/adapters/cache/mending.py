"""Puts a file of a cache back from another one that has the same content."""

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oci_pull.adapters.cache.audit import Damage
from oci_pull.adapters.cache.owner import Owner
from oci_pull.adapters.cache.partial import excess, shorten
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.stored import Part, Reading, Stored
from oci_pull.adapters.disk import AUTO, open_to_all, place, remove_tree, sync_directory, writing
from oci_pull.events import Counter
from oci_pull.oci.digest import Digest
from oci_pull.ports import Cancel

_READ_ONLY = 0o444


@dataclass(frozen=True, slots=True)
class Mending:
    """What is done to one cache."""

    cache: Cache
    cancel: Cancel
    #: Where a content may be found; each place is read again before it is believed.
    places: Mapping[Digest, Sequence[Stored]]
    #: The files that were put back, by their content.
    _mended: dict[Digest, Stored] = field(default_factory=dict)

    def mend(self, damage: Damage) -> bool:
        """Whether it is right again, without anything from elsewhere.

        Raises:
            DiskError, Cancelled: it cannot be written, or was stopped; it is as it was then.
        """
        if damage.part is Part.PARTIAL and excess(damage.path):
            with writing(damage.path):
                return shorten(damage.path)
        return bool(damage.files) and all(self._put_back(file) for file in damage.files)

    def _put_back(self, file: Stored) -> bool:
        known = [self._mended[file.digest]] if file.digest in self._mended else []
        for source in (*known, *self.places.get(file.digest, ())):
            if self._placed(source, file):
                self._mended[file.digest] = file
                return True
        return False

    def _placed(self, source: Stored, file: Stored) -> bool:
        """Whether the source has the content, and the file has it now."""
        new = self.cache.incomplete / f"mended-{Owner.new()}"
        nobody = Counter()
        reading = Reading(self.cancel, nobody)
        with writing(file.path):
            try:
                new.parent.mkdir(parents=True, exist_ok=True)
                is_copy = source.is_copy or file.is_copy
                place(source.path, new, self.cancel, "copy" if is_copy else AUTO, placed=nobody)
                if reading.digest(new, file.digest.algorithm) != file.digest:
                    return False
                if stat.S_IMODE(new.stat().st_mode) != _READ_ONLY:
                    new.chmod(_READ_ONLY)
                _make_room(self.cache, file)
                new.replace(file.path)
                sync_directory(file.path.parent)
            except FileNotFoundError:
                # Somebody prunes: the source is gone, or what it is a part of.
                return False
            finally:
                new.unlink(missing_ok=True)
        return True


def put_away(cache: Cache, path: Path) -> None:
    """It has no final name any more, and then is gone; raises `DiskError`."""
    aside = cache.incomplete / f"damaged-{Owner.new()}"
    with writing(path):
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.rename(aside)
        except FileNotFoundError:
            return
        if aside.is_dir() and not aside.is_symlink():
            remove_tree(aside)
        else:
            aside.unlink()


def _make_room(cache: Cache, file: Stored) -> None:
    """The directory of a file is there, and nothing in its place that stays; raises `OSError`."""
    inside = file.path.relative_to(file.whole).parents if file.part is Part.TREE else ()
    for above in reversed([file.whole / each for each in inside][:-1]):
        if not above.is_dir():
            put_away(cache, above)
            above.mkdir()
            open_to_all(above)
    # A file set or a tree that is gone was pruned, and does not come back.
    if file.part is not Part.TREE:
        file.path.parent.mkdir(parents=file.part is Part.BLOB, exist_ok=True)
    if file.path.is_dir() and not file.path.is_symlink():
        put_away(cache, file.path)

"""Files that are put back from others with the same content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oci_pull.adapters.cache.audit import Damage
from oci_pull.adapters.cache.mending import Mending, put_away
from oci_pull.adapters.cache.stored import Part, Stored
from oci_pull.errors import NoSpace
from oci_pull.oci.digest import Digest
from tests.fakes.memory import blob_of
from tests.unit.adapters.support import Shelf, mode_of, no_file_beyond

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = b"content" * 1000
DIGEST = Digest.of(CONTENT)


def file_of(tree: Path, name: str = "deep/er/a.bin", *, is_copy: bool = False) -> Stored:
    return Stored(Part.TREE, tree / name, DIGEST, tree, len(CONTENT), is_copy)


def damage(file: Stored) -> Damage:
    return Damage(file.part, file.whole, "missing", files=(file,))


def mending(shelf: Shelf, *places: Stored) -> Mending:
    return Mending(shelf.cache, shelf.cancel, {DIGEST: places})


@pytest.fixture
def source(shelf: Shelf) -> Stored:
    path = shelf.store.add(blob_of(CONTENT), CONTENT).path
    return Stored(Part.BLOB, path, DIGEST, path)


@pytest.fixture
def tree(shelf: Shelf) -> Path:
    path = shelf.root / "models" / "a@b"
    path.mkdir(parents=True)
    return path


def _is_tidy(shelf: Shelf) -> bool:
    return not list(shelf.cache.incomplete.iterdir())


def test_a_file_of_a_tree_comes_from_the_blob(shelf: Shelf, source: Stored, tree: Path) -> None:
    file = file_of(tree)
    assert mending(shelf, source).mend(damage(file))
    assert file.path.read_bytes() == CONTENT
    assert mode_of(file.path) == 0o444
    assert mode_of(file.path.parent) == mode_of(file.path.parent.parent) == 0o755
    assert _is_tidy(shelf)


def test_a_blob_comes_from_a_file_of_a_tree(shelf: Shelf, source: Stored, tree: Path) -> None:
    kept = file_of(tree, "a.bin")
    source.path.rename(kept.path)
    kept.path.chmod(0o644)
    source.path.parent.rmdir()
    assert mending(shelf, kept).mend(damage(source))
    assert source.path.read_bytes() == CONTENT
    assert mode_of(source.path) == 0o444


@pytest.mark.parametrize("which", ["source", "target"])
def test_a_copy_shares_its_bytes_with_nothing(
    shelf: Shelf, source: Stored, tree: Path, which: str
) -> None:
    file = file_of(tree, "a.bin", is_copy=True)
    if which == "source":
        source.path.rename(file.path)
        assert mending(shelf, file).mend(damage(source))
    else:
        assert mending(shelf, source).mend(damage(file))
    assert source.path.stat().st_ino != file.path.stat().st_ino


def test_what_has_other_content_is_not_believed(shelf: Shelf, source: Stored, tree: Path) -> None:
    other = file_of(tree, "other.bin")
    other.path.write_bytes(b"wrong")
    file = file_of(tree)
    assert not mending(shelf, other).mend(damage(file))
    assert not file.path.exists()
    assert mending(shelf, other, source).mend(damage(file))
    assert file.path.read_bytes() == CONTENT
    assert _is_tidy(shelf)


def test_what_is_gone_is_no_source(shelf: Shelf, source: Stored, tree: Path) -> None:
    source.path.unlink()
    assert not mending(shelf, source).mend(damage(file_of(tree)))
    assert not Mending(shelf.cache, shelf.cancel, {}).mend(damage(file_of(tree)))


def test_what_was_put_back_is_a_source(shelf: Shelf, source: Stored, tree: Path) -> None:
    kept = file_of(tree, "kept.bin", is_copy=True)
    source.path.rename(kept.path)
    known = mending(shelf, kept)
    assert known.mend(damage(source))
    kept.path.unlink()
    assert known.mend(damage(kept))
    assert kept.path.read_bytes() == CONTENT


def test_a_tree_that_was_pruned_does_not_come_back(
    shelf: Shelf, source: Stored, tree: Path
) -> None:
    tree.rmdir()
    for name in ("a.bin", "deep/er/a.bin"):
        assert not mending(shelf, source).mend(damage(file_of(tree, name)))
    assert not tree.exists()


def test_what_is_in_the_way_makes_room(shelf: Shelf, source: Stored, tree: Path) -> None:
    (tree / "deep").write_text("a file")
    (tree / "a.bin" / "below").mkdir(parents=True)
    for name in ("a.bin", "deep/er/a.bin"):
        file = file_of(tree, name)
        assert mending(shelf, source).mend(damage(file))
        assert file.path.read_bytes() == CONTENT
    assert _is_tidy(shelf)


def test_damage_that_is_of_no_file_is_not_mended(shelf: Shelf, tree: Path) -> None:
    assert not mending(shelf).mend(Damage(Part.TREE, tree, "its receipt cannot be read"))


def test_a_full_disk_leaves_it_as_it_was(shelf: Shelf, source: Stored, tree: Path) -> None:
    file = file_of(tree, "a.bin", is_copy=True)
    file.path.write_bytes(b"damaged")
    with no_file_beyond(100), pytest.raises(NoSpace):
        mending(shelf, source).mend(damage(file))
    assert file.path.read_bytes() == b"damaged"
    assert _is_tidy(shelf)


def test_what_is_put_away_is_gone(shelf: Shelf, tree: Path) -> None:
    file = tree / "file"
    file.touch()
    link = tree / "link"
    link.symlink_to(tree)
    for path in (link, file, tree, tree):
        put_away(shelf.cache, path)
        assert not path.exists()
    assert _is_tidy(shelf)

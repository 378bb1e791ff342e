"""Model directories in the cache: there by one rename, whole, and never written again."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from oci_pull.adapters.cache.owner import Owner, this_host
from oci_pull.adapters.cache.trees import CacheTrees
from oci_pull.errors import Cancelled, DiskError, NoSpace, NotWritable, Vanished
from oci_pull.events import Counter
from oci_pull.oci.digest import Digest
from oci_pull.packaging.layout import FromArchive, Layout, TreeFile
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.receipt import Receipt
from oci_pull.ports import Tree
from tests.fakes.memory import blob_of
from tests.unit.adapters.support import (
    REFERENCE,
    WEIGHTS,
    Shelf,
    contents_below,
    mode_of,
    names_below,
    no_file_beyond,
    published,
    receipt_of,
    without_privileges,
)

FILES = {"config.json": b"{}", "deep/er/model.safetensors": WEIGHTS, "tokenizer.json": b"[]"}
MANIFEST = blob_of(b"the manifest")


def trees_of(shelf: Shelf) -> CacheTrees:
    return CacheTrees(shelf.cache, shelf.contents, shelf.cancel)


@pytest.fixture
def trees(shelf: Shelf) -> CacheTrees:
    return trees_of(shelf)


def build(shelf: Shelf, files: dict[str, bytes] = FILES, selection: str = "") -> Tree:
    layout = shelf.layout(files)
    staged = trees_of(shelf).stage(REFERENCE, MANIFEST.digest, selection, layout, Counter())
    return published(staged, receipt_of(layout, MANIFEST, selection=selection))


def final(shelf: Shelf, selection: str = "") -> Path:
    return shelf.cache.tree(REFERENCE, MANIFEST.digest, selection)


def used(shelf: Shelf) -> Path:
    return shelf.cache.used(REFERENCE, MANIFEST.digest, "")


def incomplete(shelf: Shelf) -> list[Path]:
    return list(shelf.cache.incomplete.iterdir()) if shelf.cache.incomplete.exists() else []


def snapshot(root: Path) -> dict[str, tuple[int, int, int]]:
    """Everything that a write would change."""
    return {
        str(path.relative_to(root)): (stat.st_ino, stat.st_mtime_ns, stat.st_mode)
        for path in (root, *root.rglob("*"))
        for stat in [path.lstat()]
    }


def test_a_tree_has_the_files_and_a_receipt(shelf: Shelf, trees: CacheTrees) -> None:
    trees.check()
    assert trees.find(REFERENCE, MANIFEST.digest, "") is None
    tree = build(shelf)
    assert tree.path == final(shelf)
    assert contents_below(tree.path) == FILES
    assert names_below(tree.path) - FILES.keys() == {".oci-pull/receipt.json"}
    assert Receipt.from_json((tree.path / ".oci-pull/receipt.json").read_bytes()) == tree.receipt
    assert trees.find(REFERENCE, MANIFEST.digest, "") == tree
    assert incomplete(shelf) == []


def test_a_tree_can_be_read_by_all_and_written_by_none(shelf: Shelf) -> None:
    before = os.umask(0o077)
    try:
        tree = build(shelf)
    finally:
        os.umask(before)
    for path in (tree.path, *tree.path.rglob("*")):
        assert mode_of(path) == (0o755 if path.is_dir() else 0o444), path


def test_weights_share_the_blob(shelf: Shelf) -> None:
    tree = build(shelf)
    blob = shelf.cache.blob(Digest.of(WEIGHTS))
    placed = tree.path / "deep/er/model.safetensors"
    assert placed.stat().st_ino == blob.stat().st_ino or placed.stat().st_nlink == 1


def test_a_tree_can_be_looked_into_before_it_has_its_name(shelf: Shelf, trees: CacheTrees) -> None:
    staged = trees.stage(REFERENCE, MANIFEST.digest, "", shelf.layout(FILES), Counter())
    assert {str(path): size for path, size in staged.sizes().items()} == {
        name: len(content) for name, content in FILES.items()
    }
    assert staged.read(RelPath.parse("deep/er/model.safetensors"), 3) == b"www"
    assert not final(shelf).exists()
    staged.discard()
    assert incomplete(shelf) == []
    assert not final(shelf).exists()


def test_each_selection_has_its_tree(shelf: Shelf, trees: CacheTrees) -> None:
    whole, part = build(shelf), build(shelf, {"config.json": b"{}"}, "ab12")
    assert whole.path != part.path
    assert trees.find(REFERENCE, MANIFEST.digest, "ab12") == part
    assert trees.find(REFERENCE, MANIFEST.digest, "") == whole


def test_a_hit_stamps_the_use_and_writes_nothing_else(shelf: Shelf, trees: CacheTrees) -> None:
    build(shelf)
    os.utime(used(shelf), (1000, 1000))
    before = snapshot(shelf.root)
    assert trees.find(REFERENCE, MANIFEST.digest, "")
    after = snapshot(shelf.root)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {str(used(shelf).relative_to(shelf.root))}
    assert time.time() - used(shelf).stat().st_mtime < 60


def test_a_stamp_that_is_gone_is_made_again(shelf: Shelf, trees: CacheTrees) -> None:
    build(shelf)
    used(shelf).unlink()
    assert trees.find(REFERENCE, MANIFEST.digest, "")
    assert used(shelf).exists()


def test_a_hit_works_where_nothing_can_be_written(open_path: Path) -> None:
    shelf = Shelf(open_path)
    tree = build(shelf)
    used(shelf).unlink()
    directories = [path for path in (open_path, *open_path.rglob("*")) if path.is_dir()]
    for path in directories:
        path.chmod(0o555)
    try:
        with without_privileges():
            assert trees_of(shelf).find(REFERENCE, MANIFEST.digest, "") == tree
    finally:
        for path in directories:
            path.chmod(0o755)


@pytest.mark.parametrize("damage", ["file", "size", "receipt", "garbage"])
def test_a_damaged_tree_is_not_found_and_makes_room(
    shelf: Shelf, trees: CacheTrees, damage: str
) -> None:
    path = build(shelf).path
    target = path / (
        ".oci-pull/receipt.json" if damage in ("receipt", "garbage") else "config.json"
    )
    target.unlink()
    if damage in ("size", "garbage"):
        target.write_bytes(b"damaged")
    assert trees.find(REFERENCE, MANIFEST.digest, "") is None
    tree = build(shelf)
    assert contents_below(tree.path) == FILES
    assert trees.find(REFERENCE, MANIFEST.digest, "") == tree
    assert incomplete(shelf) == []


def test_of_two_who_publish_the_second_finds_it_there(shelf: Shelf, trees: CacheTrees) -> None:
    layout = shelf.layout(FILES)
    first, second = (
        trees.stage(REFERENCE, MANIFEST.digest, "", layout, Counter()) for _ in range(2)
    )
    published(first, receipt_of(layout, MANIFEST))
    before = snapshot(final(shelf))
    published(second, receipt_of(layout, MANIFEST))
    assert snapshot(final(shelf)) == before
    assert incomplete(shelf) == []


def test_a_tree_of_another_manifest_under_the_same_name_is_not_taken_for_it(
    shelf: Shelf, trees: CacheTrees
) -> None:
    """Twelve hexadecimal digits of two manifests can be made to be the same."""
    layout = shelf.layout({"config.json": b'{"evil": 1}'})
    twin = replace(MANIFEST, digest=Digest("sha256", MANIFEST.digest.short + "0" * 52))
    published(trees.stage(REFERENCE, twin.digest, "", layout, Counter()), receipt_of(layout, twin))
    assert trees.find(REFERENCE, MANIFEST.digest, "") is None
    tree = build(shelf)
    assert contents_below(tree.path) == FILES
    assert trees.find(REFERENCE, MANIFEST.digest, "") == tree
    assert trees.find(REFERENCE, twin.digest, "") is None


def test_a_blob_that_vanished_is_told_and_leaves_nothing(shelf: Shelf, trees: CacheTrees) -> None:
    layout = shelf.layout(FILES)
    shelf.store.drop(blob_of(WEIGHTS))
    with pytest.raises(Vanished, match=r"model\.safetensors"):
        trees.stage(REFERENCE, MANIFEST.digest, "", layout, Counter())
    assert incomplete(shelf) == []


def test_an_archive_that_vanished_is_told(shelf: Shelf, trees: CacheTrees) -> None:
    origin = FromArchive(blob_of(b"archive"))
    file = TreeFile(RelPath.parse("a"), 1, Digest.of(b"1"), origin)
    with pytest.raises(Vanished):
        trees.stage(REFERENCE, MANIFEST.digest, "", Layout((file,)), Counter())
    member = shelf.layers.path(origin.archive, file.digest)
    member.parent.mkdir(parents=True)
    member.write_bytes(b"1")
    staged = trees.stage(REFERENCE, MANIFEST.digest, "", Layout((file,)), Counter())
    assert staged.read(file.path, 10) == b"1"


def test_what_killed_runs_left_is_swept(shelf: Shelf, trees: CacheTrees) -> None:
    dead = Owner(this_host(), 2**22 + 1, 5, "ab")
    for name in (f"tree-{dead}", f"tree-{dead}.old", f"layer-{dead}"):
        (shelf.cache.incomplete / name).mkdir(parents=True)
    trees.sweep()
    assert incomplete(shelf) == []


def test_a_full_disk_leaves_nothing(shelf: Shelf, trees: CacheTrees) -> None:
    layout = shelf.layout(FILES)
    staged = trees.stage(REFERENCE, MANIFEST.digest, "", layout, Counter())
    with no_file_beyond(100), pytest.raises(NoSpace):
        published(staged, receipt_of(layout, MANIFEST))
    assert not final(shelf).exists()
    assert incomplete(shelf) == []


def test_what_is_in_the_way_is_told(shelf: Shelf, trees: CacheTrees) -> None:
    layout = shelf.layout(FILES)
    final(shelf).parent.parent.mkdir(parents=True)
    final(shelf).parent.touch()
    staged = trees.stage(REFERENCE, MANIFEST.digest, "", layout, Counter())
    with pytest.raises(DiskError):
        published(staged, receipt_of(layout, MANIFEST))
    assert incomplete(shelf) == []


def test_a_place_that_may_not_be_written_is_told_with_its_reason(open_path: Path) -> None:
    shelf = Shelf(open_path)
    layout = shelf.layout(FILES)
    final(shelf).parent.mkdir(parents=True)
    shelf.cache.incomplete.mkdir()
    shelf.cache.incomplete.chmod(0o777)
    final(shelf).parent.chmod(0o555)
    with without_privileges():
        staged = trees_of(shelf).stage(REFERENCE, MANIFEST.digest, "", layout, Counter())
        with pytest.raises(NotWritable, match="Permission denied"):
            published(staged, receipt_of(layout, MANIFEST))


def test_a_cancel_stops_the_copying(shelf: Shelf, trees: CacheTrees, elsewhere: Path) -> None:
    layout = shelf.layout(FILES)
    shelf.cache.incomplete.symlink_to(elsewhere)
    shelf.cancel.set()
    with pytest.raises(Cancelled):
        trees.stage(REFERENCE, MANIFEST.digest, "", layout, Counter())
    assert incomplete(shelf) == []

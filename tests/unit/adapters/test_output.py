"""A directory of the user's, laid out and brought up to date."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from oci_pull.adapters.cache.owner import Owner, this_host
from oci_pull.adapters.output import OutputDirectory
from oci_pull.errors import Cancelled, NoSpace, NotWritable, OciPullError, TargetNotUsable
from oci_pull.events import Counter, Warned
from oci_pull.oci.descriptor import Descriptor
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.receipt import Receipt
from oci_pull.ports import StagedTree, Tree
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

V1 = {"config.json": b"{}", "a/tokenizer.json": b"[]", "a/model.safetensors": WEIGHTS}
V2 = {"config.json": b'{"v": 2}', "vocab.txt": b"a b", "a/model.safetensors": WEIGHTS + b"2"}


class Target:
    """An output directory, and what a pull does with it."""

    def __init__(self, shelf: Shelf, path: Path) -> None:
        self.shelf = shelf
        self.path = path
        self.output = OutputDirectory(path, shelf.contents, shelf.observer, shelf.cancel)

    def find(self, files: Mapping[str, bytes], selection: str = "") -> Tree | None:
        return self.output.find(REFERENCE, manifest_of(files).digest, selection)

    def stage(self, files: Mapping[str, bytes]) -> StagedTree:
        layout = self.shelf.layout(files)
        return self.output.stage(REFERENCE, manifest_of(files).digest, "", layout, Counter())

    def fill(self, files: Mapping[str, bytes], selection: str = "") -> Tree:
        self.output.check()
        if found := self.find(files, selection):
            return found
        self.output.sweep()
        receipt = receipt_of(self.shelf.layout(files), manifest_of(files), selection=selection)
        return published(self.stage(files), receipt)

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.shelf.observer.of(Warned)]

    def edit(self, name: str, content: bytes) -> None:
        path = self.path / name
        path.unlink()
        path.write_bytes(content)

    @property
    def ours(self) -> set[str]:
        """What of ours is there beside the model."""
        return {name for name in names_below(self.path) if name.startswith(".oci-pull/")}


def manifest_of(files: Mapping[str, bytes]) -> Descriptor:
    return blob_of(b"".join(name.encode() + files[name] for name in sorted(files)))


@pytest.fixture
def target(shelf: Shelf, tmp_path: Path) -> Target:
    return Target(shelf, tmp_path / "out" / "model")


# --- filling


def test_a_new_directory_is_filled(target: Target) -> None:
    tree = target.fill(V1)
    assert tree.path == target.path
    assert contents_below(target.path) == V1
    assert target.ours == {".oci-pull/receipt.json"}
    receipt = Receipt.from_json((target.path / ".oci-pull/receipt.json").read_bytes())
    assert receipt == tree.receipt
    assert {str(file.path): file.is_linked for file in receipt.files} == {
        "config.json": False,
        "a/tokenizer.json": False,
        "a/model.safetensors": True,
    }


def test_small_files_are_copies_and_weights_are_links(target: Target) -> None:
    target.fill(V1)
    config, weights = target.path / "config.json", target.path / "a/model.safetensors"
    assert (mode_of(config), mode_of(weights)) == (0o644, 0o444)
    assert config.stat().st_nlink == 1
    assert weights.stat().st_nlink == 2 or weights.stat().st_blocks == 0


def test_everybody_can_read_what_a_careful_user_pulled(target: Target) -> None:
    before = os.umask(0o077)
    try:
        target.fill(V1)
    finally:
        os.umask(before)
    for path in (target.path, *target.path.rglob("*")):
        assert mode_of(path) & 0o444 == 0o444, path
        assert path.is_file() or mode_of(path) == 0o755, path


def test_the_mode_of_a_directory_that_was_there_is_its_users(target: Target) -> None:
    target.path.mkdir(parents=True)
    target.path.chmod(0o700)
    target.fill(V1)
    assert mode_of(target.path) == 0o700


def test_config_json_comes_last(target: Target) -> None:
    """A file in its way stops it; everything else is there already."""
    target.path.mkdir(parents=True)
    (target.path / "config.json").mkdir()
    (target.path / "config.json" / "in the way").touch()
    (target.path / ".oci-pull").mkdir()
    with pytest.raises(OciPullError):
        target.fill(V1)
    assert {"a/tokenizer.json", "a/model.safetensors"} <= names_below(target.path)
    assert target.ours == set()


def test_a_tree_can_be_looked_into_before_it_is_there(target: Target) -> None:
    target.fill(V1)
    files = V1 | {"config.json": b'{"new": 1}'}
    staged = target.stage(files)
    assert staged.sizes()[RelPath.parse("config.json")] == 10
    assert staged.read(RelPath.parse("config.json"), 6) == b'{"new"'
    # What stays as it is, is read where it is.
    assert staged.read(RelPath.parse("a/tokenizer.json"), 10) == b"[]"
    staged.discard()
    assert contents_below(target.path) == V1


# --- again


def test_the_same_again_changes_nothing(target: Target) -> None:
    target.fill(V1)
    before = {path: path.stat().st_mtime_ns for path in target.path.rglob("*")}
    assert target.find(V1)
    target.fill(V1)
    assert {path: path.stat().st_mtime_ns for path in target.path.rglob("*")} == before
    assert target.warnings == []


def test_another_manifest_or_selection_is_not_found(target: Target) -> None:
    target.fill(V1)
    assert target.find(V2) is None
    assert target.find(V1, "ab12") is None


def test_a_new_version_replaces_the_old_one_and_keeps_foreign_files(target: Target) -> None:
    target.fill(V1)
    foreign = {"notes.txt": b"mine", "a/b/adapter.safetensors": b"mine too"}
    for name, content in foreign.items():
        (target.path / name).parent.mkdir(exist_ok=True)
        (target.path / name).write_bytes(content)
    target.fill(V2)
    assert contents_below(target.path) == V2 | foreign
    target.fill({"config.json": b"3"})
    assert contents_below(target.path) == {"config.json": b"3"} | foreign
    assert target.warnings == []


def test_directories_that_a_new_version_empties_go(target: Target) -> None:
    target.fill({"config.json": b"1", "x/y/z.json": b"1"})
    target.fill({"config.json": b"2"})
    assert not (target.path / "x").exists()


def test_files_that_stay_are_not_written_again(target: Target) -> None:
    target.fill(V1)
    before = {name: (target.path / name).stat().st_ino for name in V1}
    target.fill(V1 | {"config.json": b"other"})
    after = {name: (target.path / name).stat().st_ino for name in V1}
    assert {name for name in V1 if before[name] != after[name]} == {"config.json"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"tokenizer": b"1"}, {"tokenizer/vocab.json": b"2"}),
        ({"tokenizer/vocab.json": b"1", "tokenizer/deep/x": b"1"}, {"tokenizer": b"2"}),
        ({"a/b": WEIGHTS}, {"a/b/c": b"2", "a/d": WEIGHTS + b"2"}),
    ],
)
def test_a_file_may_become_a_directory_and_back(
    target: Target, old: dict[str, bytes], new: dict[str, bytes]
) -> None:
    target.fill(old)
    target.fill(new)
    assert contents_below(target.path) == new
    target.fill(old)
    assert contents_below(target.path) == old


def test_a_directory_that_its_user_removed_is_no_trouble(target: Target) -> None:
    target.fill({"config.json": b"1", "onnx/deep/model.json": b"1"})
    (target.path / "onnx/deep/model.json").unlink()
    (target.path / "onnx/deep").rmdir()
    (target.path / "onnx").rmdir()
    target.fill({"config.json": b"2"})
    assert contents_below(target.path) == {"config.json": b"2"}


# --- edits and damage


def test_an_edit_of_a_small_file_survives_the_same_version(target: Target) -> None:
    target.fill(V1)
    target.edit("config.json", b'{"edited": true}')
    for times in (1, 2):
        target.fill(V1)
        assert (target.path / "config.json").read_bytes() == b'{"edited": true}'
        assert target.warnings == ["config.json was edited since it was laid out; it is kept"] * (
            times
        )


def test_an_edit_survives_a_version_that_leaves_the_file_as_it_was(target: Target) -> None:
    target.fill(V1)
    target.edit("config.json", b"edited")
    target.fill(V1 | {"vocab.txt": b"new"})
    assert (target.path / "config.json").read_bytes() == b"edited"


def test_an_edited_file_is_set_aside_when_it_changes(target: Target) -> None:
    target.fill(V1)
    target.edit("config.json", b"edited")
    target.fill(V2)
    assert contents_below(target.path) == V2
    aside = target.path / ".oci-pull/edited/config.json"
    assert aside.read_bytes() == b"edited"
    assert target.warnings == [f"config.json was edited and is replaced; your version is {aside}"]


def test_an_edited_file_is_set_aside_when_it_goes(target: Target) -> None:
    target.fill(V1)
    target.edit("a/tokenizer.json", b"edited")
    target.fill(V2)
    assert contents_below(target.path) == V2
    assert (target.path / ".oci-pull/edited/a/tokenizer.json").read_bytes() == b"edited"
    assert "no longer part of the model" in target.warnings[0]


def test_a_deleted_file_is_restored(target: Target) -> None:
    target.fill(V1)
    (target.path / "config.json").unlink()
    (target.path / "a/model.safetensors").unlink()
    target.fill(V1)
    assert contents_below(target.path) == V1
    assert target.warnings == []


def test_damaged_weights_are_restored(target: Target) -> None:
    target.fill(V1)
    target.edit("a/model.safetensors", b"short")
    assert target.find(V1) is None
    target.fill(V1)
    assert contents_below(target.path) == V1


def test_a_receipt_that_is_gone_is_no_tree(target: Target) -> None:
    target.fill(V1)
    (target.path / ".oci-pull/receipt.json").write_text("garbage")
    assert target.find(V1) is None
    target.fill(V1)
    assert contents_below(target.path) == V1
    assert target.warnings == []
    assert target.find(V1)


# --- targets


def test_a_file_is_no_target(target: Target) -> None:
    target.path.parent.mkdir(parents=True)
    target.path.touch()
    with pytest.raises(TargetNotUsable, match="is a file"):
        target.output.check()


def test_a_foreign_directory_is_no_target(target: Target) -> None:
    target.path.mkdir(parents=True)
    target.output.check()
    (target.path / "precious").touch()
    with pytest.raises(TargetNotUsable, match="not empty") as caught:
        target.output.check()
    assert f"-o {target.path / 'model'}" in str(caught.value.hint)


def test_a_name_that_cannot_be_is_told(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(OciPullError, match="name too long"):
        Target(shelf, tmp_path / ("x" * 300)).output.check()


def test_a_target_that_may_not_be_looked_into_is_told(shelf: Shelf, open_path: Path) -> None:
    closed = open_path / "closed"
    (closed / "model").mkdir(parents=True)
    closed.chmod(0o000)
    try:
        with without_privileges(), pytest.raises(NotWritable):
            Target(shelf, closed / "model").output.check()
    finally:
        closed.chmod(0o755)


def test_a_target_that_cannot_be_written_is_told(shelf: Shelf) -> None:
    with pytest.raises(NotWritable):
        Target(shelf, Path("/sys/model")).fill(V1)


# --- runs that ended


def test_what_a_killed_run_began_is_gone_on_with(target: Target) -> None:
    """It had moved some files, was about to move others, and had written no receipt."""
    dead = Owner(this_host(), 2**22 + 1, 5, "ab")
    staging = target.path / ".oci-pull"
    (staging / f"new-{dead}").mkdir(parents=True)
    (staging / f"new-{dead}" / "config.json").write_bytes(b"half")
    (target.path / "a").mkdir()
    (target.path / "a/tokenizer.json").write_bytes(V1["a/tokenizer.json"])
    target.fill(V1)
    assert contents_below(target.path) == V1
    assert target.ours == {".oci-pull/receipt.json"}
    assert target.warnings == []


def test_an_update_that_was_killed_is_gone_on_with(target: Target) -> None:
    target.fill(V1)
    target.edit("config.json", V2["config.json"])
    target.fill(V2)
    assert contents_below(target.path) == V2
    assert target.warnings == []


def test_what_others_are_building_is_left_alone(target: Target) -> None:
    target.fill(V1)
    alive = [f"new-{Owner.new()}", "new-nas+00000000-7-1-ab", "new-thing", "other"]
    for name in alive:
        (target.path / ".oci-pull" / name).mkdir()
    target.fill(V2)
    left = {path.name for path in (target.path / ".oci-pull").iterdir()}
    assert left == {*alive, "receipt.json"}


def test_a_failure_while_staging_leaves_the_old_version(target: Target) -> None:
    target.fill(V1)
    target.shelf.layout(V2)
    with no_file_beyond(1), pytest.raises(NoSpace):
        target.stage(V2)
    assert contents_below(target.path) == V1
    assert target.ours == {".oci-pull/receipt.json"}


def test_a_cancel_while_staging_leaves_the_old_version(target: Target) -> None:
    target.fill(V1)
    target.shelf.cancel.set()
    with pytest.raises(Cancelled):
        target.stage(V2)
    assert contents_below(target.path) == V1


def test_a_new_volume_of_ext4_counts_as_empty(target: Target) -> None:
    (target.path / "lost+found").mkdir(parents=True)
    target.fill(V1)
    assert (target.path / "lost+found").is_dir()


def test_a_second_edit_is_set_aside_beside_the_first(target: Target) -> None:
    for edit, files in ((b"first", V1), (b"second", V2)):
        target.fill(files)
        (target.path / "config.json").write_bytes(edit)
    target.fill({**V1, "config.json": b'{"v": 3}'})
    (target.path / "config.json").write_bytes(b"third")
    target.fill(V2)
    aside = target.path / ".oci-pull" / "edited"
    assert {path.read_bytes() for path in aside.iterdir()} == {b"first", b"second", b"third"}


def test_beside_the_cache_only_small_files_are_added(shelf: Shelf, tmp_path: Path) -> None:
    target = Target(shelf, tmp_path / "out" / "model")
    layout = shelf.layout(V1)
    small = len(V1["config.json"]) + len(V1["a/tokenizer.json"])
    assert target.output.added(layout, unpacked=10**9) == small


def test_on_another_file_system_everything_that_changes_is_added(
    shelf: Shelf, elsewhere: Path
) -> None:
    target = Target(shelf, elsewhere / "model")
    small = len(V1["config.json"]) + len(V1["a/tokenizer.json"])
    weights = len(WEIGHTS)
    assert target.output.added(shelf.layout(V1), unpacked=7) == small + weights + 7
    target.fill(V1)
    assert target.output.added(shelf.layout(V1), unpacked=0) == small
    (target.path / "a" / "model.safetensors").unlink()
    assert target.output.added(shelf.layout(V1), unpacked=0) == small + weights

"""`--no-cache`: one copy, in the directory of `-o`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_tree
from tests.e2e.models import MIB, archive_layer, model, pack_around, put, raw_layer
from tests.fakes.registry import BlobFaults

if TYPE_CHECKING:
    from pathlib import Path

    from tests.content import Content
    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_FILES: dict[str, Content] = model(4 * MIB)


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(registry, builders.docker_v02(_FILES))


def _on_disk(directory: Path) -> int:
    """As `du` counts: each inode once."""
    found = {path.lstat().st_ino: path.lstat() for path in directory.rglob("*")}
    return sum(each.st_blocks for each in found.values()) * 512


def test_one_copy_is_left_and_nothing_elsewhere(
    oci_pull: Command, reference: str, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    alone = oci_pull.with_env(HOME="")
    assert alone("--no-cache", "-o", str(out), reference).path == out
    assert_tree(out, _FILES)
    assert (out / "model.safetensors").stat().st_nlink == 1
    assert _on_disk(out) < 5 * MIB
    assert not oci_pull.cache.exists()
    again = alone("--no-cache", "-o", str(out), "--format", "json", reference).json
    assert again["unchanged"] is True
    assert_tree(out, _FILES)


def test_archives_leave_one_copy_as_well(
    registry: FakeRegistry, oci_pull: Command, tmp_path: Path
) -> None:
    packed: dict[str, Content] = {"packed.bin.json": os.urandom(4 * MIB)}
    other = put(registry, pack_around(archive_layer(packed, form="tar+gzip")))
    out = oci_pull("--no-cache", "-o", str(tmp_path / "model"), other).path
    assert_tree(out, {**model(), **packed})
    assert _on_disk(out) < 5 * MIB


def test_what_was_fetched_is_kept_there_until_it_is_whole(
    registry: FakeRegistry, oci_pull: Command, tmp_path: Path
) -> None:
    reference = put(registry, pack_around(raw_layer("big.json", os.urandom(8 * MIB))))
    words = ("--no-cache", "-j", "1", "--retries", "0", "-o", str(tmp_path / "model"), reference)
    registry.blob_faults = BlobFaults(cut_after=3 * MIB)
    oci_pull(*words).must_fail(5)
    registry.blob_faults = BlobFaults()
    found = oci_pull(*words, "--format", "json").must_succeed().json
    assert 0 < found["fetched"] < 7 * MIB
    assert {path.name for path in (tmp_path / "model/.oci-pull").iterdir()} == {"receipt.json"}


def test_a_new_version_replaces_the_old_one(
    registry: FakeRegistry, oci_pull: Command, reference: str, tmp_path: Path
) -> None:
    words = ("--no-cache", "-o", str(tmp_path / "model"))
    oci_pull(*words, reference).must_succeed()
    files = model(4 * MIB, seed=1)
    put(registry, builders.docker_v02(files))
    assert_tree(oci_pull(*words, reference).path, files)


def test_what_a_new_version_has_in_common_with_the_old_one_is_not_fetched_again(
    registry: FakeRegistry, oci_pull: Command, tmp_path: Path
) -> None:
    kept, moved = os.urandom(12 * MIB), os.urandom(4 * MIB)
    words = ("--no-cache", "-o", str(tmp_path / "model"), "--format", "json")

    def version(number: int, name: str) -> dict[str, Content]:
        own = {"own.json": os.urandom(2 * MIB), "small.json": b"%d" % number}
        return {**model(), "kept.json": kept, name: moved, **own}

    first, second = version(1, "moved.json"), version(2, "elsewhere/moved.json")
    reference = put(registry, builders.docker_v02(first))
    oci_pull(*words, reference).must_succeed()
    inode = (tmp_path / "model/kept.json").stat().st_ino
    put(registry, builders.docker_v02(second))
    run = oci_pull(*words, "--progress", "plain", reference).must_succeed()
    assert 2 * MIB < run.json["fetched"] < 3 * MIB
    assert "checking kept.json" in run.stderr
    assert_tree(tmp_path / "model", second)
    assert (tmp_path / "model/kept.json").stat().st_ino == inode
    assert _on_disk(tmp_path / "model") < 20 * MIB


def test_what_was_changed_meanwhile_is_fetched_again(
    registry: FakeRegistry, oci_pull: Command, tmp_path: Path
) -> None:
    weights: dict[str, Content] = {"big.json": os.urandom(4 * MIB)}
    words = ("--no-cache", "-o", str(tmp_path / "model"))
    reference = put(registry, builders.docker_v02({**model(), **weights}))
    oci_pull(*words, reference).must_succeed()
    changed = tmp_path / "model/big.json"
    changed.chmod(0o644)
    with changed.open("r+b") as file:
        file.write(b"changed")
    again = {**model(seed=1), **weights}
    put(registry, builders.docker_v02(again))
    assert_tree(oci_pull(*words, reference).path, again)


@pytest.mark.parametrize("words", [(), ("--layout", "hf")])
def test_it_is_for_a_directory_of_ones_own(
    oci_pull: Command, reference: str, words: tuple[str, ...]
) -> None:
    assert "-o DIR" in oci_pull("--no-cache", *words, reference).must_fail(2).stderr


def test_several_that_fill_one_directory_fetch_once_and_leave_one_copy(
    registry: FakeRegistry, oci_pull: Command, tmp_path: Path
) -> None:
    """Replicas whose init containers share a volume: the first one is done, the others are not."""
    packed: dict[str, Content] = {"packed.json": b"[1]" * (2 * MIB)}
    raw = raw_layer("raw.json", b"[2]" * MIB)
    shared = put(registry, pack_around(raw, archive_layer(packed, form="tar")))
    words = ("--no-cache", "-o", tmp_path / "model", "--progress", "plain")
    with (
        oci_pull.start(*words, "--limit-rate", "4M", shared) as first,
        oci_pull.start(*words, shared) as second,
        oci_pull.start(*words, shared) as third,
    ):
        for each in (first, second, third):
            each.wait().must_succeed()
    assert_tree(tmp_path / "model", {**model(), "raw.json": b"[2]" * MIB, **packed})
    served = [each for each in registry.find("GET", "blob") if each.status in (200, 206)]
    assert len(served) == len({each.path for each in served}), "nothing was asked for twice"

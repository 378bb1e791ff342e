"""Damage done to a cache by hand and by fate: found, never served, and mended."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.disk import assert_sound, assert_tree
from tests.e2e.models import MIB, archive_layer, model, pack_around, put, raw_layer
from tests.fakes.registry import BlobFaults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.content import Content
    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_BIG = bytes(range(256)) * (MIB // 256)
_PACKED: dict[str, Content] = {"a.json": b"[1]" * 1000, "b.json": b"[2]" * 1000}
_FILES: dict[str, Content] = {**model(), "big.json": _BIG, **_PACKED}


def _truncate(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size // 2)


def _flip(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))


def _blob(cache: Path) -> Path:
    """Of the largest file."""
    return next(
        path
        for path in (cache / "blobs").rglob("*")
        if path.is_file() and path.stat().st_size == MIB
    )


def _layer(cache: Path) -> Path:
    (found,) = (cache / "layers").iterdir()
    return found


def _ref(cache: Path) -> Path:
    (found,) = (cache / "refs").rglob("*@v1")
    return found


def _receipt(tree: Path) -> Path:
    return tree / ".oci-pull" / "receipt.json"


def _garbage(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"\0garbage")


def _foreign_file(tree: Path) -> None:
    shutil.rmtree(tree)
    tree.write_text("mine")


def _edited(cache: Path) -> None:
    index = json.loads((cache / "index.json").read_bytes())
    index["manifests"].append(index["manifests"][0] | {"annotations": {"edited": "yes"}})
    (cache / "index.json").write_text(json.dumps(index))


_HARM: dict[str, tuple[Callable[[Path, Path], object], str, bool]] = {
    # What is done, what is found damaged, and whether an ordinary pull notices on its own.
    "a truncated blob": (lambda cache, _: _truncate(_blob(cache)), "blob", True),
    "a flipped bit": (lambda cache, _: _flip(_blob(cache)), "blob", False),
    "a missing blob": (lambda cache, _: _blob(cache).unlink(), "index", True),
    "a missing file of a tree": (lambda _, tree: (tree / "big.json").unlink(), "tree", True),
    "an edited file of a tree": (lambda _, tree: _flip(tree / "a.json"), "layer", False),
    "a tree half deleted": (lambda _, tree: shutil.rmtree(tree / ".oci-pull"), "tree", True),
    "a garbage receipt": (lambda _, tree: _garbage(_receipt(tree)), "tree", True),
    "an empty receipt": (lambda _, tree: os.truncate(_receipt(tree), 0), "tree", True),
    "a garbage reference": (lambda cache, _: _garbage(_ref(cache)), "reference", True),
    "a list of members that is none": (
        lambda cache, _: _garbage(_layer(cache) / "members.json"),
        "layer",
        True,
    ),
    "a member that is gone": (
        lambda cache, _: next((_layer(cache) / "files").iterdir()).unlink(),
        "layer",
        True,
    ),
    "a foreign file in the way of a tree": (lambda _, tree: _foreign_file(tree), "tree", True),
    "an edited index": (lambda cache, _: _edited(cache), "index", True),
}


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(
        registry,
        pack_around(raw_layer("big.json", _BIG), archive_layer(_PACKED, form="tar+gzip")),
    )


def _fetched(registry: FakeRegistry) -> int:
    return sum(1 for each in registry.requests if each.kind == "blob")


@pytest.mark.parametrize("name", _HARM)
def test_damage_is_found_and_mended_with_the_least_download(
    registry: FakeRegistry, oci_pull: Command, reference: str, name: str
) -> None:
    harm, part, _ = _HARM[name]
    tree = oci_pull(reference).path
    oci_pull("cache", "verify").must_succeed()
    harm(oci_pull.cache, tree)
    run = oci_pull("cache", "verify", "--format", "json")
    assert run.code == 8, run
    found = json.loads(run.stdout.splitlines()[0])
    assert part in {each["part"] for each in found["damage"]}
    before = _fetched(registry)
    oci_pull("cache", "verify", "--repair").must_succeed()
    assert _fetched(registry) - before <= 1
    oci_pull("cache", "verify").must_succeed()
    assert_sound(oci_pull.cache)
    path = oci_pull(reference).path
    assert path == tree
    assert_tree(path, _FILES)


@pytest.mark.parametrize("name", [name for name, (_, _, is_noticed) in _HARM.items() if is_noticed])
def test_a_pull_never_serves_damage_that_a_look_shows(
    oci_pull: Command, reference: str, name: str
) -> None:
    harm, _, _ = _HARM[name]
    tree = oci_pull(reference).path
    harm(oci_pull.cache, tree)
    run = oci_pull(reference)
    assert "Traceback" not in run.stderr
    assert_tree(run.path, _FILES)


def test_what_cannot_be_fetched_is_told(
    registry: FakeRegistry, oci_pull: Command, reference: str
) -> None:
    oci_pull(reference).must_succeed()
    _flip(_blob(oci_pull.cache))
    run = oci_pull("cache", "verify", "--repair", "--offline").must_fail(8)
    assert reference.rpartition(":")[0] in run.stdout
    # What was wrong is not served; a pull brings it.
    assert_sound(oci_pull.cache)
    assert_tree(oci_pull(reference).path, _FILES)


def test_one_model_alone_can_be_verified(
    registry: FakeRegistry, oci_pull: Command, reference: str
) -> None:
    other = put(registry, pack_around(raw_layer("x.json", b"[3]")), repository="team/other")
    oci_pull(reference).must_succeed()
    oci_pull(other).must_succeed()
    _flip(_blob(oci_pull.cache))
    oci_pull("cache", "verify", other).must_succeed()
    oci_pull("cache", "verify", reference).must_fail(8)
    oci_pull("cache", "verify", "ghcr.io/no/such").must_fail(3)


def test_a_clock_that_jumped_harms_nothing(oci_pull: Command, reference: str) -> None:
    tree = oci_pull(reference).path
    future = time.time() + 400 * 86400
    for path in (oci_pull.cache, *oci_pull.cache.rglob("*")):
        os.utime(path, (future, future))
    oci_pull("cache", "verify").must_succeed()
    oci_pull("cache", "prune", "-y", "--older-than", "1d").must_succeed()
    assert oci_pull("--offline", reference).path == tree
    assert "0 s ago" in oci_pull("cache", "ls").stdout


def test_a_directory_that_cannot_be_read_is_not_taken_for_right(
    oci_pull: Command, reference: str
) -> None:
    oci_pull(reference).must_succeed()
    shutil.rmtree(oci_pull.cache / "refs")
    (oci_pull.cache / "refs").write_text("a file")
    run = oci_pull("cache", "verify", "--repair").must_fail(8)
    assert "directory" in run.stdout


def test_an_unfinished_blob_whose_journal_is_garbage_is_fetched_again(
    registry: FakeRegistry, oci_pull: Command, reference: str
) -> None:
    registry.blob_faults = BlobFaults(cut_after=MIB // 2)
    oci_pull("-j", "1", "--retries", "0", reference).must_fail(5)
    registry.blob_faults = BlobFaults()
    (journal,) = (oci_pull.cache / "partial").rglob("journal")
    for name, harm in {"garbage": _garbage, "long": _prolong}.items():
        target = journal if name == "garbage" else journal.with_name("data")
        harm(target)
    run = oci_pull("cache", "verify").must_fail(8)
    assert "partial" in run.stdout
    oci_pull("cache", "verify", "--repair").must_succeed()
    assert_tree(oci_pull(reference).path, _FILES)


def _prolong(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2)

"""Offline: what is complete is proved complete, and what is not is 12, whoever is asked."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.content import digest_of
from tests.e2e.disk import assert_sound, assert_tree, snapshot
from tests.e2e.models import MIB, archive_layer, model, pack_around, put, raw_layer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.content import Content
    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

    Harm = Callable[[Path, Path], object]

_BIG = bytes(range(256)) * (MIB // 256)
_PACKED: dict[str, Content] = {"a.json": b"[1]" * 1000}
_FILES: dict[str, Content] = {**model(), "big.json": _BIG, **_PACKED}
_ARCHIVE = archive_layer(_PACKED, form="tar+gzip")


def _blob(cache: Path, content: Content) -> Path:
    return cache / "blobs" / digest_of(content).replace(":", "/")


def _member(cache: Path) -> Path:
    (found,) = (cache / "layers").glob("*/files/*")
    return found


def _gone(*paths: Path) -> None:
    for path in paths:
        path.unlink()


def _short(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size - 1)


#: What the tree loses, and is made again of what else there is.
_MENDED: dict[str, Harm] = {
    "a file": lambda _, tree: _gone(tree / "big.json"),
    "a file of an archive": lambda _, tree: _gone(tree / "a.json"),
    "its receipt": lambda _, tree: shutil.rmtree(tree / ".oci-pull"),
    "a file, also where it was unpacked": (
        lambda cache, tree: _gone(tree / "a.json", _member(cache))
    ),
    "all of it": lambda _, tree: shutil.rmtree(tree),
}
#: What is nowhere any more.
_LOST: dict[str, Harm] = {
    "a blob and its file": lambda cache, tree: _gone(tree / "big.json", _blob(cache, _BIG)),
    "the end of a blob": lambda cache, _: _short(_blob(cache, _BIG)),
    "an archive and its files": (
        lambda cache, tree: _gone(tree / "a.json", _member(cache), _blob(cache, _ARCHIVE.content))
    ),
    "what its tag is": lambda cache, _: shutil.rmtree(cache / "refs"),
    "its manifest": lambda cache, tree: _gone(
        *(path for path in (cache / "blobs/sha256").iterdir() if tree.name[-12:] in path.name)
    ),
}


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(registry, pack_around(raw_layer("big.json", _BIG), _ARCHIVE))


def _dead(oci_pull: Command, registry: FakeRegistry) -> tuple[str, ...]:
    """Options with which nobody answers."""
    registry.close()
    return ("--stale-ok", "--retries", "0", "--connect-timeout", "1s")


def test_a_blob_that_a_tree_does_without_is_not_missed(
    registry: FakeRegistry, oci_pull: Command, reference: str
) -> None:
    tree = oci_pull(reference).path
    _gone(_blob(oci_pull.cache, _BIG))
    dead = _dead(oci_pull, registry)
    for words in (("cache", "path"), ("--offline",), dead):
        assert oci_pull(*words, reference).path == tree
    assert_tree(tree, _FILES)


@pytest.mark.parametrize("harm", _MENDED.values(), ids=list(_MENDED))
@pytest.mark.parametrize("is_stale", [False, True], ids=["offline", "stale"])
def test_a_tree_that_lost_something_is_made_again_of_what_is_there(
    registry: FakeRegistry, oci_pull: Command, reference: str, harm: Harm, is_stale: bool
) -> None:
    tree = oci_pull(reference).path
    harm(oci_pull.cache, tree)
    before, asked = snapshot(oci_pull.cache), len(registry.requests)
    # It says what there is, and mends nothing.
    assert "is not complete" in oci_pull("cache", "path", reference).must_fail(12).stderr
    assert snapshot(oci_pull.cache) == before
    words = _dead(oci_pull, registry) if is_stale else ("--offline",)
    assert oci_pull(*words, reference).path == tree
    assert_tree(tree, _FILES)
    assert_sound(oci_pull.cache)
    assert len(registry.requests) == asked


@pytest.mark.parametrize("harm", _LOST.values(), ids=list(_LOST))
def test_what_is_nowhere_is_not_served(
    registry: FakeRegistry, oci_pull: Command, reference: str, harm: Harm
) -> None:
    tree = oci_pull(reference).path
    harm(oci_pull.cache, tree)
    asked = len(registry.requests)
    for words in (("cache", "path"), ("--offline",), ("--offline", "-o", "model")):
        run = oci_pull(*words, reference).must_fail(12)
        assert run.stdout == ""
    assert not (oci_pull.home / "model/config.json").exists()
    assert len(registry.requests) == asked
    # Of those that would be asked: nobody answers, which is what is wrong.
    oci_pull(*_dead(oci_pull, registry), reference).must_fail(5)

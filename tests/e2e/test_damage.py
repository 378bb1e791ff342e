"""Damage done to a cache by hand and by fate: found, never served, and mended."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from oci_pull.adapters.cache.owner import Owner, this_host
from tests.content import digest_of
from tests.e2e.disk import assert_sound, assert_tree, blob
from tests.e2e.forks import forks
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
_DEEP = b"[4]" * 1000
_FILES: dict[str, Content] = {**model(), "big.json": _BIG, "deep/er.json": _DEEP, **_PACKED}


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


def _archive(cache: Path) -> Path:
    """What the files of the layer came in."""
    return blob(cache, _layer(cache).name.replace("-", ":"))


def _ref(cache: Path) -> Path:
    (found,) = (cache / "refs").rglob("*@v1")
    return found


def _receipt(tree: Path) -> Path:
    return tree / ".oci-pull" / "receipt.json"


def _garbage(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"\0garbage")


def _edited(cache: Path) -> None:
    index = json.loads((cache / "index.json").read_bytes())
    index["manifests"].append(index["manifests"][0] | {"annotations": {"edited": "yes"}})
    (cache / "index.json").write_text(json.dumps(index))


def _named(cache: Path, kind: str) -> Path:
    """The blob that a manifest has for something, or the manifest itself."""
    (entry,) = json.loads((cache / "index.json").read_bytes())["manifests"]
    if kind == "manifest":
        return blob(cache, entry["digest"])
    manifest = json.loads(blob(cache, entry["digest"]).read_bytes())
    return blob(cache, manifest[kind]["digest"])


def _directory_in_place_of(path: Path) -> None:
    path.unlink()
    (path / "below").mkdir(parents=True)


def _file_in_place_of(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.write_text("mine")


def _half_deleted(tree: Path) -> None:
    for name in ("config.json", "big.json", "a.json"):
        (tree / name).unlink()
    shutil.rmtree(tree / "deep")


class Harm(NamedTuple):
    #: To a cache, and the tree in it.
    do: Callable[[Path, Path], object]
    #: What is found damaged.
    part: str
    #: Whether an ordinary pull notices on its own.
    is_noticed: bool = True
    #: The blobs that a repair has to fetch where the tree is linked to them; for a copy it is none.
    linked: int = 0


_HARM = {
    "a truncated blob": Harm(lambda cache, _: _truncate(_blob(cache)), "blob", linked=1),
    "a flipped bit": Harm(lambda cache, _: _flip(_blob(cache)), "blob", is_noticed=False, linked=1),
    "a missing blob": Harm(lambda cache, _: _blob(cache).unlink(), "blob"),
    "all blobs gone": Harm(lambda cache, _: shutil.rmtree(cache / "blobs"), "blob"),
    "a directory in the place of a blob": Harm(
        lambda cache, _: _directory_in_place_of(_blob(cache)), "blob"
    ),
    "a missing config": Harm(lambda cache, _: _named(cache, "config").unlink(), "blob"),
    "a missing manifest": Harm(lambda cache, _: _named(cache, "manifest").unlink(), "blob"),
    "a garbage manifest": Harm(lambda cache, _: _garbage(_named(cache, "manifest")), "blob"),
    "a missing file of a tree": Harm(lambda _, tree: (tree / "big.json").unlink(), "tree"),
    "an edited file of a tree": Harm(
        lambda _, tree: _flip(tree / "a.json"), "tree", is_noticed=False
    ),
    "a tree half deleted": Harm(lambda _, tree: _half_deleted(tree), "tree"),
    "a file in the place of a directory": Harm(
        lambda _, tree: _file_in_place_of(tree / "deep"), "tree"
    ),
    "a tree without a receipt": Harm(lambda _, tree: shutil.rmtree(tree / ".oci-pull"), "tree"),
    "a garbage receipt": Harm(lambda _, tree: _garbage(_receipt(tree)), "tree"),
    "an empty receipt": Harm(lambda _, tree: os.truncate(_receipt(tree), 0), "tree"),
    "a garbage reference": Harm(lambda cache, _: _garbage(_ref(cache)), "reference"),
    "a list of members that is none": Harm(
        lambda cache, _: _garbage(_layer(cache) / "members.json"), "layer"
    ),
    "a member that is gone": Harm(
        lambda cache, _: next((_layer(cache) / "files").iterdir()).unlink(), "layer"
    ),
    "a flipped bit in a member": Harm(
        lambda cache, _: _flip(next((_layer(cache) / "files").iterdir())),
        "layer",
        is_noticed=False,
    ),
    "a flipped bit in an archive": Harm(
        lambda cache, _: _flip(_archive(cache)), "blob", is_noticed=False
    ),
    "a foreign file in the way of a tree": Harm(lambda _, tree: _file_in_place_of(tree), "tree"),
    "an edited index": Harm(lambda cache, _: _edited(cache), "index"),
}


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(
        registry,
        pack_around(
            raw_layer("big.json", _BIG),
            raw_layer("deep/er.json", _DEEP),
            archive_layer(_PACKED, form="tar+gzip"),
        ),
    )


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
@pytest.mark.parametrize("name", _HARM)
def test_damage_is_found_and_mended_with_the_least_download(
    registry: FakeRegistry, oci_pull: Command, reference: str, name: str, mode: str
) -> None:
    harm = _HARM[name]
    user = oci_pull.with_env(OCI_PULL_LINK_MODE=mode)
    with forks(user) as run:
        tree = run(reference).path
        harm.do(user.cache, tree)
        found = run("cache", "verify", "--format", "json").must_fail(8).json
        assert harm.part in {each["part"] for each in found["damage"]}
        assert found["error"]["code"] == "damaged_cache"
        before = registry.count(kind="blob")
        run("cache", "verify", "--repair").must_succeed()
        least = harm.linked if mode == "hardlink" else 0
        assert registry.count(kind="blob") - before == least
        run("cache", "verify").must_succeed()
        assert_sound(user.cache)
        assert run(reference).path == tree
        assert_tree(tree, _FILES)
        assert registry.count(kind="blob") - before == least


def test_what_was_unpacked_and_is_gone_is_unpacked_again(oci_pull: Command, reference: str) -> None:
    tree = oci_pull(reference).path
    for path in (*(_layer(oci_pull.cache) / "files").iterdir(), tree / "a.json", tree / "b.json"):
        path.unlink()
    assert_tree(oci_pull(reference).path, _FILES)
    oci_pull("cache", "verify").must_succeed()


@pytest.mark.parametrize("name", [name for name, harm in _HARM.items() if harm.is_noticed])
def test_a_pull_never_serves_damage_that_a_look_shows(
    oci_pull: Command, reference: str, name: str
) -> None:
    with forks(oci_pull) as run:
        tree = run(reference).path
        _HARM[name].do(oci_pull.cache, tree)
        assert_tree(run(reference).path, _FILES)


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
    assert oci_pull("cache", "ls", "--format", "json").json["models"][0]["used"] < future


def test_a_directory_that_cannot_be_read_is_not_taken_for_right(
    oci_pull: Command, reference: str
) -> None:
    oci_pull(reference).must_succeed()
    shutil.rmtree(oci_pull.cache / "refs")
    (oci_pull.cache / "refs").write_text("a file")
    run = oci_pull("cache", "verify", "--repair").must_fail(8)
    assert "directory" in run.stdout


@pytest.fixture
def partial(registry: FakeRegistry, oci_pull: Command, reference: str) -> Path:
    """What an interrupted pull has left of the largest blob."""
    registry.blob_faults = BlobFaults(cut_after=MIB // 2, only=[digest_of(_BIG)])
    oci_pull("-j", "1", "--retries", "0", reference).must_fail(5)
    registry.blob_faults = BlobFaults()
    (journal,) = (oci_pull.cache / "partial").rglob("journal")
    return journal.parent


def test_an_unfinished_blob_whose_journal_is_garbage_is_fetched_again(
    oci_pull: Command, reference: str, partial: Path
) -> None:
    _garbage(partial / "journal")
    run = oci_pull("cache", "verify").must_fail(8)
    assert "partial" in run.stdout
    oci_pull("cache", "verify", "--repair").must_succeed()
    assert_tree(oci_pull(reference).path, _FILES)


@pytest.mark.parametrize("is_repaired", [True, False])
def test_an_unfinished_blob_that_is_longer_than_the_blob_keeps_what_was_fetched(
    registry: FakeRegistry, oci_pull: Command, reference: str, partial: Path, *, is_repaired: bool
) -> None:
    data = partial / "data"
    os.truncate(data, data.stat().st_size * 2)
    run = oci_pull("cache", "verify").must_fail(8)
    assert f"{partial}  {MIB} bytes longer than its blob" in run.stdout
    if is_repaired:
        oci_pull("cache", "verify", "--repair").must_succeed()
        oci_pull("cache", "verify").must_succeed()
    before = registry.bytes_served
    assert_tree(oci_pull(reference).path, _FILES)
    big = [each for each in registry.requests if each.path.endswith(digest_of(_BIG))]
    assert big[-1].headers["range"].startswith(f"bytes={MIB // 2}-")
    assert registry.bytes_served > before
    assert_sound(oci_pull.cache)
    oci_pull("cache", "verify").must_succeed()


def test_one_that_was_killed_is_looked_at_as_well(
    registry: FakeRegistry, oci_pull: Command, reference: str, partial: Path
) -> None:
    killed = partial.rename(partial.with_name(str(Owner(this_host(), 2**22 + 1, 5, "ab"))))
    oci_pull("cache", "verify").must_succeed()
    os.truncate(killed / "data", 2 * MIB)
    oci_pull("cache", "verify").must_fail(8)
    oci_pull("cache", "verify", "--repair").must_succeed()
    assert_tree(oci_pull(reference).path, _FILES)

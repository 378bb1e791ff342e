"""What a repair brings back as it was, and what it says of what it cannot bring back."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.content import IndexEntry, digest_of, index
from tests.e2e import isolation
from tests.e2e.disk import (
    RECEIPT,
    assert_sound,
    assert_tree,
    blob,
    names_of,
    partial_journals,
    snapshot,
)
from tests.e2e.models import MIB, archive_layer, model, pack_around, put, raw_layer
from tests.fakes.registry import BlobFaults

if TYPE_CHECKING:
    from pathlib import Path

    from tests.content import Content
    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_BIG = bytes(range(256)) * (MIB // 256)
_PACKED: dict[str, Content] = {"a.json": b"[1]" * 1000, "b.json": b"[2]" * 1000}
_FILES: dict[str, Content] = {**model(), "big.json": _BIG, **_PACKED}
_SELECTED = ("--include", "*.json", "--exclude", "b.*")

needs_modes = pytest.mark.skipif(
    not isolation.obeys_modes(), reason="modes do not stop this user, and there is no setpriv"
)


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(
        registry,
        pack_around(raw_layer("big.json", _BIG), archive_layer(_PACKED, form="tar+gzip")),
    )


def _spoil(path: Path) -> None:
    """A flipped bit, in every name of the file."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"!")


def _receipt(tree: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((tree / RECEIPT).read_bytes())
    return found


def _as_the_first_release_wrote_it(tree: Path) -> None:
    path = tree / RECEIPT
    receipt = _receipt(tree)
    for member in ("needs", "link", "chosen"):
        del receipt[member]
    path.chmod(0o644)
    path.write_text(json.dumps(receipt))


@pytest.mark.parametrize("lost", ["big.json", "a.json"], ids=["of a blob", "of an archive"])
def test_a_selection_comes_back_as_it_was(
    registry: FakeRegistry, oci_pull: Command, reference: str, lost: str
) -> None:
    tree = oci_pull(*_SELECTED, reference).path
    names, receipt = names_of(tree), _receipt(tree)
    assert names == {"config.json", "big.json", "a.json"}
    _spoil(tree / lost)
    oci_pull("cache", "verify").must_fail(8)
    oci_pull("cache", "verify", "--repair").must_succeed()
    assert (names_of(tree), _receipt(tree)) == (names, receipt)
    assert_sound(oci_pull.cache)
    assert oci_pull("--offline", *_SELECTED, reference).path == tree


def test_a_selection_of_the_first_release_comes_back_from_what_the_cache_has(
    oci_pull: Command, reference: str
) -> None:
    tree = oci_pull(*_SELECTED, reference).path
    _as_the_first_release_wrote_it(tree)
    receipt = _receipt(tree)
    (tree / "big.json").unlink()
    (tree / "a.json").unlink()
    oci_pull("cache", "verify", "--repair", "--offline").must_succeed()
    assert_tree(tree, {name: _FILES[name] for name in ("config.json", "big.json", "a.json")})
    assert _receipt(tree) == receipt


@pytest.mark.parametrize("harm", ["options", "receipt"])
def test_a_selection_that_nobody_remembers_is_said_to_be_pulled_again(
    oci_pull: Command, reference: str, harm: str
) -> None:
    tree = oci_pull(*_SELECTED, reference).path
    if harm == "options":
        _as_the_first_release_wrote_it(tree)
        _spoil(tree / "big.json")
    else:
        (tree / RECEIPT).unlink()
    run = oci_pull("cache", "verify", "--repair").must_fail(8)
    assert "pull it again with them" in run.stdout
    assert_sound(oci_pull.cache)
    assert oci_pull(*_SELECTED, reference).path == tree


def test_the_variant_of_an_index_comes_back_that_was_chosen(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    variants = {
        name: builders.docker_v02(model(seed=seed)) for seed, name in enumerate(("amd64", "arm64"))
    }
    entries = [
        IndexEntry(found, {"os": "linux", "architecture": name}) for name, found in variants.items()
    ]
    reference = put(registry, index(entries))
    trees = {name: oci_pull("--platform", f"linux/{name}", reference).path for name in variants}
    before = {name: _receipt(tree) for name, tree in trees.items()}
    for tree in trees.values():
        _spoil(tree / "model.safetensors")
    oci_pull("cache", "verify", "--repair").must_succeed()
    assert {name: _receipt(tree) for name, tree in trees.items()} == before
    assert_sound(oci_pull.cache)


def test_a_tag_that_moved_stays_where_it_is(registry: FakeRegistry, oci_pull: Command) -> None:
    reference = put(registry, builders.docker_v02(model()))
    old = oci_pull(reference).path
    put(registry, builders.docker_v02(model(seed=1)))
    new = oci_pull(reference).path
    _spoil(old / "model.safetensors")
    oci_pull("cache", "verify", "--repair").must_succeed()
    assert_sound(oci_pull.cache)
    assert old.is_dir()
    assert oci_pull("--offline", reference).path == new


def test_what_cannot_be_had_offline_is_told(oci_pull: Command, reference: str) -> None:
    tree = oci_pull(reference).path
    _spoil(tree / "big.json")
    run = oci_pull("cache", "verify", "--repair", "--offline", "--format", "json").must_fail(12)
    (lost,) = run.json["lost"]
    assert lost["name"] == reference
    assert "offline" in lost["reason"]
    assert run.json["error"]["code"] == "not_cached"
    # What was wrong is not served; a pull brings it.
    assert_sound(oci_pull.cache)
    assert_tree(oci_pull(reference).path, _FILES)


def test_offline_is_not_the_reason_for_other_damage(
    registry: FakeRegistry, oci_pull: Command, reference: str
) -> None:
    other = put(registry, builders.docker_v02(model(seed=1)), repository="team/other")
    tree = oci_pull(reference).path
    (oci_pull("--include", "*.json", other).path / RECEIPT).unlink()
    _spoil(tree / "big.json")
    run = oci_pull("cache", "verify", "--repair", "--offline").must_fail(8)
    assert "2 models" in run.stderr


def test_a_model_that_is_whole_is_served_while_its_config_cannot_be_had(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    reference = put(registry, builders.docker_v02(model()))
    tree = oci_pull(reference).path
    (manifest,) = json.loads((oci_pull.cache / "index.json").read_bytes())["manifests"]
    document = json.loads(blob(oci_pull.cache, manifest["digest"]).read_bytes())
    blob(oci_pull.cache, document["config"]["digest"]).unlink()
    oci_pull("cache", "verify", "--repair", "--offline").must_fail(12)
    assert oci_pull("--offline", reference).path == tree
    assert_tree(tree, model())
    oci_pull("cache", "verify", "--repair").must_succeed()
    oci_pull("cache", "verify").must_succeed()


def test_the_bytes_of_one_model_mend_another(
    registry: FakeRegistry, oci_pull: Command, reference: str
) -> None:
    other = put(registry, pack_around(raw_layer("same.json", _BIG)), repository="team/other")
    copies = oci_pull.with_env(OCI_PULL_LINK_MODE="copy")
    tree, beside = oci_pull(reference).path, copies(other).path
    _spoil(tree / "big.json")
    before = registry.count(kind="blob")
    run = oci_pull("cache", "verify", reference, "--repair").must_succeed()
    assert "put back" in run.stdout
    assert registry.count(kind="blob") == before
    assert_tree(tree, _FILES)
    assert (beside / "same.json").stat().st_nlink == 1, "a copy shares its bytes with nothing"
    oci_pull("cache", "verify").must_succeed()


def test_what_is_in_place_of_the_bytes_is_read_before_it_is_believed(
    oci_pull: Command, reference: str
) -> None:
    """Of one model alone, the others are not read; they may be damaged as well."""
    tree = oci_pull.with_env(OCI_PULL_LINK_MODE="copy")(reference).path
    whole = snapshot(tree)
    _spoil(tree / "big.json")
    (found,) = (p for p in (oci_pull.cache / "blobs/sha256").iterdir() if p.stat().st_size == MIB)
    _spoil(found)
    oci_pull("cache", "verify", "--repair").must_succeed()
    assert_sound(oci_pull.cache)
    assert snapshot(tree).keys() == whole.keys()


def test_reading_tells_how_far_it_is(oci_pull: Command, reference: str) -> None:
    oci_pull(reference).must_succeed()
    run = oci_pull("cache", "verify", "--progress", "json").must_succeed()
    (event,) = (json.loads(line) for line in run.stderr.splitlines())
    found = oci_pull("cache", "verify", "--format", "json").must_succeed().json
    assert event["event"] == "examining"
    assert (event["files"], event["size"]) == (found["files"], found["bytes"])
    assert oci_pull("cache", "verify", "--quiet").must_succeed().stderr == ""
    assert "reading" in oci_pull("cache", "verify").must_succeed().stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_reading_that_is_stopped_ends_at_once(
    oci_pull: Command, reference: str, number: signal.Signals, code: int
) -> None:
    oci_pull(reference).must_succeed()
    endless = oci_pull.cache / "blobs" / "sha256" / ("ab" * 32)
    endless.touch()
    os.truncate(endless, 1 << 42)
    with oci_pull.start("cache", "verify") as running:
        running.until(lambda: "reading" in running.stderr, "it reads")
        running.send(number)
        run = running.wait()
    assert run.code == code, run
    assert "stopped" in run.stderr


def test_every_byte_is_read_once(oci_pull: Command, reference: str) -> None:
    oci_pull(reference).must_succeed()
    stored = {
        (path.stat().st_dev, path.stat().st_ino): path.stat().st_size
        for top in ("blobs", "layers/*/files")
        for home in oci_pull.cache.glob(top)
        for path in home.rglob("*")
        if path.is_file()
    }
    found = oci_pull("cache", "verify", "--format", "json").must_succeed().json
    assert found["bytes"] == sum(stored.values())
    assert found["files"] == len(stored)


# No permission in the middle


@needs_modes
def test_a_blob_that_cannot_be_read_is_found_and_fetched_again(
    oci_pull: Command, reference: str
) -> None:
    user = replace(oci_pull, prefix=isolation.without_privileges())
    tree = user(reference).path
    (tree / "big.json").chmod(0o000)
    run = user("cache", "verify").must_fail(8)
    assert "it cannot be read: Permission denied" in run.stdout
    user("cache", "verify", "--repair").must_succeed()
    assert_tree(user(reference).path, _FILES)


@needs_modes
def test_a_cache_that_is_closed_under_a_pull_keeps_what_was_fetched(
    registry: FakeRegistry, oci_pull: Command, reference: str
) -> None:
    user = replace(oci_pull, prefix=isolation.without_privileges())
    big = digest_of(_BIG)
    registry.blob_faults = BlobFaults(stall_after=MIB // 2, only=[big])
    blobs = oci_pull.cache / "blobs" / "sha256"
    with user.start("--stall-timeout", "2s", "--format", "json", reference) as running:
        running.until(
            lambda: any(path.parts[-3] in big for path in partial_journals(oci_pull.cache)),
            "the large blob is under way",
        )
        running.until(blobs.is_dir, "blobs have a place")
        blobs.chmod(0o555)
        registry.blob_faults = BlobFaults()
        run = running.wait().must_fail(7)
    assert run.json["error"]["code"] == "not_writable"
    assert str(oci_pull.cache) in run.stderr
    blobs.chmod(0o755)
    assert_sound(oci_pull.cache)
    user("cache", "verify").must_succeed()
    assert_tree(user(reference).path, _FILES)


@needs_modes
def test_a_repair_without_permission_says_so_and_goes_on_later(
    oci_pull: Command, reference: str
) -> None:
    user = replace(oci_pull, prefix=isolation.without_privileges())
    tree = user(reference).path
    _spoil(tree / "big.json")
    blobs = oci_pull.cache / "blobs" / "sha256"
    blobs.chmod(0o555)
    run = user("cache", "verify", "--repair").must_fail(7)
    assert str(blobs) in run.stderr
    blobs.chmod(0o755)
    user("cache", "verify", "--repair").must_succeed()
    assert_tree(user(reference).path, _FILES)


# Locks and other things in the way


def test_locks_without_content_stop_nobody(oci_pull: Command, reference: str) -> None:
    tree = oci_pull(reference).path
    locks = oci_pull.cache / "locks"
    locks.mkdir(exist_ok=True)
    for name in ("warm", "pull-nobody", "tag-0123456789abcdef", "noise"):
        (locks / name).touch()
    for path in locks.iterdir():
        path.write_bytes(b"")
    shutil.rmtree(tree)
    assert oci_pull(reference).path == tree
    listed = oci_pull.home / "list"
    listed.write_text(f"{reference}\n")
    oci_pull("warm", listed).must_succeed()
    oci_pull("cache", "verify").must_succeed()
    oci_pull("cache", "prune", "-y").must_succeed()

"""Archives: unpacked while they come, killed at any point, and dropped when they are not needed."""

from __future__ import annotations

import json
import random
import signal
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Literal

import pytest

from tests.e2e import isolation
from tests.e2e.disk import assert_sound, assert_tidy, blob, blobs, bytes_kept, found_now, unfinished
from tests.e2e.models import MIB, archive_layer, pack_around, put
from tests.fakes.registry import BlobFaults, FakeRegistry

if TYPE_CHECKING:
    from tests.content import Content
    from tests.e2e.command import Command

needs_mounts = pytest.mark.skipif(
    not isolation.private_mounts(), reason="no private mount name space: run as root"
)

#: More than what stays beside its files.
_LARGE = 66 * MIB


def _members(size: int) -> dict[str, Content]:
    numbers = random.Random(size)
    return {"sub/table.json": numbers.randbytes(size - 1000), "other.json": numbers.randbytes(1000)}


def _assert_unpacked(tree: Path, members: dict[str, Content]) -> None:
    for name, content in members.items():
        assert (tree / name).read_bytes() == content


@pytest.mark.parametrize("form", ["tar", "tar+gzip", "tar+zstd"])
def test_a_killed_pull_fetches_the_rest_and_unpacks_from_the_start(
    form: Literal["tar", "tar+gzip", "tar+zstd"], registry: FakeRegistry, oci_pull: Command
) -> None:
    members = _members(24 * MIB)
    archive = archive_layer(members, form=form)
    artifact = pack_around(archive)
    reference = put(registry, artifact)
    registry.blob_faults = BlobFaults(stall_after=16 * MIB, only=[archive.digest])
    small = artifact.blobs.keys() - {archive.digest}
    with oci_pull.start(reference) as running:
        running.until(lambda: blobs(oci_pull.cache) >= small, "all that is small is here")
        running.until(lambda: unfinished(oci_pull.cache) == {archive.digest}, "the archive is not")
        running.until(lambda: bytes_kept(oci_pull.cache) > 8 * MIB, "half of it is on disk")
        running.until(lambda: _unpacked_bytes(oci_pull.cache) > 4 * MIB, "it is being unpacked")
        running.send(signal.SIGKILL)
        assert running.wait().code == -signal.SIGKILL
    assert not list((oci_pull.cache / "layers").glob("*"))
    registry.settle()
    registry.blob_faults = []

    rest = oci_pull("plan", "--format", "json", reference).json
    assert rest["resumed"] > 8 * MIB
    before = registry.bytes_served
    tree = oci_pull(reference).path
    assert registry.bytes_served - before == rest["fetch"]
    _assert_unpacked(tree, members)
    assert_tidy(oci_pull.cache)


def _unpacked_bytes(cache: Path) -> int:
    return sum(path.stat().st_size for path in found_now(cache, "incomplete/layer-*/new"))


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("size", [_LARGE, 8 * MIB])
def test_only_a_large_archive_goes_and_only_if_it_may(
    size: int, keep: bool, registry: FakeRegistry, oci_pull: Command
) -> None:
    members = _members(size)
    archive = archive_layer(members)
    reference = put(registry, pack_around(archive))
    tree = oci_pull(*(["--keep-archives"] if keep else []), reference).path
    _assert_unpacked(tree, members)
    assert blob(oci_pull.cache, archive.digest).exists() is (keep or size < _LARGE)
    assert_tidy(oci_pull.cache)


def test_an_archive_that_was_dropped_comes_back_when_it_is_to_be_kept(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    members = _members(_LARGE)
    archive = archive_layer(members)
    reference = put(registry, pack_around(archive))
    tree = oci_pull(reference).path
    kept = blob(oci_pull.cache, archive.digest)
    assert not kept.exists()
    # Nobody can be asked: the model is as good without.
    assert oci_pull("--keep-archives", "--offline", reference).path == tree
    before = registry.bytes_served
    again = oci_pull("--keep-archives", "--format", "json", reference).must_succeed().json
    assert (again["path"], again["unchanged"]) == (str(tree), False)
    assert again["fetched"] == registry.bytes_served - before == kept.stat().st_size
    _assert_unpacked(tree, members)
    assert_tidy(oci_pull.cache)
    index = json.loads((oci_pull.cache / "index.json").read_bytes())
    assert len(index["manifests"]) == 1
    before = len(registry.requests)
    assert oci_pull("--keep-archives", "--format", "json", reference).json["unchanged"]
    assert {each.kind for each in registry.requests[before:]} == {"manifest"}
    # Another selection needs no more than what is here, and keeps it.
    oci_pull("--keep-archives", "--include", "*.json", reference).must_succeed()
    assert kept.exists()


_KILLED = """
import os
import signal

_rename = os.rename

def rename(source, target, *rest, **options):
    _rename(source, target, *rest, **options)
    if "/{directory}/" in os.fspath(target):
        os.kill(os.getpid(), signal.SIGKILL)

os.rename = rename
"""


@pytest.mark.parametrize("directory", ["blobs", "layers", "models"])
def test_an_archive_that_a_killed_run_has_left_is_dropped_by_the_next(
    directory: str, registry: FakeRegistry, oci_pull: Command, tmp_path: Path
) -> None:
    """Killed right after the archive, its files or the tree got their final name."""
    members = _members(_LARGE)
    archive = archive_layer(members)
    reference = put(registry, pack_around(archive))
    (tmp_path / "sitecustomize.py").write_text(dedent(_KILLED.format(directory=directory)))
    killed = oci_pull.with_env(PYTHONPATH=str(tmp_path))
    codes = [killed(reference).code for _ in range(5)]
    # The small blobs are renamed, too; once all is there nothing is, and nothing is killed.
    assert codes[0] == -signal.SIGKILL
    assert_sound(oci_pull.cache, after_kill=True)
    before = registry.bytes_served
    tree = oci_pull(reference).path
    assert registry.bytes_served - before < MIB
    _assert_unpacked(tree, members)
    assert not blob(oci_pull.cache, archive.digest).exists()
    assert_sound(oci_pull.cache)


@needs_mounts
def test_a_disk_needs_room_for_the_archive_and_its_files_and_no_more(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    members = _members(20 * MIB)
    reference = put(registry, pack_around(archive_layer(members)))
    directory = oci_pull.home / "disk"
    with isolation.small_disk(directory, 48 * MIB) as disk:
        user = replace(oci_pull, prefix=disk.prefix).with_env(
            OCI_PULL_CACHE_DIR=str(directory / "cache")
        )
        tree = user("--no-space-check", reference).path
        _assert_unpacked(disk.seen / tree.relative_to(directory), members)

"""Where it must run: file systems and machines that lack something."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e import isolation, lookups
from tests.e2e.disk import assert_readable, assert_sound, assert_tree, digest_of
from tests.e2e.models import MIB, model, put
from tests.servers.debian import ToolUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.content import Content
    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_FILES: dict[str, Content] = model(16 * MIB)

needs_root = pytest.mark.skipif(
    not (isolation.IS_ROOT and isolation.private_mounts()), reason="run as root"
)


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(registry, builders.docker_v02(_FILES))


@needs_root
def test_a_read_only_root_without_account_home_or_current_directory(
    reference: str, oci_pull: Command
) -> None:
    """As an init container that may write to its volume and to nothing else."""
    python = isolation.python_for_everybody()
    if python is None:
        pytest.skip("no Python here that another user can run")
    program, search = python
    with isolation.public_directory() as volume:
        prefix = (*isolation.read_only_but_for(volume), *isolation.as_stranger())
        stranger = replace(oci_pull, home=volume, program=program, prefix=prefix)
        stranger = stranger.with_env(HOME="", TMPDIR="", PYTHONPATH=search)
        cache, target = volume / "cache", volume / "model"
        run = stranger("--cache-dir", cache, "-o", target, reference, cwd="/")
        assert run.path == target
        assert_tree(target, _FILES)
        warm = stranger("warm", reference, "--cache-dir", cache, cwd="/").must_succeed()
        assert Path(warm.stdout.strip()).is_relative_to(cache)
        assert stranger("cache", "path", reference, "--cache-dir", cache, cwd="/").path.is_dir()


@needs_root
def test_a_read_only_cache_gives_what_it_has_and_says_why_not_the_rest(
    registry: FakeRegistry, reference: str, oci_pull: Command
) -> None:
    tree = oci_pull(reference).path
    user = replace(oci_pull, prefix=isolation.read_only(oci_pull.cache))
    assert user(reference).path == tree
    assert user("--offline", reference).path == tree
    assert user("-o", "model", reference).path == oci_pull.home / "model"
    assert_tree(oci_pull.home / "model", _FILES)
    other = put(registry, builders.docker_v02(model(seed=1)), repository="team/other")
    for words in ((other,), ("warm", other), ("--include", "*.json", reference)):
        missed = user(*words).must_fail(7)
        assert str(oci_pull.cache) in missed.stderr
        assert "--cache-dir" in missed.stderr
    assert not any(each.kind == "blob" and "team/other" in each.path for each in registry.requests)
    # The tag has moved: what it was is not taken for what it is.
    put(registry, builders.docker_v02(model(seed=2)))
    user(reference).must_fail(7)
    assert user("--offline", reference).path == tree


@pytest.mark.parametrize("linked", [".", "blobs", "models", "partial"])
def test_directories_of_a_cache_may_be_links(
    registry: FakeRegistry, reference: str, oci_pull: Command, tmp_path: Path, linked: str
) -> None:
    there = tmp_path / "elsewhere"
    there.mkdir()
    link = oci_pull.cache / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(there)
    tree = oci_pull(reference).path
    assert tree.is_relative_to(oci_pull.cache)
    assert_tree(tree, _FILES)
    assert (tree / "model.safetensors").stat().st_nlink > 1
    assert oci_pull(reference).path == tree
    oci_pull("cache", "verify").must_succeed()
    assert len(oci_pull("cache", "ls", "--format", "json").json["models"]) == 1
    put(registry, builders.docker_v02(model(seed=1)))
    oci_pull(reference).must_succeed()
    oci_pull("cache", "prune", "-y", "--max-size", "1").must_succeed()
    assert oci_pull("cache", "df", "--format", "json").json["blobs"] == 0
    assert link.is_symlink()


def test_a_part_of_a_cache_may_be_on_another_file_system(reference: str, oci_pull: Command) -> None:
    there = Path(f"/dev/shm/oci-pull-{os.getpid()}")
    try:
        for part in ("blobs", "partial"):
            (there / part).mkdir(parents=True)
            oci_pull.cache.mkdir(parents=True, exist_ok=True)
            (oci_pull.cache / part).symlink_to(there / part)
        tree = oci_pull(reference).path
        assert_tree(tree, _FILES)
        assert json.loads((tree / ".oci-pull/receipt.json").read_bytes())["link"] == "copy"
        oci_pull("cache", "verify").must_succeed()
    finally:
        shutil.rmtree(there, ignore_errors=True)


def test_without_hard_links_there_are_copies(reference: str, oci_pull: Command) -> None:
    user = lookups.no_hard_links(oci_pull)
    tree = user(reference).path
    assert lookups.happened(user)
    assert_tree(tree, _FILES)
    link = json.loads((tree / ".oci-pull/receipt.json").read_bytes())["link"]
    assert link in ("copy", "reflink")
    assert user(reference).path == tree
    assert user("-o", "model", reference).path == oci_pull.home / "model"
    assert_tree(oci_pull.home / "model", _FILES)
    user("--link-mode", "hardlink", "-o", "other", reference).must_fail(7)
    user("cache", "verify").must_succeed()
    assert_sound(oci_pull.cache)


@pytest.fixture
def sharing(tmp_path: Path) -> Iterator[isolation.Disk]:
    if not (isolation.IS_ROOT and isolation.private_mounts()):
        pytest.skip("run as root")
    with ExitStack() as stack:
        try:
            yield stack.enter_context(isolation.sharing_disk(tmp_path / "disk"))
        except (ToolUnavailable, isolation.Unmountable) as error:
            pytest.skip(f"no btrfs can be mounted: {error}")


@pytest.mark.parametrize("mode", ["auto", "reflink", "hardlink", "symlink", "copy"])
def test_where_files_can_share_blocks_every_way_works(
    sharing: isolation.Disk, reference: str, oci_pull: Command, tmp_path: Path, mode: str
) -> None:
    disk = tmp_path / "disk"
    user = replace(oci_pull, prefix=sharing.prefix).with_env(
        OCI_PULL_CACHE_DIR=str(disk / "cache"), OCI_PULL_LINK_MODE=mode
    )
    used = _used(sharing.seen)
    for words in ((), ("-o", str(disk / "model"))):
        path = user(*words, "--format", "json", reference).must_succeed().json["path"]
        tree = sharing.seen / Path(path).relative_to(disk)
        receipt = json.loads((tree / ".oci-pull/receipt.json").read_bytes())
        assert receipt["link"] == {"auto": "reflink"}.get(mode, mode)
        weights = tree / "model.safetensors"
        if mode != "symlink":
            assert digest_of(weights) == digest_of(_FILES["model.safetensors"])
            assert_readable(tree)
        assert (weights.lstat().st_nlink > 1) == (mode == "hardlink")
    user("cache", "verify").must_succeed()
    in_cache = 2 if mode == "copy" else 1
    counted = user("cache", "df", "--format", "json").must_succeed().json["on_disk"]
    assert 16 * MIB * in_cache <= counted < 16 * MIB * (in_cache + 1)
    copies = 3 if mode == "copy" else 1
    assert 16 * MIB * copies <= _used(sharing.seen) - used < 16 * MIB * (copies + 1)
    if mode != "hardlink":
        # Those of the directory outside would stay, and be counted.
        limit = ("--max-size", "1", "--format", "json")
        freed = user("cache", "prune", "-y", *limit).must_succeed().json["freed"]
        assert 16 * MIB * in_cache <= freed < 16 * MIB * (in_cache + 1)


def _used(directory: Path) -> int:
    os.sync()
    found = os.statvfs(directory)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


# Many processes where locks say nothing


def test_a_crowd_needs_no_locks(registry: FakeRegistry, reference: str, oci_pull: Command) -> None:
    user = lookups.every_lock_is_given(oci_pull)
    runs = user.at_once(*[(reference,)] * 6)
    assert len({run.path for run in runs}) == 1
    served = [each for each in registry.find("GET", "blob") if each.status in (200, 206)]
    assert len(served) == len({(each.path, each.headers.get("range")) for each in served})
    assert_sound(oci_pull.cache)
    busy = user.at_once(*[("warm", reference)] * 3)
    assert {run.code for run in busy} <= {0, 11}
    assert 0 in {run.code for run in busy}

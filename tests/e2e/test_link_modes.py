"""How a directory has its weights."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_sound, digest_of
from tests.e2e.models import MIB, model, put

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_FILES = model(2 * MIB)


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(registry, builders.docker_v02(_FILES))


def _blobs(cache: Path) -> set[int]:
    return {path.stat().st_ino for path in (cache / "blobs").rglob("*") if path.is_file()}


@pytest.mark.parametrize("place", ["cache", "output"])
@pytest.mark.parametrize("mode", ["hardlink", "symlink", "copy"])
def test_the_weights_are_there_in_the_wanted_way(
    oci_pull: Command, reference: str, tmp_path: Path, mode: str, place: str
) -> None:
    where = ("-o", str(tmp_path / "model")) if place == "output" else ()
    run = oci_pull("--link-mode", mode, "--format", "json", *where, reference).must_succeed()
    path = tmp_path / "model" if where else next((oci_pull.cache / "models").rglob("*@*"))
    assert run.json["path"] == str(path)
    assert json.loads((path / ".oci-pull/receipt.json").read_bytes())["link"] == mode
    weights = path / "model.safetensors"
    assert digest_of(weights) == digest_of(_FILES["model.safetensors"])
    assert weights.is_symlink() == (mode == "symlink")
    assert (weights.stat().st_ino in _blobs(oci_pull.cache)) == (mode != "copy")
    small = path / "config.json"
    assert not (place == "output" and small.is_symlink())
    assert oci_pull("--format", "json", *where, reference).json["unchanged"] is True


def test_a_cache_of_symbolic_links_can_be_moved(
    oci_pull: Command, reference: str, tmp_path: Path
) -> None:
    tree = oci_pull("--link-mode", "symlink", reference).path
    moved = tmp_path / "moved"
    shutil.move(oci_pull.cache, moved)
    found = moved / tree.relative_to(oci_pull.cache)
    assert digest_of(found / "model.safetensors") == digest_of(_FILES["model.safetensors"])
    oci_pull("cache", "verify", "--cache-dir", str(moved)).must_succeed()


def test_the_first_way_that_works_is_said(oci_pull: Command, reference: str) -> None:
    run = oci_pull("-o", "model", reference).must_succeed()
    assert any(f"verified, by {way}" in run.stderr for way in ("reflink", "hardlink"))
    assert_sound(oci_pull.cache)


def test_a_way_that_the_file_system_does_not_have_is_an_error(
    oci_pull: Command, reference: str
) -> None:
    with_shm = oci_pull.with_env(OCI_PULL_CACHE_DIR=f"/dev/shm/oci-pull-{os.getpid()}")
    try:
        run = with_shm("--link-mode", "hardlink", "-o", "model", reference).must_fail(7)
        assert "--link-mode auto" in run.stderr
        copied = with_shm("-o", "model", reference).must_succeed()
        assert "on disk twice" in copied.stderr
        assert "verified, by copy" in copied.stderr
    finally:
        shutil.rmtree(f"/dev/shm/oci-pull-{os.getpid()}", ignore_errors=True)

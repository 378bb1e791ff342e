"""Caches of other releases: one that the first has left, and one of a version that is to come."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.content import digest_of
from tests.e2e import isolation
from tests.e2e.disk import assert_sound, assert_tree, names_of, snapshot
from tests.e2e.models import MIB, model, put

if TYPE_CHECKING:
    from tests.content import Content
    from tests.e2e.command import Command, Run
    from tests.fakes.registry import FakeRegistry

_PACKED = Path(__file__).parents[1] / "first_release" / "cache.tar.xz"
_HOST = "localhost:5000"
_CHAT, _BIG = f"{_HOST}/team/chat:v1", f"{_HOST}/team/big:v1"
_ARCHIVES = f"{_HOST}/team/packed:v1"
_NAMES = {"config.json", "model.safetensors", "tokenizer.json"}
_WEIGHTS = builders.safetensors({"w": ((6 * MIB,), bytes(range(256)) * (6 * MIB // 64))})


@pytest.fixture
def first(oci_pull: Command) -> Command:
    """A user who has had the cache since the first release, and a directory of `-o`."""
    with tarfile.open(_PACKED) as packed:
        # As it was: the default of later Pythons would change modes.
        packed.extraction_filter = lambda member, _: member
        packed.extractall(oci_pull.home)
    oci_pull.cache.parent.mkdir()
    (oci_pull.home / "cache").rename(oci_pull.cache)
    return oci_pull


def _served(first: Command, registry: FakeRegistry, *words: str) -> Run:
    """A run that finds another registry where the one of that time was."""
    return first("--mirror", f"{_HOST}=http://{registry.address}", *words)


@pytest.mark.parametrize(
    ("words", "below"),
    [
        ((_CHAT,), ".cache/oci-pull/models"),
        ((_ARCHIVES,), ".cache/oci-pull/models"),
        ((_ARCHIVES, "--include", "*.json"), ".cache/oci-pull/models"),
        ((_CHAT, "-o", "model"), "model"),
    ],
)
def test_what_the_first_release_laid_out_is_a_hit(
    first: Command, words: tuple[str, ...], below: str
) -> None:
    before = [snapshot(first.cache, without="used"), snapshot(first.home / "model")]
    run = first("--offline", "--format", "json", *words).must_succeed()
    assert run.json["unchanged"] is True
    path = Path(run.json["path"])
    assert path.is_relative_to(first.home / below)
    assert names_of(path) >= {"config.json", "tokenizer.json"}
    assert [snapshot(first.cache, without="used"), snapshot(first.home / "model")] == before


def test_every_verb_reads_a_cache_of_the_first_release(first: Command) -> None:
    models = first("cache", "ls", "--format", "json").must_succeed().json["models"]
    assert [each["reference"] for each in models].count(_ARCHIVES) == 2
    assert {tuple(each["tags"]) for each in models} == {("v1",)}
    assert first("cache", "path", _CHAT).path.is_dir()
    partials = first("cache", "ls", "--partial", "--format", "json").must_succeed().json["partials"]
    assert max(each["bytes"] for each in partials) >= len(_WEIGHTS)
    used = first("cache", "df", "--format", "json").must_succeed().json
    assert (used["models"], used["partials"]) == (3, 2)
    assert "all of it right" in first("cache", "verify").must_succeed().stdout
    # Below `partial` it looks what time it is.
    before = snapshot(first.cache, without="partial")
    words = ("cache", "prune", "--dry-run", "--partials", "--format", "json")
    going = first(*words).must_succeed().json["candidates"]
    unfinished = [each for each in going if each["reason"].startswith("unfinished")]
    assert len([each for each in unfinished if each["goes"]]) == len(partials)
    assert snapshot(first.cache, without="partial") == before
    first("doctor").must_succeed()
    first("cache", "prune", "-y", "--max-size", "1", "--partials").must_succeed()
    assert first("cache", "ls", "--format", "json").json["models"] == []
    assert list((first.cache / "blobs/sha256").iterdir()) == []


def test_archives_that_the_first_release_unpacked_are_not_fetched_again(first: Command) -> None:
    path = first("--offline", _ARCHIVES, "--exclude", "tokenizer.json").path
    assert names_of(path) == _NAMES - {"tokenizer.json"}
    assert_sound(first.cache)


def test_what_the_first_release_had_begun_is_continued(
    registry: FakeRegistry, first: Command
) -> None:
    config: Content = b'{"architectures":["LlamaForCausalLM"],"model_type":"llama"}\n'
    files = {"config.json": config, "tokenizer.json": b'{"version":"1.0"}\n'}
    files["model.safetensors"] = _WEIGHTS
    put(registry, builders.docker_v02(files), repository="team/big")
    assert (first.cache / "partial" / digest_of(_WEIGHTS).removeprefix("sha256:")).is_dir()
    run = _served(first, registry, "--format", "json", _BIG).must_succeed()
    assert 0 < run.json["fetched"] < 9 * MIB
    assert_tree(Path(run.json["path"]), files)
    assert "all of it right" in first("cache", "verify").must_succeed().stdout


def test_a_tag_of_the_first_release_moves_on(registry: FakeRegistry, first: Command) -> None:
    files = model()
    put(registry, builders.docker_v01(files, annotated=True), repository="team/chat")
    old = first("cache", "path", _CHAT).path
    new = _served(first, registry, _CHAT).path
    assert_tree(new, files)
    assert (old / "model.safetensors").is_file()
    assert _served(first, registry, _CHAT, "-o", "model").path == first.home / "model"
    assert_tree(first.home / "model", files)
    index = json.loads((first.cache / "index.json").read_bytes())
    assert len(index["manifests"]) == 3
    assert_sound(first.cache)


@pytest.mark.skipif(not isolation.private_mounts(), reason="no private mount name space")
def test_a_cache_of_the_first_release_may_be_read_only(first: Command) -> None:
    user = replace(first, prefix=isolation.read_only(first.cache))
    assert user("--offline", _CHAT).path.is_relative_to(first.cache)
    assert user("--offline", _CHAT, "-o", "model").path == first.home / "model"
    assert user("cache", "path", _ARCHIVES).path.is_relative_to(first.cache)
    user("cache", "verify").must_succeed()


# Newer ones

_DIGEST = "docker.io/ai/model@sha256:" + "0" * 64


@pytest.fixture
def newer(oci_pull: Command, registry: FakeRegistry) -> tuple[Command, str]:
    """A cache with a model, of a version that is yet to come."""
    reference = put(registry, builders.docker_v02(model()))
    oci_pull(reference).must_succeed()
    (oci_pull.cache / "version").write_text("2\n")
    return oci_pull, reference


@pytest.mark.parametrize(
    "words",
    [
        "pull REF",
        "pull --offline REF",
        f"pull {_DIGEST}",
        "pull -o model REF",
        "pull --layout hf REF",
        "plan REF",
        "inspect REF",
        "inspect --raw REF",
        "warm REF",
        "doctor",
        "cache path REF",
        "cache ls",
        "cache ls --partial",
        "cache df",
        "cache verify",
        "cache verify --repair REF",
        "cache rm -y REF",
        "cache prune --dry-run",
        "cache prune -y --max-size 1",
    ],
)
def test_a_newer_cache_is_refused_by_every_command(
    newer: tuple[Command, str], registry: FakeRegistry, words: str
) -> None:
    oci_pull, reference = newer
    before, asked = snapshot(oci_pull.cache), len(registry.requests)
    run = oci_pull(*words.replace("REF", reference).split()).must_fail(7)
    assert f"the cache {oci_pull.cache} has version 2, this oci-pull knows 1" in run.stderr
    assert "upgrade oci-pull" in run.stderr
    assert snapshot(oci_pull.cache) == before
    assert len(registry.requests) == asked


def test_a_newer_cache_of_others_is_refused_by_its_name(
    newer: tuple[Command, str], tmp_path: Path
) -> None:
    oci_pull, reference = newer
    config = tmp_path / "config.toml"
    config.write_text(f'extra_cache_dirs = ["{oci_pull.cache}"]\n')
    own = oci_pull.with_env(OCI_PULL_CACHE_DIR=str(tmp_path / "own"), OCI_PULL_CONFIG=str(config))
    run = own(reference).must_fail(7)
    assert str(oci_pull.cache) in run.stderr
    assert "extra_cache_dirs" in run.stderr

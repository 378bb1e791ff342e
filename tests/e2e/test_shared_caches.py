"""A cache of others in front of one's own, and a registry that does not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_sound, assert_tree, digest_of, snapshot
from tests.e2e.models import MIB, archive_layer, model, pack_around, put, raw_layer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.content import Content
    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_PACKED: dict[str, Content] = {"a.json": b"[1]" * 1000}
_BIG = b"x" * MIB
_FILES: dict[str, Content] = {**model(), "big.json": _BIG, **_PACKED}


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    layers = (raw_layer("big.json", _BIG), archive_layer(_PACKED, form="tar+gzip"))
    return put(registry, pack_around(*layers))


@pytest.fixture
def shared(oci_pull: Command, reference: str, tmp_path: Path) -> Path:
    """A cache that has the model, and the configuration of somebody who may read it."""
    cache = tmp_path / "shared"
    oci_pull("--cache-dir", str(cache), reference).must_succeed()
    config = oci_pull.home / ".config/oci-pull/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'extra_cache_dirs = ["{cache}"]\n')
    return cache


def _blobs(registry: FakeRegistry) -> int:
    return sum(each.kind == "blob" for each in registry.requests)


@pytest.mark.parametrize("words", [(), ("--offline",)], ids=["asked", "offline"])
def test_a_model_of_others_is_a_hit_and_nothing_is_written(
    oci_pull: Command, reference: str, shared: Path, words: tuple[str, ...]
) -> None:
    before = snapshot(shared)
    path = oci_pull(*words, reference).path
    assert path.is_relative_to(shared)
    assert snapshot(shared) == before
    assert not (oci_pull.cache / "blobs").exists()
    assert oci_pull("cache", "path", reference).path == path


def test_a_part_of_a_model_of_others_is_not_fetched_again(
    registry: FakeRegistry, oci_pull: Command, reference: str, shared: Path, tmp_path: Path
) -> None:
    before, fetched = snapshot(shared), _blobs(registry)
    part = oci_pull("--include", "a.json", "--include", "config.json", reference).path
    assert part.is_relative_to(oci_pull.cache)
    assert digest_of(part / "a.json") == digest_of(_PACKED["a.json"])
    out = oci_pull("-o", str(tmp_path / "model"), reference).path
    assert_tree(out, _FILES)
    assert _blobs(registry) == fetched
    assert snapshot(shared) == before
    oci_pull("cache", "verify").must_succeed()
    assert_sound(oci_pull.cache)


def test_what_others_lost_is_fetched_into_ones_own(
    oci_pull: Command, reference: str, shared: Path
) -> None:
    for path in (shared / "models").rglob("big.json"):
        path.unlink()
    path = oci_pull(reference).path
    assert path.is_relative_to(oci_pull.cache)
    assert_tree(path, _FILES)


def test_where_nobody_answers_what_was_last_seen_is_taken_when_that_is_fine(
    registry: FakeRegistry, oci_pull: Command, reference: str
) -> None:
    first = oci_pull(reference).path
    registry.close()
    patience = ("--retries", "0", "--connect-timeout", "1s")
    oci_pull(*patience, reference).must_fail(5)
    run = oci_pull("--stale-ok", *patience, reference)
    assert run.path == first
    assert "as it was last seen" in run.stderr
    unknown = reference.replace("model", "other")
    oci_pull("--stale-ok", *patience, unknown).must_fail(5)


def test_what_is_stale_is_complete_or_it_is_an_error(
    registry: FakeRegistry, oci_pull: Command, reference: str
) -> None:
    tree = oci_pull(reference).path
    (tree / "big.json").unlink()
    for path in (oci_pull.cache / "blobs").rglob("*"):
        if path.is_file() and path.stat().st_size == len(_BIG):
            path.unlink()
    registry.close()
    oci_pull("--stale-ok", "--retries", "0", reference).must_fail(5)


def test_an_answer_that_says_no_is_believed(registry: FakeRegistry, oci_pull: Command) -> None:
    missing = put(registry, builders.docker_v02(model())).replace("v1", "v2")
    oci_pull("--stale-ok", missing).must_fail(3)

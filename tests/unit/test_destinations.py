"""Where a model may be and go beside a cache of one's own: the Hub's cache, caches of others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from oci_pull import api
from oci_pull.errors import ConnectionFailed, NotCached, SeveralRoots, UsageError
from oci_pull.oci.digest import Digest
from oci_pull.settings import Settings
from tests.builders import Artifact, docker_v02, modelpack, tiny_model
from tests.e2e.models import put
from tests.fakes.registry import FakeRegistry
from tests.producers.images import image, image_layer, image_of
from tests.servers.push import write_layout
from tests.unit.adapters.support import contents_below

_MODEL = tiny_model()
_CASES = {
    "blobs": docker_v02(_MODEL),
    "archives": modelpack(_MODEL, form="tar+gzip"),
    "image": image(_MODEL),
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({"HOME": str(tmp_path), "OCI_PULL_CACHE_DIR": str(tmp_path / "cache")})


def layout(tmp_path: Path, artifact: Artifact) -> str:
    write_layout(tmp_path / "layout", artifact, "v1")
    return f"oci:{tmp_path / 'layout'}:v1"


def files(tree: Path) -> dict[str, bytes]:
    found = contents_below(tree)
    return {name: content for name, content in found.items() if ".oci-pull" not in name}


# --- the Hugging Face hub cache


def test_the_hubs_cache_has_the_model_under_its_name(tmp_path: Path, settings: Settings) -> None:
    with FakeRegistry() as registry:
        reference = put(registry, docker_v02(_MODEL))
        result = api.pull(reference, settings=settings, layout="hf")
        home = tmp_path / ".cache/huggingface/hub/models--team--model"
        assert result.path.parent == home / "snapshots"
        assert files(result.path) == _MODEL
        assert (home / "refs/v1").read_text() == (home / "refs/main").read_text()
        # Links take no room; copies are another matter, but not twice.
        linked = api.plan(reference, settings=settings, layout="hf")
        assert linked.added_bytes == 0
        assert api.pull(reference, settings=settings, layout="hf").unchanged


def test_what_is_copied_into_the_hubs_cache_is_counted_once(
    tmp_path: Path, settings: Settings
) -> None:
    with FakeRegistry() as registry:
        reference = put(registry, docker_v02(_MODEL))
        asked = replace(settings, layout="hf", link_mode="copy")
        size = api.plan(reference, settings=asked).added_bytes
        assert size == sum(map(len, _MODEL.values()))
        api.pull(reference, settings=asked)
        newer = {**_MODEL, "config.json": b'{"model_type": "llama"}'}
        reference = put(registry, docker_v02(newer), tag="v2")
        # What another snapshot has is there.
        assert api.plan(reference, settings=asked).added_bytes == len(newer["config.json"])


def test_a_model_without_a_place_in_the_hubs_cache_is_a_mistake(
    tmp_path: Path, settings: Settings
) -> None:
    with pytest.raises(UsageError, match="are two places for one model"):
        api.pull("r.example/a/b", settings=settings, layout="hf", output=tmp_path / "out")
    with pytest.raises(UsageError, match="no home directory") as caught:
        api.pull("r.example/a/b", settings=Settings(cache_dir=tmp_path / "c"), layout="hf")
    assert caught.value.hint == "HF_HUB_CACHE=DIR"


# --- caches of others


@pytest.mark.parametrize("case", _CASES)
def test_a_model_in_a_cache_of_others_is_taken_as_it_is(
    case: str, tmp_path: Path, settings: Settings
) -> None:
    reference = layout(tmp_path, _CASES[case])
    theirs = api.pull(reference, settings=settings)
    mine = replace(settings, cache_dir=tmp_path / "mine", extra_cache_dirs=(settings.cache,))
    found = api.pull(reference, settings=mine, offline=False)
    assert (found.path, found.unchanged) == (theirs.path, True)


@pytest.mark.parametrize("case", _CASES)
def test_another_selection_is_made_of_what_others_have(
    case: str, tmp_path: Path, settings: Settings
) -> None:
    reference = layout(tmp_path, _CASES[case])
    theirs = api.pull(reference, settings=settings).path
    before = {path: path.lstat().st_mtime_ns for path in settings.cache.rglob("*")}
    between = replace(settings, cache_dir=tmp_path / "nobody's")
    mine = replace(
        settings,
        cache_dir=tmp_path / "mine",
        extra_cache_dirs=(between.cache, settings.cache),
        include=("*.json",),
    )
    found = api.pull(reference, settings=mine)
    assert found.fetched_bytes == 0
    assert found.path.is_relative_to(tmp_path / "mine")
    expected = {name: content for name, content in _MODEL.items() if name.endswith(".json")}
    assert files(found.path) == expected
    assert {path: path.lstat().st_mtime_ns for path in settings.cache.rglob("*")} == before
    assert files(theirs) == _MODEL


# --- images


def test_a_plan_of_an_image_names_its_layers_until_they_were_read(
    tmp_path: Path, settings: Settings
) -> None:
    made = image_of(image_layer({"etc/os-release": b"NAME=x\n"}), image_layer(_under("models")))
    reference = layout(tmp_path, made)
    before = api.plan(reference, settings=settings)
    assert [each.name for each in before.archives] == ["layer 1 of 2", "layer 2 of 2"]
    pulled = api.pull(reference, settings=settings)
    assert files(pulled.path) == _MODEL
    after = api.plan(reference, settings=settings)
    assert (after.archives, {str(each.path) for each in after.files}) == ((), set(_MODEL))
    # The whole image, and not only what of it is the model, is there for other tools.
    assert api.pull(reference, settings=settings).unchanged


def test_the_other_model_of_an_image_is_written_from_the_layers_that_are_here(
    tmp_path: Path, settings: Settings
) -> None:
    other = {**_MODEL, "config.json": b'{"model_type": "llama"}'}
    made = image_of(image_layer(_under("models/a")), image_layer(_under("models/b", other)))
    reference = layout(tmp_path, made)
    with pytest.raises(SeveralRoots):
        api.pull(reference, settings=settings)
    assert files(api.pull(reference, settings=settings, root="models/a").path) == _MODEL
    again = api.pull(reference, settings=settings, root="models/b")
    assert (files(again.path), again.fetched_bytes) == (other, 0)


def _under(root: str, model: dict[str, bytes] | None = None) -> dict[str, bytes]:
    return {f"{root}/{name}": content for name, content in (model or _MODEL).items()}


# --- registries that cannot be asked


def test_what_was_seen_last_is_used_where_that_was_allowed_and_said(
    settings: Settings,
) -> None:
    with FakeRegistry() as registry:
        reference = put(registry, docker_v02(_MODEL))
        pulled = api.pull(reference, settings=settings)
    gone = replace(settings, retries=0, stale_ok=True)
    found = api.pull(reference, settings=gone)
    assert found.path == pulled.path
    assert "as it was last seen" in found.warnings[0]
    planned = api.plan(reference, settings=gone)
    assert any("as it was last seen" in warning for warning in planned.warnings)


def test_what_was_never_seen_fails_as_it_would_without(settings: Settings) -> None:
    with FakeRegistry() as registry:
        reference = put(registry, docker_v02(_MODEL))
    with pytest.raises(ConnectionFailed):
        api.pull(reference, settings=settings, retries=0, stale_ok=True)


def test_offline_an_unfinished_model_says_what_it_lacks(tmp_path: Path, settings: Settings) -> None:
    reference = layout(tmp_path, docker_v02(_MODEL))
    api.pull(reference, settings=settings)
    blobs = settings.cache / "blobs/sha256"
    for tree in settings.cache.glob("models/*/*"):
        tree.rename(tmp_path / "elsewhere")
    (blobs / Digest.of(_MODEL["model.safetensors"]).hex).unlink()
    with pytest.raises(NotCached, match="1 of ") as caught:
        api.pull(reference, settings=settings, offline=True)
    assert caught.value.facts[0] == "missing: model.safetensors"

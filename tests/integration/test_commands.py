"""The commands against a real registry: outputs again and again, parts of a model, looking only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_sound, assert_tree, names_of, snapshot
from tests.integration.models import PACKAGINGS
from tests.servers.push import push

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.command import Command
    from tests.integration.models import Pulled, Pushed
    from tests.servers.distribution import Distribution

# -o DIR


def test_an_output_directory_follows_its_tag(
    oci_pull: Command, tiny: Callable[..., Pushed]
) -> None:
    target = oci_pull.home / "out"
    for seed in (1, 2, 1):
        model = tiny("output/follows", seed)
        assert oci_pull("-o", target, model.reference).path == target
        assert_tree(target, model.files)
    unchanged = snapshot(target)
    assert "Up to date" in oci_pull("-o", target, model.reference).stderr
    assert snapshot(target) == unchanged
    assert_sound(oci_pull.cache)


def test_an_output_directory_loses_what_the_model_has_lost_and_keeps_what_is_foreign(
    registry: Distribution, oci_pull: Command, tiny: Callable[..., Pushed]
) -> None:
    target = oci_pull.home / "out"
    model = tiny("output/loses")
    oci_pull("-o", target, model.reference).must_succeed()
    (target / "mine.txt").write_text("notes")
    (target / "1_Pooling" / "mine.txt").write_text("notes")
    fewer = {name: model.files[name] for name in ("config.json", "model.safetensors")}
    _push_again(registry, "output/loses", builders.docker_v02(fewer))
    oci_pull("-o", target, model.reference).must_succeed()
    assert names_of(target) == {*fewer, "mine.txt", "1_Pooling/mine.txt"}


def test_a_file_that_was_edited_in_an_output_directory_is_kept(
    oci_pull: Command, tiny: Callable[..., Pushed]
) -> None:
    target = oci_pull.home / "out"
    model = tiny("output/edited")
    oci_pull("-o", target, model.reference).must_succeed()
    (target / "config.json").write_text('{"mine": true}')
    run = oci_pull("-o", target, model.reference)
    assert run.path == target
    assert "config.json was edited" in run.stderr
    assert (target / "config.json").read_text() == '{"mine": true}'


def test_a_file_that_was_lost_from_an_output_directory_comes_back(
    oci_pull: Command, tiny: Callable[..., Pushed]
) -> None:
    target = oci_pull.home / "out"
    model = tiny("output/lost")
    oci_pull("-o", target, model.reference).must_succeed()
    (target / "model.safetensors").unlink()
    (target / "tokenizer.json").unlink()
    oci_pull("-o", target, model.reference).must_succeed()
    assert_tree(target, model.files)


def test_a_tree_of_the_cache_that_lost_a_file_is_laid_out_again(
    registry: Distribution, oci_pull: Command, tiny: Callable[..., Pushed]
) -> None:
    model = tiny("output/damaged")
    path = oci_pull(model.reference).path
    (path / "tokenizer.json").unlink()
    blobs = len(registry.blob_requests())
    assert oci_pull(model.reference).path == path
    assert_tree(path, model.files)
    assert len(registry.blob_requests()) == blobs
    assert_sound(oci_pull.cache)


def test_a_tag_that_moved_has_a_tree_of_its_own(
    oci_pull: Command, tiny: Callable[..., Pushed]
) -> None:
    old = tiny("output/moved", 1)
    first = oci_pull(old.reference).path
    new = tiny("output/moved", 2)
    second = oci_pull(new.reference).path
    assert first != second
    assert_tree(first, old.files)
    assert_tree(second, new.files)
    assert oci_pull(old.by_digest).path == first


# A part of a model


def test_what_is_not_included_is_not_fetched(
    registry: Distribution, oci_pull: Command, tiny: Callable[..., Pushed]
) -> None:
    model = tiny("part/include", 5)
    seen = len(registry.blob_requests())
    run = oci_pull("--format", "json", "--include", "*.json", model.reference).must_succeed()
    fetched = "".join(each.path for each in registry.blob_requests()[seen:])
    weights = max(model.artifact.document["layers"], key=lambda layer: int(layer["size"]))
    assert weights["digest"] not in fetched
    files = {file["path"] for file in run.json["files"]}
    assert files == {name for name in model.files if name.endswith(".json")}
    assert not run.json["servable"]
    whole = oci_pull(model.reference).path
    assert_tree(whole, model.files)
    assert str(whole) != run.json["path"]
    assert_sound(oci_pull.cache)


def test_what_is_excluded_is_left_out(oci_pull: Command, tiny: Callable[..., Pushed]) -> None:
    model = tiny("part/exclude")
    words = ("--exclude", "README.md", "--exclude", "1_Pooling/")
    path = oci_pull(*words, model.reference).path
    assert names_of(path) == set(model.files) - {"README.md", "1_Pooling/config.json"}
    target = oci_pull.home / "out"
    oci_pull(*words, "-o", target, model.reference).must_succeed()
    assert names_of(target) == names_of(path)
    # Another part of the same manifest is another content of the directory.
    oci_pull("-o", target, model.reference).must_succeed()
    assert_tree(target, model.files)


def test_archives_are_filtered_by_the_files_in_them(
    registry: Distribution, oci_pull: Command
) -> None:
    files = builders.tiny_model()
    artifact = builders.docker_v01(files, annotated=False)
    _push_again(registry, "part/archives", artifact)
    reference = f"{registry.host}/part/archives:v1"
    path = oci_pull("--include", "*config.json", reference).path
    assert names_of(path) == {name for name in files if name.endswith("config.json")}


def test_patterns_that_let_nothing_in_are_a_usage_error(
    oci_pull: Command, tiny: Callable[..., Pushed]
) -> None:
    run = oci_pull("--include", "*.nothing", tiny("part/nothing").reference).must_fail(2)
    assert "--include" in run.stderr


# Several references


def test_several_references_go_on_past_a_failure(
    registry: Distribution, oci_pull: Command, tiny: Callable[..., Pushed]
) -> None:
    first, last = tiny("several/first", 1), tiny("several/last", 2)
    unknown, malformed = f"{registry.host}/several/unknown:v1", "docker://several"
    run = oci_pull(first.reference, unknown, malformed, last.reference)
    assert run.code == 3  # of the first failure
    paths = run.stdout.splitlines()
    for path, model in zip(paths, (first, last), strict=True):
        assert_tree(Path(path), model.files)
    assert "several/unknown" in run.stderr
    assert "docker://" in run.stderr
    assert oci_pull(malformed, unknown).code == 2


def test_several_results_in_json_are_a_line_each(
    registry: Distribution, oci_pull: Command, tiny: Callable[..., Pushed]
) -> None:
    good = tiny("several/first", 1).reference
    run = oci_pull("--format", "json", good, f"{registry.host}/several/unknown", good)
    assert run.code == 3
    first, failure, again = (json.loads(line) for line in run.stdout.splitlines())
    assert first["path"] == again["path"]
    assert failure["error"]["exit"] == 3


# Looking only

_LOOKED_AT = ["docker-v0.1-shards", "docker-v0.2-shards", "modelpack-cnai", "aikit-gzip"]


@pytest.mark.parametrize("name", _LOOKED_AT)
def test_looking_writes_nothing(
    name: str, oci_pull: Command, pushed: Callable[[str], Pushed]
) -> None:
    model = pushed(name)
    runs = oci_pull.at_once(
        ("plan", model.reference),
        ("plan", "--format", "json", model.reference),
        ("inspect", model.reference),
        ("inspect", "--format", "json", model.reference),
    )
    for in_words, in_json in (runs[:2], runs[2:]):
        document = in_json.must_succeed().json
        assert document["schema"] == 1
        assert document["digest"] == model.digest
        assert document["packaging"] in in_words.must_succeed().stdout
    assert not oci_pull.cache.exists()
    assert list(oci_pull.temporary.iterdir()) == []


@pytest.mark.parametrize("name", _LOOKED_AT)
def test_looking_into_a_full_cache_writes_nothing(
    name: str, pulled: Callable[[str], Pulled]
) -> None:
    found = pulled(name)
    before = snapshot(found.oci_pull.cache)
    for run in found.oci_pull.at_once(
        ("plan", found.model.reference), ("inspect", found.model.reference)
    ):
        run.must_succeed()
    assert snapshot(found.oci_pull.cache) == before


def test_a_plan_names_what_is_fetched_and_what_is_there(
    oci_pull: Command, pushed: Callable[[str], Pushed]
) -> None:
    model = pushed("docker-v0.1-shards")
    asked, dry = oci_pull.at_once(
        ("plan", "--format", "json", model.reference),
        ("pull", "--dry-run", "--format", "json", model.reference),
    )
    plan = asked.json
    assert dry.json == plan
    shards = {name for name in model.files if name.endswith(".safetensors")}
    items = {item["name"]: item for item in plan["items"]}
    assert shards <= set(items)
    assert {items[name]["size"] for name in shards} == {
        len(bytes(model.files[name])) for name in shards
    }
    assert sum(item["archive"] for item in plan["items"]) == 2
    assert plan["fetch"] > 0

    pulled = oci_pull("--format", "json", model.reference).json
    assert pulled["fetched"] == plan["bytes"]
    after = oci_pull("plan", "--format", "json", model.reference).json
    assert (after["fetch"], {item["state"] for item in after["items"]}) == (0, {"cached"})


def test_an_inspection_lists_the_files(oci_pull: Command, pushed: Callable[[str], Pushed]) -> None:
    model = pushed("docker-v0.2-shards")
    in_words, in_json = oci_pull.at_once(
        ("inspect", model.reference), ("inspect", "--format", "json", model.reference)
    )
    found = in_json.json
    sizes = {name: len(bytes(content)) for name, content in model.files.items()}
    assert {file["path"]: file["size"] for file in found["files"]} == sizes
    assert found["packaging"] == "docker-model"
    assert all(name in in_words.stdout for name in model.files)


def test_an_inspection_of_an_index_lists_its_platforms(
    oci_pull: Command, pushed: Callable[[str], Pushed]
) -> None:
    model = pushed("index")
    found = oci_pull("inspect", "--format", "json", model.reference).json
    assert [each["platform"] for each in found["manifests"]] == ["linux/arm64", "linux/amd64"]
    assert found["digest"] == model.digest


@pytest.mark.parametrize("name", ["docker-v0.2-shards", "index-of-one", "docker-manifest-type"])
def test_a_raw_inspection_is_the_bytes_of_the_registry(
    name: str, oci_pull: Command, pushed: Callable[[str], Pushed]
) -> None:
    model = pushed(name)
    assert oci_pull("inspect", "--raw", model.reference).output == model.artifact.manifest
    assert not oci_pull.cache.exists()


def test_a_path_is_printed_without_a_request(
    registry: Distribution, pulled: Callable[[str], Pulled]
) -> None:
    found = pulled("docker-v0.2-shards")
    requests = registry.access_log()
    by_tag, by_digest, in_json = found.oci_pull.at_once(
        ("cache", "path", found.model.reference),
        ("cache", "path", found.model.by_digest),
        ("cache", "path", "--format", "json", found.model.reference),
    )
    assert by_tag.path == by_digest.path == found.path
    assert in_json.json["path"] == str(found.path)
    assert registry.access_log() == requests


def test_what_is_not_complete_has_no_path(
    registry: Distribution, oci_pull: Command, tiny: Callable[..., Pushed]
) -> None:
    model = tiny("path/none", 7)
    requests = registry.access_log()
    asked = (("cache", "path"), ("--offline",), ("plan", "--offline"))
    for run in oci_pull.at_once(
        *((*words, "--format", "json", model.reference) for words in asked)
    ):
        assert run.must_fail(12).json["error"]["code"] == "not_cached"
    assert registry.access_log() == requests
    oci_pull("--include", "*.json", model.reference).must_succeed()
    path, offline, part = oci_pull.at_once(
        ("cache", "path", model.reference),
        ("--offline", model.reference),
        ("--offline", "--include", "*.json", model.reference),
    )
    path.must_fail(12)
    offline.must_fail(12)
    assert names_of(part.path) == {name for name in model.files if name.endswith(".json")}


def test_a_platform_that_an_index_does_not_have_lists_those_it_has(
    oci_pull: Command, pushed: Callable[[str], Pushed]
) -> None:
    run = oci_pull("--platform", "linux/riscv64", pushed("index").reference).must_fail(9)
    assert "linux/amd64" in run.stderr
    assert "linux/arm64" in run.stderr


def test_a_registry_that_is_away_can_be_done_without(
    oci_pull: Command, tiny: Callable[..., Pushed]
) -> None:
    model = tiny("away/model")
    path = oci_pull(model.reference).path
    dead = oci_pull.with_env(HTTPS_PROXY="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9")
    assert dead("--offline", model.reference).path == path
    # A proxy of the environment is not for this machine.
    assert dead(model.reference).path == path


def _push_again(registry: Distribution, repository: str, artifact: builders.Artifact) -> None:
    push(registry.url, repository, "v1", artifact)


def test_every_packaging_is_named_as_the_design_names_it(
    pulled: Callable[[str], Pulled],
) -> None:
    for name in ("docker-v0.1-shards", "modelpack-cnai", "aikit-gzip"):
        found = pulled(name)
        words = PACKAGINGS[name].words
        document = found.oci_pull(*words, "--format", "json", found.model.by_digest).json
        expected = "docker-model" if name.startswith("docker") else "modelpack"
        assert document["packaging"] == expected

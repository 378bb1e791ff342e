"""What is asked of a registry to look at a model, and what is not fetched that is not wanted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests import builders, file_sets
from tests.content import IndexEntry, encode, index, layer, size_of
from tests.e2e.disk import names_of
from tests.e2e.models import archive_layer, model, pack, put, raw_layer
from tests.producers import images

if TYPE_CHECKING:
    from tests.content import Artifact, Layer
    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_FILES = model()
_PACK = "application/vnd.cncf.model."
_MIB = 1 << 20


def _fetched(registry: FakeRegistry) -> set[str]:
    """The digests of the blobs that somebody asked for."""
    return {one.path.rpartition("/")[2] for one in registry.find("GET", "blob")}


def _config(artifact: Artifact) -> str:
    digest = artifact.document["config"]["digest"]
    assert isinstance(digest, str)
    return digest


def _layer(artifact: Artifact, name: str) -> str:
    (digest,) = (
        each["digest"]
        for each in artifact.document["layers"]
        if each.get("annotations", {}).get("org.cncf.model.filepath") == name
    )
    assert isinstance(digest, str)
    return digest


# inspect


@pytest.mark.parametrize(
    "artifact",
    [
        builders.docker_v02(_FILES),
        builders.modelpack(_FILES),
        builders.modelpack(_FILES, form="tar"),
        file_sets.ollama(("model", b"GGUF" + bytes(99))),
    ],
    ids=["docker", "modelpack", "archives", "ollama"],
)
def test_an_inspection_fetches_the_config_and_no_weights(
    artifact: Artifact, registry: FakeRegistry, oci_pull: Command
) -> None:
    found = oci_pull("inspect", "--format", "json", put(registry, artifact)).must_succeed().json
    assert _fetched(registry) == {_config(artifact)}
    assert found["model"]["format"] in ("safetensors", "gguf")
    assert found["problem"] is None
    assert not oci_pull.cache.exists()


def test_the_bytes_of_a_manifest_are_one_request(registry: FakeRegistry, oci_pull: Command) -> None:
    artifact = builders.docker_v02(_FILES)
    reference = put(registry, artifact)
    assert oci_pull("inspect", "--raw", reference).output == artifact.manifest
    assert _fetched(registry) == set()


@pytest.mark.parametrize(
    ("config", "is_fetched"),
    [
        (b"not JSON", True),
        (encode({"config": {"format": ["\u202e"] * 99, "parameters": {}}}), True),
        (encode({"config": {"format": "x" * _MIB}}), False),
    ],
    ids=["not JSON", "other types", "too large"],
)
def test_a_config_that_says_nothing_is_no_reason_to_fail(
    config: bytes, is_fetched: bool, registry: FakeRegistry, oci_pull: Command
) -> None:
    kind = f"{_PACK}config.v1+json"
    artifact = builders.artifact(layer(kind, config), [raw_layer("config.json", b"{}")])
    found = oci_pull("inspect", "--format", "json", put(registry, artifact)).must_succeed().json
    assert found["model"].keys() <= {"format"}
    assert len(found["files"]) == 1
    assert (_config(artifact) in _fetched(registry)) == is_fetched


def test_a_config_that_is_not_there_is_no_reason_to_fail(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    artifact = builders.docker_v02(_FILES)
    blobs = {key: value for key, value in artifact.blobs.items() if key != _config(artifact)}
    registry.put("team/model", "v1", artifact.manifest, artifact.media_type, blobs)
    reference = f"{registry.address}/team/model:v1"
    found = oci_pull("inspect", "--format", "json", reference).must_succeed().json
    assert found["model"] == {}
    assert len(found["files"]) == len(_FILES)


@pytest.mark.parametrize(
    ("artifact", "code"),
    [
        (pack([raw_layer("../x", b"x")]), 10),
        (pack([raw_layer("model.bin", b"x")]), 10),
        (pack([raw_layer("a", b"1"), raw_layer("a", b"2")]), 10),
        (builders.artifact(layer("application/vnd.cncf.helm.config.v1+json", b"{}"), []), 9),
    ],
    ids=["path", "pickle", "conflict", "chart"],
)
def test_what_would_not_be_pulled_is_shown_with_the_reason(
    artifact: Artifact, code: int, registry: FakeRegistry, oci_pull: Command
) -> None:
    reference = put(registry, artifact)
    found = oci_pull("inspect", "--format", "json", reference).must_succeed().json
    assert found["problem"]["exit"] == code
    assert f"(exit code {code})" in oci_pull("inspect", reference).must_succeed().stdout
    oci_pull(reference).must_fail(code)


def test_a_model_that_is_here_is_inspected_without_a_registry(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    reference = put(registry, builders.docker_v01(builders.tiny_model(), annotated=True))
    run = oci_pull("--format", "json", reference).must_succeed().json
    asked = len(registry.requests)
    found = oci_pull("inspect", "--offline", "--format", "json", reference).must_succeed().json
    assert len(registry.requests) == asked
    assert found["model"]["architecture"] == "llama"
    # Of archives as well, now that they are unpacked.
    assert found["files"] == run["files"]


def test_the_files_of_an_image_are_known_once_its_layers_were_read(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    artifact = images.image(builders.tiny_model())
    reference = put(registry, artifact)
    layers = [each["digest"] for each in artifact.document["layers"]]
    found = oci_pull("inspect", "--format", "json", reference).must_succeed().json
    assert (found["packaging"], found["files"]) == ("image", None)
    assert [each["digest"] for each in found["layers"]] == layers
    assert found["model"] == {"license": "Apache-2.0"}
    plan = oci_pull("plan", "--format", "json", reference).must_succeed().json
    assert [(each["digest"], each["archive"]) for each in plan["items"]] == [
        (digest, True) for digest in layers
    ]
    assert not _fetched(registry).intersection(layers)
    run = oci_pull("--format", "json", reference).must_succeed().json
    assert run["fetched"] == plan["bytes"]
    found = oci_pull("inspect", "--format", "json", reference).must_succeed().json
    assert found["files"] == run["files"]
    assert found["left_out"]
    plan = oci_pull("plan", "--format", "json", reference).must_succeed().json
    assert {each["name"] for each in plan["items"]} == {file["path"] for file in run["files"]}
    assert (plan["fetch"], {each["state"] for each in plan["items"]}) == (0, {"cached"})


# What is not wanted

_MIXED = pack(
    [
        raw_layer("model.safetensors", _FILES["model.safetensors"], "weight"),
        raw_layer("notes.md", b"# notes\n", "doc"),
        archive_layer({"config.json": _FILES["config.json"], "extra.json": b"{}"}),
    ]
)


@pytest.mark.parametrize(
    ("artifact", "words"),
    [
        (builders.docker_v02({**_FILES, "notes.md": b"# n\n"}), ("--exclude", "notes.md")),
        (builders.docker_v02({**_FILES, "notes.md": b"# n\n"}), ("--include", "*.[js]*")),
        (_MIXED, ("--exclude", "*.md")),
        (_MIXED, ("--include", "*.[js]*")),
    ],
    ids=["exclude", "include", "exclude-beside-an-archive", "include-beside-an-archive"],
)
def test_a_file_with_a_name_that_is_left_out_is_not_fetched(
    artifact: Artifact, words: tuple[str, str], registry: FakeRegistry, oci_pull: Command
) -> None:
    reference = put(registry, artifact)
    plan = oci_pull("plan", "--format", "json", *words, reference).must_succeed().json
    (left,) = plan["left_out"]
    assert left["name"] == "notes.md"
    assert words[0] in left["reason"]
    run = oci_pull("--format", "json", *words, reference).must_succeed().json
    assert _layer(artifact, "notes.md") not in _fetched(registry)
    assert run["fetched"] == plan["fetch"]
    assert "notes.md" not in {file["path"] for file in run["files"]}


def test_a_file_in_an_archive_is_left_out_when_that_is_unpacked(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    reference = put(registry, _MIXED)
    words = ("--exclude", "extra.json", reference)
    before = oci_pull("plan", *words).must_succeed().stdout
    assert "known once it is unpacked" in before
    assert "extra.json" not in before
    path = oci_pull(*words).path
    assert names_of(path) == {"model.safetensors", "notes.md", "config.json"}
    after = oci_pull("plan", *words).must_succeed().stdout
    assert "excluded by --exclude" in after
    assert "known once it is unpacked" not in after


@pytest.mark.parametrize("form", ["raw", "tar"])
def test_a_dataset_is_fetched_only_for_those_who_want_it(
    form: builders.PackForm, registry: FakeRegistry, oci_pull: Command
) -> None:
    files = {**_FILES, "data.csv": b"a,b\n"}
    artifact = builders.modelpack(files, form=form, datasets=["data.csv"])
    reference, data = put(registry, artifact), _layer(artifact, "data.csv")
    plan = oci_pull("plan", "--format", "json", reference).must_succeed().json
    assert [(each["name"], each["reason"]) for each in plan["left_out"]] == [
        ("data.csv", "a dataset (--datasets takes it in)")
    ]
    assert names_of(oci_pull(reference).path) == set(_FILES)
    assert data not in _fetched(registry)
    with_it = oci_pull("plan", "--datasets", "--format", "json", reference).must_succeed().json
    assert with_it["left_out"] == []
    assert names_of(oci_pull("--datasets", reference).path) == set(files)
    assert data in _fetched(registry)


def test_a_pickle_is_fetched_only_for_those_who_want_it(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    files = {**_FILES, "pytorch_model.bin": b"pickle"}
    artifact = builders.docker_v02(files)
    reference, pickle = put(registry, artifact), _layer(artifact, "pytorch_model.bin")
    (left,) = oci_pull("plan", "--format", "json", reference).must_succeed().json["left_out"]
    assert left["name"] == "pytorch_model.bin"
    assert "--allow-pickle" in left["reason"]
    assert names_of(oci_pull(reference).path) == set(_FILES)
    assert pickle not in _fetched(registry)
    assert names_of(oci_pull("--allow-pickle", reference).path) == set(files)


def test_a_pickle_is_not_fetched_for_an_archive_that_may_have_safer_weights(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    pickle = raw_layer("pytorch_model.bin", b"pickle", "weight")
    reference = put(registry, pack([pickle, archive_layer(_FILES)]))
    assert names_of(oci_pull(reference).path) == set(_FILES)
    assert pickle.digest not in _fetched(registry)
    alone = pack([pickle, archive_layer({"config.json": b"{}"})])
    oci_pull(put(registry, alone, tag="alone")).must_fail(10)
    assert pickle.digest not in _fetched(registry)


def test_variants_that_are_not_there_are_listed_all_the_same(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    several = index(
        [
            IndexEntry(builders.docker_v02(model(seed=seed)), None, {"q": str(seed)})
            for seed in (1, 2)
        ]
    )
    registry.put("team/model", "v1", several.manifest, several.media_type, {})
    run = oci_pull(f"{registry.address}/team/model:v1").must_fail(9)
    assert "--select q=1" in run.stderr
    assert "--select q=2" in run.stderr


def test_a_layer_without_a_name_is_left_out_and_told(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    files = [raw_layer(name, content) for name, content in _FILES.items()]
    reference = put(registry, pack([*files, layer("application/x-thing", b"thing")]))
    (left,) = oci_pull("plan", "--format", "json", reference).must_succeed().json["left_out"]
    assert left == {"name": "application/x-thing", "size": 5, "reason": "a layer without a name"}


@pytest.mark.parametrize(
    "artifact",
    [
        builders.docker_v01(builders.tiny_model(shards=2), annotated=False),
        builders.docker_v02(builders.tiny_model()),
        builders.modelpack(builders.tiny_model(), form="tar+gzip"),
        _MIXED,
    ],
    ids=["docker-v0.1", "docker-v0.2", "modelpack-gzip", "mixed"],
)
def test_the_totals_of_a_plan_are_those_of_the_pull(
    artifact: Artifact, registry: FakeRegistry, oci_pull: Command
) -> None:
    reference = put(registry, artifact)
    plan = oci_pull("plan", "--format", "json", reference).must_succeed().json
    assert plan["fetch"] == plan["bytes"] - plan["reused"] - plan["resumed"]
    run = oci_pull("--format", "json", reference).must_succeed().json
    assert run["fetched"] == plan["bytes"]
    after = oci_pull("plan", "--format", "json", reference).must_succeed().json
    assert (after["fetch"], {item["state"] for item in after["items"]}) == (0, {"cached"})
    assert {item["name"] for item in after["items"]} == {file["path"] for file in run["files"]}
    assert not any(item["archive"] for item in after["items"])


def test_an_archive_takes_as_much_room_as_it_is_said_to(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    """Or somewhat more than its own size, where nobody says how much."""
    plain = archive_layer({"vocab.txt": b"token " * 100_000}, form="tar+gzip")
    note = {"org.cncf.model.file.metadata+json": encode({"size": 600_000}).decode()}

    def room(archive: Layer) -> int:
        files = [raw_layer(name, content) for name, content in _FILES.items()]
        reference = put(registry, pack([*files, archive]))
        plan = oci_pull("plan", "--format", "json", reference).must_succeed().json
        disk = plan["disk"] - plan["fetch"]
        assert isinstance(disk, int)
        return disk

    assert room(plain) == int(1.3 * size_of(plain.content))
    assert room(replace(plain, annotations=note)) == 600_000

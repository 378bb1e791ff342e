import struct

import pytest

from oci_pull.errors import InconsistentModel, UnsafePath
from oci_pull.oci.ranges import Span
from oci_pull.packaging import docker_model
from oci_pull.packaging.layout import arrange
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import (
    BlobNeed,
    LeftOut,
    MemberNeed,
    PlaceBlob,
    RangeNeed,
    UnpackArchive,
)
from oci_pull.packaging.selection import Selection
from tests import builders
from tests.unit.packaging.planning import (
    INDEX_NAME,
    Planned,
    docker,
    docker_layer,
    docker_shards,
    index_file,
    manifest_of,
    paths,
    planned,
    shard,
    unpacked,
)

FIRST_LOOK = 256 * 1024


def files_of(artifact: builders.Artifact) -> set[str]:
    """The whole tree, archives unpacked."""
    plan = planned(artifact).plan
    layout = arrange(plan, Selection(), unpacked(artifact, plan))
    return {str(file.path) for file in layout.files}


def ranges(found: Planned) -> list[Span]:
    return [need.span for need in found.asked if isinstance(need, RangeNeed)]


@pytest.mark.parametrize(
    ("config", "layer", "expected"),
    [
        ("application/vnd.docker.ai.model.config.v0.1+json", "x/y", True),
        ("application/vnd.docker.ai.model.config.v0.2+json", "x/y", True),
        ("application/vnd.docker.ai.model.config.v1+json", "x/y", True),
        ("application/vnd.oci.empty.v1+json", "application/vnd.docker.ai.gguf.v3", True),
        ("application/vnd.cncf.model.config.v1+json", "x/y", False),
        ("application/vnd.docker.container.image.v1+json", "x/y", False),
    ],
)
def test_the_config_or_a_layer_tells(config: str, layer: str, expected: bool) -> None:
    artifact = builders.artifact(builders.layer(config, b"{}"), [builders.layer(layer, b"x")])
    assert docker_model.matches(manifest_of(artifact)) is expected


@pytest.mark.parametrize("annotated", [False, True])
@pytest.mark.parametrize("shards", [1, 3])
def test_v01_gives_back_the_model(shards: int, annotated: bool) -> None:
    files = builders.tiny_model(shards=shards)
    assert files_of(builders.docker_v01(files, annotated=annotated)) == set(files)


def test_v02_gives_back_the_model_without_a_question() -> None:
    files = builders.tiny_model(shards=2)
    artifact = builders.docker_v02(files)
    found = planned(artifact)
    assert files_of(artifact) == set(paths(found.plan)) == set(files)
    assert found.asked == ()
    assert found.plan.is_rooted
    assert not any(op.if_absent for op in found.plan.operations if isinstance(op, PlaceBlob))


def test_annotated_names_of_temporary_files_are_ignored() -> None:
    artifact = builders.docker_v01(builders.tiny_model(), annotated=True)
    found = planned(artifact)
    assert [op.hint for op in found.plan.archives] == [None, None]
    assert found.asked == ()
    assert not any(name.endswith(".tar") for name in files_of(artifact))


def test_every_directory_archive_is_unpacked() -> None:
    files = {"model.safetensors": shard("a"), "1_Pooling/config.json": b"{}", "2_Dense/x": b"x"}
    found = planned(builders.docker_v01(files, annotated=False)).plan
    assert [op.blob.media_type.rpartition("ai.")[2] for op in found.archives] == ["dir.tar"] * 2


def test_what_an_archive_may_hold_too_yields_to_it_and_weights_do_not() -> None:
    artifact = builders.docker_v01(builders.tiny_model(), annotated=True)
    placed = {
        str(op.path): op.if_absent
        for op in planned(artifact).plan.operations
        if isinstance(op, PlaceBlob)
    }
    assert placed == {"model.safetensors": False, "LICENSE": True}


# Shards without names


@pytest.mark.parametrize("config", [None, {"config.json": b"{}"}])
def test_a_shard_alone_is_the_model(config: dict[str, bytes] | None) -> None:
    found = planned(docker_shards([shard("a")], config))
    assert paths(found.plan) == ["model.safetensors"]
    assert ranges(found) == []


@pytest.mark.parametrize("config", [None, {"config.json": b"{}"}])
def test_shards_without_an_index_are_numbered_in_their_order(
    config: dict[str, bytes] | None,
) -> None:
    found = planned(docker_shards([shard("a"), shard("b")], config))
    assert paths(found.plan) == [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    assert ranges(found) == []


def test_the_index_is_asked_for_by_name_and_before_any_header() -> None:
    artifact = docker_shards([shard("a")], index_file({"m.safetensors": ["a"]}))
    first, second = planned(artifact).asked
    assert isinstance(first, MemberNeed)
    assert (first.name, first.limit) == (RelPath((INDEX_NAME,)), 64 << 20)
    assert isinstance(second, RangeNeed)


@pytest.mark.parametrize(
    "names",
    [
        ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
        ["model-00000-of-00002.safetensors", "model-00001-of-00002.safetensors"],
        ["consolidated.00.safetensors", "consolidated.01.safetensors"],
        ["sub/a.safetensors", "sub/b.safetensors"],
    ],
)
def test_the_index_names_the_shards_in_their_order(names: list[str]) -> None:
    config = index_file({names[0]: ["a", "b"], names[1]: ["c"]})
    assert paths(planned(docker_shards([shard("b", "a"), shard("c")], config)).plan) == names


def test_the_tensors_name_the_shards_where_the_order_is_another() -> None:
    config = index_file({"1.safetensors": ["a"], "2.safetensors": ["b"], "3.safetensors": ["c"]})
    artifact = docker_shards([shard("c"), shard("b"), shard("a")], config)
    assert paths(planned(artifact).plan) == ["3.safetensors", "2.safetensors", "1.safetensors"]


def test_an_index_of_another_count_names_the_shards_whose_tensors_it_knows() -> None:
    config = index_file({"x.safetensors": ["a"], "y.safetensors": ["b"], "z.safetensors": ["c"]})
    artifact = docker_shards([shard("unknown"), shard("b")], config)
    assert paths(planned(artifact).plan) == ["model-00001-of-00002.safetensors", "y.safetensors"]


def test_an_index_that_knows_none_of_the_tensors_leaves_the_numbers() -> None:
    config = index_file({"x.safetensors": ["p"], "y.safetensors": ["q"]})
    found = planned(docker_shards([shard("a"), shard("b")], config))
    assert paths(found.plan) == [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]


def test_only_the_shards_without_a_name_are_asked_about() -> None:
    unnamed = docker_layer("safetensors", shard("b"))
    config = builders.tar_of(index_file({"1.safetensors": ["a"], "2.safetensors": ["b"]}))
    artifact = docker(
        docker_layer("safetensors", shard("a"), "1.safetensors"),
        unnamed,
        builders.typed(config, "application/vnd.docker.ai.vllm.config.tar"),
    )
    found = planned(artifact)
    assert paths(found.plan) == ["1.safetensors", "2.safetensors"]
    asked = [need.blob.digest for need in found.asked if isinstance(need, RangeNeed)]
    assert [str(digest) for digest in asked] == [unnamed.digest]


def test_a_short_shard_is_looked_at_as_a_whole_and_a_long_one_at_its_start() -> None:
    short = shard("a")
    long = builders.safetensors({"b": ((FIRST_LOOK,), bytes(4 * FIRST_LOOK))})
    config = index_file({"1.safetensors": ["a"], "2.safetensors": ["b"]})
    found = planned(docker_shards([short, long], config))
    assert ranges(found) == [Span(0, len(short)), Span(0, FIRST_LOOK)]
    assert paths(found.plan) == ["1.safetensors", "2.safetensors"]


def test_a_header_longer_than_the_first_look_is_looked_at_again() -> None:
    name = "t" * FIRST_LOOK
    long = builders.safetensors({name: ((2,), bytes(8))})
    found = planned(docker_shards([long, shard("b")], index_file({"1": [name], "2": ["b"]})))
    end = 8 + int.from_bytes(long[:8], "little")
    assert ranges(found) == [Span(0, FIRST_LOOK), Span(0, len(shard("b"))), Span(0, end)]
    assert paths(found.plan) == ["1", "2"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (shard("a")[:-20], "header is not JSON"),
        (struct.pack("<Q", FIRST_LOOK * 2) + b"{" + bytes(FIRST_LOOK), "header is not JSON"),
        (b"12345678", "too short"),
        (b"", "too short"),
        (b"GGUF" + bytes(20), "does not start like"),
    ],
    ids=["truncated", "truncated behind the first look", "eight bytes", "empty", "another format"],
)
def test_a_shard_that_is_damaged_is_inconsistent_and_named(content: bytes, message: str) -> None:
    artifact = docker_shards([content], index_file({"1.safetensors": ["a"]}))
    with pytest.raises(InconsistentModel, match=message) as caught:
        planned(artifact)
    assert builders.digest_of(content) in caught.value.message


@pytest.mark.parametrize("index", [b"{", b"{}"])
def test_an_index_that_is_damaged_is_inconsistent_and_named(index: bytes) -> None:
    with pytest.raises(InconsistentModel, match=INDEX_NAME):
        planned(docker_shards([shard("a")], {INDEX_NAME: index}))


def test_an_index_that_names_a_file_outside_is_refused() -> None:
    with pytest.raises(UnsafePath):
        planned(docker_shards([shard("a")], index_file({"../../x.safetensors": ["a"]})))


# Layers of other types without names


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("license", "LICENSE"),
        ("chat.template.jinja", "chat_template.jinja"),
        ("gguf.v3", "model.gguf"),
        ("gguf", "model.gguf"),
        ("gguf.model.v3", "model.gguf"),
        ("mmproj", "model.mmproj"),
        ("gguf.v3.mmproj", "model.mmproj"),
        ("gguf.v3.lora", "adapter.gguf"),
        ("dduf", "model.dduf"),
    ],
)
def test_a_layer_of_a_known_type_has_a_name_where_nobody_gave_one(kind: str, name: str) -> None:
    assert paths(planned(docker(docker_layer(kind, b"content"))).plan) == [name]
    assert paths(planned(docker(docker_layer(kind, b"content", "other"))).plan) == ["other"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{{ bos_token }}{% for m in messages %}", "chat_template.jinja"),
        (b"", "chat_template.jinja"),
        (b"{% if tools %}" + bytes(1 << 20), "chat_template.jinja"),
        (b'{"chat_template": "{{ bos_token }}"}', "chat_template.json"),
        (b' {\n "chat_template": []}\n', "chat_template.json"),
    ],
    ids=["jinja", "empty", "large", "json", "spaced"],
)
def test_a_template_without_a_name_is_called_what_it_is(content: bytes, expected: str) -> None:
    assert paths(planned(docker(docker_layer("chat.template.jinja", content))).plan) == [expected]


def test_a_template_is_asked_for_beside_the_index() -> None:
    artifact = docker_shards([shard("a"), shard("b")], index_file({"x": ["a"], "y": ["b"]}))
    layers = [
        *(docker_layer("safetensors", shard(name)) for name in ("a", "b")),
        docker_layer("chat.template.jinja", b'{"chat_template": ""}'),
    ]
    archive = artifact.document["layers"][-1]["digest"]
    content = artifact.blobs[archive]
    layers.append(builders.layer("application/vnd.docker.ai.vllm.config.tar", content))
    found = planned(docker(*layers))
    assert [type(need) for need in found.asked] == [MemberNeed, BlobNeed, RangeNeed, RangeNeed]
    assert paths(found.plan) == ["x", "y", "chat_template.json"]


def test_a_template_with_a_name_is_not_looked_into() -> None:
    layer = docker_layer("chat.template.jinja", b"{}", "chat_template.json")
    found = planned(docker(layer))
    assert (found.asked, paths(found.plan)) == ((), ["chat_template.json"])


def test_the_parts_of_a_gguf_are_numbered() -> None:
    parts = [docker_layer("gguf.v3", bytes([number])) for number in range(3)]
    assert paths(planned(docker(*parts)).plan) == [
        f"model-0000{number}-of-00003.gguf" for number in (1, 2, 3)
    ]


def test_further_licenses_are_numbered() -> None:
    layers = [docker_layer("license", text) for text in (b"a", b"b", b"c")]
    assert paths(planned(docker(*layers)).plan) == ["LICENSE", "LICENSE.1", "LICENSE.2"]


def test_a_default_name_yields_to_the_file_in_the_archive() -> None:
    archive = builders.tar_of({"chat_template.jinja": b"archive", "config.json": b"{}"})
    artifact = docker(
        docker_layer("chat.template.jinja", b"layer"),
        builders.typed(archive, "application/vnd.docker.ai.vllm.config.tar"),
    )
    plan = planned(artifact).plan
    layout = arrange(plan, Selection(), unpacked(artifact, plan))
    sizes = {str(file.path): file.size for file in layout.files}
    assert sizes == {"chat_template.jinja": len(b"archive"), "config.json": 2}


def test_a_file_without_a_name_is_left_out_and_said() -> None:
    artifact = docker(docker_layer("gguf.v3", b"GGUF"), docker_layer("model.file", b"who?"))
    plan = planned(artifact).plan
    assert paths(plan) == ["model.gguf"]
    expected = LeftOut("application/vnd.docker.ai.model.file", 4, "a layer without a name")
    assert plan.left_out == (expected,)


def test_a_name_outside_is_refused() -> None:
    with pytest.raises(UnsafePath):
        planned(docker(docker_layer("model.file", b"x", "../../.bashrc")))


def test_the_same_content_under_two_names_is_two_files() -> None:
    layers = [docker_layer("model.file", b"", name) for name in ("a/__init__.py", "b/__init__.py")]
    assert paths(planned(docker(*layers)).plan) == ["a/__init__.py", "b/__init__.py"]


def test_archives_are_never_compressed() -> None:
    archive = builders.tar_of({"config.json": b"{}"})
    layer = builders.typed(archive, "application/vnd.docker.ai.vllm.config.tar")
    (found,) = planned(docker(layer)).plan.operations
    assert isinstance(found, UnpackArchive)
    assert found.compression.value == "none"

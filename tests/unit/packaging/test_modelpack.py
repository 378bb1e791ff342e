from typing import Literal

import pytest

from oci_pull.errors import UnsafePath
from oci_pull.oci.ranges import Span
from oci_pull.packaging import modelpack as planner
from oci_pull.packaging.layout import arrange
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import (
    ApplyLayers,
    Compression,
    FilePlan,
    LeftOut,
    PlaceBlob,
    RangeNeed,
    UnpackArchive,
)
from oci_pull.packaging.selection import Selection
from tests import builders, file_sets
from tests.unit.packaging.planning import (
    manifest_of,
    modelpack,
    pack_layer,
    paths,
    planned,
    unpacked,
)

TarForm = Literal["tar", "tar+gzip"]


def tree_of(artifact: builders.Artifact) -> set[str]:
    """The whole tree, archives unpacked."""
    plan = planned(artifact).plan
    layout = arrange(plan, Selection(), unpacked(artifact, plan))
    return {str(file.path) for file in layout.files}


def only(plan: FilePlan) -> PlaceBlob | UnpackArchive:
    (found,) = plan.operations
    assert not isinstance(found, ApplyLayers)
    return found


@pytest.mark.parametrize(
    ("artifact_type", "config", "layer", "expected"),
    [
        ("application/vnd.cncf.model.manifest.v1+json", "x/y", "x/y", True),
        ("application/vnd.cnai.model.manifest.v1+json", "x/y", "x/y", True),
        (None, "application/vnd.cncf.model.config.v1+json", "x/y", True),
        (None, "application/vnd.cnai.model.config.v1+json", "x/y", True),
        (None, "x/y", "application/vnd.cncf.model.weight.v1.raw", True),
        ("application/vnd.cncf.helm.config.v1+json", "x/y", "x/y", False),
        (None, "application/vnd.docker.ai.model.config.v0.2+json", "x/y", False),
    ],
)
def test_the_artifact_type_the_config_or_a_layer_tells(
    artifact_type: str | None, config: str, layer: str, expected: bool
) -> None:
    artifact = builders.artifact(
        builders.layer(config, b"{}"), [builders.layer(layer, b"x")], artifact_type=artifact_type
    )
    assert planner.matches(manifest_of(artifact)) is expected


@pytest.mark.parametrize("legacy", [False, True])
def test_raw_layers_give_back_the_model_without_a_question(legacy: bool) -> None:
    files = builders.tiny_model(shards=2)
    artifact = builders.modelpack(files, legacy=legacy)
    found = planned(artifact)
    assert set(paths(found.plan)) == tree_of(artifact) == set(files)
    assert found.asked == ()
    assert not found.plan.is_rooted


@pytest.mark.parametrize("form", ["tar", "tar+gzip"])
@pytest.mark.parametrize("legacy", [False, True])
def test_archives_give_back_the_model(form: TarForm, legacy: bool) -> None:
    files = builders.tiny_model()
    assert tree_of(builders.modelpack(files, form=form, legacy=legacy)) == set(files)


@pytest.mark.parametrize("form", ["raw", "tar", "tar+gzip"])
def test_what_aikit_packs_gives_back_the_model(form: Literal["raw"] | TarForm) -> None:
    files = builders.tiny_model(shards=2, prefix="sub/")
    expected = {name.removeprefix("sub/") for name in files}
    assert tree_of(builders.modelpack_aikit(files, form=form)) == expected


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [
        ("tar", Compression.NONE),
        ("tar+gzip", Compression.GZIP),
        ("tar+zstd", Compression.ZSTD),
    ],
)
@pytest.mark.parametrize("kind", ["weight", "weight.config", "code", "doc", "layer"])
def test_an_archive_has_the_compression_of_its_suffix(
    kind: str, suffix: str, expected: Compression
) -> None:
    found = only(planned(modelpack(pack_layer(f"{kind}.v1.{suffix}", b"x", "a/b"))).plan)
    assert isinstance(found, UnpackArchive)
    assert (found.compression, found.hint) == (expected, RelPath(("a", "b")))


@pytest.mark.parametrize("name", ["../../x/y", ".", "", "/abs"])
def test_a_name_that_is_no_path_is_no_hint_for_an_archive(name: str) -> None:
    found = only(planned(modelpack(pack_layer("weight.v1.tar", b"x", name))).plan)
    assert isinstance(found, UnpackArchive)
    assert found.hint is None


@pytest.mark.parametrize("name", ["../..", "../../x/y", "/etc/passwd", "."])
def test_a_raw_layer_with_a_name_outside_is_refused(name: str) -> None:
    with pytest.raises(UnsafePath):
        planned(modelpack(pack_layer("weight.v1.raw", b"x", name)))


@pytest.mark.parametrize("kind", ["weight.v1.gguf", "weight.v1.safetensors", "future.v9.raw"])
def test_a_layer_of_another_kind_with_a_name_is_a_file(kind: str) -> None:
    found = only(planned(modelpack(pack_layer(kind, b"x", "a"))).plan)
    assert isinstance(found, PlaceBlob)
    assert (str(found.path), found.if_absent) == ("a", False)


@pytest.mark.parametrize(
    "media_type",
    ["text/plain; charset=utf-8", "application/octet-stream", "application/x.model.dataset.tar"],
)
def test_a_foreign_type_is_a_file_under_its_name(media_type: str) -> None:
    notes = {
        "org.opencontainers.image.title": f"sha256-{'a' * 64}",
        "org.cncf.model.filepath": "config.json",
    }
    found = only(planned(modelpack(builders.layer(media_type, b"x", notes))).plan)
    assert isinstance(found, PlaceBlob)
    assert (str(found.path), found.is_dataset) == ("config.json", False)


def test_podmans_artifact_is_told_by_its_artifact_type_and_placed_by_its_names() -> None:
    layers = [
        builders.layer(
            "text/plain; charset=utf-8",
            b"{}",
            {
                "org.opencontainers.image.title": f"sha256-{'c' * 64}",
                "org.cncf.model.filepath": "config.json",
            },
        ),
        builders.layer(
            "application/octet-stream",
            b"weights",
            {"org.opencontainers.image.title": "model.safetensors"},
        ),
        builders.layer(
            "application/octet-stream",
            b"?",
            {"org.opencontainers.image.title": f"sha256-{'b' * 64}"},
        ),
    ]
    artifact = builders.artifact(
        builders.layer(builders.OCI_EMPTY, b"{}"),
        layers,
        artifact_type="application/vnd.cncf.model.manifest.v1+json",
    )
    plan = planned(artifact).plan
    assert paths(plan) == ["config.json", "model.safetensors"]
    assert plan.left_out == (LeftOut("application/octet-stream", 1, "a layer without a name"),)


def test_a_kitfile_is_left_out_and_never_the_configuration() -> None:
    kitfile = builders.layer(
        "application/vnd.kitops.modelkit.config.v1+json",
        b"kit",
        {"org.cncf.model.filepath": "config.json"},
    )
    plan = planned(modelpack(kitfile, pack_layer("weight.v1.raw", b"x", "a"))).plan
    assert paths(plan) == ["a"]
    assert plan.left_out == (LeftOut("Kitfile", 3, "KitOps' description of the model"),)


@pytest.mark.parametrize("form", ["raw", "tar", "tar+gzip", "tar+zstd"])
@pytest.mark.parametrize("vendor", ["cncf", "cnai"])
def test_a_dataset_is_marked_as_one(vendor: str, form: str) -> None:
    layer = builders.layer(
        f"application/vnd.{vendor}.model.dataset.v1.{form}",
        b"x",
        {f"org.{vendor}.model.filepath": "d"},
    )
    assert only(planned(modelpack(layer)).plan).is_dataset


def test_code_and_documents_are_no_datasets() -> None:
    layers = [pack_layer(f"{kind}.v1.raw", kind.encode(), kind) for kind in ("code", "doc")]
    plan = planned(modelpack(*layers)).plan
    assert [isinstance(op, PlaceBlob) and op.is_dataset for op in plan.operations] == [False, False]


# Names


@pytest.mark.parametrize(
    ("vendor", "key"),
    # Only the older vocabulary has it without a suffix.
    [("cncf", "file.metadata+json"), ("cnai", "file.metadata+json"), ("cnai", "file.metadata")],
)
def test_metadata_names_a_file_that_no_path_names(vendor: str, key: str) -> None:
    notes = {
        f"org.{vendor}.model.{key}": '{"name":"sub/config.json","mode":420,"typeflag":0}',
        "org.opencontainers.image.title": "weaker",
    }
    layer = builders.layer(f"application/vnd.{vendor}.model.weight.config.v1.raw", b"{}", notes)
    assert paths(planned(modelpack(layer)).plan) == ["sub/config.json"]


@pytest.mark.parametrize("word", ["config", "code", "docs", "dataset"])
@pytest.mark.parametrize("name", ["config.json", "sub/modeling.py"])
def test_a_category_is_the_name_of_no_file(word: str, name: str) -> None:
    archive = file_sets.tar({name: b"x"})
    assert tree_of(modelpack(pack_layer("code.v1.tar", archive, word))) == {name}


def test_several_files_in_one_archive_keep_their_names() -> None:
    archive = file_sets.tar({"sub/config.json": b"{}", "sub/tokenizer.json": b"[]"})
    artifact = modelpack(pack_layer("weight.config.v1.tar", archive, "sub/config.json"))
    assert tree_of(artifact) == {"sub/config.json", "sub/tokenizer.json"}


def test_the_only_file_of_an_archive_goes_where_its_path_says() -> None:
    archive = file_sets.tar({"old/place/model.safetensors": b"x"})
    artifact = modelpack(pack_layer("weight.v1.tar", archive, "new/model.safetensors"))
    assert tree_of(artifact) == {"new/model.safetensors"}


def test_a_base_name_in_a_title_moves_no_file_out_of_its_directory() -> None:
    archive = file_sets.tar({"models/1_Pooling/config.json": b"{}"})
    notes = {"org.opencontainers.image.title": "config.json"}
    layer = builders.layer("application/vnd.cncf.model.weight.v1.tar", archive, notes)
    assert tree_of(modelpack(layer)) == {"models/1_Pooling/config.json"}


@pytest.mark.parametrize("vendor", ["cncf", "cnai"])
def test_the_manifest_names_the_only_file_where_its_layer_does_not(vendor: str) -> None:
    artifact = builders.artifact(
        builders.layer(f"application/vnd.{vendor}.model.config.v1+json", b"{}"),
        [pack_layer("weight.v1.raw", b"GGUF")],
        annotations={
            f"org.{vendor}.model.filepath": "tiny.gguf",
            "org.opencontainers.image.title": "A tiny model",
        },
    )
    assert paths(planned(artifact).plan) == ["tiny.gguf"]


@pytest.mark.parametrize(
    ("annotations", "layers"),
    [
        ({"org.opencontainers.image.title": "A tiny model"}, 1),
        ({"org.cncf.model.filepath": "tiny.gguf"}, 2),
        ({}, 1),
    ],
)
def test_nothing_else_in_the_manifest_names_a_file(
    annotations: dict[str, str], layers: int
) -> None:
    artifact = builders.artifact(
        builders.layer("application/vnd.cncf.model.config.v1+json", b"{}"),
        [pack_layer("weight.v1.raw", bytes([number])) for number in range(layers)],
        annotations=annotations,
    )
    plan = planned(artifact).plan
    assert (paths(plan), len(plan.left_out)) == ([], layers)


# Types


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("novel.v1.tar", Compression.NONE),
        ("novel.v1.tar+gzip", Compression.GZIP),
        ("novel.v1.tar+xz", Compression.SNIFFED),
    ],
)
def test_an_unknown_kind_of_archive_is_an_archive(kind: str, expected: Compression) -> None:
    found = only(planned(modelpack(pack_layer(kind, b"x", "a"))).plan)
    assert isinstance(found, UnpackArchive)
    assert found.compression is expected


@pytest.mark.parametrize("kind", ["config.v1+json", "weight.v1.onnx", "weight.v1", "v1.rawest"])
def test_an_unknown_kind_of_layer_is_left_out_and_told(kind: str) -> None:
    plan = planned(modelpack(pack_layer(kind, b"xyz", "config.json"))).plan
    assert plan.operations == ()
    assert plan.left_out == (LeftOut("config.json", 3, "a kind of layer that is unknown"),)


@pytest.mark.parametrize(
    "media_type", ["application/x-gzip", "application/gzip", "application/zip"]
)
def test_a_compressed_file_of_podmans_is_the_file_that_was_added(media_type: str) -> None:
    found = planned(file_sets.podman({"vocab.gz": b"\x1f\x8b"}, media_type))
    assert (paths(found.plan), found.asked) == (["vocab.gz"], ())


def test_a_layer_that_stands_for_nothing_is_not_mentioned() -> None:
    plan = planned(modelpack(file_sets.EMPTY, pack_layer("weight.v1.raw", b"x", "a"))).plan
    assert (paths(plan), plan.left_out) == (["a"], ())


# An archive under a raw type, as Model Runner converts its v0.1


@pytest.mark.parametrize("name", ["vllm-config-2914733381.tar", "dir-tar-1.tar"])
def test_a_raw_layer_with_a_temporary_name_is_an_archive_where_it_looks_like_one(
    name: str,
) -> None:
    archive = builders.tar_of({"config.json": b"{}"})
    assert isinstance(archive.content, bytes)
    artifact = modelpack(
        pack_layer("weight.config.v1.raw", archive.content, name),
        pack_layer("weight.v1.raw", b"x", "model.safetensors"),
    )
    found = planned(artifact)
    (need,) = found.asked
    assert isinstance(need, RangeNeed)
    assert need.span == Span(257, 262)
    assert [(op.hint, op.compression) for op in found.plan.archives] == [(None, Compression.NONE)]
    assert tree_of(artifact) == {"config.json", "model.safetensors"}


def test_a_disguised_archive_that_is_there_twice_is_looked_into_once() -> None:
    archive = file_sets.tar({"config.json": b"{}"})
    layers = [
        pack_layer("weight.config.v1.raw", archive, f"dir-tar-{number}.tar") for number in (1, 2)
    ]
    found = planned(modelpack(*layers))
    assert (len(found.asked), len(found.plan.archives)) == (1, 2)
    assert tree_of(modelpack(*layers)) == {"config.json"}


def test_a_raw_layer_with_a_temporary_name_is_a_file_where_it_does_not() -> None:
    found = planned(modelpack(pack_layer("weight.config.v1.raw", bytes(300), "dir-tar-1.tar")))
    assert paths(found.plan) == ["dir-tar-1.tar"]
    assert len(found.asked) == 1


@pytest.mark.parametrize(
    ("kind", "content", "name"),
    [
        ("weight.config.v1.raw", bytes(261), "dir-tar-1.tar"),
        ("weight.config.v1.raw", bytes(300), "weights.tar"),
        ("weight.config.v1.raw", bytes(300), "sub/dir-tar-1.tar"),
        ("weight.config.v1.tar", bytes(300), "dir-tar-1.tar"),
        ("weight.config.v1.raw", bytes(300), ""),
    ],
)
def test_no_other_layer_is_looked_into(kind: str, content: bytes, name: str) -> None:
    assert planned(modelpack(pack_layer(kind, content, name))).asked == ()

from collections.abc import Sequence
from dataclasses import replace

import pytest

from oci_pull.packaging import mlmodel as planner
from oci_pull.packaging.layout import arrange
from oci_pull.packaging.plan import (
    Compression,
    PlaceBlob,
    RangeNeed,
    SizeNeed,
    UnpackArchive,
)
from oci_pull.packaging.selection import Selection
from tests import builders, file_sets
from tests.file_sets import CONFIG, MODEL, file_set, stored_gzip, tar, titled
from tests.unit.packaging.planning import manifest_of, paths, planned, unpacked

FILES = builders.tiny_model()
FLAT = {name: content for name, content in FILES.items() if "/" not in name}


def tree_of(artifact: builders.Artifact) -> dict[str, str]:
    plan = planned(artifact).plan
    layout = arrange(plan, Selection(allow_pickle=True), unpacked(artifact, plan))
    return {str(file.path): str(file.digest) for file in layout.files}


@pytest.mark.parametrize(
    ("artifact_type", "config", "layer", "expected"),
    [
        (MODEL, builders.OCI_EMPTY, "x/y", True),
        ("Application/X-MLModel; v=1", builders.OCI_EMPTY, "x/y", True),
        (None, MODEL, "x/y", True),
        (None, CONFIG, "x/y", True),
        (None, "x/y", MODEL, True),
        (None, "x/y", CONFIG, False),
        (CONFIG, "x/y", "x/y", False),
    ],
)
def test_the_artifact_type_the_config_or_a_layer_tells(
    artifact_type: str | None, config: str, layer: str, expected: bool
) -> None:
    artifact = builders.artifact(
        builders.layer(config, b"{}"), [builders.layer(layer, b"x")], artifact_type=artifact_type
    )
    assert planner.matches(manifest_of(artifact)) is expected


@pytest.mark.parametrize(
    ("artifact", "expected"),
    [
        (file_sets.konflux(FILES), FILES),
        (file_sets.konflux(FILES, "tiny/"), FILES),
        (file_sets.olot_artifact(FLAT), FLAT),
        (file_sets.olot_artifact({**FLAT, "empty.txt": b""}), {**FLAT, "empty.txt": b""}),
        (
            file_set(file_sets.unpacked("tiny", FILES), artifact_type=MODEL),
            FILES,
        ),
    ],
    ids=["konflux", "konflux-below", "olot", "olot-empty", "directory"],
)
def test_what_producers_push_gives_back_the_model(
    artifact: builders.Artifact, expected: dict[str, bytes]
) -> None:
    found = planned(artifact)
    assert tree_of(artifact) == {
        name: builders.digest_of(content) for name, content in expected.items()
    }
    assert found.plan.packaging == "mlmodel"


def test_the_config_of_omlmd_that_is_a_layer_too_is_a_file() -> None:
    artifact = file_sets.omlmd("model.onnx", b"ONNX")
    manifest = manifest_of(artifact)
    assert manifest.config
    assert manifest.config.digest in {layer.digest for layer in manifest.layers}
    found = planned(artifact)
    assert found.asked == ()
    assert set(tree_of(artifact)) == {
        "model.onnx",
        "model_metadata.omlmd.json",
        "model_metadata.omlmd.yaml",
    }


# --- sizes that are those of something else


def test_the_largest_blob_alone_tells_that_sizes_are_true() -> None:
    found = planned(file_sets.konflux(FILES))
    (need,) = found.asked
    assert isinstance(need, SizeNeed)
    assert str(need.blob.digest) == builders.digest_of(FILES["model.safetensors"])


def test_where_that_lies_every_size_is_asked_for_and_what_lies_is_looked_into() -> None:
    artifact = file_sets.olot_artifact(FLAT)
    found = planned(artifact)
    assert sum(isinstance(need, SizeNeed) for need in found.asked) == len(FLAT)
    assert sum(isinstance(need, RangeNeed) for need in found.asked) == len(FLAT)
    for op in found.plan.archives:
        content = artifact.blobs[str(op.blob.digest)]
        assert op.blob.size == builders.size_of(content)
        assert op.compression is (
            Compression.GZIP if str(op.hint) == "README.md" else Compression.NONE
        )


def test_a_blob_that_lies_and_is_no_archive_is_left_as_the_manifest_has_it() -> None:
    """What does not keep to its descriptor is refused when it comes."""
    lying = replace(titled("config.json", b'{"a": 1}', "application/json"), size=2)
    found = planned(file_set(lying, artifact_type=MODEL))
    (op,) = found.plan.operations
    assert isinstance(op, PlaceBlob)
    assert op.blob.size == 2


@pytest.mark.parametrize(
    "artifact",
    [
        file_sets.omlmd("model.onnx", b"ONNX"),
        file_set(titled("a", b"a", MODEL), artifact_type=MODEL),
        file_set(
            titled("a", b"a"), artifact_type=MODEL, config=builders.layer("x/config", b'{"a":1}')
        ),
        file_set(titled("empty.txt", b""), artifact_type=MODEL),
        file_set(artifact_type=MODEL),
    ],
    ids=range(5),
)
def test_no_other_producer_is_asked_for_sizes(artifact: builders.Artifact) -> None:
    assert planned(artifact).asked == ()


# --- archives that say what they are


@pytest.mark.parametrize(
    ("media_type", "content", "expected"),
    [
        (file_sets.TAR, tar({"a.onnx": b"ONNX"}), Compression.NONE),
        (file_sets.TAR_GZIP, stored_gzip(tar({"a.onnx": b"ONNX"})), Compression.GZIP),
        (file_sets.TAR, stored_gzip(tar({"a.onnx": b"ONNX"})), Compression.GZIP),
        (file_sets.TAR, b"none of the kind", None),
        (MODEL, tar({"a.onnx": b"ONNX"}), None),
    ],
    ids=range(5),
)
def test_several_files_in_an_archive_are_unpacked_where_it_is_one(
    media_type: str, content: bytes, expected: Compression | None
) -> None:
    plan = planned(
        file_set(
            titled("model.tar", content, media_type),
            artifact_type=None,
            config=builders.layer(CONFIG, b"{}"),
        )
    ).plan
    found: Sequence[Compression] = [op.compression for op in plan.archives]
    assert found == ([expected] if expected else [])
    assert paths(plan) == ([] if expected else ["model.tar"])


def test_an_archive_of_another_name_is_the_file_that_was_pushed() -> None:
    artifact = file_sets.konflux({"weights.tar.gz": stored_gzip(tar({"a": b"a"}))})
    assert not [op for op in planned(artifact).plan.operations if isinstance(op, UnpackArchive)]

import pytest

from oci_pull.errors import NotAModel
from oci_pull.packaging import docker_model, modelpack
from oci_pull.packaging.detect import planner_for
from oci_pull.packaging.plan import Planner
from tests import builders
from tests.unit.packaging.planning import manifest_of

FILES = {"config.json": b"{}", "model.safetensors": b"weights"}


@pytest.mark.parametrize(
    ("artifact", "expected"),
    [
        (builders.docker_v01(FILES, annotated=False), docker_model),
        (builders.docker_v01(FILES, annotated=True), docker_model),
        (builders.docker_v02(FILES), docker_model),
        (builders.modelpack(FILES), modelpack),
        (builders.modelpack(FILES, legacy=True), modelpack),
        (builders.modelpack_aikit(FILES, form="tar"), modelpack),
    ],
)
def test_every_producer_has_its_planner(artifact: builders.Artifact, expected: Planner) -> None:
    assert planner_for(manifest_of(artifact)) is expected


def test_dockers_layers_with_the_annotations_of_modelpack_are_dockers() -> None:
    artifact = builders.docker_v02(FILES)
    assert b"org.cncf.model.filepath" in artifact.manifest
    assert planner_for(manifest_of(artifact)) is docker_model


def test_dockers_layers_under_the_artifact_type_of_modelpack_are_dockers() -> None:
    artifact = builders.artifact(
        builders.layer("application/vnd.cncf.model.config.v1+json", b"{}"),
        [builders.layer("application/vnd.docker.ai.gguf.v3", b"GGUF")],
        artifact_type="application/vnd.cncf.model.manifest.v1+json",
    )
    assert planner_for(manifest_of(artifact)) is docker_model


def test_dockers_layers_in_the_types_of_modelpack_are_a_modelpack() -> None:
    artifact = builders.artifact(
        builders.layer("application/vnd.cncf.model.config.v1+json", b"{}"),
        [builders.layer("application/vnd.cncf.model.weight.v1.gguf", b"GGUF")],
    )
    assert planner_for(manifest_of(artifact)) is modelpack


def test_what_nobody_recognises_is_an_error_that_holds_what_was_found() -> None:
    layers = [builders.layer("application/vnd.cncf.helm.chart.v1.tar", bytes([n])) for n in (1, 2)]
    artifact = builders.artifact(
        builders.layer("application/vnd.cncf.helm.config.v1+json", b"{}"),
        [*layers, builders.layer("", b"untyped")],
        artifact_type="application/vnd.test.chart",
    )
    with pytest.raises(NotAModel) as caught:
        planner_for(manifest_of(artifact))
    assert caught.value.message.splitlines()[1:] == [
        "  artifact type application/vnd.test.chart",
        "  config application/vnd.cncf.helm.config.v1+json",
        "  2 x layer application/vnd.cncf.helm.chart.v1.tar",
        "  1 x layer (no type)",
    ]
    assert caught.value.exit_code == 9
    assert caught.value.hint


def test_an_artifact_without_anything_says_so() -> None:
    document = {
        "mediaType": "application/vnd.oci.artifact.manifest.v1+json",
        "blobs": [],
    }
    artifact = builders.Artifact(builders.encode(document), "", {})
    with pytest.raises(NotAModel, match="config none"):
        planner_for(manifest_of(artifact))


def test_a_message_about_many_types_is_short() -> None:
    layers = [builders.layer(f"application/x-{n}", bytes([n])) for n in range(50)]
    with pytest.raises(NotAModel) as caught:
        planner_for(manifest_of(builders.artifact(builders.layer("x/y", b"{}"), layers)))
    assert len(caught.value.message.splitlines()) == 10

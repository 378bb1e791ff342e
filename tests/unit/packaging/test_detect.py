from collections.abc import Mapping, Sequence

import pytest

from oci_pull.errors import NotAModel
from oci_pull.packaging import docker_model, image, kitops, mlmodel, modelpack, ollama, oras
from oci_pull.packaging.detect import planner_for
from oci_pull.packaging.plan import Planner
from tests import builders, file_sets
from tests.unit.packaging.planning import manifest_of

FILES = {"config.json": b"{}", "model.safetensors": b"weights"}


KIT = "application/vnd.kitops.modelkit."
OLLAMA = "application/vnd.ollama.image."
DOCKER = "application/vnd.docker.ai."
PACK = "application/vnd.cncf.model."
OLD_PACK = "application/vnd.cnai.model."
DOCKER_IMAGE = "application/vnd.docker.container.image.v1+json"
OCI_IMAGE = "application/vnd.oci.image.config.v1+json"
ROOTFS = "application/vnd.docker.image.rootfs.diff.tar.gzip"
TITLE = "org.opencontainers.image.title"


def made(
    *layers: str,
    config: str = builders.OCI_EMPTY,
    artifact_type: str = "",
    notes: Mapping[str, str] | None = None,
) -> builders.Artifact:
    """A manifest of these types; every layer has the same annotations."""
    return builders.artifact(
        builders.layer(config, b"{}"),
        [builders.layer(kind, bytes([number]), notes) for number, kind in enumerate(layers)],
        artifact_type=artifact_type or None,
    )


TITLED = {TITLE: "model.safetensors"}
OLOT = TITLED | {"olot.layer.content.type": "file"}
#: The first that fits is at the top of its packaging; each of the others has one signal alone, or
#: that of a packaging further down as well.
ORDER: Sequence[tuple[builders.Artifact, Planner]] = (
    (made(f"{KIT}model.v1.tar", config=f"{KIT}config.v1+json"), kitops),
    (made("a/b", artifact_type=f"{KIT}manifest.v1+json"), kitops),
    (made(f"{KIT}code.v1.tar", artifact_type=f"{PACK}manifest.v1+json"), kitops),
    (made(f"{PACK}weight.v1.raw", f"{KIT}config.v1+json"), modelpack),
    (made(f"{OLLAMA}model", config=DOCKER_IMAGE), ollama),
    (made(f"{OLLAMA}tensor; name=a", f"{OLLAMA}json"), ollama),
    (made(f"{OLLAMA}model", notes=TITLED), ollama),
    (made("a/b", config=f"{DOCKER}model.config.v0.2+json"), docker_model),
    (made("a/b", config=f"{DOCKER}model.config.v0.1+json"), docker_model),
    (made(f"{DOCKER}gguf.v3", artifact_type=f"{PACK}manifest.v1+json"), docker_model),
    (made(f"{DOCKER}model.file", notes=TITLED), docker_model),
    (made("a/b", artifact_type=f"{PACK}manifest.v1+json", notes=TITLED), modelpack),
    (made("a/b", artifact_type=f"{OLD_PACK}manifest.v1+json"), modelpack),
    (made("a/b", config=f"{PACK}config.v1+json"), modelpack),
    (made("a/b", config=f"{OLD_PACK}config.v1+json"), modelpack),
    (made(f"{OLD_PACK}weight.v1.tar", artifact_type="application/x-mlmodel"), modelpack),
    (made("a/b", artifact_type="application/x-mlmodel", notes=TITLED), mlmodel),
    (made("a/b", config="application/x-mlmodel"), mlmodel),
    (made("a/b", config="application/x-config", notes=TITLED), mlmodel),
    (made("application/x-mlmodel", notes=TITLED), mlmodel),
    (made(ROOTFS, config=DOCKER_IMAGE), image),
    (made(file_sets.TAR_GZIP, file_sets.TAR, config=OCI_IMAGE), image),
    (made(file_sets.TAR, config=OCI_IMAGE, notes=OLOT), image),
    (made(f"{PACK}weight.v1.tar", file_sets.TAR, config=OCI_IMAGE), modelpack),
    # Only the config tells whether they are files; the planner reads it.
    (made(file_sets.TAR, config=OCI_IMAGE, notes=TITLED), image),
    (made("a/b", notes=TITLED), oras),
    (made("a/b", notes={"org.cncf.model.filepath": "model.safetensors"}), oras),
    (made("application/vnd.kaito.llm.v1", notes=TITLED), oras),
    (made(file_sets.TAR, notes=TITLED), oras),
    (made("a/b", config="application/vnd.unknown.config.v1+json", notes=TITLED), oras),
    (made("a/b"), oras),
    (builders.docker_v01(FILES, annotated=False), docker_model),
    (builders.docker_v01(FILES, annotated=True), docker_model),
    (builders.docker_v02(FILES), docker_model),
    (builders.modelpack(FILES), modelpack),
    (builders.modelpack(FILES, legacy=True), modelpack),
    (builders.modelpack_aikit(FILES, form="tar"), modelpack),
    (file_sets.podman(FILES), modelpack),
    (file_sets.ollama(("model", b"GGUF")), ollama),
    (file_sets.omlmd("model.onnx", b"ONNX"), mlmodel),
    (file_sets.konflux(FILES), mlmodel),
    (file_sets.olot_artifact(FILES), mlmodel),
    (file_sets.oras(FILES), oras),
    (file_sets.oras_python(FILES), oras),
    (file_sets.aikit_files(FILES), oras),
    (file_sets.aikit_archive(b"x", "allfiles.tar"), oras),
    (file_sets.kaito(FILES), oras),
)


@pytest.mark.parametrize("row", range(len(ORDER)))
def test_every_manifest_has_its_planner(row: int) -> None:
    artifact, expected = ORDER[row]
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
    assert list(caught.value.facts) == [
        "found: artifact type application/vnd.test.chart",
        "       config application/vnd.cncf.helm.config.v1+json",
        "       2 x layer application/vnd.cncf.helm.chart.v1.tar",
        "       1 x layer (no type)",
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
    assert len(caught.value.facts) == 11

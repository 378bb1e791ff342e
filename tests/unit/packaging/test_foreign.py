import pytest

from oci_pull.errors import NotAModel
from oci_pull.packaging.detect import planner_for
from oci_pull.packaging.foreign import kind_of, not_a_model
from tests import builders
from tests.builders import Artifact, Layer
from tests.unit.packaging.planning import manifest_of

IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"


def made(*layers: str, config: str = builders.OCI_EMPTY, artifact_type: str = "") -> Artifact:
    """A manifest of these types."""
    return builders.artifact(
        builders.layer(config, b"{}"),
        [builders.layer(kind, bytes([number])) for number, kind in enumerate(layers)],
        artifact_type=artifact_type or None,
    )


def titled(media_type: str, name: str) -> Layer:
    return builders.layer(media_type, b"x", {"org.opencontainers.image.title": name})


FOREIGN = {
    "helm": (
        made(
            "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            config="application/vnd.cncf.helm.config.v1+json",
        ),
        "a Helm chart",
        "helm pull",
    ),
    "wasm": (
        made("application/wasm", config="application/vnd.wasm.config.v0+json"),
        "a WebAssembly module",
        "runtime",
    ),
    "wasm-to-oci": (
        builders.artifact(
            builders.layer("application/vnd.wasm.config.v1+json", b"{}"),
            [titled("application/vnd.wasm.content.layer.v1+wasm", "module.wasm")],
        ),
        "a WebAssembly module",
        "runtime",
    ),
    "cosign": (
        made("application/vnd.dev.cosign.simplesigning.v1+json", config=IMAGE_CONFIG),
        "a cosign signature",
        "without this tag",
    ),
    "notation": (
        made("application/jose+json", config="application/vnd.cncf.notary.signature"),
        "a signature of the Notary Project",
        "subject",
    ),
    "sigstore": (
        made(
            "application/vnd.dev.sigstore.bundle.v0.3+json",
            artifact_type="application/vnd.dev.sigstore.bundle.v0.3+json",
        ),
        "a sigstore bundle",
        "subject",
    ),
    "spdx": (
        builders.artifact(
            builders.layer(builders.OCI_EMPTY, b"{}"),
            [titled("application/spdx+json", "sbom.spdx.json")],
            artifact_type="application/spdx+json",
        ),
        "an SBOM",
        "subject",
    ),
    "cyclonedx": (made("application/vnd.cyclonedx+json", config=IMAGE_CONFIG), "an SBOM", ""),
    "in-toto": (
        made("application/vnd.in-toto+json", "application/vnd.in-toto+json", config=IMAGE_CONFIG),
        "an in-toto attestation",
        "subject",
    ),
    "dsse": (made("application/vnd.dsse.envelope.v1+json"), "an in-toto attestation", ""),
    "compose": (
        made(
            "application/vnd.docker.compose.file+yaml",
            config="application/vnd.docker.compose.config.empty.v1+json",
            artifact_type="application/vnd.docker.compose.project",
        ),
        "a Compose project",
        "docker compose",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_model_is_called_by_its_name_and_its_user_told_what_to_do(name: str) -> None:
    artifact, what, hint = FOREIGN[name]
    with pytest.raises(NotAModel) as caught:
        planner_for(manifest_of(artifact))
    assert caught.value.message == f"this is {what}, not a model"
    assert caught.value.facts[0].startswith(("found: artifact type ", "found: config "))
    assert caught.value.exit_code == 9
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize("layers", [(), (builders.OCI_EMPTY,)])
def test_a_configuration_alone_is_told(layers: tuple[str, ...]) -> None:
    found = not_a_model(manifest_of(made(*layers, config="application/vnd.test.config+json")))
    assert found.message == "this is a configuration without any file, not a model"


def test_what_nobody_knows_is_told_with_all_that_is_understood() -> None:
    found = not_a_model(manifest_of(made("a/b", "a/b", "c/d", artifact_type="e/f")))
    assert found.message == "not a model in a packaging that oci-pull knows"
    assert list(found.facts[:4]) == [
        "found: artifact type e/f",
        f"       config {builders.OCI_EMPTY}",
        "       2 x layer a/b",
        "       1 x layer c/d",
    ]
    for word in ("Docker", "ModelPack", "KitOps", "Ollama", "ORAS", "omlmd", "RamaLama", "image"):
        assert word in "".join(found.facts[4:])


def test_a_model_with_an_sbom_beside_it_is_a_model() -> None:
    artifact = builders.artifact(
        builders.layer(builders.OCI_EMPTY, b"{}"),
        [
            titled("application/octet-stream", "model.safetensors"),
            titled("application/spdx+json", "sbom.spdx.json"),
        ],
    )
    assert kind_of(manifest_of(artifact)) is None
    assert planner_for(manifest_of(artifact))

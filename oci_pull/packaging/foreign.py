"""What is in a registry beside models, by the types of its manifest, and who can use it."""

from collections import Counter
from dataclasses import dataclass

from oci_pull.errors import NotAModel
from oci_pull.oci.manifest import Manifest
from oci_pull.packaging.layer import EMPTY

_UNDERSTOOD = (
    "understood: Docker model artifacts, CNCF ModelPack, KitOps ModelKits, Ollama,",
    "            ORAS file sets, omlmd, RamaLama, container images with a model in them",
)
_MAX_LISTED = 8


@dataclass(frozen=True, slots=True)
class Kind:
    """Something that is no model."""

    what: str
    #: What to do instead.
    instead: str
    #: How the media types start that tell it.
    types: tuple[str, ...]


_WHAT_IT_IS_ABOUT = "pull what it is about: its reference without this tag, or its subject's digest"
_KINDS = (
    Kind(
        "a Helm chart",
        "helm pull oci://REFERENCE",
        ("application/vnd.cncf.helm.",),
    ),
    Kind(
        "a WebAssembly module",
        "a WebAssembly runtime runs it; oras pull REFERENCE fetches the file",
        ("application/vnd.wasm.", "application/wasm", "application/vnd.bytecodealliance.wasm."),
    ),
    Kind(
        "a cosign signature",
        _WHAT_IT_IS_ABOUT,
        ("application/vnd.dev.cosign.simplesigning.", "application/vnd.dev.cosign.artifact.sig."),
    ),
    Kind(
        "a signature of the Notary Project",
        _WHAT_IT_IS_ABOUT,
        ("application/vnd.cncf.notary.",),
    ),
    Kind(
        "a sigstore bundle",
        _WHAT_IT_IS_ABOUT,
        ("application/vnd.dev.sigstore.bundle",),
    ),
    Kind(
        "an SBOM",
        _WHAT_IT_IS_ABOUT,
        (
            "application/spdx",
            "text/spdx",
            "application/vnd.spdx",
            "application/vnd.cyclonedx",
            "application/vnd.syft",
            "application/vnd.dev.cosign.artifact.sbom.",
        ),
    ),
    Kind(
        "an in-toto attestation",
        _WHAT_IT_IS_ABOUT,
        ("application/vnd.in-toto", "application/vnd.dsse.envelope."),
    ),
    Kind(
        "a Compose project",
        "docker compose -f oci://REFERENCE up",
        ("application/vnd.docker.compose.",),
    ),
)


def kind_of(manifest: Manifest) -> Kind | None:
    """What the manifest is, where its artifact type, its config or all of its layers tell."""
    layers = [layer.media_type for layer in manifest.layers if layer.media_type != EMPTY]
    for kind in _KINDS:
        is_told = manifest.artifact_type.startswith(kind.types)
        is_told |= manifest.config_type.startswith(kind.types)
        if is_told or (layers and all(each.startswith(kind.types) for each in layers)):
            return kind
    return None


def not_a_model(manifest: Manifest) -> NotAModel:
    """The error that says what the manifest is, as far as it is known, and what is in it."""
    kind = kind_of(manifest)
    found = _found(manifest)
    if kind:
        return NotAModel(f"this is {kind.what}, not a model", facts=found, hint=kind.instead)
    if all(layer.media_type == EMPTY for layer in manifest.layers):
        what = "this is a configuration without any file, not a model"
    else:
        what = "not a model in a packaging that oci-pull knows"
    return NotAModel(what, facts=[*found, *_UNDERSTOOD])


def _found(manifest: Manifest) -> list[str]:
    layers = Counter(layer.media_type or "(no type)" for layer in manifest.layers)
    found = [f"config {manifest.config_type or 'none'}"]
    if manifest.artifact_type:
        found.insert(0, f"artifact type {manifest.artifact_type}")
    found += [f"{number} x layer {kind}" for kind, number in layers.most_common(_MAX_LISTED)]
    return [f"{'' if number else 'found:':6} {each}" for number, each in enumerate(found)]

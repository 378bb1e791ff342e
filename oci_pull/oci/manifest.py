"""Manifests and indexes of the OCI and the Docker types."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oci_pull.errors import DigestMismatch, InvalidManifest, Unsupported
from oci_pull.oci.descriptor import Descriptor, annotations, media_type
from oci_pull.oci.digest import Digest
from oci_pull.oci.verify import verify

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

INDEX_TYPES = (OCI_INDEX, DOCKER_LIST)
MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST, OCI_ARTIFACT)
#: OCI types first: hologram and Hugging Face answer another packaging when Docker's come first.
ACCEPT = f"{OCI_MANIFEST}, {OCI_INDEX}, {DOCKER_MANIFEST}, {DOCKER_LIST}, {OCI_ARTIFACT}"
#: distribution-spec: implementations should expect at least 4 megabytes, and peers stop there.
MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Manifest:
    """One artifact: a config and layers. `raw` hashes to `descriptor.digest`, always."""

    descriptor: Descriptor
    raw: bytes = field(repr=False)
    artifact_type: str
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Everything that it names: the layers, and the config where there is one."""
        return (*self.layers, *((self.config,) if self.config else ()))

    @property
    def config_type(self) -> str:
        """The media type of the config, empty where there is none."""
        return self.config.media_type if self.config else ""


@dataclass(frozen=True, slots=True)
class Index:
    """Several manifests under one name."""

    descriptor: Descriptor
    raw: bytes = field(repr=False)
    artifact_type: str
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str]


#: What a registry answers for a tag or a digest.
Document = Manifest | Index


def parse_document(raw: bytes, *, content_type: str = "", digest: Digest | None = None) -> Document:
    """Parse the bytes of a manifest or an index as received.

    The type is that of the body, else of the header, else of its shape. `digest` is what was asked
    for; without one the sha256 of the bytes is the identity.

    Raises:
        DigestMismatch: the bytes are not those of `digest`.
        InvalidManifest: not JSON, too large, of two shapes (CVE-2021-41190), a header that
            contradicts the body, or a member that cannot be.
        Unsupported: Docker's schema 1.
    """
    if len(raw) > MAX_BYTES:
        raise InvalidManifest(f"the manifest is larger than {MAX_BYTES} bytes")
    digest = digest or Digest.of(raw)
    try:
        verify(Descriptor("", digest, len(raw)), raw)
    except DigestMismatch as error:
        message = f"the manifest: {error.message}"
        raise DigestMismatch(message, facts=error.facts, hint=error.hint) from error
    value = _object(raw)
    kind = _kind(value, media_type(content_type))
    descriptor = Descriptor(kind, digest, len(raw))
    artifact_type = media_type(str(value.get("artifactType") or ""))
    if kind in INDEX_TYPES:
        entries = _descriptors(value, "manifests")
        return Index(descriptor, raw, artifact_type, entries, annotations(value))
    layers = _descriptors(value, "blobs" if kind == OCI_ARTIFACT else "layers")
    config = Descriptor.parse(value["config"]) if value.get("config") is not None else None
    if config is None and kind != OCI_ARTIFACT:
        raise InvalidManifest("the manifest has no config")
    _refuse_two_sizes((*layers, *((config,) if config else ())))
    return Manifest(descriptor, raw, artifact_type, config, layers, annotations(value))


def _refuse_two_sizes(blobs: Iterable[Descriptor]) -> None:
    sizes: dict[Digest, int] = {}
    for blob in blobs:
        if sizes.setdefault(blob.digest, blob.size) != blob.size:
            raise InvalidManifest(f"the manifest gives {blob.digest} two sizes")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidManifest("the manifest is not JSON") from error
    if not isinstance(value, dict):
        raise InvalidManifest("the manifest is not a JSON object")
    return value


def _kind(value: Mapping[str, Any], header: str) -> str:
    """The media type; raises where body, header and shape do not agree."""
    if value.get("schemaVersion") == 1 or "fsLayers" in value:
        raise Unsupported("Docker's schema 1 manifests are not supported; push the model again")
    shapes = {"manifests", "layers", "blobs"} & value.keys()
    if len(shapes) > 1 or (shapes == {"manifests"} and "config" in value):
        raise InvalidManifest("the manifest has the shape of a manifest and of an index")
    if not shapes:
        raise InvalidManifest("the manifest has neither layers nor manifests")
    known = INDEX_TYPES + MANIFEST_TYPES
    body = media_type(str(value.get("mediaType") or ""))
    if body in known and header in known and body != header:
        raise InvalidManifest(f"the manifest says it is {body}, its header says {header}")
    by_shape = {"manifests": OCI_INDEX, "layers": OCI_MANIFEST, "blobs": OCI_ARTIFACT}
    shape = by_shape[shapes.pop()]
    # Ollama sends text/plain, old ECR and Artifactory application/json: the shape decides then.
    kind = next((each for each in (body, header) if each in known), shape)
    families = (INDEX_TYPES, (OCI_MANIFEST, DOCKER_MANIFEST), (OCI_ARTIFACT,))
    if not any(kind in family and shape in family for family in families):
        raise InvalidManifest(f"the manifest says it is {kind}, and does not look like one")
    return kind


def _descriptors(value: Mapping[str, Any], key: str) -> tuple[Descriptor, ...]:
    entries = value.get(key)
    if not isinstance(entries, list):
        raise InvalidManifest(f"{key} is not a list")
    return tuple(Descriptor.parse(entry) for entry in entries)

"""An artifact as values: contents named by digest, layers, and the manifest over them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Content = bytes | Path
"""A path is for what is too large for memory: it is read in chunks, every time."""

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"

_CHUNK = 1 << 20


def chunks_of(content: Content) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def digest_of(content: Content) -> str:
    state = hashlib.sha256()
    for chunk in chunks_of(content):
        state.update(chunk)
    return f"sha256:{state.hexdigest()}"


def size_of(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def encode(document: object) -> bytes:
    """As Go's encoder writes it: the producers are Go programs."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True)
class Layer:
    """One descriptor and its bytes; a config is one too."""

    media_type: str
    content: Content
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    diff_id: str = ""  # the digest before compression

    @property
    def descriptor(self) -> dict[str, Any]:
        return descriptor(self.media_type, self.digest, self.size, self.annotations)


def layer(media_type: str, content: Content, annotations: Mapping[str, str] | None = None) -> Layer:
    digest = digest_of(content)
    return Layer(media_type, content, digest, size_of(content), annotations or {}, digest)


def descriptor(
    media_type: str,
    digest: str,
    size: int,
    annotations: Mapping[str, str] | None = None,
    **members: Any,
) -> dict[str, Any]:
    found: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": size}
    if annotations:
        found["annotations"] = dict(annotations)
    return found | members


def manifest(
    config: Mapping[str, Any],
    layers: Sequence[Mapping[str, Any]],
    *,
    media_type: str = OCI_MANIFEST,
    artifact_type: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    found: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_type}
    if artifact_type is not None:
        found["artifactType"] = artifact_type
    found |= {"config": dict(config), "layers": [dict(each) for each in layers]}
    if annotations:
        found["annotations"] = dict(annotations)
    return found


@dataclass(frozen=True)
class Artifact:
    """What a registry holds under one tag; `children` are the manifests of an index."""

    manifest: bytes
    media_type: str
    blobs: Mapping[str, Content]
    children: tuple[Artifact, ...] = ()

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.manifest)
        return found


def artifact(
    config: Layer,
    layers: Sequence[Layer],
    *,
    media_type: str = OCI_MANIFEST,
    artifact_type: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Artifact:
    document = manifest(
        config.descriptor,
        [each.descriptor for each in layers],
        media_type=media_type,
        artifact_type=artifact_type,
        annotations=annotations,
    )
    blobs = {each.digest: each.content for each in (config, *layers)}
    return Artifact(encode(document), media_type, blobs)


@dataclass(frozen=True)
class IndexEntry:
    artifact: Artifact
    platform: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    artifact_type: str | None = None


def index(
    entries: Sequence[IndexEntry],
    *,
    media_type: str = OCI_INDEX,
    annotations: Mapping[str, str] | None = None,
) -> Artifact:
    described = []
    for entry in entries:
        member = entry.artifact
        members: dict[str, Any] = {}
        if entry.platform is not None:
            members["platform"] = dict(entry.platform)
        if entry.artifact_type is not None:
            members["artifactType"] = entry.artifact_type
        described.append(
            descriptor(
                member.media_type,
                member.digest,
                len(member.manifest),
                entry.annotations,
                **members,
            )
        )
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": described,
    }
    if annotations:
        document["annotations"] = dict(annotations)
    children = tuple(entry.artifact for entry in entries)
    return Artifact(encode(document), media_type, {}, children)

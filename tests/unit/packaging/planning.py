"""Artifacts in memory, planned: what a planner asks is answered as `prepare` answers it."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import Manifest, parse_document
from oci_pull.packaging.detect import planner_for
from oci_pull.packaging.layout import Member, Members
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import (
    BlobNeed,
    FilePlan,
    Known,
    ManifestNeed,
    MemberNeed,
    Need,
    Operation,
    PlaceBlob,
    RangeNeed,
    SizeNeed,
)
from tests import builders

DOCKER = "application/vnd.docker.ai."
INDEX_NAME = "model.safetensors.index.json"
_ROUNDS = 22


@dataclass(frozen=True)
class Planned:
    plan: FilePlan
    asked: tuple[Need[Any], ...]


def manifest_of(artifact: builders.Artifact) -> Manifest:
    document = parse_document(artifact.manifest, content_type=artifact.media_type)
    assert isinstance(document, Manifest)
    return document


def planned(
    artifact: builders.Artifact, parents: Mapping[str, builders.Artifact] = MappingProxyType({})
) -> Planned:
    """The plan of an artifact; `parents` are the others that there are, by reference."""
    manifest = manifest_of(artifact)
    planner = planner_for(manifest)
    known = Known()
    for _ in range(_ROUNDS):
        answer = planner.plan(manifest, known)
        if isinstance(answer, FilePlan):
            return Planned(answer, tuple(known))
        known = known.with_answers(
            {need: _answer(need, artifact, parents) for need in answer.needs}
        )
    raise AssertionError("the planner asks for ever")


def _answer(
    need: Need[Any], artifact: builders.Artifact, parents: Mapping[str, builders.Artifact]
) -> bytes | int | Manifest | None:
    if isinstance(need, ManifestNeed):
        return manifest_of(parents[str(need.reference)])
    if isinstance(need, MemberNeed):
        files = _files(content_of(artifact, need.archive))
        return files.get(str(need.name))
    if isinstance(need, SizeNeed):
        return len(content_of(artifact, need.blob))
    if isinstance(need, BlobNeed):
        everybody = (artifact, *parents.values())
        return content_of(
            next(each for each in everybody if str(need.blob.digest) in each.blobs), need.blob
        )
    assert isinstance(need, RangeNeed)
    return content_of(artifact, need.blob)[need.span.start : need.span.end]


def content_of(artifact: builders.Artifact, blob: Descriptor) -> bytes:
    content = artifact.blobs[str(blob.digest)]
    assert isinstance(content, bytes)
    return content


def unpacked(artifact: builders.Artifact, plan: FilePlan) -> Members:
    """The members of every archive of the plan, as the unpacker records them."""
    return {op.blob.digest: members(_files(content_of(artifact, op.blob))) for op in plan.archives}


def _files(archive: bytes) -> dict[str, bytes]:
    if not archive:
        return {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        streams = ((member.name, tar.extractfile(member)) for member in tar)
        return {name: stream.read() for name, stream in streams if stream}


def members(files: Mapping[str, bytes]) -> tuple[Member, ...]:
    return tuple(
        Member(RelPath.parse(name), len(content), Digest.of(content))
        for name, content in files.items()
    )


def blob(content: bytes, media_type: str = "application/octet-stream") -> Descriptor:
    return Descriptor(media_type, Digest.of(content), len(content))


def plan_of(*operations: Operation, is_rooted: bool = True) -> FilePlan:
    """A plan that no manifest calls for."""
    manifest = manifest_of(builders.artifact(builders.layer("application/x-config", b"{}"), []))
    return FilePlan("test", manifest, operations, is_rooted=is_rooted)


def place(path: str, content: bytes = b"") -> PlaceBlob:
    return PlaceBlob(RelPath.parse(path), blob(content or path.encode()))


def paths(plan: FilePlan) -> list[str]:
    """Where the blobs of a plan go, in its order."""
    return [str(op.path) for op in plan.operations if isinstance(op, PlaceBlob)]


# What no producer's tool makes any more, or none makes alone.


def docker_layer(kind: str, content: bytes, path: str = "") -> builders.Layer:
    annotations = {"org.cncf.model.filepath": path} if path else None
    return builders.layer(DOCKER + kind, content, annotations)


def docker(*layers: builders.Layer) -> builders.Artifact:
    config = builders.layer(f"{DOCKER}model.config.v0.1+json", b'{"config":{}}')
    return builders.artifact(config, layers)


def docker_shards(
    shards: Sequence[bytes], config: Mapping[str, bytes] | None = None
) -> builders.Artifact:
    """Model Runner's first releases: shards without names, then the configuration in a tar."""
    layers = [docker_layer("safetensors", shard) for shard in shards]
    if config is not None:
        layers.append(builders.typed(builders.tar_of(config), f"{DOCKER}vllm.config.tar"))
    return docker(*layers)


def shard(*tensors: str) -> bytes:
    return builders.safetensors({name: ((2,), bytes(8)) for name in tensors})


def index_file(shards: Mapping[str, Sequence[str]]) -> dict[str, bytes]:
    """The configuration with the index that names these tensors in these files."""
    weight_map = {tensor: name for name, tensors in shards.items() for tensor in tensors}
    return {"config.json": b"{}", INDEX_NAME: json.dumps({"weight_map": weight_map}).encode()}


def modelpack(*layers: builders.Layer, artifact_type: str | None = None) -> builders.Artifact:
    config = builders.layer("application/vnd.cncf.model.config.v1+json", b"{}")
    return builders.artifact(config, layers, artifact_type=artifact_type)


def pack_layer(kind: str, content: bytes, path: str = "") -> builders.Layer:
    annotations = {"org.cncf.model.filepath": path} if path else None
    return builders.layer(f"application/vnd.cncf.model.{kind}", content, annotations)

"""Models for the tests here, and how they get into the fake registry."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from tests import builders
from tests.content import Artifact, Content, Layer, encode, layer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tests.archives import Entry, Form
    from tests.fakes.registry import FakeRegistry

REPOSITORY = "team/model"
TAG = "v1"
MIB = 1 << 20

_PACK = "application/vnd.cncf.model."
_FILEPATH = "org.cncf.model.filepath"
_CONFIG = b'{"architectures":["LlamaForCausalLM"],"model_type":"llama"}\n'


def weights(size: int, seed: int = 0) -> bytes:
    """A safetensors file with one tensor of `size` bytes that no compression makes smaller."""
    return builders.safetensors({"w": ((size // 4,), random.Random(seed).randbytes(size))})


def model(size: int = 4096, *, seed: int = 0) -> dict[str, Content]:
    """The least that can be served, with weights of `size` bytes."""
    return {"config.json": _CONFIG, "model.safetensors": weights(size, seed)}


def sparse_weights(path: Path, size: int) -> Path:
    """The same as a file on disk that is a hole."""
    header = encode({"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}})
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    return path


def put(
    registry: FakeRegistry,
    artifact: Artifact,
    *,
    repository: str = REPOSITORY,
    tag: str | None = TAG,
) -> str:
    """The reference under which the registry has the artifact now."""
    for child in artifact.children:
        put(registry, child, repository=repository, tag=None)
    registry.put(repository, tag, artifact.manifest, artifact.media_type, artifact.blobs)
    return f"{registry.address}/{repository}" + (f":{tag}" if tag else f"@{artifact.digest}")


def put_raw(
    registry: FakeRegistry, manifest: bytes, media_type: str = builders.OCI_MANIFEST
) -> str:
    """The same for a manifest that may be anything."""
    registry.put(REPOSITORY, TAG, manifest, media_type, {})
    return f"{registry.address}/{REPOSITORY}:{TAG}"


def raw_layer(path: str, content: Content, kind: str = "weight.config") -> Layer:
    """One file of a ModelPack, under a name that nobody checked."""
    return layer(f"{_PACK}{kind}.v1.raw", content, {_FILEPATH: path})


def archive_layer(members: Mapping[str, Content] | Iterable[Entry], *, form: Form = "tar") -> Layer:
    return builders.typed(builders.tar_of(members, form=form), f"{_PACK}weight.config.v1.{form}")


def pack(layers: Sequence[Layer]) -> Artifact:
    """A ModelPack of these layers."""
    return builders.artifact(
        layer(f"{_PACK}config.v1+json", b"{}"),
        layers,
        artifact_type=f"{_PACK}manifest.v1+json",
    )


def pack_around(*layers: Layer) -> Artifact:
    """A model that can be served but for these layers that it has as well."""
    files = model()
    kinds = {"config.json": "weight.config", "model.safetensors": "weight"}
    return pack([*(raw_layer(name, files[name], kinds[name]) for name in files), *layers])


def document(**changes: Any) -> dict[str, Any]:
    """The manifest of a small model, with members changed."""
    return pack_around().document | changes

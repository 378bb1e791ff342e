"""What every packaging and every awkward case is planned as, and what was asked on the way.

`pytest tests/unit/packaging --update-goldens` rewrites `tests/unit/golden`; read the diff.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from oci_pull.packaging.plan import MemberNeed, Need, Operation, PlaceBlob, RangeNeed
from tests import builders
from tests.unit.conftest import GOLDEN, Golden
from tests.unit.packaging.planning import (
    DOCKER,
    Planned,
    docker,
    docker_layer,
    docker_shards,
    index_file,
    modelpack,
    pack_layer,
    planned,
    shard,
)


def shards(*names: str) -> builders.Artifact:
    """Three shards without a name, in the order of their tensors; the index names them so."""
    tensors = ("a", "b", "c")
    config = index_file({name: [tensor] for name, tensor in zip(names, tensors, strict=True)})
    return docker_shards([shard(tensor) for tensor in tensors], config)


def compressed(artifact: builders.Artifact, form: str) -> builders.Artifact:
    """Only in name: what zlib and zstd make of the same bytes changes with their release."""
    return replace(
        artifact, manifest=artifact.manifest.replace(b'.v1.tar"', f'.v1.{form}"'.encode())
    )


def docker_without_names() -> builders.Artifact:
    archive = builders.tar_of({"config.json": b"{}", "chat_template.jinja": b"{{ a }}"})
    return docker(
        docker_layer("gguf.v3", b"GGUF 1"),
        docker_layer("gguf.v3", b"GGUF 2"),
        docker_layer("mmproj", b"GGUF projector"),
        builders.typed(archive, f"{DOCKER}vllm.config.tar"),
        docker_layer("chat.template.jinja", b"{{ b }}"),
        docker_layer("license", b"MIT"),
        docker_layer("license", b"Apache-2.0"),
        docker_layer("model.file", b"unknown"),
    )


def disguised() -> builders.Artifact:
    """A v0.1 artifact that Model Runner has converted to ModelPack."""
    archive = builders.tar_of({"config.json": b"{}"})
    assert isinstance(archive.content, bytes)
    return modelpack(
        pack_layer("weight.v1.safetensors", shard("a"), "model.safetensors"),
        pack_layer("weight.config.v1.raw", archive.content, "vllm-config-2914733381.tar"),
        pack_layer("weight.config.v1.raw", b"no tar" * 100, "dir-tar-1107624190.tar"),
    )


def podman() -> builders.Artifact:
    def layer(media_type: str, content: bytes, path: str) -> builders.Layer:
        title = builders.digest_of(content).replace(":", "-")
        notes = {"org.opencontainers.image.title": title, "org.cncf.model.filepath": path}
        return builders.layer(media_type, content, notes)

    return builders.artifact(
        builders.layer(builders.OCI_EMPTY, b"{}"),
        [
            layer("text/plain; charset=utf-8", b"{}\n", "config.json"),
            layer("application/octet-stream", shard("a"), "model.safetensors"),
            layer("application/octet-stream", b"nameless", ""),
        ],
        artifact_type="application/vnd.cncf.model.manifest.v1+json",
    )


def kitops() -> builders.Artifact:
    """KitOps in its ModelPack mode: directories and `.` as names, and the Kitfile as a layer."""
    return modelpack(
        builders.layer("application/vnd.kitops.modelkit.config.v1+json", b"manifestVersion: 1\n"),
        pack_layer("weight.v1.tar", b"a tar", "model/model.safetensors"),
        pack_layer("weight.config.v1.tar", b"a tar too", "."),
        pack_layer("code.v1.tar+gzip", b"a tar as well", "scripts"),
        pack_layer("dataset.v1.tar", b"rows", "data"),
    )


CASES: dict[str, Callable[[], builders.Artifact]] = {
    "docker-v01": lambda: builders.docker_v01(builders.tiny_model(), annotated=False),
    "docker-v01-annotated": lambda: builders.docker_v01(
        builders.tiny_model(shards=2), annotated=True
    ),
    "docker-v01-shards": lambda: builders.docker_v01(
        builders.tiny_model(shards=2), annotated=False
    ),
    "docker-v01-shards-from-zero": lambda: shards(
        *(f"model-0000{number}-of-00003.safetensors" for number in range(3))
    ),
    "docker-v01-shards-in-another-order": lambda: shards("y", "z", "x"),
    "docker-v01-shards-without-index": lambda: docker_shards(
        [shard("a"), shard("b")], {"config.json": b"{}"}
    ),
    "docker-v01-without-names": docker_without_names,
    "docker-v02": lambda: builders.docker_v02(builders.tiny_model()),
    "modelpack-raw": lambda: builders.modelpack(
        builders.tiny_model() | {"train.jsonl": b"{}\n"}, datasets=["train.jsonl"]
    ),
    "modelpack-tar": lambda: builders.modelpack(builders.tiny_model(), form="tar"),
    "modelpack-tar-gzip": lambda: compressed(
        builders.modelpack(builders.tiny_model(), form="tar"), "tar+gzip"
    ),
    "modelpack-tar-zstd": lambda: compressed(
        builders.modelpack(builders.tiny_model(), form="tar"), "tar+zstd"
    ),
    "modelpack-legacy": lambda: builders.modelpack(builders.tiny_model(), legacy=True),
    "modelpack-aikit-raw": lambda: builders.modelpack_aikit(
        builders.tiny_model(shards=2, prefix="sub/"), form="raw"
    ),
    "modelpack-aikit-tar": lambda: builders.modelpack_aikit(
        builders.tiny_model(shards=2, prefix="sub/"), form="tar"
    ),
    "modelpack-disguised": disguised,
    "modelpack-kitops": kitops,
    "modelpack-podman": podman,
}


def described(found: Planned) -> dict[str, Any]:
    return {
        "packaging": found.plan.packaging,
        "rooted": found.plan.is_rooted,
        "asked": [_need(need) for need in found.asked],
        "operations": [_operation(op) for op in found.plan.operations],
        "left_out": [
            {"name": each.name, "size": each.size, "reason": each.reason}
            for each in found.plan.left_out
        ],
    }


def _need(need: Need) -> str:
    match need:
        case RangeNeed(blob, span):
            return f"{span.header} of {blob.digest.short}"
        case MemberNeed(archive, name, limit):
            return f"{name} in {archive.digest.short}, at most {limit} bytes"


def _operation(op: Operation) -> dict[str, Any]:
    blob = {"type": op.blob.media_type, "digest": op.blob.digest.short, "size": op.blob.size}
    if isinstance(op, PlaceBlob):
        flags = {"if_absent": op.if_absent, "dataset": op.is_dataset}
        return {"place": str(op.path), **blob, **_set(flags)}
    flags = {"dataset": op.is_dataset}
    hint = str(op.hint) if op.hint else None
    return {"unpack": hint, **blob, "compression": op.compression.value, **_set(flags)}


def _set(flags: dict[str, bool]) -> dict[str, bool]:
    return {name: True for name, is_set in flags.items() if is_set}


@pytest.mark.parametrize("case", CASES)
def test_the_plan_is_the_golden_one(case: str, golden: Golden) -> None:
    golden(case, described(planned(CASES[case]())))


def test_every_golden_has_its_case() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CASES)

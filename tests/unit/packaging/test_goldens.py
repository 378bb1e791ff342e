"""What every packaging and every awkward case is planned as, and what was asked on the way.

`pytest tests/unit/packaging --update-goldens` rewrites `tests/unit/golden`; read the diff.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from oci_pull.packaging.plan import (
    ApplyLayers,
    BlobNeed,
    ManifestNeed,
    MemberNeed,
    Need,
    Operation,
    PlaceBlob,
    RangeNeed,
    SizeNeed,
)
from tests import builders, file_sets, kits
from tests.producers import images
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
    plain = f'.v1.{form.partition("+")[0]}"'.encode()
    return replace(artifact, manifest=artifact.manifest.replace(plain, f'.v1.{form}"'.encode()))


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


def llmman() -> builders.Artifact:
    """One GGUF, named in the annotations of the manifest."""
    return builders.artifact(
        builders.layer("application/vnd.cncf.model.config.v1+json", b"{}"),
        [pack_layer("weight.v1.raw", b"GGUF")],
        artifact_type="application/vnd.cncf.model.manifest.v1+json",
        annotations={"org.cncf.model.filepath": "tiny.Q4_K_M.gguf"},
    )


def olot_modelpack() -> builders.Artifact:
    """The layers of an image of olot's in a ModelPack manifest: titles are base names."""

    def layer(kind: str, path: str) -> builders.Layer:
        archive = builders.tar_of({f"models/{path}": path.encode()})
        notes = {"org.opencontainers.image.title": path.rpartition("/")[2]}
        return builders.typed(archive, f"application/vnd.cncf.model.{kind}.v1.tar", notes)

    return modelpack(layer("weight", "config.json"), layer("weight", "1_Pooling/config.json"))


def of_every_kind() -> builders.Artifact:
    """What Model Runner and RamaLama have read, and what nobody knows."""
    return modelpack(
        pack_layer("weight.v1.gguf", b"GGUF", "tiny.gguf"),
        pack_layer("weight.v1.safetensors", shard("a"), "model.safetensors"),
        pack_layer("layer.v1.tar", b"a tar", "a"),
        pack_layer("layer.v1.tar+gzip", b"a tar too", "b"),
        pack_layer("novel.v2.raw", b"novel", "novel.json"),
        pack_layer("novel.v2.tar+xz", b"a tar as well"),
        pack_layer("novel.v2+json", b"{}", "never.json"),
        builders.layer("application/x-gzip", b"\x1f\x8b", {"org.cncf.model.filepath": "vocab.gz"}),
        builders.layer(builders.OCI_EMPTY, b"{}"),
    )


def ollama_of_every_kind() -> builders.Artifact:
    return file_sets.ollama(
        ("model", b"GGUF 1"),
        ("model", b"GGUF 2"),
        ("model", b"GGUF 2"),
        ("projector", b"GGUF projector"),
        ("adapter", b"GGUF adapter"),
        ("adapter", b"GGUF another"),
        ("draft", b"GGUF draft"),
        ("prompt", b"{{ .Prompt }}"),
        ("template", b"{{ .System }}"),
        ("system", b"You are"),
        ("messages", b"[]"),
        ("license", b"MIT"),
        ("license", b"Apache-2.0"),
        ("json", b"{}", "config.json"),
        ("json", b"[]"),
        ("embed", b"old"),
        ("config; type=x", b"draft"),
    )


def odd() -> builders.Artifact:
    """What oras takes, and what is an archive without looking like one."""
    files = {"config.json": b"{}"}
    archive = file_sets.tar(files)
    title = file_sets.titled
    return file_sets.file_set(
        file_sets.unpacked(".", {"tokenizer.json": b"{}"}),
        title("sub/weights.tar", archive),
        title("sub/weights.tar.gz", file_sets.stored_gzip(archive), file_sets.TAR_GZIP),
        title("sub/dir", file_sets.stored_gzip(file_sets.tar({"dir/a": b"a"})), file_sets.TAR_GZIP),
        title("vocab", file_sets.stored_gzip(b"no tar" * 200), file_sets.TAR_GZIP),
        title("merges", b"no gzip", file_sets.TAR_GZIP),
        title("x.json", archive, olot_layer_content_name="x.json"),
        title("empty.txt", b""),
        title("copy.json", b"{}\n"),
        title("copy-of-it.json", b"{}\n"),
        builders.layer("text/plain", b"nameless"),
        builders.layer(builders.OCI_EMPTY, b"{}"),
    )


KIT = builders.tiny_model(prefix="model/") | {
    "scripts/serve.py": b"import vllm\n",
    "data/train.jsonl": b"{}\n",
    "prompts/system.md": b"Be brief.\n",
}
PIECES = [
    kits.Piece("model", "./model/"),
    kits.Piece("parts", "model/config.json"),
    kits.Piece("code", "./scripts"),
    kits.Piece("datasets", "./elsewhere", remote="s3://bucket/rows"),
    kits.Piece("datasets", "data/train.jsonl"),
    kits.Piece("docs", "model/README.md"),
    kits.Piece("prompts", "prompts/system.md"),
]
ADAPTER = {"adapter_config.json": b"{}", "adapter_model.safetensors": shard("a")}
PARENT = "registry.test/team/base:v1"
PARENTS = {PARENT: kits.old_kit(KIT, PIECES, form="tar")}

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
    "kitops": lambda: kits.kit(KIT, kits.generated(KIT)),
    "kitops-gzip": lambda: compressed(kits.kit(KIT, PIECES), "tar+gzip"),
    "kitops-raw": lambda: kits.kit(KIT, PIECES, form="raw"),
    "kitops-raw-zstd": lambda: compressed(kits.kit(KIT, PIECES, form="raw"), "raw+zstd"),
    "kitops-old": lambda: compressed(kits.old_kit(KIT, PIECES, form="tar"), "tar+gzip"),
    "kitops-child": lambda: kits.kit(ADAPTER, [kits.Piece("parts", "./")], parent=PARENT),
    "kitops-child-modelpack": lambda: kits.kit(
        ADAPTER, [kits.Piece("parts", "./")], parent=PARENT, modelpack=True
    ),
    "modelpack-llmman": llmman,
    "modelpack-olot": olot_modelpack,
    "modelpack-of-every-kind": of_every_kind,
    "ollama": lambda: file_sets.ollama(
        ("model", b"GGUF"), ("template", b"{{ .Prompt }}"), ("license", b"MIT"), ("params", b"{}")
    ),
    "ollama-of-every-kind": ollama_of_every_kind,
    "oras": lambda: file_sets.oras(builders.tiny_model()),
    "oras-python": lambda: file_sets.oras_python(builders.tiny_model()),
    "oras-odd": odd,
    "oras-kaito": lambda: file_sets.kaito(builders.tiny_model()),
    "oras-aikit": lambda: file_sets.aikit_files(builders.tiny_model()),
    "oras-aikit-archive": lambda: file_sets.aikit_archive(
        file_sets.stored_gzip(file_sets.tar(builders.tiny_model())), "allfiles.tar"
    ),
    "oras-alone": lambda: file_sets.alone(file_sets.tar(builders.tiny_model(prefix="models/"))),
    "image": lambda: images.image(builders.tiny_model(), form="tar"),
    "image-titled": lambda: images.image_of(
        builders.layer(file_sets.TAR, b"x", {"org.opencontainers.image.title": "model.gguf"})
    ),
    "mlmodel-omlmd": lambda: file_sets.omlmd("model.onnx", b"ONNX"),
    "mlmodel-omlmd-unmerged": lambda: file_sets.file_set(
        file_sets.titled("model.tar", file_sets.tar({"a.onnx": b"ONNX"}), file_sets.TAR),
        file_sets.titled("no.tar", b"nothing of the kind" * 40, file_sets.TAR),
        artifact_type=None,
        config=builders.layer(file_sets.CONFIG, b"{}"),
    ),
    "mlmodel-konflux": lambda: file_sets.konflux(builders.tiny_model(), "tiny/"),
    "mlmodel-olot": lambda: file_sets.olot_artifact(
        {name: each for name, each in builders.tiny_model().items() if "/" not in name}
    ),
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


def _need(need: Need[Any]) -> str:
    match need:
        case RangeNeed(blob, span):
            return f"{span.header} of {blob.digest.short}"
        case MemberNeed(archive, name, limit):
            return f"{name} in {archive.digest.short}, at most {limit} bytes"
        case BlobNeed(name, blob, limit):
            return f"{name} {blob.digest.short}, at most {limit} bytes"
        case ManifestNeed(reference):
            return f"the manifest of {reference}"
        case SizeNeed(blob):
            return f"the size of {blob.digest.short}"
    raise AssertionError(need)


def _operation(op: Operation) -> dict[str, Any]:
    if isinstance(op, ApplyLayers):
        layers = [f"{each.blob.digest.short} {each.compression.value}" for each in op.layers]
        return {"apply": layers, "image": op.image.short}
    blob = {"type": op.blob.media_type, "digest": op.blob.digest.short, "size": op.blob.size}
    parent = {"generation": op.generation} if op.generation else {}
    if isinstance(op, PlaceBlob):
        flags = {"if_absent": op.if_absent, "dataset": op.is_dataset}
        return {"place": str(op.path), **blob, **parent, **_set(flags)}
    flags = {"dataset": op.is_dataset, "bare": op.is_bare}
    hint = str(op.hint) if op.hint else None
    unpack = {"unpack": hint, **blob, "compression": op.compression.value}
    facts = {"below": "/".join(op.below), "content": op.content.short if op.content else ""}
    return unpack | {name: fact for name, fact in facts.items() if fact} | parent | _set(flags)


def _set(flags: dict[str, bool]) -> dict[str, bool]:
    return {name: True for name, is_set in flags.items() if is_set}


@pytest.mark.parametrize("case", CASES)
def test_the_plan_is_the_golden_one(case: str, golden: Golden) -> None:
    golden(case, described(planned(CASES[case](), PARENTS)))


def test_every_golden_has_its_case() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CASES)

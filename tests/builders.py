"""Artifacts as the real producers make them, from the files of a model directory.

Every function takes relative paths with their content and returns an `Artifact`. The pieces
(`descriptor`, `layer`, `manifest`, `tar_of`) are public so that a test can put together what
no producer would.
"""

from __future__ import annotations

import fnmatch
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from tests.archives import Entry, Form, directory, symlink, tar_of, typed
from tests.content import (
    DOCKER_MANIFEST,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_MANIFEST,
    Artifact,
    Content,
    IndexEntry,
    Layer,
    artifact,
    descriptor,
    digest_of,
    encode,
    index,
    layer,
    manifest,
    size_of,
)
from tests.tiny_model import safetensors, tiny_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = [
    "DOCKER_MANIFEST",
    "OCI_EMPTY",
    "OCI_INDEX",
    "OCI_MANIFEST",
    "Artifact",
    "Content",
    "Entry",
    "Form",
    "IndexEntry",
    "Layer",
    "artifact",
    "descriptor",
    "digest_of",
    "directory",
    "docker_v01",
    "docker_v02",
    "encode",
    "index",
    "layer",
    "manifest",
    "modelpack",
    "modelpack_aikit",
    "safetensors",
    "size_of",
    "symlink",
    "tar_of",
    "tiny_model",
    "typed",
]

PackForm = Literal["raw"] | Form

_CREATED = "2025-12-02T10:11:12Z"
_DOCKER = "application/vnd.docker.ai."
# os.CreateTemp names of the archives, which end up in the annotation.
_CONFIG_TAR = "vllm-config-2914733381.tar"
_DIR_TAR_NUMBER = 1107624190


# Docker Model Runner


def docker_v01(
    files: Mapping[str, Content],
    *,
    annotated: bool,
    dir_tars: Sequence[str] | None = None,
    scratch: Path | None = None,
) -> Artifact:
    """`docker model package --safetensors-dir` until February 2026.

    `dir_tars` are the directories given as `--dir-tar`; without it every top-level one is.
    Top-level files that are neither weights, configuration nor a license are left out, as the
    producer does.
    """
    top = sorted(name for name in files if "/" not in name)
    if dir_tars is None:
        dir_tars = sorted({name.split("/")[0] for name in _without(files, ".*") if "/" in name})
    layers = [
        _docker_layer("safetensors", name, files[name], annotated=annotated)
        for name in top
        if name.lower().endswith(".safetensors")
    ]
    configs = {name: files[name] for name in top if _in_config_tar(name)}
    if configs:
        layers.append(
            _docker_tar("vllm.config.tar", _CONFIG_TAR, tar_of(configs, scratch=scratch), annotated)
        )
    layers += [
        _docker_layer("license", name, files[name], annotated=annotated)
        for name in top
        if _is_license(name) and not _in_config_tar(name)
    ]
    for number, path in enumerate(dir_tars, start=_DIR_TAR_NUMBER):
        archive = tar_of(_directory_entries(files, path), scratch=scratch)
        layers.append(_docker_tar("dir.tar", f"dir-tar-{number}.tar", archive, annotated))
    return artifact(_docker_config("v0.1", layers), layers)


def docker_v02(files: Mapping[str, Content]) -> Artifact:
    """A layer a file, hidden files left out, in the order of Go's `filepath.Walk`."""
    layers = [
        _docker_layer(_docker_kind(name), name, files[name], annotated=True)
        for name in sorted(_without(files, ".*"), key=lambda name: name.split("/"))
    ]
    return artifact(_docker_config("v0.2", layers), layers)


def _docker_layer(kind: str, path: str, content: Content, *, annotated: bool) -> Layer:
    found = layer(_DOCKER + kind, content)
    if not annotated:
        return found
    return replace(found, annotations=_annotations(path, found.size))


def _docker_tar(kind: str, temporary: str, archive: Layer, annotated: bool) -> Layer:
    # CreateTemp makes its files 0600, and the metadata shows it.
    annotations = _annotations(temporary, archive.size, mode=0o600) if annotated else None
    return typed(archive, _DOCKER + kind, annotations)


def _docker_config(version: str, layers: Sequence[Layer]) -> Layer:
    size = sum(each.size for each in layers if each.media_type == f"{_DOCKER}safetensors")
    document = {
        "config": {
            "format": "safetensors",
            "quantization": "F32",
            "parameters": "6.3K",
            "architecture": "llama",
            "size": f"{size}B",
            "safetensors": {"total_files": str(len(layers))},
        },
        "descriptor": {"created": _CREATED},
        "rootfs": {"type": "rootfs", "diff_ids": [each.diff_id for each in layers]},
    }
    return layer(f"{_DOCKER}model.config.{version}+json", encode(document))


def _docker_kind(path: str) -> str:
    name = PurePosixPath(path).name.lower()
    for suffix, kind in ((".gguf", "gguf.v3"), (".safetensors", "safetensors"), (".dduf", "dduf")):
        if name.endswith(suffix):
            return kind
    if name.endswith(".jinja") or "chat_template" in name:
        return "chat.template.jinja"
    return "license" if _is_license(path) else "model.file"


def _in_config_tar(name: str) -> bool:
    """The rule of 2025-10-17, the one with which most v0.1 artifacts were made."""
    lower = name.lower()
    return (
        lower.endswith((".md", ".txt", ".json", ".vocab", ".jinja")) or lower == "tokenizer.model"
    )


def _is_license(path: str) -> bool:
    name = PurePosixPath(path).name.lower()
    return any(word in name for word in ("license", "licence", "copying", "notice"))


def _directory_entries(files: Mapping[str, Content], path: str) -> list[Entry]:
    """The files under `path`, named from its last component, with their directories."""
    base = PurePosixPath(path).name
    below = {
        (base, *name.removeprefix(path + "/").split("/")): files[name]
        for name in files
        if name.startswith(path + "/")
    }
    parents = {parts[:depth] for parts in below for depth in range(1, len(parts))}
    return [
        Entry("/".join(parts), below[parts]) if parts in below else directory("/".join(parts))
        for parts in sorted(parents | set(below))
    ]


def _without(files: Mapping[str, Content], *globs: str) -> dict[str, Content]:
    """What is left when every file or directory of such a name is passed over."""

    def is_left_out(path: str) -> bool:
        parts = path.lower().split("/")
        return any(fnmatch.fnmatchcase(part, glob) for part in parts for glob in globs)

    return {path: content for path, content in files.items() if not is_left_out(path)}


# CNCF ModelPack

_MODELPACK_ORDER = ("weight.config", "weight", "code", "doc", "dataset")  # modctl's
_AIKIT_ORDER = ("weight", "weight.config", "doc", "code", "dataset")
_AIKIT_WORDS = {"weight.config": "config", "doc": "docs", "code": "code", "dataset": "dataset"}

# First match wins, in this order; abridged to what a model directory holds.
_MODCTL_PATTERNS = {
    "weight.config": "*.json *.jsonl *.yaml *.toml *tokenizer.model* *.jinja vocab.txt merges.txt",
    "weight": "*.safetensors *.bin *.pt *.pth *.gguf *.onnx *.ckpt *.pkl *.h5 *.msgpack *.model",
    "code": "*.py *.ipynb *.sh *.c *.cpp requirements*.txt",
    "doc": "*.txt *.md license* readme* *.pdf *.png *.jpg *.csv",
}
_AIKIT_PATTERNS = {
    "weight": "*.safetensors *.bin *.gguf *.pt *.ckpt",
    "doc": "readme* license* *.md",
    "weight.config": "*.json *.txt",
    "code": "*.py *.sh *.ipynb *.go *.js *.ts",
    "dataset": "*.csv *.tsv *.jsonl *.parquet *.arrow *.h5 *.npz",
}


def modelpack(
    files: Mapping[str, Content],
    *,
    form: PackForm = "raw",
    legacy: bool = False,
    datasets: Sequence[str] = (),
    scratch: Path | None = None,
) -> Artifact:
    """modctl's way: a layer a file, in tar forms one member with the path of the annotation.

    modctl itself compresses nothing; the compressed forms are the specification's. `datasets`
    names the files that a Modelfile would call so. `legacy` is the `cnai` vocabulary.
    """
    vendor = "cnai" if legacy else "cncf"
    layers = []
    packed = _without(files, ".*", "modelfile", "__pycache__", "*.py[cod]")
    for category in _MODELPACK_ORDER:
        for path in _of_category(packed, category, _MODCTL_PATTERNS, "code", datasets):
            media_type = f"application/vnd.{vendor}.model.{category}.v1.{form}"
            content = files[path]
            annotations = _annotations(path, size_of(content), vendor=vendor)
            if form == "raw":
                layers.append(layer(media_type, content, annotations))
            else:
                archive = tar_of({path: content}, form=form, scratch=scratch)
                layers.append(typed(archive, media_type, annotations))
    config = {
        "descriptor": {"createdAt": _CREATED, "family": "llama", "name": "tiny"},
        "config": {"architecture": "transformer", "format": "safetensors", "paramSize": "6.3K"},
        "modelfs": {"type": "layers", "diffIds": [each.diff_id for each in layers]},
    }
    return artifact(
        layer(f"application/vnd.{vendor}.model.config.v1+json", encode(config)),
        layers,
        artifact_type=f"application/vnd.{vendor}.model.manifest.v1+json",
    )


def modelpack_aikit(
    files: Mapping[str, Content], *, form: PackForm, scratch: Path | None = None
) -> Artifact:
    """AIKit's way: weights alone under their basename, every other category in one archive."""
    layers: list[Layer] = []
    packed = _without(files, "*.lock", ".cache")
    for category in _AIKIT_ORDER:
        media_type = f"application/vnd.cncf.model.{category}.v1.{form}"
        paths = _of_category(packed, category, _AIKIT_PATTERNS, "weight.config")
        if form == "raw":
            layers += [
                layer(media_type, files[path], _aikit_annotations(path, size_of(files[path])))
                for path in paths
            ]
        elif category == "weight":
            for path in paths:
                alone = {PurePosixPath(path).name: files[path]}
                annotations = _aikit_annotations(path, size_of(files[path]))
                archive = tar_of(alone, form=form, scratch=scratch)
                layers.append(typed(archive, media_type, annotations))
        elif paths:
            group = {path: files[path] for path in paths}
            total = sum(size_of(content) for content in group.values())
            annotations = _aikit_annotations(_AIKIT_WORDS[category], total, files=len(group))
            archive = tar_of(group, form=form, scratch=scratch)
            layers.append(typed(archive, media_type, annotations))
    return artifact(
        layer("application/vnd.cncf.model.config.v1+json", b"{}"),
        layers,
        artifact_type="application/vnd.cncf.model.manifest.v1+json",
    )


def _of_category(
    files: Mapping[str, Content],
    category: str,
    patterns: Mapping[str, str],
    otherwise: str,
    datasets: Sequence[str] = (),
) -> list[str]:
    def category_of(path: str) -> str:
        if path in datasets:
            return "dataset"
        name = PurePosixPath(path).name.lower()
        for found, globs in patterns.items():
            if any(fnmatch.fnmatchcase(name, glob) for glob in globs.split()):
                return found
        return otherwise

    return [path for path in sorted(files) if category_of(path) == category]


def _annotations(
    path: str, size: int, *, mode: int = 0o644, vendor: str = "cncf"
) -> dict[str, str]:
    metadata = _metadata(PurePosixPath(path).name, size, mode=mode, mtime=_CREATED)
    return {
        f"org.{vendor}.model.filepath": path,
        f"org.{vendor}.model.file.metadata+json": metadata,
        f"org.{vendor}.model.file.mediatype.untested": "false",
    }


def _aikit_annotations(path: str, size: int, **more: int) -> dict[str, str]:
    # AIKit's metadata has the whole path as its name, and no time.
    metadata = _metadata(path, size, mode=0o644, mtime="1970-01-01T00:00:00Z", **more)
    return {
        "org.opencontainers.image.title": path,
        "org.cncf.model.filepath": path,
        "org.cncf.model.file.metadata+json": metadata,
        "org.cncf.model.file.mediatype.untested": "true",
    }


def _metadata(name: str, size: int, *, mode: int, mtime: str, **more: int) -> str:
    found: dict[str, Any] = {"name": name, "mode": mode, "uid": 0, "gid": 0, "size": size}
    found |= {"mtime": mtime, "typeflag": 0}
    return encode(found | more).decode()

"""What annotations and media types say of a layer, in the words of every producer."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from oci_pull.errors import UnsafePath
from oci_pull.oci.descriptor import Descriptor
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import Compression

_FILEPATHS = ("org.cncf.model.filepath", "org.cnai.model.filepath")
_METADATA = (
    "org.cncf.model.file.metadata+json",
    "org.cnai.model.file.metadata+json",
    "org.cnai.model.file.metadata",
)
#: The type of a layer that is there because a manifest has to have one (image-spec, manifest.md).
EMPTY = "application/vnd.oci.empty.v1+json"
#: Why a layer that no annotation names is not in the tree.
NAMELESS = "a layer without a name"

_TITLE = "org.opencontainers.image.title"
#: Podman titles a blob by its digest, which is nobody's file name.
_DIGEST_TITLE = re.compile(r"sha256[-:][0-9a-f]{64}")


def annotated_name(layer: Descriptor) -> str | None:
    """The file name that the annotations give, strongest first; None where they give none."""
    return next(_names(layer), None)


def annotated_path(layer: Descriptor) -> RelPath | None:
    """The same as a path; raises `UnsafePath`."""
    name = annotated_name(layer)
    return None if name is None else RelPath.parse(name)


def path_hint(layer: Descriptor) -> RelPath | None:
    """The path of the only file of an archive, None where what is said is not one.

    KitOps writes `.`, and olot the base name of a file that is in a directory.
    """
    name = filepath(layer.annotations) or next((n for n in _names(layer) if "/" in n), None)
    try:
        return None if name is None else RelPath.parse(name)
    except UnsafePath:
        return None


def archive_name(layer: Descriptor) -> str:
    """What people see an archive under; empty where it has no name that says anything."""
    try:
        return str(annotated_path(layer) or "")
    except UnsafePath:
        return ""


def filepath(annotations: Mapping[str, str]) -> str | None:
    """The name that ModelPack's own annotation gives, in either of its vocabularies."""
    return next((annotations[key] for key in _FILEPATHS if annotations.get(key)), None)


def _names(layer: Descriptor) -> Iterator[str]:
    notes = layer.annotations
    if name := filepath(notes):
        yield name
    for metadata in _metadata(layer):
        name = metadata.get("name")
        if name and isinstance(name, str):
            yield name
    title = notes.get(_TITLE, "")
    if title and not _DIGEST_TITLE.fullmatch(title):
        yield title
    if layer.name:
        yield layer.name


def annotated_size(layer: Descriptor) -> int | None:
    """How many bytes the files of an archive have, where ModelPack's metadata say it."""
    sizes = (metadata.get("size") for metadata in _metadata(layer))
    return next((size for size in sizes if type(size) is int and size >= 0), None)


def _metadata(layer: Descriptor) -> Iterator[Mapping[str, Any]]:
    for key in _METADATA:
        try:
            metadata = json.loads(layer.annotations.get(key) or "{}")
        except (ValueError, RecursionError):
            continue
        if isinstance(metadata, dict):
            yield metadata


def compression(media_type: str) -> Compression:
    """The compression that a media type names by its suffix."""
    if media_type.endswith(("+gzip", ".gzip")):
        return Compression.GZIP
    if media_type.endswith(("+zstd", ".zstd")):
        return Compression.ZSTD
    return Compression.NONE

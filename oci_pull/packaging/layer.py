"""What annotations and media types say of a layer, in the words of every producer."""

import json
import re
from collections.abc import Iterator

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
    """The same where it is only a hint: None for a name that is no path (KitOps writes `.`)."""
    try:
        return annotated_path(layer)
    except UnsafePath:
        return None


def _names(layer: Descriptor) -> Iterator[str]:
    notes = layer.annotations
    yield from (notes[key] for key in _FILEPATHS if notes.get(key))
    for key in _METADATA:
        if name := _metadata_name(notes.get(key, "")):
            yield name
    title = notes.get(_TITLE, "")
    if title and not _DIGEST_TITLE.fullmatch(title):
        yield title


def _metadata_name(text: str) -> str:
    try:
        metadata = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return ""
    name = metadata.get("name", "") if isinstance(metadata, dict) else ""
    return name if isinstance(name, str) else ""


def compression(media_type: str) -> Compression:
    """The compression that a media type names by its suffix."""
    if media_type.endswith(("+gzip", ".gzip")):
        return Compression.GZIP
    if media_type.endswith(("+zstd", ".zstd")):
        return Compression.ZSTD
    return Compression.NONE

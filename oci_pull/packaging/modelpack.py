"""CNCF ModelPack (model-spec), as modctl, AIKit, Model Runner, KitOps and llmman write it."""

import re
from collections.abc import Sequence

from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.manifest import Manifest
from oci_pull.oci.ranges import Span
from oci_pull.packaging.layer import (
    EMPTY,
    NAMELESS,
    annotated_name,
    annotated_path,
    archive_name,
    compression,
    filepath,
    path_hint,
)
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import (
    Compression,
    FilePlan,
    Known,
    LeftOut,
    Needs,
    Operation,
    PlaceBlob,
    RangeNeed,
    UnpackArchive,
)

NAME = "modelpack"

#: `cnai` is the name until mid 2025, which modctl still writes.
_PREFIXES = ("application/vnd.cncf.model.", "application/vnd.cnai.model.")
#: How the types of archives and of files end; Model Runner has read the last two.
_TAR = re.compile(r"\.tar(\+.+)?$")
_FILES = (".raw", ".gguf", ".safetensors")
_KITFILE = "application/vnd.kitops.modelkit.config.v1+json"
#: Model Runner calls the archives of a converted v0.1 model raw, under their temporary names.
_DISGUISED_ARCHIVE = re.compile(r"(?:vllm-config|dir-tar)-\d+\.tar")
_TAR_MAGIC = Span(257, 262)


def matches(manifest: Manifest) -> bool:
    """Whether the artifact type, the config or a layer is of a ModelPack type."""
    types = (manifest.artifact_type, manifest.config_type)
    layers = (layer.media_type for layer in manifest.layers)
    return any(each.startswith(_PREFIXES) for each in (*types, *layers))


def plan(manifest: Manifest, known: Known) -> FilePlan | Needs:
    """One operation a layer; asks what a raw layer with an archive's temporary name really is."""
    layers = [layer for layer in manifest.layers if layer.media_type != EMPTY]
    looks = {la.digest: RangeNeed(la, _TAR_MAGIC) for la in layers if _may_be_disguised(la)}
    if unknown := tuple(look for look in looks.values() if look not in known):
        return Needs(unknown)
    disguised = {digest for digest, look in looks.items() if known[look] == b"ustar"}
    name = _name_of_all(manifest, layers)
    operations: list[Operation] = []
    left_out: list[LeftOut] = []
    for layer in layers:
        is_disguised = _may_be_disguised(layer) and layer.digest in disguised
        operation = UnpackArchive(layer) if is_disguised else _operation(layer, name)
        if isinstance(operation, LeftOut):
            left_out.append(operation)
        else:
            operations.append(operation)
    return FilePlan(NAME, manifest, tuple(operations), tuple(left_out))


def _name_of_all(manifest: Manifest, layers: Sequence[Descriptor]) -> RelPath | None:
    """The name that llmman gives its only file, a GGUF, in the annotations of the manifest."""
    name = filepath(manifest.annotations)
    if len(layers) != 1 or not name or annotated_name(layers[0]):
        return None
    return RelPath.parse(name)


def _may_be_disguised(layer: Descriptor) -> bool:
    name = annotated_name(layer) or ""
    return bool(
        layer.media_type.endswith(".raw")
        and _DISGUISED_ARCHIVE.fullmatch(name)
        and layer.size >= _TAR_MAGIC.end
    )


def _operation(layer: Descriptor, otherwise: RelPath | None) -> Operation | LeftOut:
    is_ours = layer.media_type.startswith(_PREFIXES)
    is_dataset = is_ours and ".model.dataset." in layer.media_type
    if layer.media_type == _KITFILE:
        return LeftOut("Kitfile", layer.size, "KitOps' description of the model")
    if is_ours and (archive := _TAR.search(layer.media_type)):
        packed = compression(layer.media_type)
        if archive[1] and packed is Compression.NONE:
            packed = Compression.SNIFFED
        return UnpackArchive(
            layer,
            packed,
            hint=path_hint(layer),
            is_dataset=is_dataset,
            name=archive_name(layer),
        )
    if is_ours and not layer.media_type.endswith(_FILES):
        return LeftOut(
            annotated_name(layer) or layer.media_type, layer.size, "a kind of layer that is unknown"
        )
    path = annotated_path(layer) or otherwise
    if path is None:
        return LeftOut(layer.media_type, layer.size, NAMELESS)
    return PlaceBlob(path, layer, is_dataset=is_dataset)

"""CNCF ModelPack (model-spec), as modctl, AIKit, Model Runner, KitOps and llmman write it."""

import re

from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.manifest import Manifest
from oci_pull.oci.ranges import Span
from oci_pull.packaging.layer import annotated_name, annotated_path, compression, path_hint
from oci_pull.packaging.plan import (
    Known,
    LeftOut,
    Needs,
    Operation,
    PlaceBlob,
    Plan,
    RangeNeed,
    UnpackArchive,
)

NAME = "modelpack"

#: `cnai` is the name until mid 2025, which modctl still writes.
_PREFIXES = ("application/vnd.cncf.model.", "application/vnd.cnai.model.")
_KITFILE = "application/vnd.kitops.modelkit.config.v1+json"
#: Model Runner calls the archives of a converted v0.1 model raw, under their temporary names.
_DISGUISED_ARCHIVE = re.compile(r"(?:vllm-config|dir-tar)-\d+\.tar")
_TAR_MAGIC = Span(257, 262)


def matches(manifest: Manifest) -> bool:
    """Whether the artifact type, the config or a layer is of a ModelPack type."""
    types = (manifest.artifact_type, manifest.config_type)
    layers = (layer.media_type for layer in manifest.layers)
    return any(each.startswith(_PREFIXES) for each in (*types, *layers))


def plan(manifest: Manifest, known: Known) -> Plan | Needs:
    """One operation a layer; asks what a raw layer with an archive's temporary name really is."""
    looks = tuple(RangeNeed(la, _TAR_MAGIC) for la in manifest.layers if _may_be_disguised(la))
    if unknown := tuple(look for look in looks if look not in known):
        return Needs(unknown)
    disguised = {look.blob for look in looks if known[look] == b"ustar"}
    operations: list[Operation] = []
    left_out: list[LeftOut] = []
    for layer in manifest.layers:
        operation = UnpackArchive(layer) if layer in disguised else _operation(layer)
        if isinstance(operation, LeftOut):
            left_out.append(operation)
        else:
            operations.append(operation)
    return Plan(NAME, manifest, tuple(operations), tuple(left_out))


def _may_be_disguised(layer: Descriptor) -> bool:
    name = annotated_name(layer) or ""
    return bool(
        layer.media_type.endswith(".raw")
        and _DISGUISED_ARCHIVE.fullmatch(name)
        and layer.size >= _TAR_MAGIC.end
    )


def _operation(layer: Descriptor) -> Operation | LeftOut:
    is_ours = layer.media_type.startswith(_PREFIXES)
    is_dataset = is_ours and ".model.dataset." in layer.media_type
    if layer.media_type == _KITFILE:
        return LeftOut("Kitfile", layer.size, "KitOps' description of the model")
    if is_ours and ".tar" in layer.media_type:
        packed = compression(layer.media_type)
        return UnpackArchive(layer, packed, hint=path_hint(layer), is_dataset=is_dataset)
    path = annotated_path(layer)
    if path is None:
        return LeftOut(layer.media_type, layer.size, "a layer without a name")
    return PlaceBlob(path, layer, is_dataset=is_dataset)

"""`application/x-mlmodel`: omlmd, Konflux and Red Hat, and what olot calls an OCI artifact.

Their layers are named by titles. Those of olot are tar archives under the types and with the sizes
of the files that they were made of (olot, `oci_artifact.py`), which nothing in the manifest tells.
"""

from collections.abc import Sequence
from dataclasses import replace

from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import Manifest
from oci_pull.packaging import titled
from oci_pull.packaging.layer import EMPTY, annotated_name, annotated_path
from oci_pull.packaging.plan import FilePlan, Known, Needs, Operation, SizeNeed, UnpackArchive

NAME = "mlmodel"

_MODEL = "application/x-mlmodel"
_CONFIG = "application/x-config"


def matches(manifest: Manifest) -> bool:
    """Whether the artifact type, the config or a layer is of a type of omlmd's."""
    types = (manifest.artifact_type, manifest.config_type)
    is_layer = any(layer.media_type == _MODEL for layer in manifest.layers)
    return is_layer or _MODEL in types or manifest.config_type == _CONFIG


def plan(manifest: Manifest, known: Known) -> FilePlan | Needs:
    """One operation a layer; asks for sizes where they may be wrong, then what such a blob is."""
    layers = titled.files_of(manifest.layers)
    sizes = _sizes(layers, known) if _may_lie(manifest) else {}
    if isinstance(sizes, Needs):
        return sizes
    packed = {la for la in layers if _is_tar(la) or sizes.get(la.digest, la.size) != la.size}
    real = [replace(la, size=sizes.get(la.digest, la.size)) for la in layers]
    looks = titled.looks(real) + titled.look_into(
        new for old, new in zip(layers, real, strict=True) if old in packed
    )
    if unknown := tuple(look for look in looks if look not in known):
        return Needs(unknown)
    archives: list[Operation] = []
    others: list[Descriptor] = []
    for old, new in zip(layers, real, strict=True):
        compression = titled.seen(new, known) if old in packed else None
        if compression:
            # Only files at the top are packed, so that their base names are their paths.
            archives.append(UnpackArchive(new, compression, hint=annotated_path(new)))
        else:
            # With the size that the manifest says: whatever else it is has to keep to that.
            others.append(old)
    operations, left_out = titled.operations(others, known)
    return FilePlan(NAME, manifest, (*archives, *operations), tuple(left_out))


def _may_lie(manifest: Manifest) -> bool:
    """Whether it may be of olot's making: no config, and the types of files by their names."""
    types = {layer.media_type for layer in manifest.layers}
    is_bare = manifest.config_type in ("", EMPTY)
    return manifest.artifact_type == _MODEL and is_bare and _MODEL not in types


def _is_tar(layer: Descriptor) -> bool:
    """Whether it is named and typed as an archive, as omlmd's variant for several files is."""
    name = annotated_name(layer) or ""
    return layer.media_type in (titled.TAR, titled.TAR_GZIP) and name.endswith(".tar")


def _sizes(layers: Sequence[Descriptor], known: Known) -> dict[Digest, int] | Needs:
    """The true sizes of the blobs; that of the largest alone tells whether the others may lie.

    An archive is larger than the file in it: where one is not, none is an archive.
    """
    asked = [layer for layer in layers if layer.data is None]
    if not asked:
        return {}
    largest = max(asked, key=lambda layer: layer.size)
    first = _size(largest)
    if first not in known:
        return Needs((first,))
    if known[first] == largest.size:
        return {}
    needs = {layer.digest: _size(layer) for layer in asked}
    if unknown := tuple(need for need in needs.values() if need not in known):
        return Needs(unknown)
    return {digest: known[need] for digest, need in needs.items()}


def _size(layer: Descriptor) -> SizeNeed:
    return SizeNeed(Descriptor(layer.media_type, layer.digest, layer.size))

"""ModelKits of KitOps (`kit pack`), and the ModelKits that they are built on.

A Kitfile says what the layers are. Since 0.5 its entries name their layers by digest, and archives
hold whole paths; before, the layers of each kind are in the order of its entries, and archives hold
paths from the directory that the entry is in. Since 2026 a layer may be a single file.

Where a Kitfile has the reference of another ModelKit in place of the path of its model, the model
and the parts of that one belong to it, and so on.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from oci_pull.errors import (
    EndlessParents,
    InconsistentModel,
    InvalidReference,
    NotAModel,
    Unsupported,
)
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import Manifest
from oci_pull.oci.reference import Reference
from oci_pull.packaging.kitfile import Entry, Kind, Kitfile
from oci_pull.packaging.layer import annotated_path, compression
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import (
    BlobNeed,
    Compression,
    FilePlan,
    Known,
    LeftOut,
    ManifestNeed,
    Needs,
    Operation,
    PlaceBlob,
    UnpackArchive,
)

NAME = "kitops"
#: How many ModelKits are followed from one to the next, as `kit` does.
MOST_PARENTS = 10

_PREFIX = "application/vnd.kitops.modelkit."
_CONFIG = _PREFIX + "config.v1+json"
_MANIFEST = _PREFIX + "manifest.v1+json"
_SERVER = _PREFIX + "mcpb."
#: The Kitfile of a ModelPack that `kit` made, which has a config of its own.
_ANNOTATION = "ml.kitops.modelkit.kitfile"
#: More than any Kitfile (bytes): an entry takes some 300, and a manifest is limited to as much.
_MAX_KITFILE = 4 * 1024 * 1024
_LAYER = re.compile(
    r"application/vnd\.(?:kitops\.modelkit|cncf\.model)\.(?P<kind>[a-z.]+)"
    r"\.v1\.(?P<form>tar|raw)(?:\+(?:gzip|zstd))?"
)
_KINDS = {kind.value: kind for kind in Kind} | {
    "weight": Kind.MODEL,
    "weight.config": Kind.PART,
    "doc": Kind.DOCS,
}
#: What a parent gives.
_INHERITED = (Kind.MODEL, Kind.PART)
_ITSELF = "this ModelKit"


@dataclass(frozen=True, slots=True)
class _Kit:
    """A ModelKit, and how the one before it calls it."""

    name: str
    manifest: Manifest
    kitfile: Kitfile

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Everything in the Kitfile that has a layer here."""
        model = self.kitfile.model
        own = () if model is None or self.parent else (model,)
        return (*own, *self.kitfile.others)

    @property
    def parent(self) -> Reference | None:
        """The ModelKit that it has its model from, which is then none of its layers."""
        model = self.kitfile.model
        if model is None or model.digest or not {":", "@"} & set(model.path):
            return None
        if not self.kitfile.has_digests and Kind.MODEL in map(_kind_of, self.manifest.layers):
            return None
        try:
            return Reference.parse(model.path)
        except InvalidReference:
            return None


def matches(manifest: Manifest) -> bool:
    """Whether anything is of a ModelKit's type, or it is a ModelPack that has such a parent.

    Any other ModelPack of `kit`'s is laid out by its annotations as everybody else's is, with the
    same result.
    """
    types = (layer.media_type for layer in manifest.layers)
    return (
        manifest.config_type == _CONFIG
        or manifest.artifact_type == _MANIFEST
        or any(each.startswith(_PREFIX) and each != _CONFIG for each in types)
        or _is_child(manifest)
    )


def _is_child(manifest: Manifest) -> bool:
    try:
        kitfile = Kitfile.parse(manifest.annotations.get(_ANNOTATION, "{}"))
    except InconsistentModel:
        return False
    return _Kit("", manifest, kitfile).parent is not None


def plan(manifest: Manifest, known: Known) -> FilePlan | Needs:
    """One operation a layer that a Kitfile names; asks for Kitfiles, and for parents.

    Raises:
        NotAModel: there is no Kitfile.
        InconsistentModel: Kitfile and layers contradict each other.
        EndlessParents: parents lead in a circle, or on and on.
        UnsafePath: a layer belongs outside of the directory.
        Unsupported: a layer is of a form that is unknown.
    """
    lineage = _lineage(manifest, known)
    if isinstance(lineage, Needs):
        return lineage
    found = [
        each for generation, kit in enumerate(lineage) for each in _operations(kit, generation)
    ]
    return FilePlan(
        NAME,
        manifest,
        tuple(each for each in found if not isinstance(each, LeftOut)),
        tuple(each for each in found if isinstance(each, LeftOut)),
    )


def _lineage(manifest: Manifest, known: Known) -> list[_Kit] | Needs:
    """The ModelKit, its parent, the parent of that, and so on."""
    lineage: list[_Kit] = []
    name = _ITSELF
    while True:
        kitfile = _kitfile(name, manifest, known)
        if isinstance(kitfile, Needs):
            return kitfile
        kit = _Kit(name, manifest, kitfile)
        lineage.append(kit)
        if (reference := kit.parent) is None:
            return lineage
        name = str(reference)
        if len(lineage) > MOST_PARENTS:
            raise EndlessParents(
                f"more than {MOST_PARENTS} ModelKits are built on each other",
                facts=_chain(lineage, name),
            )
        need = ManifestNeed(reference)
        if need not in known:
            return Needs((need,))
        manifest = known[need]
        # By content: whatever they are called, tags and digests come to the same in the end.
        if any(manifest.descriptor.digest == each.manifest.descriptor.digest for each in lineage):
            raise EndlessParents(
                "ModelKits are built on each other in a circle", facts=_chain(lineage, name)
            )


def _chain(lineage: list[_Kit], last: str) -> list[str]:
    return [*(kit.name for kit in lineage), last]


def _kitfile(name: str, manifest: Manifest, known: Known) -> Kitfile | Needs:
    raw: str | bytes | None = manifest.annotations.get(_ANNOTATION)
    if manifest.config and manifest.config_type == _CONFIG:
        need = BlobNeed(f"the Kitfile of {name}", manifest.config, _MAX_KITFILE)
        if need not in known:
            return Needs((need,))
        raw = known[need]
    if raw is None:
        raise NotAModel(f"{name} has no Kitfile, so it is no ModelKit")
    try:
        return Kitfile.parse(raw)
    except InconsistentModel as error:
        raise InconsistentModel(f"{name}: {error.message}") from error


def _operations(kit: _Kit, generation: int) -> Iterator[Operation | LeftOut]:
    pairs = _by_digest(kit) if kit.kitfile.has_digests else _by_order(kit)
    named: set[Digest] = set()
    for entry, layer in pairs:
        named.add(layer.digest)
        if generation and entry.kind not in _INHERITED:
            reason = f"of {kit.name}, which gives its model alone"
            yield LeftOut(entry.path, layer.size, reason)
        else:
            yield _operation(kit, entry, layer, generation)
    for layer in kit.manifest.layers:
        if layer.digest not in named:
            is_server = layer.media_type.startswith(_SERVER)
            reason = "an MCP server, no part of a model" if is_server else "not in the Kitfile"
            yield LeftOut(layer.media_type, layer.size, reason)


def _by_digest(kit: _Kit) -> Iterator[tuple[Entry, Descriptor]]:
    there = {layer.digest for layer in kit.manifest.layers}
    named: dict[Digest, Entry] = {}
    for entry in kit.entries:
        if entry.digest is None:
            raise InconsistentModel(
                f"{kit.name}: the Kitfile names the layers of some entries, not that of "
                f"{entry.kind.value} {entry.path}"
            )
        if entry.digest not in there:
            raise InconsistentModel(
                f"{kit.name}: {entry.kind.value} {entry.path} is layer {entry.digest.short} by the "
                "Kitfile, and the manifest has no such layer"
            )
        named.setdefault(entry.digest, entry)
    # Two files of the same content are two layers, each with a path of its own.
    for layer in kit.manifest.layers:
        if entry_of_it := named.get(layer.digest):
            yield entry_of_it, layer


def _by_order(kit: _Kit) -> Iterator[tuple[Entry, Descriptor]]:
    entries, layers = kit.entries, kit.manifest.layers
    numbers = Counter(entry.kind for entry in entries)
    for kind in Kind:
        own = [layer for layer in layers if _kind_of(layer) is kind]
        if len(own) != numbers[kind]:
            raise InconsistentModel(
                f"{kit.name}: the Kitfile has {numbers[kind]} x {kind.value}, and the manifest "
                f"{len(own)} layers of the kind, so that it is not clear which belongs to which"
            )
        yield from zip((entry for entry in entries if entry.kind is kind), own, strict=True)


def _kind_of(layer: Descriptor) -> Kind | None:
    shape = _LAYER.fullmatch(layer.media_type)
    return _KINDS.get(shape["kind"]) if shape else None


def _operation(kit: _Kit, entry: Entry, layer: Descriptor, generation: int) -> Operation:
    shape = _LAYER.fullmatch(layer.media_type)
    if shape is None:
        raise Unsupported(
            f"{kit.name}: {entry.kind.value} {entry.path} is a layer of the unknown type "
            f"{layer.media_type}"
        )
    packed = compression(layer.media_type)
    is_dataset = entry.kind is Kind.DATASET
    if shape["form"] == "raw":
        path = annotated_path(layer)
        if path is None:
            raise InconsistentModel(
                f"{kit.name}: {entry.kind.value} {entry.path} is one file, and its layer does not "
                "say where it goes"
            )
        if packed is Compression.NONE:
            return PlaceBlob(path, layer, generation=generation, is_dataset=is_dataset)
        return UnpackArchive(
            layer, packed, hint=path, is_bare=True, generation=generation, is_dataset=is_dataset
        )
    return UnpackArchive(
        layer,
        packed,
        name=entry.path,
        below=() if entry.digest else _parent_of(entry.path),
        generation=generation,
        is_dataset=is_dataset,
    )


def _parent_of(path: str) -> tuple[str, ...]:
    """The directory that a path is in, as Go's `filepath.Dir` has it; raises `UnsafePath`."""
    is_top = not path.strip("./") and ".." not in path and not path.startswith("/")
    return () if is_top else RelPath.parse(path).parent

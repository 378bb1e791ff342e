"""Layers that are named by their title, as oras, its library for Python, and AIKit push them.

A file is pushed as it is, and a directory as a tar archive; the types of both are those of the
layers of a container image where nobody asked for another (oras-go, content/file).
"""

from collections.abc import Iterable, Sequence

from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.ranges import Span
from oci_pull.packaging.layer import (
    EMPTY,
    NAMELESS,
    annotated_name,
    annotated_path,
    archive_name,
    compression,
)
from oci_pull.packaging.plan import (
    Compression,
    Known,
    LeftOut,
    Operation,
    PlaceBlob,
    RangeNeed,
    UnpackArchive,
)
from oci_pull.packaging.sniff import LOOK, archive_compression

TAR = "application/vnd.oci.image.layer.v1.tar"
TAR_GZIP = TAR + "+gzip"
_UNPACK = "io.deis.oras.content.unpack"
_CONTENT = "io.deis.oras.content.digest"
#: What olot notes about a layer is always about what is in the archive that the layer is.
_OLOT = "olot.layer.content."
#: AIKit's archives, typed as uncompressed whatever they are.
_AIKIT = ("allfiles.tar", "allfiles.tar.gz", "allfiles.tar.zst")
#: A file of this name was an archive before anybody pushed it.
_ARCHIVES = (".tar", ".gz", ".tgz", ".zst", ".tzst", ".zip")


def files_of(layers: Iterable[Descriptor]) -> list[Descriptor]:
    """The layers but for those that stand for nothing."""
    return [layer for layer in layers if layer.media_type != EMPTY]


def looks(layers: Iterable[Descriptor]) -> tuple[RangeNeed, ...]:
    """What has to be seen of the layers that could be a file or a directory, each blob once."""
    return look_into(layer for layer in layers if _may_be_directory(layer))


def look_into(layers: Iterable[Descriptor]) -> tuple[RangeNeed, ...]:
    """The first bytes of these layers, each blob once; an empty one has none."""
    return tuple(
        {layer.digest: _look(layer) for layer in layers if layer.size and not layer.data}.values()
    )


def seen(layer: Descriptor, known: Known) -> Compression | None:
    """How the archive that a layer is is compressed; None where it is none, or nobody looked."""
    start = layer.data or known.get(_look(layer)) if layer.size else None
    return archive_compression(start) if start else None


def operations(
    layers: Iterable[Descriptor], known: Known
) -> tuple[Sequence[Operation], Sequence[LeftOut]]:
    """What becomes of each layer, once the looks are known; raises `UnsafePath`."""
    found = [_operation(layer, known) for layer in layers]
    left_out = [each for each in found if isinstance(each, LeftOut)]
    return [each for each in found if not isinstance(each, LeftOut)], left_out


def _look(layer: Descriptor) -> RangeNeed:
    # Without what is written beside it: a blob under two titles is looked into once.
    bare = Descriptor(layer.media_type, layer.digest, layer.size)
    return RangeNeed(bare, Span(0, min(LOOK, layer.size)))


def _may_be_directory(layer: Descriptor) -> bool:
    """Whether it could be one as oras' library for Python pushes it: typed, and no more said."""
    name = annotated_name(layer)
    return bool(
        name
        and layer.media_type == TAR_GZIP
        and not _is_archive(layer, name)
        and not name.lower().endswith(_ARCHIVES)
    )


def _is_archive(layer: Descriptor, name: str | None) -> bool:
    """Whether the layer is known to be an archive without looking."""
    notes = layer.annotations
    is_aikits = name in _AIKIT and layer.media_type == TAR
    is_olots = layer.media_type.startswith(TAR) and any(key.startswith(_OLOT) for key in notes)
    return notes.get(_UNPACK) == "true" or is_olots or is_aikits


def _operation(layer: Descriptor, known: Known) -> Operation | LeftOut:
    name = annotated_name(layer)
    if _is_archive(layer, name):
        return UnpackArchive(
            layer, _declared(layer), content=_content(layer), name=archive_name(layer)
        )
    path = annotated_path(layer)
    if path is None:
        return LeftOut(layer.media_type or "(no type)", layer.size, NAMELESS)
    if _may_be_directory(layer) and (packed := seen(layer, known)):
        return UnpackArchive(layer, packed, below=path.parent, name=str(path))
    return PlaceBlob(path, layer)


def _declared(layer: Descriptor) -> Compression:
    """As the type says, where that says more than the default for everything."""
    packed = compression(layer.media_type)
    return Compression.SNIFFED if packed is Compression.NONE else packed


def _content(layer: Descriptor) -> Digest | None:
    text = layer.annotations.get(_CONTENT)
    return Digest.parse(text) if text else None

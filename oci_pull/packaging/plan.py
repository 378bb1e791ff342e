"""What a manifest calls for: file operations, and what a planner needs to know to name them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.manifest import Manifest
from oci_pull.oci.ranges import Span
from oci_pull.packaging.path import RelPath


class Compression(Enum):
    """How an archive is compressed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


@dataclass(frozen=True, slots=True)
class PlaceBlob:
    """A blob that is one file of the tree."""

    path: RelPath
    blob: Descriptor
    #: The name is a guess: any other operation that gives a file of this path wins.
    if_absent: bool = False
    is_dataset: bool = False


@dataclass(frozen=True, slots=True)
class UnpackArchive:
    """A blob that is a tar archive of files of the tree."""

    blob: Descriptor
    compression: Compression = Compression.NONE
    #: Where its file goes if there is only one and it has this name; producers tar single files
    #: under their base name and say the full path here.
    hint: RelPath | None = None
    is_dataset: bool = False


Operation = PlaceBlob | UnpackArchive


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or a layer that will not be in the tree."""

    name: str
    size: int
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The operations that turn blobs into the files of a model."""

    packaging: str
    manifest: Manifest
    operations: tuple[Operation, ...]
    left_out: tuple[LeftOut, ...] = ()
    #: Whether paths are known to be relative to the model, so that no root has to be looked for.
    is_rooted: bool = False

    @property
    def archives(self) -> tuple[UnpackArchive, ...]:
        """The archives among the operations."""
        return tuple(op for op in self.operations if isinstance(op, UnpackArchive))


@dataclass(frozen=True, slots=True)
class RangeNeed:
    """Some bytes of a blob that is too large to look into as a whole."""

    blob: Descriptor
    span: Span


@dataclass(frozen=True, slots=True)
class MemberNeed:
    """A file of an uncompressed tar archive, by name; known as None if it is not in it."""

    archive: Descriptor
    name: RelPath
    limit: int


Need = RangeNeed | MemberNeed
#: The answers so far. Limits are in bytes.
Known = Mapping[Need, bytes | None]


@dataclass(frozen=True, slots=True)
class Needs:
    """What a planner has to know before it can plan."""

    needs: tuple[Need, ...]


class Planner(Protocol):
    """A module that knows one packaging."""

    def matches(self, manifest: Manifest) -> bool:
        """Whether the manifest is of this packaging."""

    def plan(self, manifest: Manifest, known: Known) -> Plan | Needs:
        """The plan, or what has to be known first; asked again with the answers."""

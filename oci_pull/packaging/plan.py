"""What a manifest calls for: file operations, and what a planner needs to know to name them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar, cast

from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import Manifest
from oci_pull.oci.ranges import Span
from oci_pull.oci.reference import Reference
from oci_pull.packaging.path import RelPath

T = TypeVar("T")


class Compression(Enum):
    """How an archive is compressed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    #: As its first bytes say, whatever its media type does.
    SNIFFED = "sniffed"


@dataclass(frozen=True, slots=True)
class PlaceBlob:
    """A blob that is one file of the tree."""

    path: RelPath
    blob: Descriptor
    #: The name is a guess: any other operation that gives a file of this path wins.
    if_absent: bool = False
    #: How many artifacts this one is built on until the one that gives it; the nearest file wins.
    generation: int = 0
    is_dataset: bool = False


@dataclass(frozen=True, slots=True)
class UnpackArchive:
    """A blob that is a tar archive of files of the tree."""

    blob: Descriptor
    compression: Compression = Compression.NONE
    #: Where its file goes if there is only one and it has this name; producers tar single files
    #: under their base name and say the full path here.
    hint: RelPath | None = None
    #: The directory that the names in it are relative to.
    below: tuple[str, ...] = ()
    #: No tar: one compressed file, which is `hint`.
    is_bare: bool = False
    #: Of the archive before it was compressed, where the producer says it.
    content: Digest | None = None
    #: Any other operation that gives a file of the same path wins.
    if_absent: bool = False
    #: As of `PlaceBlob`.
    generation: int = 0
    is_dataset: bool = False
    #: What it holds by the words of its producer, where that is no hint.
    name: str = ""

    @property
    def title(self) -> str:
        """What people are told that it is."""
        kind = self.blob.media_type.rpartition("vnd.")[2] or "an archive"
        return self.name or str(self.hint or kind)


@dataclass(frozen=True, slots=True)
class ImageLayer:
    """A layer of a container image."""

    blob: Descriptor
    compression: Compression = Compression.SNIFFED


@dataclass(frozen=True, slots=True)
class ApplyLayers:
    """The layers of a container image, lowest first, with a model somewhere in what they make."""

    #: Of the image's manifest: the name of what is made.
    image: Digest
    layers: tuple[ImageLayer, ...]


Operation = PlaceBlob | UnpackArchive | ApplyLayers


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or a layer that will not be in the tree."""

    name: str
    size: int
    reason: str


@dataclass(frozen=True, slots=True)
class FilePlan:
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

    @property
    def images(self) -> tuple[ApplyLayers, ...]:
        """The container images among the operations."""
        return tuple(op for op in self.operations if isinstance(op, ApplyLayers))


class Need(Generic[T]):
    """A question of a planner's, and the type of its answer."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class RangeNeed(Need[bytes]):
    """Some bytes of a blob that is too large to look into as a whole."""

    blob: Descriptor
    span: Span


@dataclass(frozen=True, slots=True)
class BlobNeed(Need[bytes]):
    """A whole blob; one of more than `limit` bytes is refused."""

    name: str
    blob: Descriptor
    limit: int


@dataclass(frozen=True, slots=True)
class MemberNeed(Need[bytes | None]):
    """A file of an uncompressed tar archive, by name; None if it is not in it."""

    archive: Descriptor
    name: RelPath
    limit: int


@dataclass(frozen=True, slots=True)
class SizeNeed(Need[int]):
    """How long a blob really is, where the producer is known to write something else."""

    blob: Descriptor


@dataclass(frozen=True, slots=True)
class ManifestNeed(Need[Manifest]):
    """The manifest of another artifact that this one is built on."""

    reference: Reference


class Known:
    """The answers so far."""

    def __init__(self, answers: Mapping[Need[Any], Any] | None = None) -> None:
        self._answers = dict(answers or {})

    def __contains__(self, need: object) -> bool:
        return need in self._answers

    def __iter__(self) -> Iterator[Need[Any]]:
        return iter(self._answers)

    def __getitem__(self, need: Need[T]) -> T:
        return cast("T", self._answers[need])

    def get(self, need: Need[T]) -> T | None:
        """The answer, None where it is not there yet."""
        return cast("T | None", self._answers.get(need))

    def with_answers(self, answers: Mapping[Need[Any], Any]) -> "Known":
        """These and those."""
        return Known({**self._answers, **answers})


@dataclass(frozen=True, slots=True)
class Needs:
    """What a planner has to know before it can plan."""

    needs: tuple[Need[Any], ...]


class Planner(Protocol):
    """A module that knows one packaging."""

    def matches(self, manifest: Manifest) -> bool:
        """Whether the manifest is of this packaging."""

    def plan(self, manifest: Manifest, known: Known) -> FilePlan | Needs:
        """The plan, or what has to be known first; asked again with the answers."""

"""What the core asks of the outside world. Each protocol is as small as its one use."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from oci_pull.events import Counter, Event
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Bytes, Digest
from oci_pull.oci.manifest import Document, Manifest
from oci_pull.oci.ranges import Span
from oci_pull.oci.reference import Locator
from oci_pull.oci.verify import Verified
from oci_pull.packaging.layout import Layout, Member, Merged
from oci_pull.packaging.overlay import LayerEntry
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import ApplyLayers, ImageLayer, LeftOut, UnpackArchive
from oci_pull.packaging.receipt import Receipt
from oci_pull.packaging.servable import TreeView

Item = TypeVar("Item")
T = TypeVar("T")


class Cancel(Protocol):
    """Anything that can be set to stop a pull, such as a `threading.Event`."""

    def is_set(self) -> bool:
        """Whether to stop; asked at least every 200 ms."""


class Observer(Protocol):
    """Whoever wants to know what happens."""

    def on(self, event: Event) -> None:
        """Take an event; called from several threads, and must not block."""


class Clock(Protocol):
    """Time, as it is passed in."""

    def now(self) -> float:
        """Seconds that never run backwards."""

    def wait(self, seconds: float, cancel: Cancel) -> None:
        """Return after so many seconds; raises `Cancelled` as soon as `cancel` is set."""


class BodyStream(Protocol):
    """The body of a reply that was checked against what was asked for."""

    @property
    def start(self) -> int:
        """The offset in the blob of the first byte: the one asked for, or 0 without ranges."""

    @property
    def origin(self) -> str:
        """The `host:port` that serves it."""

    def readinto(self, view: memoryview) -> int:
        """Fill some of `view`, 0 at the end; raises `TransferError`."""

    def abort(self) -> None:
        """Make a `readinto` that waits in another thread fail now."""

    def close(self) -> None:
        """Release the connection."""


class Source(Protocol):
    """Where an artifact comes from: a registry, or a layout on disk."""

    def digest_of(self, tag: str) -> Digest | None:
        """What the tag is now, asked cheaply; None where that could not be told."""

    def document(self, selector: str | Digest) -> Document:
        """The manifest or index of a tag or a digest; raises `NotFoundError`, `TransferError`."""

    def size_of(self, blob: Descriptor) -> int:
        """How many bytes the blob has where it is, whatever its descriptor says."""

    def open(
        self,
        blob: Descriptor,
        span: Span,
        *,
        cancel: Cancel,
        avoid: frozenset[str] = frozenset(),
    ) -> BodyStream:
        """The bytes of a span of a blob; raises `TransferError`, `BlobUnknown`, `AccessError`.

        Origins in `avoid` sent wrong bytes of it before, and are asked only where nobody else is.
        """


class Family(Protocol):
    """Where an artifact comes from, and what it is built on, which may be somewhere else."""

    def source(self, reference: Locator) -> Source:
        """Where one of them is asked for."""

    def adopt(self, reference: Locator, manifest: Manifest) -> None:
        """From now on the blobs of a manifest come from there, unless an earlier one has them."""

    @property
    def digests(self) -> Sequence[Digest]:
        """The manifests that were adopted, and what they name."""


class Leases(Protocol):
    """What this process relies on of what others might remove."""

    def hold(self, digests: Collection[Digest]) -> AbstractContextManager[None]:
        """While this lasts, nobody who asks removes any of these."""


@dataclass(frozen=True, slots=True)
class StoredBlob(Verified):
    """A blob under its final name. Only a verified commit makes one: holding it is the proof."""

    path: Path


class PartialBlob(Protocol):
    """A blob that is being fetched, and that belongs to this process alone."""

    @property
    def present(self) -> tuple[Span, ...]:
        """The ranges that were on disk at the claim, merged and in order; none after `discard`."""

    def write_at(self, offset: int, data: Bytes) -> None:
        """Write bytes; they count when they are recorded. Raises `DiskError`."""

    def record(self, span: Span) -> None:
        """Note durably that a range was written, so that a later run does not fetch it again."""

    def pread(self, view: memoryview, offset: int) -> int:
        """Read back what was written."""

    def sync(self) -> None:
        """What was written is on the disk, and will be there after a crash."""

    def keep_alive(self) -> None:
        """Tell other hosts that the owner lives."""

    def commit(self, proof: Verified) -> StoredBlob:
        """Give the blob its final name, durably; raises `Busy` if it was taken over meanwhile."""

    def discard(self) -> None:
        """Forget every byte and stay the owner."""

    def release(self) -> None:
        """Give up ownership and keep what is on disk for whoever claims it next."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Somebody else is fetching the blob."""

    owner: str


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What is on disk of a blob that is not complete, in bytes."""

    present: int = 0
    #: Reserved on disk, whether written or not.
    allocated: int = 0


class Documents(Protocol):
    """Manifests and indexes that were seen before."""

    def recall(self, digest: Digest) -> bytes | None:
        """The bytes of a manifest or an index, unparsed; None if they are not here."""

    def keep(self, document: Document) -> None:
        """Store the bytes of a document; raises `DiskError`."""


class BlobStore(Protocol):
    """Verified blobs by digest, and the unfinished ones."""

    def find(self, blob: Descriptor) -> StoredBlob | None:
        """The blob if it is complete."""

    def add(self, blob: Descriptor, content: bytes) -> StoredBlob:
        """Store content that is in memory; raises `DigestMismatch` if it is not the blob."""

    def claim(self, blob: Descriptor) -> StoredBlob | PartialBlob | Taken:
        """The blob if it is complete, else the ownership of what is there of it, if it is free."""

    def unfinished(self, blob: Descriptor) -> Unfinished:
        """How much of a blob an earlier run has left."""

    def abandoned(
        self, needed: Collection[Digest], *, by_any: bool = False
    ) -> Sequence[Unfinished]:
        """What earlier pulls, of the same reference or of any, have left of other blobs."""

    def drop(self, blob: Descriptor) -> None:
        """Remove a blob that is no longer needed."""


class Reader(Protocol):
    """The bytes of a blob in order."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes, empty at the end."""


@runtime_checkable
class Pipelined(Reader, Protocol):
    """The bytes of a large blob, which may still come: whoever decompresses them may be helped."""

    def ahead(self, content: Reader) -> Reader:
        """What `content` makes of these bytes, made in another thread before it is asked for."""


class Staged(Protocol):
    """Something built from a blob before that was proved to be the right one."""

    def publish(self, proof: Verified) -> None:
        """Give it its final name."""

    def discard(self) -> None:
        """Remove it."""


class Consumer(Protocol):
    """Whoever turns the bytes of a blob into something else while they are there."""

    def consume(self, reader: Reader) -> Staged:
        """Read to the end; raises `DamagedArchive`, `UnsafeArchive`, `DiskError`."""


class LayerStore(Protocol):
    """The file sets of archives."""

    def members(self, operation: UnpackArchive) -> Sequence[Member] | None:
        """The files of an archive that was unpacked in this way, None if it was not."""

    def unpacker(self, operation: UnpackArchive) -> Consumer:
        """Whoever unpacks the archive."""

    def member(self, blob: StoredBlob, name: RelPath, limit: int) -> bytes | None:
        """One file of an uncompressed archive without unpacking it, None if it is not in it."""


class ImageModel(Protocol):
    """Which files of an image are its model."""

    @property
    def wanted_root(self) -> str:
        """The root as it was asked for, empty where it had to be found."""

    @property
    def outside(self) -> LeftOut | None:
        """What the image holds beside it, all in one."""

    def of_layer(self, number: int) -> Mapping[int, tuple[RelPath, ...]]:
        """Which entries of a layer are part of it, counted from 0, and under which paths."""


class ImageStore(Protocol):
    """The layers of container images, and the models that were found in them."""

    def reader(self, layer: ImageLayer) -> Consumer:
        """Whoever notes the headers of a layer."""

    def entries(self, layer: ImageLayer) -> Sequence[LayerEntry] | None:
        """The entries of a layer whose headers were noted, None where they were not."""

    def merged(self, image: Digest, root: str) -> Merged | None:
        """The model of an image that was written out, None where it was not."""

    def write(
        self,
        image: ApplyLayers,
        model: ImageModel,
        blobs: Mapping[Digest, StoredBlob],
        written: Counter,
    ) -> None:
        """The files of the model are written out, from the layers that have them.

        `written` grows up to the size of the model, in bytes.
        """


class References(Protocol):
    """What tags were last seen to be."""

    def recall(self, reference: Locator) -> Digest | None:
        """The digest that a tag had, None if it was never seen."""

    def remember(self, reference: Locator, digest: Digest) -> None:
        """Note what a tag is now, and what the cache holds; raises `DiskError`."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A complete model directory."""

    path: Path
    receipt: Receipt


class StagedTree(TreeView, Protocol):
    """A tree beside its final place."""

    def publish(self, receipt: Receipt) -> Tree:
        """Give it its final name, whole; raises `DiskError`."""

    def discard(self) -> None:
        """Remove it."""


class Destination(Protocol):
    """Where trees are laid out: the cache, or a directory of the user's."""

    def check(self) -> None:
        """Refuse now what could only fail later; raises `TargetNotUsable`, `NotWritable`."""

    def find(self, reference: Locator, manifest: Digest, selection: str) -> Tree | None:
        """The complete tree of a manifest, stamped as used."""

    def sweep(self) -> None:
        """What runs that were killed were building takes no more room, as far as it can go."""

    def added(self, layout: Layout, unpacked: int) -> int:
        """The bytes that staging writes; `unpacked` are still in archives, and of no layout yet."""

    def stage(
        self,
        reference: Locator,
        manifest: Digest,
        selection: str,
        layout: Layout,
        placed: Counter,
    ) -> StagedTree:
        """Build the tree of a layout whose blobs and archives are all here.

        `placed` grows up to the size of its files, in bytes.
        """


class Space(Protocol):
    """Room on the disks that a pull writes to."""

    def check(self, incoming: int, added: int) -> int:
        """The free bytes beside the cache.

        Raises `NoSpace` if `incoming` bytes do not fit there, or what the tree adds where it goes.
        """


@dataclass(frozen=True, slots=True)
class Job:
    """A blob to be fetched; `unpack` is fed with it where it is an archive."""

    name: str
    blob: Descriptor
    unpack: Consumer | None = None


class Fetcher(Protocol):
    """The engine, bound to the source, the store and the observer of one pull."""

    @property
    def fetched(self) -> int:
        """The bytes of blobs that came over the network so far."""

    def fetch(self, jobs: Sequence[Job]) -> Mapping[Digest, StoredBlob]:
        """Every blob, verified and under its final name."""

    def read(self, wanted: Sequence[tuple[Descriptor, Span]]) -> Sequence[bytes]:
        """A few bytes of each of some blobs; they are kept for the rest of their download."""

    def persist(self, what: str, ask: Callable[[], T]) -> T:
        """Ask again while that helps and the budget lasts."""

    def map(self, work: Callable[[Item], T], items: Sequence[Item]) -> Sequence[T]:
        """What `work` makes of every item, in their order, several at once."""

"""Everything that is decided before the first byte of weights: what is meant, and what is missing.

A dry run and an inspection end here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from oci_pull.errors import (
    InvalidManifest,
    NotAModel,
    NotCached,
    PlatformUnknown,
    SeveralVariants,
    Unsupported,
    Vanished,
)
from oci_pull.oci.descriptor import Descriptor, Platform
from oci_pull.oci.digest import Digest
from oci_pull.oci.index import MAX_DEPTH, choose
from oci_pull.oci.manifest import Document, Manifest, parse_document
from oci_pull.oci.reference import Locator
from oci_pull.packaging.detect import planner_for
from oci_pull.packaging.layout import FromBlob, Layout, arrange
from oci_pull.packaging.plan import (
    Compression,
    Known,
    LeftOut,
    MemberNeed,
    Need,
    Needs,
    Plan,
    RangeNeed,
    UnpackArchive,
)
from oci_pull.packaging.selection import Selection
from oci_pull.ports import BlobStore, Documents, Fetcher, Job, LayerStore, References, Source

#: How often a planner may ask before it has to plan.
_ROUNDS = 3
#: How much larger than a compressed archive its files are taken to be; unpacking checks again.
_EXPANSION = 1.3


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    reference: Locator
    host: Platform
    selection: Selection = Selection()
    platform: Platform | None = None
    variant: Mapping[str, str] = field(default_factory=dict)
    offline: bool = False
    keep_archives: bool = False


@dataclass(frozen=True, slots=True)
class Shelves:
    """Where an artifact comes from, and where what is known of it already is kept."""

    source: Source
    documents: Documents
    store: BlobStore
    layers: LayerStore
    references: References
    fetcher: Fetcher


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a reference was resolved to, and the manifest that is meant behind it."""

    #: Of the document that the reference names: what to pin.
    digest: Digest
    document: Document
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Supply:
    """The blobs that a tree is made of, and how much of them is here. Sizes in bytes."""

    #: What there is to do about those that are not here, or not unpacked.
    jobs: tuple[Job, ...]
    #: The others.
    here: tuple[Job, ...]
    size: int
    #: In whole blobs that are here.
    reused: int
    #: In parts of blobs that an earlier run has left.
    resumed: int
    #: What downloading will add on disk, beyond what is reserved there.
    to_write: int
    #: What unpacking will add on disk.
    unpacked: int

    @property
    def to_fetch(self) -> int:
        """What has to come over the network."""
        return self.size - self.reused - self.resumed


class State(Enum):
    """What a pull would do about a blob."""

    CACHED = "cached"
    PARTIAL = "partial"
    FETCH = "fetch"


@dataclass(frozen=True, slots=True)
class Item:
    """A file, or an archive whose files are known once it is here. Sizes in bytes."""

    name: str
    blob: Descriptor
    is_archive: bool
    state: State
    present: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a pull would do."""

    resolution: Resolution
    plan: Plan
    items: tuple[Item, ...]
    left_out: tuple[LeftOut, ...]
    supply: Supply


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is at a reference, as far as it can be told."""

    document: Document
    #: None where the document is an index, and it is not clear which of its manifests is meant.
    manifest: Manifest | None
    #: None where it is not a model in any packaging that is known.
    plan: Plan | None


def resolve(request: Request, shelves: Shelves) -> Resolution:
    """The manifest that the reference means, from the cache where that is known to be current.

    Raises:
        NotFoundError, AccessError, TransferError: the registry did not give it.
        InvalidManifest, PlatformUnknown, SeveralVariants: it gave something else.
        NotCached: offline, and not in the cache.
    """
    first = named_document(request, shelves)
    return Resolution(first.descriptor.digest, first, _meant(first, request, shelves))


def _meant(document: Document, request: Request, shelves: Shelves) -> Manifest:
    """The manifest, or the one that is chosen of an index, however deep."""
    for _ in range(MAX_DEPTH):
        if isinstance(document, Manifest):
            return document
        entry = choose(
            document, host=request.host, wanted=request.platform, selection=request.variant
        )
        document = _document(entry.digest, shelves)
    raise InvalidManifest(f"indexes are nested more than {MAX_DEPTH} deep")


def named_document(request: Request, shelves: Shelves) -> Document:
    """What the reference itself names: one request for a tag, none for a digest that is here."""
    reference = request.reference
    if reference.digest:
        return _document(reference.digest, shelves)
    tag = reference.moving_tag or ""
    recorded = shelves.references.recall(reference)
    if request.offline:
        if recorded is None:
            raise NotCached(f"offline, and {reference} was never pulled into this cache")
        return _document(recorded, shelves)
    raw = shelves.documents.recall(recorded) if recorded else None
    if raw is not None:
        current = shelves.fetcher.persist("manifest", lambda: shelves.source.digest_of(tag))
        if current == recorded:
            return parse_document(raw, digest=recorded)
    document = shelves.fetcher.persist("manifest", lambda: shelves.source.document(tag))
    shelves.documents.keep(document)
    return document


def _document(digest: Digest, shelves: Shelves) -> Document:
    raw = shelves.documents.recall(digest)
    if raw is not None:
        return parse_document(raw, digest=digest)
    document = shelves.fetcher.persist("manifest", lambda: shelves.source.document(digest))
    shelves.documents.keep(document)
    return document


def make_plan(manifest: Manifest, shelves: Shelves) -> Plan:
    """What the manifest calls for, after its planner was told what it asked.

    Raises:
        NotAModel: no planner knows the manifest.
        UnsafePath, InconsistentModel: a planner does, and refuses it.
    """
    planner = planner_for(manifest)
    known: Known = {}
    for _ in range(_ROUNDS + 1):
        plan = planner.plan(manifest, known)
        if isinstance(plan, Plan):
            return plan
        known = {**known, **_answers(plan, shelves)}
    raise Unsupported("the layers of this model could not be told apart")


def _answers(needs: Needs, shelves: Shelves) -> Known:
    """Everything asked for at once; what is fetched for it is kept, and not fetched again."""
    ranges = [need for need in needs.needs if isinstance(need, RangeNeed)]
    members = [need for need in needs.needs if isinstance(need, MemberNeed)]
    parts = shelves.fetcher.read([(need.blob, need.span) for need in ranges])
    answers: dict[Need, bytes | None] = dict(zip(ranges, parts, strict=True))
    blobs = shelves.fetcher.fetch([Job(str(need.name), need.archive) for need in members])
    for need in members:
        blob = blobs[need.archive.digest]
        answers[need] = shelves.layers.member(blob, need.name, need.limit)
    return answers


def arrange_known(plan: Plan, selection: Selection, shelves: Shelves) -> Layout:
    """The layout as far as the archives are unpacked."""
    archives = ((op.blob.digest, shelves.layers.members(op.blob)) for op in plan.archives)
    members = {digest: found for digest, found in archives if found is not None}
    return arrange(plan, selection, members)


def arrange_all(plan: Plan, selection: Selection, shelves: Shelves) -> Layout:
    """The layout of a plan whose archives are all unpacked; raises `Vanished` if one is not."""
    for op in _wanted_archives(plan, selection):
        if shelves.layers.members(op.blob) is None:
            raise Vanished(f"the files of {_archive_name(op)} were removed from the cache")
    return arrange_known(plan, selection, shelves)


def _wanted_archives(plan: Plan, selection: Selection) -> list[UnpackArchive]:
    return [op for op in plan.archives if selection.datasets or not op.is_dataset]


def provide(plan: Plan, wanted: Layout, selection: Selection, shelves: Shelves) -> Supply:
    """The blobs that the wanted files and the archives come from, less what is here.

    Raises:
        UnsupportedDigest: one of them could never be checked.
    """
    needed: dict[Digest, Job] = {}
    if config := plan.manifest.config:
        # Nobody reads it, but without it the cache would be no valid image layout.
        needed[config.digest] = Job("the config", config)
    for file in wanted.files:
        if isinstance(file.origin, FromBlob):
            needed[file.digest] = Job(str(file.path), file.origin.blob)
    unpacked = 0
    for op in _wanted_archives(plan, selection):
        if shelves.layers.members(op.blob) is None:
            unpacker = shelves.layers.unpacker(op.blob, op.compression)
            needed[op.blob.digest] = Job(_archive_name(op), op.blob, unpacker)
            unpacked += _expected_size(op)
    here = {digest for digest, job in needed.items() if shelves.store.find(job.blob)}
    for digest in needed:
        digest.require_computable()
    # What the manifest carries inline never comes over the network on its own.
    blobs = {digest: job.blob for digest, job in needed.items() if job.blob.data is None}
    missing = [blob for digest, blob in blobs.items() if digest not in here]
    left = [shelves.store.unfinished(blob) for blob in missing]
    size = sum(blob.size for blob in blobs.values())
    missing_size = sum(blob.size for blob in missing)
    return Supply(
        jobs=tuple(job for digest, job in needed.items() if job.unpack or digest not in here),
        here=tuple(job for digest, job in needed.items() if digest in here and not job.unpack),
        size=size,
        reused=size - missing_size,
        resumed=sum(each.present for each in left),
        to_write=missing_size - sum(each.allocated for each in left),
        unpacked=unpacked,
    )


def _archive_name(op: UnpackArchive) -> str:
    return str(op.hint or op.blob.media_type.rpartition("vnd.")[2])


def _expected_size(op: UnpackArchive) -> int:
    return int(op.blob.size * (1 if op.compression is Compression.NONE else _EXPANSION))


def preview(request: Request, shelves: Shelves) -> Preview:
    """What a pull would do; raises what it would raise by then."""
    resolution = resolve(request, shelves)
    plan = make_plan(resolution.manifest, shelves)
    layout = arrange_known(plan, request.selection, shelves)
    supply = provide(plan, layout, request.selection, shelves)
    items = [
        _item(str(file.path), file.origin.blob, shelves)
        for file in layout.files
        if isinstance(file.origin, FromBlob)
    ]
    items += [
        _item(_archive_name(op), op.blob, shelves, is_archive=True)
        for op in _wanted_archives(plan, request.selection)
    ]
    return Preview(resolution, plan, tuple(items), layout.left_out, supply)


def inspect(request: Request, shelves: Shelves) -> Inspection:
    """What is at the reference, model or not; raises where nothing is."""
    document = named_document(request, shelves)
    try:
        manifest = _meant(document, request, shelves)
    except (SeveralVariants, PlatformUnknown):
        return Inspection(document, None, None)
    try:
        return Inspection(document, manifest, make_plan(manifest, shelves))
    except NotAModel:
        return Inspection(document, manifest, None)


def _item(name: str, blob: Descriptor, shelves: Shelves, *, is_archive: bool = False) -> Item:
    unpacked = is_archive and shelves.layers.members(blob) is not None
    if unpacked or shelves.store.find(blob):
        return Item(name, blob, is_archive, State.CACHED, blob.size)
    present = shelves.store.unfinished(blob).present
    return Item(name, blob, is_archive, State.PARTIAL if present else State.FETCH, present)

"""Everything that is decided before the first byte of weights: what is meant, what is missing."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from oci_pull.errors import (
    AccessError,
    DigestRequired,
    DiskError,
    IntegrityError,
    InvalidManifest,
    NotCached,
    NotFoundError,
    PackagingError,
    RefusedError,
    TransferError,
    Unsupported,
    Vanished,
)
from oci_pull.image import demand, layer_jobs, merged_images
from oci_pull.oci.descriptor import Descriptor, Platform
from oci_pull.oci.digest import Digest
from oci_pull.oci.index import MAX_DEPTH, candidates, only
from oci_pull.oci.manifest import Document, Index, Manifest, parse_document
from oci_pull.oci.reference import LayoutReference, Locator, Reference
from oci_pull.packaging.layer import annotated_size
from oci_pull.packaging.layout import FromBlob, Layout, arrange
from oci_pull.packaging.plan import (
    BlobNeed,
    Compression,
    FilePlan,
    Known,
    ManifestNeed,
    MemberNeed,
    Need,
    Needs,
    RangeNeed,
    SizeNeed,
    UnpackArchive,
)
from oci_pull.packaging.selection import Selection
from oci_pull.ports import (
    BlobStore,
    Documents,
    Family,
    Fetcher,
    ImageStore,
    Job,
    LayerStore,
    References,
    Source,
    StoredBlob,
)

#: How often a planner may ask before it has to plan: for its Kitfile, and for the manifest and the
#: Kitfile of each of ten parents of a ModelKit; anybody else asks three times at most.
_ROUNDS = 21
#: What is wrong with an artifact, or with one that it is built on, and not with the way to it.
ABOUT_IT = (NotFoundError, AccessError, IntegrityError, PackagingError, RefusedError)
#: How many manifests of an index are compared where nothing else tells which one is meant.
_COMPARED = 8
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
    #: Where the registry cannot be reached, what the tag was last seen to be is good enough.
    stale_ok: bool = False
    keep_archives: bool = False
    #: A tag alone is refused.
    require_digest: bool = False


@dataclass(frozen=True, slots=True)
class Shelves:
    """Where an artifact comes from, and where what is known of it already is kept."""

    source: Source
    documents: Documents
    store: BlobStore
    layers: LayerStore
    images: ImageStore
    references: References
    fetcher: Fetcher
    #: The same source, as it knows of those of the artifacts that this one is built on.
    family: Family


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a reference was resolved to, and the manifest that is meant behind it."""

    #: Of the document that the reference names: what to pin.
    digest: Digest
    document: Document
    manifest: Manifest
    #: That nobody could be asked what the tag is now, and why; empty where somebody was, or need
    #: not be.
    stale: str = ""


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


def resolve(request: Request, shelves: Shelves) -> Resolution:
    """The manifest that the reference means, from the cache where that is known to be current.

    Raises:
        NotFoundError, AccessError, TransferError: the registry did not give it.
        InvalidManifest, PlatformUnknown, SeveralVariants: it gave something else.
        NotCached: offline, and not in the cache.
        DigestRequired: it is a tag, and that is not good enough; nobody was asked.
    """
    if request.require_digest and request.reference.digest is None:
        raise _unpinned(request.reference, shelves)
    try:
        first = named_document(request, shelves)
    except TransferError as error:
        if not request.stale_ok:
            raise
        return _last_seen(request, shelves, error)
    return Resolution(first.descriptor.digest, first, meant(first, request, shelves))


def _unpinned(reference: Locator, shelves: Shelves) -> DigestRequired:
    hint = f"oci-pull inspect {reference}  says what it is now"
    if known := shelves.references.recall(reference):
        hint = f"oci-pull {replace(reference, digest=known)}  is what it was last seen to be"
    if isinstance(reference, LayoutReference) and reference.is_archive:
        hint = "oci-pull oci:DIR@DIGEST  of the unpacked archive: only a directory has it"
    return DigestRequired(f"{reference} is a tag without a digest, and that is required", hint=hint)


def recalled(digest: Digest, manifest: Digest, shelves: Shelves) -> Resolution:
    """What a reference was resolved to before, whatever an index would mean now; see `resolve`."""
    meant = _document(manifest, shelves)
    if not isinstance(meant, Manifest):
        raise InvalidManifest(f"{manifest} is an index, and was a manifest when it was pulled")
    return Resolution(digest, _document(digest, shelves), meant)


def _last_seen(request: Request, shelves: Shelves, error: TransferError) -> Resolution:
    """What is in the cache of it; raises `error` where that is nothing."""
    try:
        found = resolve(replace(request, offline=True, stale_ok=False), shelves)
    except (NotCached, TransferError):
        raise error from None
    digest = f"{found.digest.algorithm}:{found.digest.short}"
    reason = f"{request.reference} is {digest}, as it was last seen: {error.message}"
    return replace(found, stale=reason)


def meant(document: Document, request: Request, shelves: Shelves) -> Manifest:
    """The manifest, or the one that is chosen of an index, however deep."""
    depth = 0
    while isinstance(document, Index):
        depth += 1
        if depth > MAX_DEPTH:
            raise InvalidManifest(f"indexes are nested more than {MAX_DEPTH} deep")
        document = _entry(document, request, shelves)
    return document


def _entry(index: Index, request: Request, shelves: Shelves) -> Document:
    """The document that is chosen of an index; any of those that could be meant if all are one."""
    entries = candidates(
        index, host=request.host, wanted=request.platform, selection=request.variant
    )
    if 1 < len(entries) <= _COMPARED:
        found = [_content_of(entry, shelves) for entry in entries]
        if found[0] and all(each == found[0] for each in found):
            return _document(entries[0].digest, shelves)
    return _document(only(entries).digest, shelves)


def _content_of(entry: Descriptor, shelves: Shelves) -> tuple[Digest, ...]:
    """The layers behind an entry; none where it is not there, or is an index itself."""
    try:
        document = _document(entry.digest, shelves)
    except (NotFoundError, NotCached):
        return ()
    return tuple(la.digest for la in document.layers) if isinstance(document, Manifest) else ()


def named_document(request: Request, shelves: Shelves) -> Document:
    """What the reference itself names: one request for a tag, none for a digest that is here."""
    reference = request.reference
    if reference.digest:
        return _document(reference.digest, shelves)
    tag = reference.moving_tag or ""
    recorded = shelves.references.recall(reference)
    if request.offline:
        if recorded is None:
            raise NotCached(
                f"offline, and {reference} is not in this cache",
                hint=f"oci-pull {reference}  while online",
                wanted=str(reference),
            )
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


def make_plan(manifest: Manifest, request: Request, shelves: Shelves) -> FilePlan:
    """What the manifest calls for, after its planner was told what it asked.

    Raises:
        NotAModel: no planner knows the manifest.
        UnsafePath, InconsistentModel: a planner does, and refuses it.
        NotFoundError, AccessError, TransferError: what it is built on cannot be had.
    """
    from oci_pull.packaging.detect import planner_for

    planner = planner_for(manifest)
    shelves.family.adopt(request.reference, manifest)
    known = Known()
    for _ in range(_ROUNDS + 1):
        plan = planner.plan(manifest, known)
        if isinstance(plan, FilePlan):
            return plan
        known = known.with_answers(_answers(plan, request, shelves))
    raise Unsupported("the layers of this model could not be told apart")


def _answers(needs: Needs, request: Request, shelves: Shelves) -> Mapping[Need[Any], Any]:
    """Everything asked for at once; what is fetched for it is kept, and not fetched again."""
    ranges = [need for need in needs.needs if isinstance(need, RangeNeed)]
    parts = shelves.fetcher.read([(need.blob, need.span) for need in ranges])
    answers: dict[Need[Any], Any] = dict(zip(ranges, parts, strict=True))
    jobs = [job for need in needs.needs for job in _jobs(need)]
    blobs = shelves.fetcher.fetch(jobs)
    for need in needs.needs:
        match need:
            case MemberNeed(archive, name, limit):
                answers[need] = shelves.layers.member(blobs[archive.digest], name, limit)
            case BlobNeed(blob=blob):
                answers[need] = _content(blobs[blob.digest])
            case SizeNeed(blob):
                ask = partial(shelves.source.size_of, blob)
                answers[need] = shelves.fetcher.persist("size", ask)
            case ManifestNeed(reference):
                answers[need] = _parent(reference, request, shelves)
    return answers


def _content(blob: StoredBlob) -> bytes:
    try:
        return blob.path.read_bytes()
    except OSError as error:
        raise Vanished(
            f"{blob.descriptor.digest} is in the cache and cannot be read: {error.strerror}",
            hint="run the same command again",
        ) from error


def _parent(reference: Reference, request: Request, shelves: Shelves) -> Manifest:
    """What an artifact is built on, from wherever that is, chosen as its own manifest was.

    What its tag is now is remembered as that of any reference, so that it is found offline.
    """
    there = replace(shelves, source=shelves.family.source(reference))
    try:
        found = resolve(replace(request, reference=reference), there)
    except (*ABOUT_IT, NotCached) as error:
        message = f"the parent {reference}: {error.message}"
        raise type(error)(message, hint=error.hint, facts=error.facts) from error
    shelves.family.adopt(reference, found.manifest)
    if reference.moving_tag and shelves.references.recall(reference) != found.digest:
        # Where the cache cannot be written, the model is no worse for it.
        with suppress(DiskError):
            shelves.references.remember(reference, found.digest)
    return found.manifest


def _jobs(need: Need[Any]) -> Iterator[Job]:
    match need:
        case MemberNeed(archive, name):
            yield Job(str(name), archive)
        case BlobNeed(name, blob, limit):
            if blob.size > limit:
                raise Unsupported(f"{name} has {blob.size} bytes, at most {limit} are read")
            yield Job(name, blob)


def arrange_known(plan: FilePlan, selection: Selection, shelves: Shelves) -> Layout:
    """The layout as far as the archives are unpacked."""
    archives = ((op.blob.digest, shelves.layers.members(op)) for op in plan.archives)
    members = {digest: found for digest, found in archives if found is not None}
    return arrange(plan, selection, members, merged_images(plan, selection.root, shelves.images))


def arrange_all(plan: FilePlan, selection: Selection, shelves: Shelves) -> Layout:
    """The layout of a plan whose archives are all unpacked; raises `Vanished` if one is not."""
    for op in wanted_archives(plan, selection):
        if shelves.layers.members(op) is None:
            raise Vanished(f"the files of {op.title} were removed from the cache")
    for image in plan.images:
        if shelves.images.merged(image.image, selection.root) is None:
            raise Vanished("the files of the image were removed from the cache")
    return arrange_known(plan, selection, shelves)


def wanted_archives(plan: FilePlan, selection: Selection) -> list[UnpackArchive]:
    """The archives that a pull unpacks."""
    return [op for op in plan.archives if selection.datasets or not op.is_dataset]


def provide(plan: FilePlan, wanted: Layout, selection: Selection, shelves: Shelves) -> Supply:
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
    for op in wanted_archives(plan, selection):
        if shelves.layers.members(op) is None:
            unpacker = shelves.layers.unpacker(op)
            needed[op.blob.digest] = Job(op.title, op.blob, unpacker)
            unpacked += _expected_size(op)
    for image in plan.images:
        wants = demand(image, selection.root, shelves.images, shelves.store)
        needed |= {job.blob.digest: job for job in wants.jobs}
        unpacked += wants.unpacked
    return _supply(needed, unpacked, shelves)


def provide_archives(plan: FilePlan, selection: Selection, shelves: Shelves) -> Supply:
    """The blobs that the files were unpacked from, less what is here; nothing is unpacked again."""
    needed = {op.blob.digest: Job(op.title, op.blob) for op in wanted_archives(plan, selection)}
    for image in plan.images:
        needed |= {job.blob.digest: job for job in layer_jobs(image)}
    return _supply(needed, 0, shelves)


def _supply(needed: Mapping[Digest, Job], unpacked: int, shelves: Shelves) -> Supply:
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


def _expected_size(op: UnpackArchive) -> int:
    """What the files of an archive will take; whoever unpacks them believes none of it."""
    if op.compression is Compression.NONE:
        return op.blob.size
    return max(op.blob.size, annotated_size(op.blob) or int(op.blob.size * _EXPANSION))

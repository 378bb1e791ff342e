"""Looking without pulling: what a pull would do, and what is at a reference."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from oci_pull.errors import (
    IntegrityError,
    NotCached,
    NotFoundError,
    OciPullError,
    PlatformUnknown,
    RefusedError,
    SeveralVariants,
    UnsupportedDigest,
)
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import Document, Manifest
from oci_pull.oci.reference import Locator
from oci_pull.packaging.facts import MAX_CONFIG, Facts, facts_of
from oci_pull.packaging.layout import FromBlob, FromImage, Layout, TreeFile
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import FilePlan, LeftOut
from oci_pull.packaging.servable import foresee
from oci_pull.ports import BlobStore, Destination, Job
from oci_pull.prepare import (
    ABOUT_IT,
    Request,
    Shelves,
    arrange_known,
    make_plan,
    meant,
    named_document,
    provide,
    resolve,
    wanted_archives,
)


class State(StrEnum):
    """What a pull would do about a blob: nothing, fetch the rest of it, or fetch it."""

    CACHED = "cached"
    PARTIAL = "partial"
    FETCH = "fetch"


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file of the directory that a pull would make. Sizes in bytes."""

    path: RelPath
    size: int
    digest: Digest
    state: State
    #: What of it is here.
    present: int

    @property
    def name(self) -> str:
        """The path as text, `1_Pooling/config.json`."""
        return str(self.path)


@dataclass(frozen=True, slots=True)
class PlannedArchive:
    """An archive, or a layer of an image, whose files are known once it is unpacked."""

    name: str
    size: int
    digest: Digest
    state: State
    present: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pull would do, as far as that is known before it. Sizes in bytes.

    A pull fetches `fetch_bytes`, of `total_bytes` that the directory is made of: the others are
    here, in whole blobs (`reused_bytes`) or in parts that an earlier run left (`resumed_bytes`).
    It needs room for `cache_bytes` in the cache and `added_bytes` where the directory goes.
    """

    reference: Locator
    #: What to pull to get the very same: of the index, where there is one.
    digest: Digest
    #: Of the manifest itself, which `digest` may only lead to.
    manifest: Digest
    packaging: str
    files: tuple[PlannedFile, ...]
    archives: tuple[PlannedArchive, ...]
    #: What will not be in the directory, with the reason.
    left_out: tuple[LeftOut, ...]
    total_bytes: int
    fetch_bytes: int
    reused_bytes: int
    resumed_bytes: int
    #: Downloads and unpacked files; what is reserved there already is not counted.
    cache_bytes: int
    #: Copies; links take no room.
    added_bytes: int
    #: Whether vLLM can serve the directory, by the names of its files; None where those that are
    #: still in an archive decide.
    servable: bool | None
    #: Why it cannot be served, where that is known; that nobody could be asked what the tag is.
    warnings: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[PlannedFile | PlannedArchive, ...]:
        """The files, and the archives that hold others."""
        return (*self.files, *self.archives)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is at a reference, as far as it can be told."""

    document: Document
    #: None where the document is an index, and it is not clear which of its manifests is meant.
    manifest: Manifest | None
    #: None where it is not a model in any packaging that is known.
    plan: FilePlan | None
    #: The files as far as they are known; None where they cannot be laid out.
    layout: Layout | None = None
    facts: Facts = field(default_factory=Facts)
    #: Why it would not be pulled as it was asked for.
    problem: OciPullError | None = None


def plan(request: Request, shelves: Shelves, destination: Destination, cached: BlobStore) -> Plan:
    """What a pull would do; raises what it would raise by then.

    `cached` is the cache itself: what is fetched here in order to plan is not kept.
    """
    found = resolve(request, shelves)
    operations = make_plan(found.manifest, request, shelves)
    layout = arrange_known(operations, request.selection, shelves)
    shelves = replace(shelves, store=cached)
    supply = provide(operations, layout, request.selection, shelves)
    archives = tuple(_archives(operations, layout, request, shelves))
    verdict = foresee({file.path: file.size for file in layout.files})
    is_known = verdict.servable or not archives
    return Plan(
        reference=request.reference,
        digest=found.digest,
        manifest=found.manifest.descriptor.digest,
        packaging=operations.packaging,
        files=tuple(_file(file, shelves) for file in layout.files),
        archives=archives,
        left_out=layout.left_out,
        total_bytes=supply.size,
        fetch_bytes=supply.to_fetch,
        reused_bytes=supply.reused,
        resumed_bytes=supply.resumed,
        cache_bytes=supply.to_write + supply.unpacked,
        added_bytes=destination.added(layout, supply.unpacked),
        servable=verdict.servable if is_known else None,
        warnings=(*filter(None, [found.stale]), *(verdict.warnings if is_known else ())),
    )


def inspect(request: Request, shelves: Shelves) -> Inspection:
    """What is at the reference, model or not; raises where nothing is."""
    document = named_document(request, shelves)
    try:
        manifest = meant(document, request, shelves)
    except (SeveralVariants, PlatformUnknown) as error:
        return Inspection(document, None, None, problem=error)
    facts = facts_of(manifest, _config(manifest, shelves))
    plan = layout = problem = None
    try:
        plan = make_plan(manifest, request, shelves)
        layout = arrange_known(plan, request.selection, shelves)
    except ABOUT_IT as error:
        problem = error
    return Inspection(document, manifest, plan, layout, facts, problem)


def _config(manifest: Manifest, shelves: Shelves) -> bytes | None:
    """The config of an artifact, None where there is none that can be read."""
    config = manifest.config
    if config is None or config.size > MAX_CONFIG:
        return None
    if config.data is not None:
        return config.data
    try:
        config.digest.require_computable()
        return shelves.fetcher.fetch([Job("the config", config)])[config.digest].path.read_bytes()
    except (NotFoundError, IntegrityError, RefusedError, NotCached, UnsupportedDigest):
        return None


def _archives(
    plan: FilePlan, layout: Layout, request: Request, shelves: Shelves
) -> Iterator[PlannedArchive]:
    """What has to be unpacked before anybody knows its files."""
    for op in wanted_archives(plan, request.selection):
        if shelves.layers.members(op) is None:
            yield _archive(op.title, op.blob, shelves)
    merged = {each.origin.image for each in layout.files if isinstance(each.origin, FromImage)}
    for image in plan.images:
        if image.image not in merged:
            for number, layer in enumerate(image.layers, 1):
                yield _archive(f"layer {number} of {len(image.layers)}", layer.blob, shelves)


def _archive(name: str, blob: Descriptor, shelves: Shelves) -> PlannedArchive:
    return PlannedArchive(name, blob.size, blob.digest, *_state(blob, shelves))


def _file(file: TreeFile, shelves: Shelves) -> PlannedFile:
    # Of an archive or an image that was unpacked: whatever became of that, the file is here.
    state = State.CACHED, file.size
    if isinstance(file.origin, FromBlob):
        state = _state(file.origin.blob, shelves)
    return PlannedFile(file.path, file.size, file.digest, *state)


def _state(blob: Descriptor, shelves: Shelves) -> tuple[State, int]:
    """What a pull would do about a blob, and how much of it is here."""
    if blob.data is not None or shelves.store.find(blob):
        return State.CACHED, blob.size
    present = shelves.store.unfinished(blob).present
    return (State.PARTIAL if present else State.FETCH), present

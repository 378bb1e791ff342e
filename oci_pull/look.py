"""Looking without pulling: what a pull would do, and what is at a reference."""

from dataclasses import dataclass, field
from enum import Enum

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
from oci_pull.packaging.facts import MAX_CONFIG, Facts, facts_of
from oci_pull.packaging.layout import FromBlob, FromImage, Layout, TreeFile
from oci_pull.packaging.plan import LeftOut, Plan
from oci_pull.ports import Job
from oci_pull.prepare import (
    ABOUT_IT,
    Request,
    Resolution,
    Shelves,
    Supply,
    arrange_known,
    make_plan,
    meant,
    named_document,
    provide,
    resolve,
    wanted_archives,
)


class State(Enum):
    """What a pull would do about a blob."""

    CACHED = "cached"
    PARTIAL = "partial"
    FETCH = "fetch"


@dataclass(frozen=True, slots=True)
class Item:
    """A file, or an archive whose files are known once it is unpacked. Sizes in bytes."""

    name: str
    size: int
    digest: Digest
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
    #: The files as far as they are known; None where they cannot be laid out.
    layout: Layout | None = None
    facts: Facts = field(default_factory=Facts)
    #: Why it would not be pulled as it was asked for.
    problem: OciPullError | None = None


def preview(request: Request, shelves: Shelves) -> Preview:
    """What a pull would do; raises what it would raise by then."""
    resolution = resolve(request, shelves)
    plan = make_plan(resolution.manifest, request, shelves)
    layout = arrange_known(plan, request.selection, shelves)
    supply = provide(plan, layout, request.selection, shelves)
    items = [_file(file, shelves) for file in layout.files]
    items += [
        _item(op.title, op.blob, shelves, is_archive=True)
        for op in wanted_archives(plan, request.selection)
        if shelves.layers.members(op) is None
    ]
    merged = {each.origin.image for each in layout.files if isinstance(each.origin, FromImage)}
    for image in plan.images:
        if image.image not in merged:
            several = enumerate(image.layers, 1)
            items += [
                _item(f"layer {number} of {len(image.layers)}", each.blob, shelves, is_archive=True)
                for number, each in several
            ]
    return Preview(resolution, plan, tuple(items), layout.left_out, supply)


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


def _file(file: TreeFile, shelves: Shelves) -> Item:
    if isinstance(file.origin, FromBlob):
        return _item(str(file.path), file.origin.blob, shelves)
    # Of an archive or an image that was unpacked: whatever became of that, the file is here.
    return Item(
        str(file.path), file.size, file.digest, is_archive=False, state=State.CACHED,
        present=file.size,
    )  # fmt: skip


def _item(name: str, blob: Descriptor, shelves: Shelves, *, is_archive: bool = False) -> Item:
    is_here = blob.data is not None or shelves.store.find(blob) is not None
    present = blob.size if is_here else shelves.store.unfinished(blob).present
    state = State.CACHED if is_here else State.PARTIAL if present else State.FETCH
    return Item(name, blob.size, blob.digest, is_archive, state, present)

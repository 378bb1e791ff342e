"""From a reference to a directory that an engine serves: the whole program, over ports."""

from dataclasses import dataclass
from pathlib import Path

from oci_pull.errors import DiskError, NoSpace, NotCached, Vanished
from oci_pull.events import (
    Counter,
    LayingOut,
    Planned,
    Resolved,
    Resolving,
    Reused,
    Superseded,
    Warned,
)
from oci_pull.image import write_model
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import Manifest
from oci_pull.oci.reference import Locator
from oci_pull.options import amount
from oci_pull.packaging.layout import FromBlob, Layout
from oci_pull.packaging.plan import ApplyLayers, FilePlan
from oci_pull.packaging.receipt import PlacedFile, Receipt
from oci_pull.packaging.servable import examine, spelled_out
from oci_pull.ports import Destination, Leases, Observer, Space, StagedTree, Tree
from oci_pull.prepare import (
    Request,
    Resolution,
    Shelves,
    Supply,
    arrange_all,
    arrange_known,
    make_plan,
    provide,
    provide_archives,
    recalled,
    resolve,
    wanted_archives,
)

_MAX_LISTED = 3
#: An archive larger than this (bytes) does not stay beside its files.
_KEPT_ARCHIVE = 64 * 1000 * 1000


@dataclass(frozen=True, slots=True)
class Tools:
    """The outside world as one pull sees it."""

    shelves: Shelves
    destination: Destination
    space: Space
    observer: Observer
    leases: Leases


@dataclass(frozen=True, slots=True)
class PullResult:
    """A model directory that is complete and verified. Sizes in bytes."""

    path: Path
    reference: Locator
    #: What the reference was: of the index, where there is one. Pull by it to get the very same.
    digest: Digest
    #: As in `docker-model`, `modelpack`, `kitops`, `oras`, `mlmodel`, `ollama`, `image`.
    packaging: str
    files: tuple[PlacedFile, ...]
    #: What came over the network.
    fetched_bytes: int
    #: What was here already, also in parts of files.
    reused_bytes: int
    #: Nothing had to be done: the directory was there.
    unchanged: bool
    warnings: tuple[str, ...]
    #: Whether vLLM can serve the directory; a warning says why not.
    servable: bool
    #: The one file to hand to the engine, where it wants a file and not the directory.
    primary: Path | None
    #: How the directory has its weights, see `Receipt.link`.
    link: str = ""

    @property
    def size(self) -> int:
        """The sum of the files in bytes."""
        return sum(file.size for file in self.files)


def pull(request: Request, tools: Tools) -> PullResult:
    """The model at the reference is in its directory, complete and verified.

    Raises:
        OciPullError: a subclass for every cause; nothing is under a final name that is not whole,
            and what was fetched is kept for the next run.
    """
    shelves = tools.shelves
    tools.destination.check()
    tools.observer.on(Resolving(str(request.reference)))
    found = resolve(request, shelves)
    if found.stale:
        tools.observer.on(Warned(found.stale))
    manifest, key = found.manifest.descriptor.digest, request.selection.key
    if tree := tools.destination.find(request.reference, manifest, key):
        kept = _keep_archives(request, found, tools)
        if kept or _has_moved(request, found, shelves):
            _remember(request, found, tools)
        size = tree.receipt.size
        return _result(request, found, tree, fetched=kept, reused=size, unchanged=not kept)
    tree, needed = _made(request, found, tools)
    _keep_archives(request, found, tools)
    _remember(request, found, tools)
    fetched = shelves.fetcher.fetched
    return _result(request, found, tree, fetched=fetched, reused=max(0, needed - fetched))


def restore(request: Request, digest: Digest, manifest: Digest, tools: Tools) -> int:
    """A tree that was laid out before is there again, and what the cache has to have for it.

    It is of this very manifest, behind the document with that digest, whatever the tag of the
    reference is by now. The bytes that were fetched; errors as of `pull`.
    """
    found = recalled(digest, manifest, tools.shelves)
    _made(request, found, tools)
    return tools.shelves.fetcher.fetched


def _needs(found: Resolution, shelves: Shelves) -> tuple[Digest, ...]:
    """What the tree is made of, from the document that the reference names to the last layer."""
    manifest = found.manifest
    named = (found.digest, manifest.descriptor.digest, *(blob.digest for blob in manifest.blobs))
    return tuple(dict.fromkeys((*named, *shelves.family.digests)))


def _made(request: Request, found: Resolution, tools: Tools) -> tuple[Tree, int]:
    """The tree of a manifest and the bytes that it needed, also where somebody prunes the cache."""
    plan = make_plan(found.manifest, request, tools.shelves)
    tools.observer.on(Resolved(str(request.reference), found.digest, plan.packaging))
    with tools.leases.hold(_needs(found, tools.shelves)):
        try:
            return _make(request, found, plan, tools)
        except Vanished:
            # Somebody took what was to be reused: what is missing is fetched.
            return _make(request, found, plan, tools)


def _make(request: Request, found: Resolution, plan: FilePlan, tools: Tools) -> tuple[Tree, int]:
    """Fetch what is missing and lay it out; the tree, and the bytes that it needed."""
    shelves, selection = tools.shelves, request.selection
    tools.destination.sweep()
    wanted = arrange_known(plan, selection, shelves)
    supply = provide(plan, wanted, selection, shelves)
    if request.offline and supply.to_fetch:
        raise _not_cached(request, supply, shelves)
    added = tools.destination.added(wanted, supply.unpacked)
    free = _room(found.manifest, plan, supply, added, tools)
    early = shelves.fetcher.fetched
    tools.observer.on(_planned(request, wanted, plan, supply, early=early, free=free))
    for job in supply.here:
        tools.observer.on(Reused(job.name, job.blob.digest, job.blob.size))
    _tell_superseded(found.manifest, plan, tools)
    shelves.fetcher.fetch(supply.jobs)
    for image in plan.images:
        write_model(
            image,
            selection.root,
            images=shelves.images,
            store=shelves.store,
            fetcher=shelves.fetcher,
            space=tools.space,
            observer=tools.observer,
        )
    layout = arrange_all(plan, selection, shelves)
    if not request.keep_archives:
        # Before there is a tree: whoever finds one does not look for what a killed run has left.
        _drop_archives(plan, request, layout, shelves)
    return _lay_out(request, found, plan, layout, tools), supply.size


def _not_cached(request: Request, supply: Supply, shelves: Shelves) -> NotCached:
    """The error that says how much there is to come, and of what."""
    lacking = [job for job in supply.jobs if job.blob.data is None]
    names = [job.name for job in lacking if not shelves.store.find(job.blob)]
    of_all = f"{len(names)} of {len(supply.jobs) + len(supply.here)}"
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    facts = [f"missing: {', '.join(names[:_MAX_LISTED])}{more}"]
    if supply.resumed:
        facts.append(f"{amount(supply.resumed)} of that are here, of unfinished downloads")
    return NotCached(
        f"offline, and {request.reference} is incomplete here: {of_all} parts are missing"
        f" ({amount(supply.to_fetch + supply.resumed)})",
        facts=facts,
        hint=f"oci-pull {request.reference}  while online",
    )


def _planned(
    request: Request, wanted: Layout, plan: FilePlan, supply: Supply, *, early: int, free: int
) -> Planned:
    files = sum(isinstance(file.origin, FromBlob) for file in wanted.files)
    layers = sum(len(image.layers) for image in plan.images)
    return Planned(
        files=files,
        archives=len(wanted_archives(plan, request.selection)) + layers,
        blobs=len(supply.jobs) + len(supply.here),
        size=supply.size,
        reused=supply.reused,
        resumed=supply.resumed,
        early=early,
        to_fetch=supply.to_fetch,
        free=free,
    )


def _room(manifest: Manifest, plan: FilePlan, supply: Supply, added: int, tools: Tools) -> int:
    """The free bytes; raises `NoSpace`, which says what takes room and is not needed for this."""
    try:
        return tools.space.check(supply.to_write + supply.unpacked, added)
    except NoSpace as error:
        idle = tools.shelves.store.abandoned(_of_it(manifest, plan), by_any=True)
        error.idle = sum(each.allocated for each in idle)
        raise


def _of_it(manifest: Manifest, plan: FilePlan) -> frozenset[Digest]:
    """What a model is made of, also what a selection leaves out or a parent has."""
    blobs = [*manifest.blobs]
    blobs += [op.blob for op in plan.operations if not isinstance(op, ApplyLayers)]
    return frozenset(blob.digest for blob in blobs)


def _tell_superseded(manifest: Manifest, plan: FilePlan, tools: Tools) -> None:
    """What was fetched of an earlier manifest of this reference stays, and its user is told."""
    left = tools.shelves.store.abandoned(_of_it(manifest, plan))
    if left:
        tools.observer.on(Superseded(len(left), sum(each.present for each in left)))


def _lay_out(
    request: Request, found: Resolution, plan: FilePlan, layout: Layout, tools: Tools
) -> Tree:
    """Build the tree beside its place, see whether it holds together, and only then move it."""
    manifest, key = found.manifest.descriptor, request.selection.key
    placed = Counter()
    size = sum(file.size for file in layout.files)
    tools.observer.on(LayingOut(len(layout.files), size, placed))

    def stage(_: None) -> StagedTree:
        return tools.destination.stage(request.reference, manifest.digest, key, layout, placed)

    # In a thread of the engine: a copy to another file system takes minutes, and whoever waits for
    # it is told how far it is.
    [staged] = tools.shelves.fetcher.map(stage, [None])
    try:
        verdict = examine(staged, layout.left_out)
        receipt = Receipt(
            reference=str(request.reference),
            digest=found.digest,
            manifest=manifest,
            packaging=plan.packaging,
            selection=key,
            files=tuple(PlacedFile(file.path, file.size, file.digest) for file in layout.files),
            servable=verdict.servable,
            primary=verdict.primary,
            warnings=verdict.warnings,
            needs=_needs(found, tools.shelves),
            chosen=request.selection if key else None,
        )
        tree = staged.publish(receipt)
        for warning in _warnings(tree):
            tools.observer.on(Warned(warning))
        return tree
    finally:
        staged.discard()


def _keep_archives(request: Request, found: Resolution, tools: Tools) -> int:
    """The archives that files were unpacked from are here as well, where they are to be kept.

    An earlier pull may have dropped them. The bytes that were fetched for it; where nobody can be
    asked the model is as good without.
    """
    if not request.keep_archives or request.offline or found.stale:
        return 0
    shelves = tools.shelves
    plan = make_plan(found.manifest, request, shelves)
    supply = provide_archives(plan, request.selection, shelves)
    if not supply.jobs:
        return 0
    before = shelves.fetcher.fetched
    free = tools.space.check(supply.to_write, 0)
    tools.observer.on(Resolved(str(request.reference), found.digest, plan.packaging))
    tools.observer.on(_planned(request, Layout(()), plan, supply, early=before, free=free))
    with tools.leases.hold(_needs(found, shelves)):
        shelves.fetcher.fetch(supply.jobs)
    return shelves.fetcher.fetched - before


def _drop_archives(plan: FilePlan, request: Request, layout: Layout, shelves: Shelves) -> None:
    blobs = [op.blob for op in plan.archives if shelves.layers.members(op) is not None]
    for image in plan.images:
        if shelves.images.merged(image.image, request.selection.root) is not None:
            blobs += [layer.blob for layer in image.layers]
    placed = {file.digest for file in layout.files if isinstance(file.origin, FromBlob)}
    for blob in blobs:
        if blob.size > _KEPT_ARCHIVE and blob.digest not in placed:
            shelves.store.drop(blob)


def _remember(request: Request, found: Resolution, tools: Tools) -> None:
    """Note what the tag is; where the cache cannot be written, the model is no worse for it."""
    try:
        tools.shelves.references.remember(request.reference, found.digest)
    except DiskError as error:
        tools.observer.on(Warned(f"what the tag is was not noted: {error.message}"))


def _has_moved(request: Request, found: Resolution, shelves: Shelves) -> bool:
    """Whether the tag is not what it was last seen to be; a hit writes nothing else."""
    if request.reference.moving_tag is None:
        return False
    return shelves.references.recall(request.reference) != found.digest


def _result(
    request: Request,
    found: Resolution,
    tree: Tree,
    *,
    fetched: int = 0,
    reused: int = 0,
    unchanged: bool = False,
) -> PullResult:
    receipt = tree.receipt
    return PullResult(
        path=tree.path,
        reference=request.reference,
        digest=found.digest,
        packaging=receipt.packaging,
        files=receipt.files,
        fetched_bytes=fetched,
        reused_bytes=reused,
        unchanged=unchanged,
        warnings=(*filter(None, [found.stale]), *_warnings(tree)),
        servable=receipt.servable,
        primary=_primary(tree),
        link=receipt.link,
    )


def _primary(tree: Tree) -> Path | None:
    primary = tree.receipt.primary
    return tree.path.joinpath(*primary.parts) if primary else None


def _warnings(tree: Tree) -> tuple[str, ...]:
    return spelled_out(tree.receipt.warnings, tree.path, _primary(tree))

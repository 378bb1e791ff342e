"""The composition root: settings and a reference in, the real world plugged together."""

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oci_pull import __version__
from oci_pull.adapters.cache.contents import Contents
from oci_pull.adapters.cache.heart import Heart
from oci_pull.adapters.cache.images import DirectoryImages
from oci_pull.adapters.cache.layers import DirectoryLayers
from oci_pull.adapters.cache.leases import DirectoryLeases, discard
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.references import DirectoryReferences
from oci_pull.adapters.cache.store import Behind, DirectoryStore
from oci_pull.adapters.cache.trees import CacheTrees
from oci_pull.adapters.clock import NEVER, Deadline, SystemClock
from oci_pull.adapters.family import FamilySource
from oci_pull.adapters.laid_out import LaidOut
from oci_pull.adapters.offline import OfflineSource
from oci_pull.adapters.space import DiskSpace
from oci_pull.adapters.told import ToldDocuments
from oci_pull.errors import Cancelled, NotWritable, TimedOut, UsageError
from oci_pull.events import Event
from oci_pull.fetch import Engine
from oci_pull.fetch.retry import Patience
from oci_pull.oci.descriptor import Platform
from oci_pull.oci.reference import Locator, parse_locator
from oci_pull.options import duration
from oci_pull.packaging.selection import Selection
from oci_pull.ports import BlobStore, Cancel, Destination, Observer
from oci_pull.prepare import Request, Shelves
from oci_pull.pull import PullResult, Tools, pull
from oci_pull.settings import Settings
from oci_pull.sources.source import Sources

if TYPE_CHECKING:
    from oci_pull.adapters.registry.connections import Connections

USER_AGENT = f"oci-pull/{__version__}"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


class _Silent:
    """The observer of those who do not want to know."""

    def on(self, event: Event) -> None:
        """Forget it."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the pulls of one run share: the budget, and what they know of registries."""

    engine: Engine
    connections: "Connections"


@dataclass(frozen=True, slots=True)
class Workshop:
    """What was asked for, and everything that is plugged together for it."""

    request: Request
    tools: Tools
    #: The blobs of the cache itself, also where the tools of a dry run keep theirs elsewhere.
    cached: BlobStore


def make(
    reference: str | Locator,
    settings: Settings,
    observer: Observer | None,
    cancel: Cancel | None,
    shared: Shared | None = None,
) -> PullResult:
    """The model at a reference is where the settings say; `shared` is what several pulls share.

    Raises:
        OciPullError: a subclass for every cause.
    """
    with workshop(reference, settings, observer, cancel, shared=shared) as shop:
        result = pull(shop.request, shop.tools)
    if settings.no_cache:
        discard(Cache(settings.cache))
    return result


@contextmanager
def workshop(
    reference: str | Locator,
    settings: Settings,
    observer: Observer | None,
    cancel: Cancel | None,
    *,
    is_dry: bool = False,
    is_offline: bool = False,
    shared: Shared | None = None,
) -> Iterator[Workshop]:
    """The real world for one reference; a dry one keeps what it has to fetch out of the cache."""
    locator = locate(reference, settings)
    observer = observer or _Silent()
    offline = is_offline or settings.offline
    cache = Cache(settings.cache)
    cache.require_known()
    is_checked = not settings.no_space_check
    with ExitStack() as stack:
        cancel = heart = Heart(stack.enter_context(in_time(settings.timeout, cancel or NEVER)))
        others = others_of(settings, cancel)
        store = DirectoryStore(cache, _behind(settings, others, observer, cancel), str(locator))
        layers = DirectoryLayers(
            cache, others.layers if others else None, is_space_checked=is_checked
        )
        references = DirectoryReferences(cache, store, others.references if others else None)
        images = DirectoryImages(
            cache, cancel, others.images if others else None, is_space_checked=is_checked
        )
        source = FamilySource(locator, OfflineSource(locator), OfflineSource)
        if not offline:
            sources = Sources(
                locator,
                settings,
                observer,
                stack,
                cancel=cancel,
                user_agent=USER_AGENT,
                connections=shared.connections if shared else None,
            )
            source = FamilySource(locator, sources.own, sources.parent)
        if is_dry:
            scratch = Cache(_scratch(stack))
            kept, unpacked = DirectoryStore(scratch, store), DirectoryLayers(scratch, layers)
            seen = DirectoryImages(scratch, cancel, images)
            references = DirectoryReferences(scratch, kept, references)
        else:
            kept, unpacked, seen = store, layers, images
        contents = Contents(store, layers, images)
        destination = _destination(locator, settings, contents, observer, cancel)
        engine = shared.engine if shared else engine_of(settings, settings.jobs_for(locator))
        shelves = Shelves(
            source=source,
            documents=ToldDocuments(kept, observer) if settings.verbose else kept,
            store=kept,
            layers=unpacked,
            images=seen,
            references=references,
            fetcher=engine.session(source, kept, observer, cancel),
            family=source,
        )
        space = DiskSpace(
            cache.root,
            settings.output or (settings.hub_cache if settings.layout == "hf" else None),
            is_checked=is_checked,
            quota=settings.max_bytes,
        )
        tools = Tools(shelves, destination, space, observer, DirectoryLeases(cache, heart))
        yield Workshop(_request(locator, settings, is_offline=offline), tools, store)


@dataclass(frozen=True, slots=True)
class Others:
    """Caches that are looked into and never written, as one."""

    store: DirectoryStore
    layers: DirectoryLayers
    images: DirectoryImages
    references: DirectoryReferences


def others_of(settings: Settings, cancel: Cancel) -> Others | None:
    """Those that the configuration names, the first in front of the second; None without any."""
    found: Others | None = None
    for path in reversed(settings.extra_cache_dirs):
        cache = Cache(path.absolute())
        cache.require_known("extra_cache_dirs  in the configuration file, without it")
        store = DirectoryStore(cache, found.store if found else None)
        found = Others(
            store,
            DirectoryLayers(cache, found.layers if found else None),
            DirectoryImages(cache, cancel, found.images if found else None),
            DirectoryReferences(cache, store, found.references if found else None),
        )
    return found


def _behind(
    settings: Settings, others: Others | None, observer: Observer, cancel: Cancel
) -> Behind | None:
    """Where blobs are looked for that are not in the cache."""
    store = others.store if others else None
    if settings.no_cache and settings.output:
        return LaidOut(settings.output.absolute(), observer, cancel, store)
    return store


def engine_of(settings: Settings, jobs: int) -> Engine:
    """The connections and the threads, as the settings want them."""
    return Engine(
        jobs=jobs,
        cores=os.cpu_count() or 1,
        clock=SystemClock(),
        random=random.random,
        patience=Patience(
            retries=settings.retries,
            max_wait=settings.max_wait,
            stall_timeout=settings.stall_timeout,
            lock_timeout=settings.lock_timeout,
        ),
        limit_rate=settings.limit_rate,
    )


@contextmanager
def in_time(timeout: float | None, cancel: Cancel) -> Iterator[Cancel]:
    """A cancel that is set after `timeout` seconds as well; `TimedOut` says that this was it."""
    if timeout is None:
        yield cancel
        return
    clock = SystemClock()
    try:
        yield Deadline(cancel, clock, clock.now() + timeout)
    except Cancelled as error:
        if cancel.is_set():
            raise
        raise TimedOut(
            f"not done after {duration(timeout)}; what was fetched is kept",
            hint="the same command, which continues\n--timeout TIME  gives it longer",
        ) from error


def _scratch(stack: ExitStack) -> Path:
    """A directory that is gone in the end; raises `NotWritable`."""
    try:
        return Path(stack.enter_context(tempfile.TemporaryDirectory()))
    except OSError as error:
        raise NotWritable(
            "there is no place for temporary files", hint="TMPDIR=DIR  with one that can be written"
        ) from error


def locate(reference: str | Locator, settings: Settings) -> Locator:
    """The reference as it will be asked for; raises `InvalidReference`."""
    if isinstance(reference, str):
        reference = parse_locator(reference, default_registry=settings.default_registry)
    return reference


def _destination(
    locator: Locator, settings: Settings, contents: Contents, observer: Observer, cancel: Cancel
) -> Destination:
    """Where the model goes; raises `UsageError` where that cannot be."""
    if settings.layout == "hf":
        if settings.output:
            raise UsageError(
                "-o and --layout hf are two places for one model", hint="leave one of them out"
            )
        if settings.hub_cache is None:
            raise UsageError(
                "there is no home directory, and so no Hugging Face hub cache",
                hint="HF_HUB_CACHE=DIR",
            )
        from oci_pull.adapters.hf_cache import HubCache
        from oci_pull.packaging.hf_name import hub_id

        name, tag = hub_id(locator), getattr(locator, "tag", None)
        return HubCache(
            settings.hub_cache.absolute(), name, tag, contents, cancel, settings.link_mode
        )
    if settings.output:
        from oci_pull.adapters.output import OutputDirectory

        return OutputDirectory(
            settings.output.absolute(), contents, observer, cancel, settings.link_mode
        )
    others = tuple(Cache(path.absolute()) for path in settings.extra_cache_dirs)
    return CacheTrees(contents.store.cache, contents, cancel, settings.link_mode, others)


def _request(locator: Locator, settings: Settings, *, is_offline: bool) -> Request:
    machine = os.uname().machine.lower()
    return Request(
        reference=locator,
        host=Platform("linux", _ARCHITECTURES.get(machine, machine)),
        selection=Selection(
            include=settings.include,
            exclude=settings.exclude,
            allow_pickle=settings.allow_pickle,
            datasets=settings.datasets,
            root=settings.root,
        ),
        platform=settings.platform,
        variant=dict(settings.select),
        offline=is_offline,
        stale_ok=settings.stale_ok,
        keep_archives=settings.keep_archives,
        require_digest=settings.require_digest,
    )

"""The composition root: settings and a reference in, the real world plugged together, a result out.

Nothing here prints, exits, or handles signals; it may be called from any thread.
"""

import os
import platform
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from oci_pull import __version__, look, prepare
from oci_pull.adapters.cache.contents import Contents
from oci_pull.adapters.cache.images import DirectoryImages
from oci_pull.adapters.cache.layers import DirectoryLayers
from oci_pull.adapters.cache.leases import DirectoryLeases
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.references import DirectoryReferences
from oci_pull.adapters.cache.store import DirectoryStore
from oci_pull.adapters.cache.trees import CacheTrees
from oci_pull.adapters.clock import Deadline, SystemClock
from oci_pull.adapters.disk import remove_tree
from oci_pull.adapters.family import FamilySource
from oci_pull.adapters.hf_cache import HubCache
from oci_pull.adapters.offline import OfflineSource
from oci_pull.adapters.output import OutputDirectory
from oci_pull.adapters.space import DiskSpace
from oci_pull.errors import Cancelled, NotCached, NotWritable, TimedOut, UsageError
from oci_pull.events import Event
from oci_pull.fetch import Engine
from oci_pull.fetch.retry import Patience
from oci_pull.look import Inspection, Preview
from oci_pull.oci.descriptor import Platform
from oci_pull.oci.manifest import Document
from oci_pull.oci.reference import Locator, Reference, parse_locator
from oci_pull.options import duration
from oci_pull.packaging.hf_name import hub_id
from oci_pull.packaging.selection import Selection
from oci_pull.ports import Cancel, Destination, Observer, Tree
from oci_pull.prepare import Request, Shelves
from oci_pull.pull import PullResult, Tools
from oci_pull.pull import pull as run
from oci_pull.settings import Settings
from oci_pull.sources import Sources

if TYPE_CHECKING:
    from oci_pull.verbs.finding import Report
    from oci_pull.verbs.prune import Limits, Pruning
    from oci_pull.verbs.verify import Examined
    from oci_pull.verbs.warm import Outcome
    from oci_pull.verbs.warm_list import Wanted

_USER_AGENT = f"oci-pull/{__version__}"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


class Options(TypedDict, total=False):
    """The options of the command line by name; see `Settings` for what they mean."""

    output: str | Path | None
    cache_dir: str | Path | None
    layout: str
    no_cache: bool
    link_mode: str
    keep_archives: bool
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    allow_pickle: bool
    datasets: bool
    platform: str | None
    select: tuple[str, ...]
    root: str
    jobs: int | None
    limit_rate: int | str | None
    retries: int
    stall_timeout: float
    connect_timeout: float
    max_wait: float
    lock_timeout: float
    timeout: float | str | None
    max_bytes: int | str | None
    no_space_check: bool
    offline: bool
    stale_ok: bool
    authfile: str | Path | None
    username: str
    #: Of `username`; a program has it from wherever it keeps secrets. No option, no variable.
    password: str
    password_stdin: bool
    mirror: tuple[str, ...]
    ca_file: str | Path | None
    client_cert: str | Path | None
    client_key: str | Path | None
    plain_http: bool
    insecure: bool
    proxy: str
    default_registry: str
    config: str | Path | None


class _Silent:
    """The observer of those who do not want to know."""

    def on(self, event: Event) -> None:
        """Forget it."""


class _Never:
    """The cancel of those who wait."""

    def is_set(self) -> bool:
        """Go on."""
        return False


@dataclass(frozen=True, slots=True)
class _Workshop:
    """Everything that is plugged together for one reference."""

    request: Request
    shelves: Shelves
    destination: Destination
    space: DiskSpace
    observer: Observer
    leases: DirectoryLeases


def pull(
    reference: str | Locator,
    *,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
    settings: Settings | None = None,
    **options: Unpack[Options],
) -> PullResult:
    """The model at a reference is in a directory, complete and verified.

    Options have the names of the command line (`output`, `cache_dir`, `include`, `exclude`,
    `offline`, `jobs`, ...) and win over `settings`; without these the environment is honoured as
    the command does it. `username` and `password` are for the registry of the reference alone.
    `observer` is told what happens, from several threads; `cancel` is anything with `is_set()`,
    asked several times a second.

    Raises:
        OciPullError: a subclass for every cause, see `oci_pull.errors`.

    Example:
        >>> pull("ai/smollm2", output="/models/smollm2").path  # doctest: +SKIP
    """
    settings = configured(settings, options)
    return _pull(reference, settings, observer, cancel)


def _pull(
    reference: str | Locator,
    settings: Settings,
    observer: Observer | None,
    cancel: Cancel | None,
    engine: Engine | None = None,
) -> PullResult:
    """As `pull`; `engine` is the budget of several pulls."""
    with _workshop(reference, settings, observer, cancel, engine=engine) as shop:
        tools = Tools(shop.shelves, shop.destination, shop.space, shop.observer, shop.leases)
        result = run(shop.request, tools)
    if settings.no_cache:
        remove_tree(settings.cache)
    return result


def warm(
    wanted: "Sequence[Wanted]",
    *,
    settings: Settings,
    observer: Callable[[], Observer],
    cancel: Cancel,
) -> "Iterator[Outcome]":
    """What becomes of each model of a list, in their order, in the cache.

    They share the connections and the rate; `observer` makes one for each.

    Raises:
        Busy: another process warms the same cache.
        DiskError: it cannot be written at all.
    """
    from oci_pull.adapters.cache.turn import turn
    from oci_pull.verbs.warm import warm

    engine = _engine(settings, settings.jobs)
    inside = replace(settings, output=None, no_cache=False)

    def fetch(each: "Wanted") -> PullResult:
        own = inside.with_options(each.options)
        return _pull(each.reference, own, observer(), cancel, engine)

    with turn(Cache(settings.cache), "warm"):
        yield from warm(wanted, fetch)


def check_wanted(wanted: "Wanted", settings: Settings) -> None:
    """Raises `InvalidReference`, `InvalidSetting` for a line that cannot be pulled."""
    locate(wanted.reference, settings)
    settings.with_options(wanted.options)


def wait_at_random(longest: float, cancel: Cancel) -> None:
    """Return at some moment of the next seconds, at most so many; raises `Cancelled`."""
    SystemClock().wait(random.random() * longest, cancel)  # noqa: S311 - no secret


def plan(
    reference: str | Locator,
    *,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
    settings: Settings | None = None,
    **options: Unpack[Options],
) -> Preview:
    """What a pull would do; nothing is written to the cache. Arguments and errors as of `pull`."""
    settings = configured(settings, options)
    with _workshop(reference, settings, observer, cancel, is_dry=True) as shop:
        return look.preview(shop.request, shop.shelves)


def inspect(
    reference: str | Locator,
    *,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
    settings: Settings | None = None,
    **options: Unpack[Options],
) -> Inspection:
    """What is at a reference; nothing is written there. Arguments and errors as of `pull`."""
    settings = configured(settings, options)
    with _workshop(reference, settings, observer, cancel, is_dry=True) as shop:
        return look.inspect(shop.request, shop.shelves)


def document(
    reference: str | Locator, *, settings: Settings, observer: Observer, cancel: Cancel
) -> Document:
    """The manifest or index that the reference itself names."""
    with _workshop(reference, settings, observer, cancel, is_dry=True) as shop:
        return prepare.named_document(shop.request, shop.shelves)


def doctor(
    named: str | None,
    *,
    settings: Settings,
    observer: Observer,
    cancel: Cancel,
    broken: UsageError | None = None,
) -> "Report":
    """What a pull would use, and how far it would come; `named` is a reference or a registry.

    `broken` is why the configuration file is not in the settings.
    What fails is in the report. Raises `InvalidReference` where `named` is neither, `Cancelled`.
    """
    from oci_pull.verbs.doctor import Examination
    from oci_pull.verbs.target import Target

    target = Target.parse(named, settings) if named else None
    with _in_time(settings.timeout, cancel) as bounded:
        return Examination(settings, target, observer, bounded, _USER_AGENT, broken).run()


def find(reference: str | Locator, *, settings: Settings) -> Tree:
    """The complete tree of a reference in the cache, without any request.

    Raises:
        NotCached: there is none.
    """
    with _workshop(reference, settings, None, None, is_offline=True) as shop:
        request = shop.request
        found = prepare.resolve(request, shop.shelves)
        manifest = found.manifest.descriptor.digest
        tree = shop.destination.find(request.reference, manifest, request.selection.key)
        if tree is None:
            raise NotCached(
                f"{request.reference} is not complete in the cache",
                hint=f"oci-pull {request.reference}",
            )
        return tree


def prune(
    limits: "Limits", *, settings: Settings, cancel: Cancel, dry_run: bool = False
) -> "Pruning":
    """What goes by the limits is gone from the cache; a dry run only says what that would be.

    Raises:
        CacheTooNew, DiskError, Cancelled: see `oci_pull.verbs.prune`.
    """
    from oci_pull.verbs.prune import prune

    return prune(settings.cache, limits, cancel=cancel, is_dry=dry_run)


def remove(references: Sequence[str], *, settings: Settings, cancel: Cancel) -> "Pruning":
    """The models of these references are gone from the cache, and what nothing else needs.

    Raises:
        InvalidReference, NotFoundError, Busy: one of them is none, is not there, or is in use.
        CacheTooNew, DiskError, Cancelled: see `oci_pull.verbs.prune`.
    """
    from oci_pull.verbs.prune import remove

    names = [str(locate(reference, settings)) for reference in references]
    return remove(settings.cache, names, cancel=cancel)


def verify(
    reference: str | None,
    *,
    repair: bool,
    settings: Settings,
    observer: Observer,
    cancel: Cancel,
) -> "Examined":
    """What is wrong in the cache, or with one model of it; with `repair` it is right again.

    Raises:
        InvalidReference, NotFoundError: the reference is none, or not in the cache.
        CacheTooNew, DiskError, Cancelled: see `oci_pull.verbs.verify`.
    """
    from oci_pull.verbs.verify import Examination

    def fetch(named: str) -> None:
        pull(named, settings=plain, observer=observer, cancel=cancel)

    # The models are laid out in the cache, whatever else the environment says.
    plain = replace(settings, output=None, no_cache=False, include=(), exclude=(), root="")
    others = _others(settings, cancel)
    store = DirectoryStore(Cache(settings.cache), others.store if others else None)
    name = locate(reference, settings) if reference else None
    nowhere = OfflineSource(name or Reference.parse("nowhere"))
    session = _engine(settings, settings.jobs).session(nowhere, store, observer, cancel)
    examination = Examination(settings.cache, session, cancel, store, str(name or ""))
    found = examination.examine()
    return examination.repair(found, fetch) if repair and found.damage else found


def kept_names(references: Sequence[str], settings: Settings) -> frozenset[str]:
    """What is meant by references that stay; without a tag it is every tag.

    Raises:
        InvalidReference: one of them is none.
    """
    names = set()
    for text in references:
        locator = locate(text, settings)
        if isinstance(locator, Reference) and locator.name.endswith(text):
            names.add(locator.name)
        else:
            names.add(str(locator))
    return frozenset(names)


def configured(settings: Settings | None, options: Options) -> Settings:
    """The settings with what was given beside them, else what the environment says with that."""
    given = {name: value for name, value in options.items() if name != "password"}
    if settings is None:
        settings = Settings.load(os.environ, given)  # noqa: TID251 - handed to settings
    else:
        settings = settings.with_options(given)
    return replace(settings, password=options.get("password") or settings.password)


@contextmanager
def _workshop(
    reference: str | Locator,
    settings: Settings,
    observer: Observer | None,
    cancel: Cancel | None,
    *,
    is_dry: bool = False,
    is_offline: bool = False,
    engine: Engine | None = None,
) -> Iterator[_Workshop]:
    """The real world for one reference; a dry one keeps what it has to fetch out of the cache."""
    locator = locate(reference, settings)
    observer = observer or _Silent()
    offline = is_offline or settings.offline
    cache = Cache(settings.cache)
    is_checked = not settings.no_space_check
    others = _others(settings, cancel or _Never())
    store = DirectoryStore(cache, others.store if others else None, str(locator))
    layers = DirectoryLayers(cache, others.layers if others else None, is_space_checked=is_checked)
    references = DirectoryReferences(cache, store, others.references if others else None)
    with ExitStack() as stack:
        cancel = stack.enter_context(_in_time(settings.timeout, cancel or _Never()))
        behind = others.images if others else None
        images = DirectoryImages(cache, cancel, behind, is_space_checked=is_checked)
        source = FamilySource(locator, OfflineSource(locator), OfflineSource)
        if not offline:
            sources = Sources(
                locator, settings, observer, stack, cancel=cancel, user_agent=_USER_AGENT
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
        engine = engine or _engine(settings, settings.jobs_for(locator))
        yield _Workshop(
            _request(locator, settings, is_offline=offline),
            Shelves(
                source=source,
                documents=kept,
                store=kept,
                layers=unpacked,
                images=seen,
                references=references,
                fetcher=engine.session(source, kept, observer, cancel),
                family=source,
            ),
            destination,
            DiskSpace(
                cache.root,
                settings.output or (settings.hub_cache if settings.layout == "hf" else None),
                is_checked=is_checked,
                quota=settings.max_bytes,
            ),
            observer,
            DirectoryLeases(cache),
        )


@dataclass(frozen=True, slots=True)
class _Others:
    """Caches that are looked into and never written, as one."""

    store: DirectoryStore
    layers: DirectoryLayers
    images: DirectoryImages
    references: DirectoryReferences


def _others(settings: Settings, cancel: Cancel) -> _Others | None:
    """Those that the configuration names, the first in front of the second; None without any."""
    found: _Others | None = None
    for path in reversed(settings.extra_cache_dirs):
        cache = Cache(path.absolute())
        store = DirectoryStore(cache, found.store if found else None)
        found = _Others(
            store,
            DirectoryLayers(cache, found.layers if found else None),
            DirectoryImages(cache, cancel, found.images if found else None),
            DirectoryReferences(cache, store, found.references if found else None),
        )
    return found


def _engine(settings: Settings, jobs: int) -> Engine:
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
def _in_time(timeout: float | None, cancel: Cancel) -> Iterator[Cancel]:
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
            hint="the same command continues, --timeout TIME gives it longer",
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
        name, tag = hub_id(locator), getattr(locator, "tag", None)
        return HubCache(
            settings.hub_cache.absolute(), name, tag, contents, cancel, settings.link_mode
        )
    if settings.output:
        return OutputDirectory(
            settings.output.absolute(), contents, observer, cancel, settings.link_mode
        )
    others = tuple(Cache(path.absolute()) for path in settings.extra_cache_dirs)
    return CacheTrees(contents.store.cache, contents, cancel, settings.link_mode, others)


def _request(locator: Locator, settings: Settings, *, is_offline: bool) -> Request:
    machine = platform.machine().lower()
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
    )

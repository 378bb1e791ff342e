"""The verbs that the command has beside those of a program, plugged into the real world.

Like these they neither print nor exit, and may be called from any thread.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from oci_pull import prepare
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.store import DirectoryStore
from oci_pull.adapters.clock import SystemClock
from oci_pull.adapters.offline import OfflineSource
from oci_pull.errors import NotCached, UsageError
from oci_pull.oci.reference import Locator, Reference
from oci_pull.ports import Cancel, Observer, Tree
from oci_pull.pull import PullResult, restore
from oci_pull.settings import Settings
from oci_pull.workshop import (
    USER_AGENT,
    Shared,
    engine_of,
    in_time,
    locate,
    make,
    others_of,
    workshop,
)

if TYPE_CHECKING:
    from oci_pull.verbs.finding import Report
    from oci_pull.verbs.prune import Limits, Pruning
    from oci_pull.verbs.verify import Again, Examined
    from oci_pull.verbs.warm import Outcome
    from oci_pull.verbs.warm_list import Wanted


def warm(
    wanted: "Sequence[Wanted]",
    *,
    settings: Settings,
    observer: Callable[[], Observer],
    cancel: Cancel,
) -> "Iterator[Outcome]":
    """What becomes of each model of a list, in their order, in the cache.

    They share the connections, the tokens and the rate; `observer` makes one for each.

    Raises:
        Busy: another process warms the same cache.
        DiskError: it cannot be written at all.
    """
    from oci_pull.adapters.cache.turn import turn
    from oci_pull.adapters.registry.connections import Connections
    from oci_pull.verbs.warm import warm

    shared = Shared(engine_of(settings, settings.jobs), Connections())
    inside = replace(settings, output=None, no_cache=False)

    def fetch(each: "Wanted") -> PullResult:
        own = inside.with_options(each.options)
        return make(each.reference, own, observer(), beating, shared)

    with (
        turn(Cache(settings.cache), "warm", cancel) as beating,
        closing(shared.connections),
    ):
        yield from warm(wanted, fetch)


def check_wanted(wanted: "Wanted", settings: Settings) -> None:
    """Raises `InvalidReference`, `InvalidSetting` for a line that cannot be pulled."""
    locate(wanted.reference, settings)
    settings.with_options(wanted.options)


def wait_at_random(longest: float, cancel: Cancel) -> None:
    """Return at some moment of the next seconds, at most so many; raises `Cancelled`."""
    SystemClock().wait(random.random() * longest, cancel)  # noqa: S311 - no secret


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
    with in_time(settings.timeout, cancel) as bounded:
        return Examination(settings, target, observer, bounded, USER_AGENT, broken).run()


def find(reference: str | Locator, *, settings: Settings) -> Tree:
    """The complete tree of a reference in the cache, without any request.

    Raises:
        NotCached: there is none.
    """
    with workshop(reference, settings, None, None, is_offline=True) as shop:
        request = shop.request
        found = prepare.resolve(request, shop.tools.shelves)
        manifest = found.manifest.descriptor.digest
        tree = shop.tools.destination.find(request.reference, manifest, request.selection.key)
        if tree is None:
            raise NotCached(
                f"{request.reference} is not complete in the cache",
                hint=f"oci-pull {request.reference}",
            )
        return tree


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

    # The models are laid out in the cache, whatever else the environment says.
    inside = replace(settings, output=None, no_cache=False, layout="dir")

    def again(wanted: "Again") -> int:
        with workshop(wanted.reference, inside, observer, cancel) as shop:
            request = replace(shop.request, selection=wanted.selection)
            return restore(request, wanted.digest, wanted.manifest, shop.tools)

    others = others_of(settings, cancel)
    store = DirectoryStore(Cache(settings.cache), others.store if others else None)
    name = locate(reference, settings) if reference else None
    nowhere = OfflineSource(name or Reference.parse("nowhere"))
    session = engine_of(settings, settings.jobs).session(nowhere, store, observer, cancel)
    examination = Examination(settings.cache, session, observer, cancel, store, str(name or ""))
    found = examination.examine()
    return examination.repair(found, again) if repair and found.damage else found


def remove(
    references: Sequence[str], *, settings: Settings, cancel: Cancel, dry_run: bool = False
) -> "Pruning":
    """The models of these references are gone from the cache, and what nothing else needs.

    A dry run only says what that would be.

    Raises:
        InvalidReference, NotFoundError, Busy: one of them is none, is not there, or is in use.
        CacheTooNew, DiskError, Cancelled: see `oci_pull.verbs.prune`.
    """
    from oci_pull.verbs.prune import remove

    names = [str(locate(reference, settings)) for reference in references]
    return remove(settings.cache, names, cancel=cancel, is_dry=dry_run)


def prune(
    limits: "Limits", *, settings: Settings, cancel: Cancel, dry_run: bool = False
) -> "Pruning":
    """What goes by the limits is gone from the cache; a dry run only says what that would be.

    Raises:
        CacheTooNew, DiskError, Cancelled: see `oci_pull.verbs.prune`.
    """
    from oci_pull.verbs.prune import prune

    return prune(settings.cache, limits, cancel=cancel, is_dry=dry_run)


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

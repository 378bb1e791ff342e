"""What a program calls: a reference and options in, a result out.

Nothing here prints, exits, or handles signals; it may be called from any thread.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack

from oci_pull import look, prepare
from oci_pull.look import Inspection, Plan
from oci_pull.oci.manifest import Document
from oci_pull.oci.reference import Locator
from oci_pull.ports import Cancel, Observer
from oci_pull.pull import PullResult
from oci_pull.settings import Settings
from oci_pull.workshop import make, workshop


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
    require_digest: bool
    #: From 1 on, `observer` is told of requests too; from 2 on, of their headers.
    verbose: int
    config: str | Path | None


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
    return make(reference, settings, observer, cancel)


def plan(
    reference: str | Locator,
    *,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
    settings: Settings | None = None,
    **options: Unpack[Options],
) -> Plan:
    """What a pull would do; nothing is written to the cache. Arguments and errors as of `pull`."""
    settings = configured(settings, options)
    with workshop(reference, settings, observer, cancel, is_dry=True) as shop:
        return look.plan(shop.request, shop.tools.shelves, shop.tools.destination, shop.cached)


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
    with workshop(reference, settings, observer, cancel, is_dry=True) as shop:
        return look.inspect(shop.request, shop.tools.shelves)


def document(
    reference: str | Locator, *, settings: Settings, observer: Observer, cancel: Cancel
) -> Document:
    """The manifest or index that the reference itself names."""
    with workshop(reference, settings, observer, cancel, is_dry=True) as shop:
        return prepare.named_document(shop.request, shop.tools.shelves)


def configured(settings: Settings | None, options: Options) -> Settings:
    """The settings with what was given beside them, else what the environment says with that."""
    given = {name: value for name, value in options.items() if name != "password"}
    if settings is None:
        settings = Settings.load(os.environ, given)  # noqa: TID251 - handed to settings
    else:
        settings = settings.with_options(given)
    return replace(settings, password=options.get("password") or settings.password)

"""What a program calls: a reference and options in, a result out.

Nothing here prints, exits, or handles signals; it may be called from any thread.
"""

import os
from collections.abc import Sequence
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
    """The options of the command line, under their names.

    Sizes are bytes or text such as `20G`, times seconds or text such as `10m`; None and an empty
    list are as if nothing was given.
    """

    #: Lay the model out in this directory, instead of in the cache.
    output: str | Path | None
    cache_dir: str | Path | None
    #: `dir`, or `hf` for the Hugging Face hub cache.
    layout: str
    #: With `output`: one copy there, and nothing in the cache.
    no_cache: bool
    #: How weights get there: `auto`, `reflink`, `hardlink`, `symlink` or `copy`.
    link_mode: str
    keep_archives: bool
    #: Patterns of the paths of files, as `*.json`: only these, but for those.
    include: Sequence[str]
    exclude: Sequence[str]
    allow_pickle: bool
    datasets: bool
    #: Which manifest of an index: for a platform, or with these `KEY=VALUE`.
    platform: str | None
    select: Sequence[str]
    #: The directory that is the model, where there are several.
    root: str
    #: Connections in all.
    jobs: int | None
    #: Bytes a second, over all connections.
    limit_rate: int | str | None
    #: Tries without progress.
    retries: int
    stall_timeout: float | str
    connect_timeout: float | str
    #: The longest that a rate limit is waited out.
    max_wait: float | str
    #: The longest wait for another process that fetches the same.
    lock_timeout: float | str
    #: Of the whole call.
    timeout: float | str | None
    max_bytes: int | str | None
    no_space_check: bool
    #: Ask nobody, use what is cached.
    offline: bool
    #: The same where nobody answers.
    stale_ok: bool
    authfile: str | Path | None
    username: str
    #: Of `username`; a program has it from wherever it keeps secrets. No option, no variable.
    password: str
    mirror: Sequence[str]
    ca_file: str | Path | None
    client_cert: str | Path | None
    client_key: str | Path | None
    plain_http: bool
    insecure: bool
    proxy: str
    default_registry: str
    #: Refuse a tag alone.
    require_digest: bool
    #: From 1 on, `observer` is told of requests too; from 2 on, of their headers.
    verbose: int
    #: The configuration file; not together with `settings`, which have read theirs.
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

    Args:
        reference: `[oci://][registry/]repository[:tag][@digest]`, `oci:DIR[:TAG or @DIGEST]`,
            `oci-archive:FILE[:TAG]`, or what one of these was parsed to.
        observer: Is told what happens, by several threads, and must not block them; what it
            raises ends the pull.
        cancel: Anything with `is_set()`, asked at least every 200 ms; then `Cancelled` is raised,
            and what was fetched is kept for the next call.
        settings: What counts where no option is given; without these it is what the environment
            and the configuration file say, as for the command.
        **options: Those of the command line by name, see `Options`.

    Raises:
        OciPullError: a subclass for every cause, with `exit_code`, `hint` and `retryable`; see
            `oci_pull.errors`.
        TypeError: there is no such option.

    Example:
        >>> pull("ai/smollm2", output="/models/smollm2").path  # doctest: +SKIP
        PosixPath('/models/smollm2')
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
    """What a pull would do; nothing is written to the cache, nor where the model would go.

    It costs the manifest, and what of small blobs has to be read to know the files. Arguments and
    errors are those of `pull`, but for what only the bytes of a blob can show.

    Example:
        >>> plan("ai/smollm2", include=["*.json"]).fetch_bytes  # doctest: +SKIP
        3514
    """
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
    """What is at a reference, model or not; nothing is written to the cache.

    Arguments are those of `pull`. Why it would not be pulled is the `problem` of the result.

    Raises:
        OciPullError: nothing is there, or nobody answers.
    """
    settings = configured(settings, options)
    with workshop(reference, settings, observer, cancel, is_dry=True) as shop:
        return look.inspect(shop.request, shop.tools.shelves)


def document(
    reference: str | Locator, *, settings: Settings, observer: Observer, cancel: Cancel
) -> Document:
    """The manifest or index that the reference itself names; raises as `inspect` does."""
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

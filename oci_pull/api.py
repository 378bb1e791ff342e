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

    Sizes are bytes or text such as `20G`, times seconds or text such as `10m`, lists any sequence;
    None and an empty list are as if nothing was given. A value that cannot be is `InvalidSetting`.
    """

    #: Lay the model out in this directory, instead of in the cache; `TargetNotUsable` where
    #: something else has filled it.
    output: str | Path | None
    #: The cache; without it the user's.
    cache_dir: str | Path | None
    #: `dir`, or `hf` for the Hugging Face hub cache.
    layout: str
    #: With `output`: one copy there, and nothing in the cache.
    no_cache: bool
    #: How weights get there: `auto`, `reflink`, `hardlink`, `symlink` or `copy`.
    link_mode: str
    #: Archives above 64 MB stay in the cache beside the files that were in them.
    keep_archives: bool
    #: Patterns of the paths of files, as `*.json`: only these.
    include: Sequence[str]
    #: Patterns of the paths of files: none of these.
    exclude: Sequence[str]
    #: Take pickles, which can run code when they are loaded; else `PickleOnly` where there is
    #: nothing else.
    allow_pickle: bool
    #: Take datasets as well.
    datasets: bool
    #: Of an index, the manifest for this `OS/ARCH` or `OS/ARCH/VARIANT`; else that of the machine.
    platform: str | None
    #: Of an index, the manifest with these annotations, each `KEY=VALUE`.
    select: Sequence[str]
    #: The directory that is the model, where there are several (`SeveralRoots`).
    root: str
    #: Connections in all, from 1 to 256.
    jobs: int | None
    #: Bytes a second, over all connections.
    limit_rate: int | str | None
    #: Tries without progress, after the first.
    retries: int
    #: The longest silence of a server, before its connection is replaced.
    stall_timeout: float | str
    #: The longest wait for a connection.
    connect_timeout: float | str
    #: The longest that a rate limit is waited out; `RateLimited` where it lasts longer.
    max_wait: float | str
    #: The longest wait for another process that fetches the same; then `Busy`.
    lock_timeout: float | str
    #: Of the whole call; then `TimedOut`, and what was fetched is kept.
    timeout: float | str | None
    #: The most bytes to write, where a quota does not show; `NoSpace` before the first one.
    max_bytes: int | str | None
    #: Begin even if it does not seem to fit.
    no_space_check: bool
    #: Ask nobody, use what is cached; `NotCached` where that is not complete.
    offline: bool
    #: The same where nobody answers.
    stale_ok: bool
    #: Credentials, in the form of Docker's `config.json`.
    authfile: str | Path | None
    #: Who to be, for the registry of the reference alone.
    username: str
    #: Of `username`; a program has it from wherever it keeps secrets. No option, no variable.
    password: str
    #: Each `[HOST=]URL`: asked before the registry, without its credentials.
    mirror: Sequence[str]
    #: Certificates (PEM) that are trusted beside those of the system.
    ca_file: str | Path | None
    #: Who to be towards the registry, as a certificate (PEM).
    client_cert: str | Path | None
    #: The key of `client_cert` (PEM), where it is not in the same file.
    client_key: str | Path | None
    #: No TLS.
    plain_http: bool
    #: TLS with whoever answers.
    insecure: bool
    #: The URL of a proxy for everything, instead of those of the environment.
    proxy: str
    #: Of references without one; else `docker.io`.
    default_registry: str
    #: Refuse a tag alone, with `DigestRequired`.
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

"""`oci-pull warm`: many models are in the cache, for cron, timers and fleets."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from oci_pull import upkeep
from oci_pull.cli import output
from oci_pull.cli.options import NETWORK, OUTPUT, Given, parsed, takes
from oci_pull.cli.password import with_password
from oci_pull.cli.progress.form import Progress
from oci_pull.cli.progress.terminal import make_progress
from oci_pull.cli.pull import load
from oci_pull.cli.signals import CANCEL
from oci_pull.cli.units import size
from oci_pull.errors import Cancelled, InvalidSetting, OciPullError
from oci_pull.options import as_time
from oci_pull.options import size as as_size
from oci_pull.settings import Settings
from oci_pull.verbs.metrics import write_metrics
from oci_pull.verbs.prune import Limits
from oci_pull.verbs.warm import Outcome
from oci_pull.verbs.warm_list import Wanted, parse_list


@takes((*NETWORK, "cache_dir", "keep_archives", "max_bytes", "no_space_check", "lock_timeout",
        "require_digest", *OUTPUT))  # fmt: skip
def warm(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[FILE or -] [REF...]", help="lists of models, - for stdin; models"),
    ],
    *,
    given: Given,
    max_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="prune the cache to this afterwards")
    ] = None,
    metrics_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="what came of it, for Prometheus")
    ] = None,
    jitter: Annotated[
        str | None, typer.Option(metavar="TIME", help="begin at random within this time")
    ] = None,
) -> None:
    """Fetch many models into the cache; one that fails stops none of the others."""
    settings = load(given)
    progress = make_progress(settings)
    try:
        limit = parsed("--max-size", as_size, max_size)
        longest = parsed("--jitter", as_time, jitter)
        wanted = _wanted(words, settings)
        settings = with_password(settings, [each.reference for each in wanted])
        if longest:
            upkeep.wait_at_random(longest, CANCEL)
        code = _warm(wanted, settings, progress, limit=limit, metrics=metrics_file)
    except OciPullError as error:
        raise typer.Exit(_fail(error, settings, progress).exit_code) from error
    raise typer.Exit(code)


def _warm(
    wanted: Sequence[Wanted],
    settings: Settings,
    progress: Progress,
    *,
    limit: int | None,
    metrics: Path | None,
) -> int:
    """The exit code of the first failure, 0 without one."""
    outcomes: list[Outcome] = []
    shown = [progress]

    def observer() -> Progress:
        shown.append(make_progress(settings))
        return shown[-1]

    for each in upkeep.warm(wanted, settings=settings, observer=observer, cancel=CANCEL):
        outcomes.append(each)
        _tell(each, settings, shown[-1])
    try:
        if limit is not None and not CANCEL.is_set():
            _prune(wanted, settings, progress, limit)
    finally:
        # On a disk that was full there is room for it only now.
        if metrics:
            write_metrics(metrics, outcomes)
    failed = [_meant(each.error) for each in outcomes if each.error]
    fetched = sum(each.result.fetched_bytes for each in outcomes if each.result)
    ready = len(outcomes) - len(failed)
    left = f", {len(failed)} failed" if failed else ""
    progress.say("warm", f"{ready} of {len(wanted)} ready{left}, {size(fetched)} fetched")
    return failed[0].exit_code if failed else 0


def _prune(wanted: Sequence[Wanted], settings: Settings, progress: Progress, limit: int) -> None:
    """The cache is no larger than the limit, as far as the list lets it be."""
    keep = upkeep.kept_names([*(each.reference for each in wanted), *settings.keep], settings)
    limits = Limits(max_size=limit, keep=keep)
    pruned = upkeep.prune(limits, settings=settings, cancel=CANCEL)
    above = f"; --max-size is {size(limit)}" if pruned.after > limit else ""
    progress.say("pruned", f"{size(pruned.freed)} freed, {size(pruned.after)} left{above}")


def _tell(outcome: Outcome, settings: Settings, progress: Progress) -> None:
    """The path on stdout, a line for people on stderr; or the error in both forms."""
    if outcome.error:
        _fail(outcome.error, settings, progress)
        return
    result = outcome.result
    assert result
    progress.succeed(result, outcome.seconds)
    output.emit_result(result, outcome.seconds, settings.format)


def _meant(error: OciPullError) -> OciPullError:
    """A cancel becomes the signal that asked for it."""
    if isinstance(error, Cancelled):
        stopped = CANCEL.error("interrupted; the same command continues")
        stopped.explain("what was fetched is kept")
        return stopped
    return error


def _fail(error: OciPullError, settings: Settings, progress: Progress) -> OciPullError:
    error = _meant(error)
    output.tell_failure(error, settings, progress)
    return error


def _wanted(words: Sequence[str], settings: Settings) -> tuple[Wanted, ...]:
    """The references, and the lines of the lists, in their order, each once.

    Raises:
        InvalidReference, InvalidSetting: one of them cannot be, or a list cannot be read.
    """
    found: list[Wanted] = []
    for word in words:
        lines = _read(word, settings) if _is_list(word) else (_named(word, settings),)
        found += [each for each in lines if each not in found]
    return tuple(found)


def _is_list(word: str) -> bool:
    """Whether a word is a file of references and no reference: by its form, or as it is there."""
    if word == "-" or word.startswith(("/", ".")):
        return True
    with suppress(OSError):
        return Path(word).is_file()
    return False


def _named(word: str, settings: Settings) -> Wanted:
    wanted = Wanted(word)
    upkeep.check_wanted(wanted, settings)
    return wanted


def _read(listed: str, settings: Settings) -> tuple[Wanted, ...]:
    """The lines of a list; raises `InvalidSetting`."""
    if listed == "-" and settings.password_stdin:
        raise InvalidSetting("stdin cannot be the list and the password", hint="a file as the list")
    try:
        text = sys.stdin.read() if listed == "-" else Path(listed).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InvalidSetting(f"the list {listed} cannot be read: {reason}") from error
    name = "stdin" if listed == "-" else listed
    return parse_list(text, name, lambda each: upkeep.check_wanted(each, settings))

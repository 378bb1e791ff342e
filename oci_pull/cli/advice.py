"""What is added to a failure before it is told: what only a look at this machine can say."""

import shlex
from contextlib import suppress
from pathlib import Path

from oci_pull import upkeep
from oci_pull.cli.units import size
from oci_pull.errors import NoSpace, NotCached, OciPullError, TransferError
from oci_pull.options import duration
from oci_pull.settings import Settings


def advise(error: OciPullError, settings: Settings) -> None:
    """The error says what is here that helps; where that cannot be known, it stays as it is."""
    with suppress(OciPullError, OSError):
        match error:
            case NoSpace(place=place) if place:
                _say_what_can_go(error, settings)
            case NotCached(wanted=wanted) if wanted:
                _say_what_is_there(error, settings)
            case TransferError(retryable=True, hint=None):
                error.explain(hint="the same command again; what was fetched is kept")


def _say_what_can_go(error: NoSpace, settings: Settings) -> None:
    from oci_pull.verbs.advice import is_beside, room

    if not is_beside(settings.cache, Path(error.place)):
        return
    missing = (error.needed or 0) - (error.free or 0)
    facts, commands = [], []
    if error.idle:
        facts.append(f"{size(error.idle)} of unfinished downloads of something else can go")
        commands.append(f"oci-pull cache prune --partials{_of_the_cache(settings)} --dry-run")
    keep = upkeep.kept_names(settings.keep, settings)
    if error.idle < missing and (found := room(settings.cache, missing - error.idle, keep)):
        unused = duration(found.unused)
        facts.append(f"{size(found.frees)} of models that were not used for {unused} can go")
        commands.append(
            f"oci-pull cache prune --older-than {unused}{_of_the_cache(settings)} --dry-run"
        )
    if facts:
        others = [line for line in (error.hint or "").splitlines() if "DIR" in line]
        error.explain(*facts, hint="\n".join([*commands, *others]))


def _say_what_is_there(error: NotCached, settings: Settings) -> None:
    from oci_pull.verbs.advice import is_begun, near

    if is_begun(settings.cache, error.wanted):
        error.explain("a download of it was begun, and is not finished")
    elif name := near(settings.cache, error.wanted):
        error.explain(f"a name that is there: {name}", hint=f"oci-pull --offline {name}")


def _of_the_cache(settings: Settings) -> str:
    """The option that names the cache where only the command line did, or it is in the output."""
    is_typed = settings.no_cache or settings.origins.get("cache_dir", "").startswith("-")
    return f" --cache-dir {shlex.quote(str(settings.cache))}" if is_typed else ""

"""`oci-pull cache rm` and `prune`: what goes from the cache, and why."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Annotated

import typer

from oci_pull import upkeep
from oci_pull.cli import output
from oci_pull.cli.cache.verb import COMMON, checked
from oci_pull.cli.columns import with_note
from oci_pull.cli.options import Given, parsed, takes
from oci_pull.cli.password import interruptible
from oci_pull.cli.progress.form import Progress
from oci_pull.cli.pull import load
from oci_pull.cli.signals import CANCEL
from oci_pull.cli.streams import emit
from oci_pull.cli.units import several, size
from oci_pull.errors import UsageError, printable
from oci_pull.options import as_time
from oci_pull.options import size as as_size
from oci_pull.settings import Settings
from oci_pull.verbs.prune import Limits, Pruning, Verdict

#: Of what is said below the name of a candidate.
_INDENT = 14

Yes = Annotated[bool, typer.Option("--yes", "-y", help="do not ask")]


@takes((*COMMON, "default_registry"))
def rm(
    references: Annotated[list[str], typer.Argument(metavar="REF...", help="what goes")],
    *,
    given: Given,
    yes: Yes = False,
) -> None:
    """Remove models, and what nothing else needs."""
    settings = load(given)

    def remove(_: Progress) -> None:
        work = partial(upkeep.remove, references, settings=settings, cancel=CANCEL)
        if not yes:
            _ask(f"remove {' '.join(references)}", work, None)
        _say(work(), None, settings, is_dry=False)

    checked(settings, remove)


@takes((*COMMON, "default_registry"))
def prune(
    *,
    given: Given,
    older_than: Annotated[
        str | None, typer.Option(metavar="TIME", help="what was not used for so long, as 30d")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="until no more than this is left, as 500G")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="REF", help="never this one (repeatable)")
    ] = None,
    unfinished: Annotated[
        bool, typer.Option("--partials", help="unfinished downloads too")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would go")] = False,
    yes: Yes = False,
) -> None:
    """Remove what was not used for the longest; without a limit, what no model needs."""
    settings = load(given)

    def work(_: Progress) -> None:
        limits = Limits(
            older_than=parsed("--older-than", as_time, older_than),
            max_size=parsed("--max-size", as_size, max_size),
            partials=unfinished,
            keep=upkeep.kept_names([*(keep or ()), *settings.keep], settings),
        )
        work = partial(upkeep.prune, limits, settings=settings, cancel=CANCEL)
        if not (dry_run or yes):
            goes = "no model needs" if limits.is_nothing else "was not used for the longest"
            _ask(f"remove what {goes}", work, limits)
        _say(work(dry_run=dry_run), limits, settings, is_dry=dry_run)

    checked(settings, work)


def _say(found: Pruning, limits: Limits | None, settings: Settings, *, is_dry: bool) -> None:
    if settings.format == "json":
        emit(pruning_json(found, is_dry=is_dry))
    else:
        emit(pruning_text(found, limits, is_dry=is_dry))


def _ask(what: str, work: Callable[..., Pruning], limits: Limits | None) -> None:
    """Return where the user wants it, or nothing goes; raises `UsageError` where nobody says so."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"this would {what}, and nobody is there to ask", hint="-y  to do it")
    found = work(dry_run=True)
    if not any(each.goes for each in found.verdicts):
        return
    output.tell(pruning_text(found, limits, is_dry=True))
    sys.stderr.write("remove? [y/N] ")
    sys.stderr.flush()
    with interruptible():
        answer = sys.stdin.readline()
    if answer.strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was removed")


def verdict_lines(verdicts: Sequence[Verdict], *, is_dry: bool, is_detailed: bool) -> Iterator[str]:
    """What goes and why; where it is wanted, what stays and why."""
    goes = "would remove" if is_dry else "removed"
    for each in verdicts:
        if each.goes:
            shared = f" ({size(each.shared)} shared with others stay)" if each.shared else ""
            note = f"frees {size(each.frees)}{shared}  {each.why}"
            yield from with_note(f"{goes:12}  {each.name}", note, _INDENT)
        elif is_detailed:
            yield from with_note(f"{'keeps':12}  {each.name}", each.why, _INDENT)


def pruning_text(found: Pruning, limits: Limits | None, *, is_dry: bool) -> str:
    """Every candidate, and what comes of it all."""
    lines = list(verdict_lines(found.verdicts, is_dry=is_dry, is_detailed=limits is not None))
    budget = f" of {size(limits.max_size)}" if limits and limits.max_size is not None else ""
    after = f"after: {size(found.after)}{budget}"
    if count := sum(each.goes for each in found.verdicts):
        verb = "would free" if is_dry else "freed"
        lines.append(f"{verb} {size(found.freed)} in {several(count, 'thing')}; {after}")
    else:
        lines.append(f"nothing to remove; {after}")
    if not found.is_use_known:
        lines.append("whether other programs have files of a model open could not be known here")
    return printable("\n".join(lines))


def pruning_json(found: Pruning, *, is_dry: bool) -> str:
    """The same for programs."""
    candidates = [
        {
            "name": each.name,
            "path": str(each.tree.path if each.tree else each.pieces[0].path),
            "goes": each.goes,
            "reason": each.why,
            "frees": each.frees,
            "shared": each.shared,
        }
        for each in found.verdicts
    ]
    return json.dumps(
        {
            "schema": output.SCHEMA,
            "dry_run": is_dry,
            "freed": found.freed,
            "before": found.before,
            "after": found.after,
            "use_known": found.is_use_known,
            "candidates": candidates,
        }
    )

"""`oci-pull cache`: what is in the cache, for people and for programs, and how it goes."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import typer

from oci_pull import upkeep
from oci_pull.cli import output
from oci_pull.cli.columns import several, with_note
from oci_pull.cli.options import AT_ONCE, NETWORK, OUTPUT, Given, takes
from oci_pull.cli.password import with_password
from oci_pull.cli.signals import CANCEL
from oci_pull.cli.terminal import make_progress
from oci_pull.cli.units import shortened, size
from oci_pull.errors import DamagedCache, InvalidSetting, OciPullError, UsageError, printable
from oci_pull.inventory import CachedTree, Kind, Piece
from oci_pull.options import as_time
from oci_pull.options import size as as_size
from oci_pull.settings import Settings
from oci_pull.verbs.prune import Limits, Pruning, Verdict, age
from oci_pull.verbs.usage import Usage, partials, trees, usage
from oci_pull.verbs.verify import Examined

cache = typer.Typer(help="What is in the cache.", rich_markup_mode=None)

_COMMON = ("cache_dir", "config", *AT_ONCE)
#: The least that a name is given in a terminal, however narrow.
_LEAST = 20
#: Of what is said below the name of a candidate.
_INDENT = 14

Yes = Annotated[bool, typer.Option("--yes", "-y", help="do not ask")]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as they need; the first gives way where the terminal is too narrow.

    In a file or a pipe nothing is shortened.
    """
    lines = [header, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(header))]
    if sys.stdout.isatty():
        others = sum(widths[1:]) + 2 * (len(widths) - 1)
        room = shutil.get_terminal_size().columns - others
        widths[0] = min(widths[0], max(_LEAST, room))
    for line in lines:
        cells = [shortened(line[0], widths[0]), *line[1:]]
        padded = (
            f"{cell:>{width}}" if head in _RIGHT else f"{cell:{width}}"
            for head, cell, width in zip(header, cells, widths, strict=True)
        )
        yield "  ".join(padded).rstrip()


_RIGHT = ("SIZE",)


def trees_text(models: Sequence[CachedTree], now: float) -> str:
    """A line a model."""
    rows = [
        (tree.name, tree.receipt.digest.short, size(tree.size), f"{age(now - tree.used)} ago")
        for tree in models
    ]
    return printable("\n".join(table(("REFERENCE", "DIGEST", "SIZE", "USED"), rows)))


def trees_json(found: Sequence[CachedTree]) -> str:
    """The same for programs."""
    models = [
        {
            "reference": tree.receipt.reference,
            "tags": list(tree.tags),
            "digest": str(tree.receipt.digest),
            "packaging": tree.receipt.packaging,
            "selection": tree.receipt.selection,
            "path": str(tree.path),
            "bytes": tree.size,
            "used": tree.used,
        }
        for tree in found
    ]
    return json.dumps({"schema": output.SCHEMA, "models": models})


def partials_text(begun: Sequence[Piece], now: float) -> str:
    """A line for each unfinished blob."""
    rows = [
        (
            each.reference or "unknown",
            each.digest.short if each.digest else "-",
            size(each.size),
            f"{age(now - each.modified)} ago",
            each.owner or "nobody",
        )
        for each in begun
    ]
    header = ("UNFINISHED", "DIGEST", "SIZE", "WRITTEN", "BY")
    return printable("\n".join(table(header, rows)))


def partials_json(begun: Sequence[Piece]) -> str:
    """The same for programs."""
    found = [
        {
            "reference": each.reference or None,
            "digest": str(each.digest),
            "bytes": each.size,
            "modified": each.modified,
            "owner": each.owner or None,
        }
        for each in begun
    ]
    return json.dumps({"schema": output.SCHEMA, "partials": found})


def usage_facts(found: Usage) -> dict[str, Any]:
    """What the cache takes, in bytes."""
    pieces = found.inventory.pieces
    begun = [each for each in pieces if each.kind is Kind.PARTIAL]
    return {
        "models": len(found.inventory.trees),
        "apparent": sum(tree.size for tree in found.inventory.trees),
        "blobs": sum(each.kind is Kind.BLOB for each in pieces),
        "on_disk": found.inventory.size - sum(each.size for each in begun),
        "partials": len(begun),
        "partial_bytes": sum(each.size for each in begun),
        "oldest_partial": min((each.modified for each in begun), default=None),
        "free": found.free,
        "path": str(found.path),
    }


def usage_text(facts: dict[str, Any], now: float) -> str:
    """Four lines."""
    oldest = facts["oldest_partial"]
    since = f"(oldest {age(now - oldest)})" if oldest is not None else ""
    rows = [
        ("models", facts["models"], facts["apparent"], "(apparent)"),
        ("blobs", facts["blobs"], facts["on_disk"], "(on disk, shared files counted once)"),
        ("partial", facts["partials"], facts["partial_bytes"], since),
        ("free", "", facts["free"], f"at {facts['path']}"),
    ]
    lines = (
        f"{name:8}{count!s:>7}  {size(amount):>9}  {note}" for name, count, amount, note in rows
    )
    return printable("\n".join(line.rstrip() for line in lines))


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
    count = several(sum(each.goes for each in found.verdicts), "thing")
    verb = "would free" if is_dry else "freed"
    lines.append(f"{verb} {size(found.freed)} in {count}; after: {size(found.after)}{budget}")
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


def _load(given: Given) -> Settings:
    return Settings.load(os.environ, given)  # noqa: TID251 - handed to settings


def _checked(settings: Settings, work: Callable[[], None]) -> None:
    """Do the work of a verb, and tell its failure in the wanted form."""
    try:
        work()
    except OciPullError as error:
        make_progress(settings).fail(error)
        if settings.format == "json":
            output.emit(output.error_json(error))
        raise typer.Exit(error.exit_code) from error


@cache.command("ls")
@takes(_COMMON)
def ls(
    *,
    given: Given,
    partial: Annotated[
        bool, typer.Option("--partial", help="unfinished downloads instead")
    ] = False,
) -> None:
    """List the models, what was used last first."""
    settings = _load(given)
    _checked(settings, lambda: _list(settings, partial=partial))


def _list(settings: Settings, *, partial: bool) -> None:
    is_json = settings.format == "json"
    if partial:
        begun = partials(settings.cache)
        output.emit(partials_json(begun) if is_json else partials_text(begun, time.time()))
    else:
        models = trees(settings.cache)
        output.emit(trees_json(models) if is_json else trees_text(models, time.time()))


@cache.command("df")
@takes(_COMMON)
def df(*, given: Given) -> None:
    """Say what the cache takes on disk."""
    settings = _load(given)

    def say() -> None:
        facts = usage_facts(usage(settings.cache))
        if settings.format == "json":
            output.emit(json.dumps({"schema": output.SCHEMA, **facts}))
        else:
            output.emit(usage_text(facts, time.time()))

    _checked(settings, say)


@cache.command("rm")
@takes((*_COMMON, "default_registry"))
def rm(
    references: Annotated[list[str], typer.Argument(metavar="REF...", help="what goes")],
    *,
    given: Given,
    yes: Yes = False,
) -> None:
    """Remove models, and what nothing else needs."""
    settings = _load(given)

    def remove() -> None:
        _agreed(f"remove {' '.join(references)}", yes=yes)
        found = upkeep.remove(references, settings=settings, cancel=CANCEL)
        _say(found, None, settings, is_dry=False)

    _checked(settings, remove)


@cache.command("prune")
@takes((*_COMMON, "default_registry"))
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
    settings = _load(given)

    def work() -> None:
        limits = Limits(
            older_than=_parsed("--older-than", as_time, older_than),
            max_size=_parsed("--max-size", as_size, max_size),
            partials=unfinished,
            keep=upkeep.kept_names([*(keep or ()), *settings.keep], settings),
        )
        if not dry_run:
            _agreed("remove what was not used for the longest", yes=yes)
        found = upkeep.prune(limits, settings=settings, cancel=CANCEL, dry_run=dry_run)
        _say(found, limits, settings, is_dry=dry_run)

    _checked(settings, work)


@cache.command("verify")
@takes((*NETWORK, "cache_dir", "offline", *OUTPUT))
def verify(
    reference: Annotated[
        str | None, typer.Argument(metavar="[REF]", help="one model; else all of the cache")
    ] = None,
    *,
    given: Given,
    repair: Annotated[
        bool, typer.Option("--repair", help="remove what is damaged, fetch it again")
    ] = False,
) -> None:
    """Read everything again, and say what is not what it should be."""
    settings = with_password(_load(given), [reference] if reference else [])

    def work() -> None:
        found = upkeep.verify(
            reference,
            repair=repair,
            settings=settings,
            observer=make_progress(settings),
            cancel=CANCEL,
        )
        render = examined_json if settings.format == "json" else examined_text
        output.emit(render(found))
        if not found.is_sound:
            raise damaged(found)

    _checked(settings, work)


def damaged(found: Examined) -> DamagedCache:
    """What a cache is that is not sound."""
    if found.is_repaired:
        return DamagedCache(
            f"{several(len(found.lost), 'model')} could not be brought back",
            hint="the reasons are above; what was damaged is gone",
        )
    return DamagedCache(
        f"{several(len(found.damage), 'thing')} in the cache: damaged",
        hint="oci-pull cache verify --repair",
    )


def examined_text(found: Examined) -> str:
    """What is wrong, a line each, and how much was read."""
    done = "repaired" if found.is_repaired else "damaged"
    lines = [f"{done:9}  {each.part.value:9}  {each.path}  {each.why}" for each in found.damage]
    lines += [f"{'lost':9}  {'model':9}  {name}  {why}" for name, why in found.lost]
    state = (
        "all of it right" if not found.damage else several(len(found.damage), "thing") + " " + done
    )
    lines.append(f"read {several(found.files, 'file')}, {size(found.size)}: {state}")
    return printable("\n".join(lines))


def examined_json(found: Examined) -> str:
    """The same for programs."""
    damage = [
        {
            "part": each.part.value,
            "path": str(each.path),
            "digest": str(each.digest) if each.digest else None,
            "reason": each.why,
        }
        for each in found.damage
    ]
    return json.dumps(
        {
            "schema": output.SCHEMA,
            "files": found.files,
            "bytes": found.size,
            "damage": damage,
            "repaired": found.is_repaired,
            "lost": [{"name": name, "reason": why} for name, why in found.lost],
        }
    )


def _say(found: Pruning, limits: Limits | None, settings: Settings, *, is_dry: bool) -> None:
    if settings.format == "json":
        output.emit(pruning_json(found, is_dry=is_dry))
    else:
        output.emit(pruning_text(found, limits, is_dry=is_dry))


def _agreed(what: str, *, yes: bool) -> None:
    """Return where the user wants it; raises `UsageError` where nobody can be asked."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"this would {what}, and nobody is there to ask", hint="-y  to do it")
    sys.stderr.write(printable(f"{what}? [y/N] "))
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was removed")


def _parsed(flag: str, parse: Callable[[str], Any], text: str | None) -> Any:
    try:
        return None if text is None else parse(text)
    except ValueError as error:
        raise InvalidSetting(f"{flag}: {text!r} is not right: {error}") from error

"""`oci-pull cache ls` and `df`: what is in the cache, for people and for programs."""

import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from oci_pull.cli import output
from oci_pull.cli.cache.verb import COMMON, checked
from oci_pull.cli.options import Given, takes
from oci_pull.cli.progress.form import Progress
from oci_pull.cli.pull import load
from oci_pull.cli.streams import emit
from oci_pull.cli.units import shortened, size
from oci_pull.errors import printable
from oci_pull.inventory import CachedTree, Kind, Piece
from oci_pull.settings import Settings
from oci_pull.verbs.prune import age
from oci_pull.verbs.usage import Usage, partials, trees, usage

#: The least that a name is given in a terminal, however narrow.
_LEAST = 20
_RIGHT = ("SIZE",)


@takes(COMMON)
def ls(
    *,
    given: Given,
    partial: Annotated[
        bool, typer.Option("--partial", help="unfinished downloads instead")
    ] = False,
) -> None:
    """List the models, what was used last first."""
    settings = load(given)
    checked(settings, lambda _: _list(settings, partial=partial))


def _list(settings: Settings, *, partial: bool) -> None:
    is_json = settings.format == "json"
    if partial:
        begun = partials(settings.cache)
        emit(partials_json(begun) if is_json else partials_text(begun, time.time()))
    else:
        models = trees(settings.cache)
        emit(trees_json(models) if is_json else trees_text(models, time.time()))


@takes(COMMON)
def df(*, given: Given) -> None:
    """Say what the cache takes on disk."""
    settings = load(given)

    def say(_: Progress) -> None:
        facts = usage_facts(usage(settings.cache))
        if settings.format == "json":
            emit(json.dumps({"schema": output.SCHEMA, **facts}))
        else:
            emit(usage_text(facts, time.time()))

    checked(settings, say)


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


def trees_text(models: Sequence[CachedTree], now: float) -> str:
    """A line a model, or a selection of its files."""
    rows = [
        (_named(tree), tree.receipt.digest.short, size(tree.size), f"{age(now - tree.used)} ago")
        for tree in models
    ]
    return printable("\n".join(table(("REFERENCE", "DIGEST", "SIZE", "USED"), rows)))


def _named(tree: CachedTree) -> str:
    return f"{tree.name} (selection)" if tree.receipt.selection else tree.name


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

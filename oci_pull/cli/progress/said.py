"""What is said of a pull in words: an event as a line, and how it went in the end."""

import re
from collections.abc import Callable
from typing import Any

from oci_pull import events
from oci_pull.cli.progress.requests import REQUESTS
from oci_pull.cli.units import duration, several, size
from oci_pull.pull import PullResult

#: A first retry that comes sooner than this (seconds) is nothing that a person has to know.
_NOTICED = 1.0
#: What happens to many blobs at once is told once in so many seconds, whichever blobs they are.
_REPEATED = 10.0
#: Of a reason, what the name of the blob says better.
_BLOB = re.compile(r" (for|of) (blob )?[0-9a-f]{12,}")


def described(event: events.Event) -> tuple[str, str] | None:
    """An event as a word and the facts, None for what is not worth a line."""
    words = _WORDS.get(type(event))
    return words(event) if words else None


def how_it_went(result: PullResult, seconds: float) -> tuple[str, str]:
    """A finished pull as a word and the facts."""
    if result.unchanged:
        digest = f"{result.digest.algorithm}:{result.digest.short}"
        return (
            "up to date",
            f"{result.reference}  {digest}  {size(result.size)}  ({duration(seconds)})",
        )
    how = f"{size(result.fetched_bytes / max(seconds, 0.001))}/s"
    if result.reused_bytes:
        fetched = f"{size(result.fetched_bytes)} at {how}, " if result.fetched_bytes else ""
        how = f"{fetched}{size(result.reused_bytes)} were here"
    link = f", by {result.link}" if result.link else ""
    return "ready", f"{size(result.size)} in {duration(seconds)} ({how}), verified{link}"


class Repeats:
    """Eight connections that break for one reason are told once, not eight times."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[tuple[str, ...], float] = {}

    def is_new(self, event: events.Event) -> bool:
        """Whether nothing like it was told lately."""
        match event:
            case events.Retrying(reason=about) | events.Stalled(origin=about):
                pass
            case events.Waiting(owner=about):
                pass
            case _:
                return True
        key, now = (type(event).__name__, _BLOB.sub("", about)), self._clock()
        is_new = now - self._told.get(key, -_REPEATED) >= _REPEATED
        if is_new:
            self._told[key] = now
        return is_new


def _planned(event: events.Planned) -> str:
    archives = f" and {several(event.archives, 'archive')}" if event.archives else ""
    line = f"{several(event.files, 'file')}{archives}, {size(event.size)}"
    return (
        f"{line}, to fetch {size(event.to_fetch + event.early)}, free {size(event.free)}"
        + _already_here(event)
    )


def _already_here(planned: events.Planned) -> str:
    here = planned.reused + planned.resumed - planned.early
    if here <= 0:
        return ""
    resuming = "resuming, " if planned.resumed > planned.early else ""
    return f"; {resuming}{size(here)} already here"


def _retrying(event: events.Retrying) -> tuple[str, str] | None:
    if event.wait < _NOTICED and event.attempt == 1:
        return None
    wait, reason = duration(event.wait), _BLOB.sub("", event.reason)
    return "retry", f"{event.attempt}/{event.attempts} of {event.name} in {wait}: {reason}"


def _superseded(event: events.Superseded) -> tuple[str, str]:
    what = f"{size(event.size)} of an unfinished download of what the reference was before"
    return "kept", f"{what}; not needed any more (partial/ in the cache)"


_WORDS: dict[type, Callable[[Any], tuple[str, str] | None]] = {
    events.Resolved: lambda e: (
        "resolved",
        f"{e.reference} -> {e.digest.algorithm}:{e.digest.short} ({e.packaging})",
    ),
    events.Planned: lambda e: ("plan", _planned(e)),
    events.Retrying: _retrying,
    events.Stalled: lambda e: ("stalled", f"{e.name}: {e.origin} {e.reason}; reconnecting"),
    events.Waiting: lambda e: ("waiting", f"for {e.owner}, which is fetching {e.name}"),
    events.Restarted: lambda e: ("again", f"{e.name} from the start: {e.reason}"),
    events.Reused: lambda e: ("reused", f"{e.name}  {size(e.size)}"),
    events.Rereading: lambda e: ("checking", f"{e.name}  {size(e.size)}"),
    events.Superseded: _superseded,
    events.Committed: lambda e: ("verified", f"{e.name}  {size(e.size)}"),
    events.Unpacking: lambda e: ("unpacking", f"{e.name}  {size(e.size)}"),
    events.Examining: lambda e: ("reading", f"{e.files} files, {size(e.size)}"),
    events.Warned: lambda e: ("warning", e.message),
    **REQUESTS,
}

"""What is told on stderr while a pull runs: nothing, plain lines, or JSON lines."""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

from oci_pull import events
from oci_pull.cli.color import PLAIN, Ink
from oci_pull.cli.failure import report
from oci_pull.cli.units import duration, size
from oci_pull.errors import OciPullError, printable

#: Between two lines that say how far it is, in seconds: often enough to be seen alive, and no more
#: than some sixty in an hour's log.
_HEARTBEAT = 10.0
#: Files below this get no line of their own (bytes).
_SMALL = 10_000_000
#: What the rate is taken over, in seconds.
_WINDOW = 10.0
#: A first retry that comes sooner than this (seconds) is nothing that a person has to know.
_NOTICED = 1.0


class Totals:
    """Adds up what the counters of the blobs say."""

    def __init__(self) -> None:
        self.planned: events.Planned | None = None
        self._started: dict[str, events.Started] = {}
        self._finished: set[str] = set()

    def on(self, event: events.Event) -> None:
        """Take notice of an event."""
        match event:
            case events.Planned():
                self.planned = event
                self._started.clear()
                self._finished.clear()
            case events.Started(digest=digest):
                self._started[str(digest)] = event
                self._finished.discard(str(digest))
            case events.Committed(digest=digest) | events.Reused(digest=digest):
                self._finished.add(str(digest))

    @property
    def active(self) -> list[events.Started]:
        """The blobs that are fetched, hashed, or on their way to their final names."""
        started = list(self._started.items())
        return [each for digest, each in started if digest not in self._finished]

    @property
    def unhashed(self) -> int:
        """The bytes of these that are still to go through their digests."""
        return sum(max(0, each.size - each.hashed.value) for each in self.active)

    @property
    def done(self) -> int:
        """The bytes that are here, of all that are wanted."""
        planned = self.planned
        started = sum(each.counter.value for each in list(self._started.values()))
        resumed = sum(each.resumed for each in list(self._started.values()))
        if planned is None:
            return started
        return planned.reused + planned.resumed - resumed + started

    @property
    def kept(self) -> str:
        """How much of what is wanted stays here, whatever happens; for people."""
        if self.planned is None:
            return "what was fetched is kept"
        return f"{size(self.done)} of {size(self.planned.size)} kept"


class Rate:
    """How fast a number grew lately."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def after(self, now: float, done: int) -> float:
        """The growth a second over the last moments, where the number is `done` by now."""
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[1][0] >= _WINDOW:  # noqa: PLR2004
            self._samples.popleft()
        since, before = self._samples[0]
        return max(0, done - before) / max(0.001, now - since)


def is_arrived(started: events.Started) -> bool:
    """Whether nothing of a blob is missing any more."""
    return started.counter.value >= started.size


class Progress(Protocol):
    """An observer that leaves the stream as it found it."""

    @property
    def totals(self) -> Totals:
        """How far it is."""

    def on(self, event: events.Event) -> None:
        """Take an event."""

    def fail(self, error: OciPullError) -> None:
        """Say what went wrong, and what to do about it."""

    def close(self) -> None:
        """Take away what is not meant to stay."""


class NoProgress:
    """Says nothing but how it failed."""

    def __init__(self, stream: TextIO, ink: Ink = PLAIN) -> None:
        self._stream = stream
        self._ink = ink
        self.totals = Totals()

    def fail(self, error: OciPullError) -> None:
        """Say what went wrong."""
        report(error, self._stream, self._ink)

    def on(self, event: events.Event) -> None:
        """Take an event."""
        self.totals.on(event)

    def close(self) -> None:
        """Nothing is there."""


class PlainProgress:
    """Whole lines, each of them worth keeping in a log."""

    def __init__(
        self, stream: TextIO, *, clock: Callable[[], float], stamps: bool, ink: Ink = PLAIN
    ) -> None:
        self._stream = stream
        self._ink = ink
        self._clock = clock
        self._stamps = stamps
        self.totals = Totals()
        self._rate = Rate()
        self._last = clock()

    def on(self, event: events.Event) -> None:
        """Take an event."""
        self.totals.on(event)
        if isinstance(event, events.Planned):
            self._rate = Rate()
            self._rate.after(self._clock(), self.totals.done)
        if isinstance(event, events.Tick) and self.totals.planned:
            self._beat(self.totals.planned)
        elif not self._is_small(event) and (words := described(event)):
            self._line(" ".join(words))

    def fail(self, error: OciPullError) -> None:
        """Say what went wrong."""
        report(error, self._stream, self._ink)

    def close(self) -> None:
        """Every line stays."""

    @staticmethod
    def _is_small(event: events.Event) -> bool:
        """Whether it is about one of the many files that nobody waits for."""
        kinds = events.Committed | events.Reused | events.Unpacking
        return isinstance(event, kinds) and event.size < _SMALL

    def _beat(self, planned: events.Planned) -> None:
        """A line that says how far it is, and that it is alive, whatever it waits for."""
        now, done = self._clock(), self.totals.done
        rate = self._rate.after(now, done)
        if now - self._last < _HEARTBEAT:
            return
        share = 100 * done // max(1, planned.size)
        doing = f"{size(rate)}/s"
        if done >= planned.size:
            left = self.totals.unhashed
            doing = f"verifying {size(left)}" if left else "writing"
        self._line(f"{share}%  {size(done)} of {size(planned.size)}  {doing}")

    def _line(self, text: str) -> None:
        self._last = self._clock()
        stamp = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} " if self._stamps else ""
        self._stream.write(f"{stamp}{self._ink.line(printable(text))}\n")
        self._stream.flush()


def described(event: events.Event) -> tuple[str, str] | None:
    """An event as a word and the facts, None for what is not worth a line."""
    words = _WORDS.get(type(event))
    return words(event) if words else None


def _planned(event: events.Planned) -> str:
    archives = f" and {event.archives} archives" if event.archives else ""
    line = f"{event.files} files{archives}, {size(event.size)}"
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
    wait = duration(event.wait)
    return "retry", f"{event.attempt}/{event.attempts} of {event.name} in {wait}: {event.reason}"


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
    events.Superseded: _superseded,
    events.Committed: lambda e: ("verified", f"{e.name}  {size(e.size)}"),
    events.Unpacking: lambda e: ("unpacking", f"{e.name}  {size(e.size)}"),
    events.Warned: lambda e: ("warning", e.message),
}


class JsonProgress:
    """One JSON object a line: `t`, `event`, and the event's own facts."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self.totals = Totals()
        self._last = clock()

    def on(self, event: events.Event) -> None:
        """Take an event."""
        self.totals.on(event)
        if not isinstance(event, events.Tick):
            name = "".join(f"_{c.lower()}" if c.isupper() else c for c in type(event).__name__)
            self._write(name.removeprefix("_"), _facts(event))
        elif self.totals.planned and self._clock() - self._last >= 1:
            total = self.totals.planned.size
            self._write("progress", {"done": self.totals.done, "total": total})

    def fail(self, error: OciPullError) -> None:
        """Say what went wrong, as an event."""
        facts = {"code": error.code, "exit": error.exit_code, "message": error.message}
        self._write("error", {**facts, "hint": error.hint, "retryable": error.retryable})

    def close(self) -> None:
        """Every line stays."""

    def _write(self, name: str, facts: dict[str, Any]) -> None:
        self._last = self._clock()
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._stream.write(json.dumps({"t": moment, "event": name, **facts}) + "\n")
        self._stream.flush()


def _facts(event: Any) -> dict[str, Any]:
    assert is_dataclass(event)
    facts = {each.name: getattr(event, each.name) for each in fields(event)}
    for name in ("counter", "hashed"):
        facts.pop(name, None)
    return {
        key: value if isinstance(value, str | int | float) else str(value)
        for key, value in facts.items()
    }

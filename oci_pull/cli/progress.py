"""What is told on stderr while a pull runs: nothing, plain lines, or JSON lines."""

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

from oci_pull import events
from oci_pull.cli.units import duration, size
from oci_pull.errors import Cancelled, OciPullError, printable

#: Between two lines that say how far it is, in seconds: often enough to be seen alive, and no more
#: than some sixty in an hour's log.
_HEARTBEAT = 10.0
#: Files below this get no line of their own (bytes).
_SMALL = 10_000_000


class Totals:
    """Adds up what the counters of the blobs say."""

    def __init__(self) -> None:
        self.planned: events.Planned | None = None
        self._active: dict[str, events.Started] = {}

    def on(self, event: events.Event) -> None:
        """Take notice of an event."""
        match event:
            case events.Planned():
                self.planned = event
                self._active.clear()
            case events.Started(digest=digest):
                self._active[str(digest)] = event

    @property
    def active(self) -> list[events.Started]:
        """The blobs that are not complete yet."""
        return [each for each in list(self._active.values()) if each.counter.value < each.size]

    @property
    def done(self) -> int:
        """The bytes that are here, of all that are wanted."""
        planned = self.planned
        started = sum(each.counter.value for each in list(self._active.values()))
        resumed = sum(each.resumed for each in list(self._active.values()))
        if planned is None:
            return started
        return planned.reused + planned.resumed - resumed + started


class Progress(Protocol):
    """An observer that leaves the stream as it found it."""

    def on(self, event: events.Event) -> None:
        """Take an event."""

    def fail(self, error: OciPullError) -> None:
        """Say what went wrong, and what to do about it."""

    def close(self) -> None:
        """Take away what is not meant to stay."""


def report(error: OciPullError, stream: TextIO) -> None:
    """An error for people: what and where, and what to type next."""
    prefix = "" if isinstance(error, Cancelled) else "error: "
    stream.write(f"{prefix}{printable(error.message)}\n")
    if error.hint:
        stream.write(f"  try: {printable(error.hint)}\n")
    stream.flush()


class NoProgress:
    """Says nothing but how it failed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def fail(self, error: OciPullError) -> None:
        """Say what went wrong."""
        report(error, self._stream)

    def on(self, event: events.Event) -> None:
        """Take an event."""

    def close(self) -> None:
        """Nothing is there."""


class PlainProgress:
    """Whole lines, each of them worth keeping in a log."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float], stamps: bool) -> None:
        self._stream = stream
        self._clock = clock
        self._stamps = stamps
        self._totals = Totals()
        self._last = self._begun = clock()

    def on(self, event: events.Event) -> None:
        """Take an event."""
        self._totals.on(event)
        if isinstance(event, events.Tick):
            self._beat()
        elif not self._is_small(event) and (words := described(event)):
            self._line(" ".join(words))

    def fail(self, error: OciPullError) -> None:
        """Say what went wrong."""
        report(error, self._stream)

    def close(self) -> None:
        """Every line stays."""

    @staticmethod
    def _is_small(event: events.Event) -> bool:
        """Whether it is about one of the many files that nobody waits for."""
        return isinstance(event, events.Fetched | events.Unpacking) and event.size < _SMALL

    def _beat(self) -> None:
        planned = self._totals.planned
        now = self._clock()
        if planned is None or now - self._last < _HEARTBEAT or not self._totals.active:
            return
        done = self._totals.done
        share = 100 * done // max(1, planned.size)
        fetched = max(0, done - planned.reused - planned.resumed)
        rate = fetched / max(0.001, now - self._begun)
        self._line(f"{share}%  {size(done)} of {size(planned.size)}  {size(rate)}/s")

    def _line(self, text: str) -> None:
        self._last = self._clock()
        stamp = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} " if self._stamps else ""
        self._stream.write(f"{stamp}{printable(text)}\n")
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


_WORDS: dict[type, Callable[[Any], tuple[str, str]]] = {
    events.Resolved: lambda e: (
        "resolved",
        f"{e.reference} -> {e.digest.algorithm}:{e.digest.short} ({e.packaging})",
    ),
    events.Planned: lambda e: ("plan", _planned(e)),
    events.Retrying: lambda e: (
        "retry",
        f"{e.attempt}/{e.attempts} of {e.name} in {duration(e.wait)}: {e.reason}",
    ),
    events.Waiting: lambda e: ("waiting", f"for {e.owner}, which is fetching {e.name}"),
    events.Restarted: lambda e: ("again", f"{e.name} from the start: {e.reason}"),
    events.Fetched: lambda e: ("verified", f"{e.name}  {size(e.size)}"),
    events.Unpacking: lambda e: ("unpacking", f"{e.name}  {size(e.size)}"),
    events.Warned: lambda e: ("warning", e.message),
}


class JsonProgress:
    """One JSON object a line: `t`, `event`, and the event's own facts."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._totals = Totals()
        self._last = clock()

    def on(self, event: events.Event) -> None:
        """Take an event."""
        self._totals.on(event)
        if not isinstance(event, events.Tick):
            name = "".join(f"_{c.lower()}" if c.isupper() else c for c in type(event).__name__)
            self._write(name.removeprefix("_"), _facts(event))
        elif self._totals.planned and self._clock() - self._last >= 1:
            total = self._totals.planned.size
            self._write("progress", {"done": self._totals.done, "total": total})

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
    facts.pop("counter", None)
    return {
        key: value if isinstance(value, str | int | float) else str(value)
        for key, value in facts.items()
    }

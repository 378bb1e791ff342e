"""Progress for programs: one JSON object a line."""

import json
import threading
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from oci_pull import events
from oci_pull.cli.failure import error_object
from oci_pull.cli.progress.totals import Totals
from oci_pull.errors import OciPullError
from oci_pull.pull import PullResult

#: Between two objects that say how far it is, in seconds.
_EVERY = 1.0


class JsonProgress:
    """`t`, `event`, and the event's own facts."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        #: Workers tell of what they do; their lines are in the order of their times.
        self._writing = threading.Lock()
        self.totals = Totals()
        self._last = clock()

    def on(self, event: events.Event) -> None:
        """Take an event."""
        self.totals.on(event)
        if not isinstance(event, events.Tick):
            name = "".join(f"_{c.lower()}" if c.isupper() else c for c in type(event).__name__)
            self._write(name.removeprefix("_"), _facts(event))
        elif self._is_known() and self._clock() - self._last >= _EVERY:
            self._write("progress", self._how_far())

    def say(self, word: str, facts: str) -> None:
        """Nothing: it is in an event, or in the result."""

    def succeed(self, result: PullResult, seconds: float) -> None:
        """Say how it went, as an event."""
        facts = {"reference": str(result.reference), "digest": str(result.digest)}
        sizes = {"bytes": result.size, "fetched": result.fetched_bytes}
        rest = {"reused": result.reused_bytes, "seconds": round(seconds, 3)}
        self._write("done", {**facts, **sizes, **rest, "unchanged": result.unchanged})

    def fail(self, error: OciPullError) -> None:
        """Say what went wrong, as an event."""
        self._write("error", error_object(error))

    def close(self) -> None:
        """Every line stays."""

    def _is_known(self) -> bool:
        """Whether there is an amount to be so far of."""
        return bool(self.totals.planned or self.totals.examining)

    def _how_far(self) -> dict[str, Any]:
        row, left = self.totals.total(self._clock())
        return {
            "phase": "fetching" if row.name == "total" else row.name.replace(" ", "_"),
            "done": row.done,
            "total": row.size,
            "rate": None if row.rate is None else round(row.rate),
            "left": None if left is None else round(left, 1),
        }

    def _write(self, name: str, facts: dict[str, Any]) -> None:
        with self._writing:
            self._last = self._clock()
            moment = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._stream.write(json.dumps({"t": moment, "event": name, **facts}) + "\n")
            self._stream.flush()


def _facts(event: Any) -> dict[str, Any]:
    assert is_dataclass(event)
    facts = {each.name: getattr(event, each.name) for each in fields(event)}
    return {
        key: value if isinstance(value, str | int | float | dict | None) else str(value)
        for key, value in facts.items()
        if not isinstance(value, events.Counter)
    }

"""Progress where nothing can be drawn: whole lines, each of them worth keeping in a log."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from oci_pull import events
from oci_pull.cli.color import PLAIN, Ink
from oci_pull.cli.failure import report
from oci_pull.cli.progress.said import Repeats, described, how_it_went
from oci_pull.cli.progress.totals import Totals
from oci_pull.cli.units import duration, size
from oci_pull.errors import OciPullError, printable
from oci_pull.pull import PullResult

#: Between two lines that say how far it is, in seconds: a share of the time that has passed, so
#: that twenty minutes are some sixty lines and what follows one a minute. Never a longer silence.
_OFTEN, _SELDOM = 10.0, 60.0
_SHARE = 20
#: Files below this get no line of their own (bytes), nor does any of more than so many.
_SMALL = 10_000_000
_MANY = 24


class PlainProgress:
    """An event is a line where it is worth one, and a line now and then says that it lives."""

    def __init__(
        self, stream: TextIO, *, clock: Callable[[], float], stamps: bool, ink: Ink = PLAIN
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._stamps = stamps
        self._ink = ink
        self._repeats = Repeats(clock)
        self.totals = Totals()
        self._begun = self._last = clock()

    def on(self, event: events.Event) -> None:
        """Take an event."""
        self.totals.on(event)
        if isinstance(event, events.Planned | events.Examining):
            # From here on there is a rate.
            self.totals.total(self._clock())
        if isinstance(event, events.Tick):
            self._beat()
        elif self._is_told(event) and (words := described(event)):
            self._line(" ".join(words))

    def say(self, word: str, facts: str) -> None:
        """A line."""
        self._line(f"{word.capitalize()}  {facts}")

    def succeed(self, result: PullResult, seconds: float) -> None:
        """Say how it went."""
        self.say(*how_it_went(result, seconds))

    def fail(self, error: OciPullError) -> None:
        """Say what went wrong."""
        report(error, self._stream, self._ink)

    def close(self) -> None:
        """Every line stays."""

    def _is_told(self, event: events.Event) -> bool:
        """Whether it is neither said already nor about one of the files that nobody counts."""
        kinds = events.Committed | events.Reused | events.Unpacking
        planned = self.totals.planned
        is_one_of_many = planned is not None and planned.blobs > _MANY
        if isinstance(event, kinds) and (is_one_of_many or event.size < _SMALL):
            return False
        return self._repeats.is_new(event)

    def _beat(self) -> None:
        """A line that says how far it is, and that it is alive, whatever it waits for."""
        now = self._clock()
        row, left = self.totals.total(now)
        wait = min(max(_OFTEN, (now - self._begun) / _SHARE), _SELDOM)
        if now - self._last < wait:
            return
        if not row.size:
            self._line(f"{row.name} {row.note}".rstrip())
            return
        share = f"{int(100 * row.share)}%  {size(row.done)} of {size(row.size)}"
        if row.name != "total":
            self._line(f"{row.name} {share}")
            return
        doing = "writing" if row.done == row.size else f"{size(row.rate or 0)}/s"
        until = f"  {duration(round(left))} left" if left is not None else ""
        self._line(f"{share}  {doing}{until}")

    def _line(self, text: str) -> None:
        self._last = self._clock()
        stamp = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} " if self._stamps else ""
        self._stream.write(f"{stamp}{self._ink.line(printable(text))}\n")
        self._stream.flush()

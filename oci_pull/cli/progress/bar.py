"""Bars on a terminal, drawn by the thread that waits and by no other."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from oci_pull import events
from oci_pull.cli.color import PLAIN, Ink
from oci_pull.cli.failure import report
from oci_pull.cli.progress.frame import Glyphs, Shown, frame
from oci_pull.cli.progress.requests import REQUESTS
from oci_pull.cli.progress.said import Repeats, described, how_it_went
from oci_pull.cli.progress.seat import Seat
from oci_pull.cli.progress.totals import Totals
from oci_pull.errors import OciPullError, printable
from oci_pull.pull import PullResult

if TYPE_CHECKING:
    from oci_pull.cli.progress.canvas import Canvas

#: The width of the word that a line begins with.
LABEL = 12
#: Between two pictures, in seconds; and before the first: what is over at once needs none, and no
#: library that draws.
_REDRAW = 0.1
_FIRST = 0.4
#: What a terminal writes behind the last line when Ctrl-C is typed, in columns.
_ECHO = len("^C")
#: Lines that stay above the bars.
_SAID = (
    events.Resolved,
    events.Planned,
    events.Rereading,
    events.Superseded,
    events.Retrying,
    events.Stalled,
    events.Waiting,
    events.Restarted,
    events.Examining,
    events.Warned,
    *REQUESTS,
)


class BarProgress:
    """The total, and a bar for each blob that is under way."""

    def __init__(
        self, stream: TextIO, *, clock: Callable[[], float], seat: Seat, ink: Ink = PLAIN
    ) -> None:
        self._stream = stream
        self._seat = seat
        self._ink = ink
        self._clock = clock
        self._glyphs = Glyphs.of(getattr(stream, "encoding", None))
        self._canvas: Canvas | None = None
        self._repeats = Repeats(clock)
        self.totals = Totals()
        self._next = clock() + _FIRST

    def on(self, event: events.Event) -> None:
        """Take an event."""
        self.totals.on(event)
        if isinstance(event, events.Planned | events.Examining):
            # From here on there is a rate.
            self.totals.total(self._clock())
        if isinstance(event, events.Tick):
            self._draw()
        elif isinstance(event, _SAID):
            words = described(event)
            if words and self._repeats.is_new(event):
                self.say(*words)

    def say(self, word: str, facts: str) -> None:
        """A line that stays, above the bars."""
        line = self._ink.line(printable(f"{word.capitalize():{LABEL}}{facts}"))
        self._leave_to_the_shell()
        if self._canvas:
            self._canvas.say(line)
        else:
            self._stream.write(f"{line}\n")
            self._stream.flush()

    def succeed(self, result: PullResult, seconds: float) -> None:
        """Take the bars away, and say how it went."""
        self.close()
        self.say(*how_it_went(result, seconds))

    def fail(self, error: OciPullError) -> None:
        """Take the bars away, and say what went wrong."""
        self.close()
        report(error, self._stream, self._ink)

    def close(self) -> None:
        """Take the bars away."""
        self._leave_to_the_shell()
        if self._canvas:
            self._canvas.clear()
            self._canvas = None

    def _leave_to_the_shell(self) -> None:
        """Bars that were there when a shell took the terminal stay, above what it wrote."""
        if self._seat.was_left():
            self._canvas = None

    def _draw(self) -> None:
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _REDRAW
        self._leave_to_the_shell()
        if not self._seat.is_ours():
            return
        if self._canvas is None:
            from oci_pull.cli.progress.canvas import Canvas

            self._canvas = Canvas(self._stream, is_colored=self._ink.is_colored)
        total, left = self.totals.total(now)
        shown = Shown(total, left, self.totals.rows(now), *self.totals.blobs)
        width, height = self._canvas.size
        self._canvas.draw(frame(shown, width - _ECHO, height, self._glyphs))

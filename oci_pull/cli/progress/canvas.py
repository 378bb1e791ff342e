"""The last rows of a terminal, drawn again and again below the lines that stay."""

import math
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from oci_pull.cli.progress.frame import Line, Role, text_of
from oci_pull.errors import printable

_STYLES = {
    Role.PLAIN: "",
    Role.DONE: "cyan",
    Role.REST: "dim",
    Role.NOTE: "yellow",
    Role.QUIET: "dim",
}


class Canvas:
    """A terminal while something is drawn on it."""

    def __init__(self, stream: TextIO, *, is_colored: bool) -> None:
        self._stream = stream
        self._console = Console(file=stream, force_terminal=True, no_color=not is_colored)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        #: What is on the screen, and how wide that was then.
        self._lines: Sequence[Line] = ()
        self._width = 0

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows, as they are now."""
        return self._console.size

    def draw(self, lines: Sequence[Line]) -> None:
        """These lines are there instead of what was drawn before; none is wider than `size`."""
        width, _ = self.size
        self._make_good(width)
        self._lines, self._width = lines, width
        if not self._live.is_started:
            self._live.start()
            # Ctrl-Z and a second Ctrl-C leave the terminal as it is: with its cursor.
            self._console.show_cursor()
        self._live.update(Text("\n").join(map(_styled, lines)), refresh=True)

    def say(self, line: str) -> None:
        """A line that stays, above what is drawn."""
        self._console.out(line, highlight=False)

    def clear(self) -> None:
        """What was drawn is gone; what was said stays."""
        self._live.stop()

    def _make_good(self, width: int) -> None:
        """A terminal that became narrower has folded the lines: more rows are to be cleared."""
        if width >= self._width:
            return
        rows = sum(max(1, math.ceil(len(text_of(line)) / width)) for line in self._lines)
        if folded := rows - len(self._lines):
            self._console.control(Control((ControlType.CURSOR_UP, folded)))
            self._stream.write("\r\x1b[J")


def _styled(line: Line) -> Text:
    pieces = ((printable(piece.text), _STYLES[piece.role]) for piece in line)
    return Text.assemble(*pieces)

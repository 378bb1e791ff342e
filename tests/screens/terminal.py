"""A terminal that a command runs on: what it shows can be read, and drawn as SVG."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import termios
import threading
import time
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pyte
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from tests.e2e.command import interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_POLL = 0.05
_LIMIT = 120.0  # seconds
#: A page must not fetch anything for a picture.
_SVG = re.sub(r"@font-face \{\{.*?\n    \}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


class Terminal:
    """The screen of a pseudo-terminal, kept up to date by a thread."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._settled = 0
        self._ours, self.theirs = pty.openpty()
        termios.tcsetwinsize(self.theirs, (rows, columns))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        # EIO: nobody has the other end open any more.
        with contextlib.suppress(OSError):
            while chunk := os.read(self._ours, 65536):
                with self._lock:
                    self._stream.feed(chunk)

    def type(self, text: str) -> None:
        """Show what somebody typed, behind what was written before."""
        os.write(self.theirs, text.encode())

    def settle(self) -> None:
        """Everything that was written is on the screen."""
        self._settled += 1
        title = f"settled {self._settled}"
        os.write(self.theirs, f"\x1b]0;{title}\x07".encode())
        self.until(lambda _: self._screen.title == title, title)

    @property
    def text(self) -> str:
        """What is on the screen, without empty lines at its end."""
        with self._lock:
            lines = [line.rstrip() for line in self._screen.display]
        return "\n".join(lines).rstrip("\n")

    def until(self, condition: Callable[[str], object], what: str) -> str:
        """Wait until the screen is as it should be."""
        end = time.monotonic() + _LIMIT
        pause = threading.Event()
        while not condition(text := self.text):
            assert time.monotonic() < end, f"not seen in {_LIMIT} s: {what}\n{text}"
            pause.wait(_POLL)
        return text

    def styled(self) -> list[Text]:
        """The lines with their colours."""
        with self._lock:
            count = len("\n".join(self._screen.display).rstrip().split("\n"))
            return [self._styled(self._screen.buffer[row]) for row in range(count)]

    def _styled(self, row: Any) -> Text:
        cells = (row[column] for column in range(self.columns))
        runs = ((style, "".join(c.data for c in run)) for style, run in groupby(cells, _style))
        line = Text.assemble(*((text, style) for style, text in runs))
        line.rstrip()
        return line

    def close(self) -> None:
        """Nobody writes any more, and everything was read."""
        os.close(self.theirs)
        self._thread.join(60.0)
        os.close(self._ours)


@contextmanager
def terminal(columns: int, rows: int) -> Iterator[Terminal]:
    """A terminal of this size."""
    found = Terminal(columns, rows)
    try:
        yield found
    finally:
        found.close()


@contextmanager
def running(
    words: Sequence[str], on: Terminal, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A command whose three streams are the terminal."""
    streams = {"stdin": on.theirs, "stdout": on.theirs, "stderr": on.theirs}
    with interruptible():
        process = subprocess.Popen(words, env=environment, **streams)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def svg(lines: Sequence[Text], title: str, columns: int) -> str:
    """A picture of lines, in a window with a title."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - a device
        console = Console(record=True, width=columns, file=nowhere, force_terminal=True)
        for line in lines:
            console.print(line, soft_wrap=True)
        name = re.sub(r"\W+", "-", title)
        return console.export_svg(title=title, code_format=_SVG, unique_id=name)


def _style(cell: Any) -> str:
    words = []
    if cell.fg != "default":
        words.append({"brown": "yellow"}.get(cell.fg, cell.fg))
    if cell.bold:
        words.append("bold")
    return " ".join(words)

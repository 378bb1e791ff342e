"""Bars on a terminal, drawn by the thread that waits and by no other."""

import time
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from oci_pull import events
from oci_pull.cli.color import PLAIN, Ink
from oci_pull.cli.failure import report
from oci_pull.cli.progress import Totals, described, is_arrived
from oci_pull.cli.units import shortened
from oci_pull.errors import OciPullError, printable

#: The width of the word that a line begins with.
LABEL = 12
_REDRAW = 0.1
_NAME_WIDTH = 28
_NARROW = 60
#: Lines that stay above the bars.
_SAID = (
    events.Resolved,
    events.Planned,
    events.Superseded,
    events.Retrying,
    events.Stalled,
    events.Waiting,
    events.Restarted,
    events.Warned,
)


class BarProgress:
    """The total, and a bar for each blob that is being fetched."""

    def __init__(self, stream: TextIO, ink: Ink = PLAIN) -> None:
        self._stream = stream
        self._ink = ink
        self._console = Console(file=stream, no_color=not ink.is_colored)
        wide = self._console.width >= _NARROW
        columns = [TextColumn("{task.description}"), BarColumn(), DownloadColumn()]
        columns += [TransferSpeedColumn(), TimeRemainingColumn()] if wide else []
        self._progress = Progress(
            *columns, console=self._console, auto_refresh=False, transient=True
        )
        self.totals = Totals()
        self._bars: dict[str, TaskID] = {}
        self._total: TaskID | None = None
        self._drawn = 0.0

    def on(self, event: events.Event) -> None:
        """Take an event."""
        self.totals.on(event)
        if isinstance(event, _SAID) and (words := described(event)):
            line = f"{words[0].capitalize():{LABEL}}{words[1]}"
            line = self._ink.line(printable(line))
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        match event:
            case events.Planned() if event.to_fetch:
                for task in self._progress.task_ids:
                    self._progress.remove_task(task)
                self._bars.clear()
                self._total = self._progress.add_task(
                    "total", total=event.size, completed=self.totals.done
                )
                self._progress.start()
            case events.LayingOut():
                self._progress.stop()
            case events.Tick() if self._total is not None:
                self._draw(self._total)

    def _draw(self, total: TaskID) -> None:
        now = time.monotonic()
        if now - self._drawn < _REDRAW:
            return
        self._drawn = now
        self._progress.update(total, completed=self.totals.done)
        active = {str(each.digest): each for each in self.totals.active}
        for digest in self._bars.keys() - active.keys():
            self._progress.remove_task(self._bars.pop(digest))
        for digest, each in active.items():
            if digest not in self._bars:
                self._bars[digest] = self._progress.add_task("", total=each.size)
            self._progress.update(
                self._bars[digest], completed=each.counter.value, description=_label(each)
            )
        self._progress.refresh()

    def fail(self, error: OciPullError) -> None:
        """Take the bars away, and say what went wrong."""
        self.close()
        report(error, self._stream, self._ink)

    def close(self) -> None:
        """Take the bars away."""
        self._progress.stop()


def _label(blob: events.Started) -> str:
    doing = "verifying " if is_arrived(blob) else ""
    return doing + escape(printable(shortened(blob.name, _NAME_WIDTH - len(doing))))

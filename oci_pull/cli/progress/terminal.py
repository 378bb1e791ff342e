"""Which progress suits the stream that it goes to."""

import sys
import time
from typing import TextIO

from oci_pull.cli.color import Ink
from oci_pull.cli.progress.form import NoProgress, Progress
from oci_pull.cli.progress.json_lines import JsonProgress
from oci_pull.cli.progress.plain import PlainProgress
from oci_pull.cli.progress.seat import Seat
from oci_pull.cli.signals import STOPS
from oci_pull.settings import Settings


def make_progress(settings: Settings, stream: TextIO | None = None) -> Progress:
    """The observer that the settings and the terminal call for.

    Whether stderr is a terminal is looked at here: Rich takes FORCE_COLOR and GitHub's variables
    for one, and would fill logs with bars.
    """
    stream = stream or sys.stderr
    ink = Ink.of(settings, stream)
    if settings.quiet:
        return NoProgress(stream, ink)
    kind = settings.progress
    seat = Seat(stream, lambda: STOPS.count)
    if kind == "auto" and settings.is_logged:
        kind = "plain"
    if kind in ("auto", "bar"):
        # Nobody wants to read a bar in a file, not even who asked for one; nor one that a job in
        # the background draws over what is typed.
        is_drawn_on = stream.isatty() and settings.color_variables.get("TERM") != "dumb"
        kind = "bar" if is_drawn_on and seat.is_ours() else "plain"
    match kind:
        case "none":
            return NoProgress(stream, ink)
        case "json":
            return JsonProgress(stream, clock=time.monotonic)
        case "bar":
            from oci_pull.cli.progress.bar import BarProgress

            return BarProgress(stream, clock=time.monotonic, ink=ink, seat=seat)
        case _:
            stamps = not settings.is_logged
            return PlainProgress(stream, clock=time.monotonic, stamps=stamps, ink=ink)

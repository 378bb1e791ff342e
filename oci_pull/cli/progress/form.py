"""What every form of progress can do, and the one that says nothing."""

from typing import Protocol, TextIO

from oci_pull import events
from oci_pull.cli.color import PLAIN, Ink
from oci_pull.cli.failure import report
from oci_pull.cli.progress.totals import Totals
from oci_pull.errors import OciPullError
from oci_pull.pull import PullResult


class Progress(Protocol):
    """An observer that leaves the stream as it found it."""

    @property
    def totals(self) -> Totals:
        """How far it is."""

    def on(self, event: events.Event) -> None:
        """Take an event."""

    def say(self, word: str, facts: str) -> None:
        """A line for people that stays; programs have their own."""

    def succeed(self, result: PullResult, seconds: float) -> None:
        """Say how it went."""

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

    def on(self, event: events.Event) -> None:
        """Take an event."""
        self.totals.on(event)

    def say(self, word: str, facts: str) -> None:
        """Nothing."""

    def succeed(self, result: PullResult, seconds: float) -> None:
        """The result is on stdout."""

    def fail(self, error: OciPullError) -> None:
        """Say what went wrong."""
        report(error, self._stream, self._ink)

    def close(self) -> None:
        """Nothing is there."""

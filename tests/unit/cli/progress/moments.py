"""What the tests of progress share: a clock, a terminal, and a pull at some moment."""

from __future__ import annotations

import io
from dataclasses import replace

from oci_pull import events
from oci_pull.cli.progress.seat import Seat
from oci_pull.oci.digest import Digest

A, B = Digest.of(b"a"), Digest.of(b"b")
PLANNED = events.Planned(
    files=2, archives=0, blobs=2, size=1000, reused=100, resumed=200, early=0,
    to_fetch=700, free=10**9,
)  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Shell:
    """Has a terminal, and lends it."""

    def __init__(self) -> None:
        self.stops = 0
        self.has_it = False

    def seat(self, stream: io.StringIO) -> Seat:
        shell = self

        class Lent(Seat):
            def is_ours(self) -> bool:
                return not shell.has_it

        return Lent(stream, lambda: shell.stops)


def started(digest: Digest, size: int, resumed: int = 0, name: str = "") -> events.Started:
    counter, hashed = events.Counter(resumed), events.Counter()
    return events.Started(name or f"{digest.short}.bin", digest, size, resumed, counter, hashed)


def planned(size: int, blobs: int = 2) -> events.Planned:
    """Nothing of it is here."""
    return replace(PLANNED, size=size, blobs=blobs, reused=0, resumed=0, to_fetch=size)

"""When bytes arrive that cross a line of some length and speed; computed, nothing waits here.

The model: half a round trip each way, a cap for each connection, one for all of them together, and
TCP's slow start. There is no loss, no jitter, and no congestion but that of the shared link.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import NamedTuple

#: Ten segments of Ethernet's size: what a sender may send before it hears anything (RFC 6928).
FIRST_WINDOW = 14_600


@dataclass(frozen=True)
class Conditions:
    """Zero is always "no such thing"."""

    rtt: float = 0.0  # seconds
    cap: float = 0.0  # bytes a second, of a connection in one direction
    link: float = 0.0  # bytes a second, to all clients together
    slow_start: bool = False
    cut_after: int = 0  # bytes to the client; give or take a fifth
    reset: bool = False  # a cut is an RST, else an end like any other
    seed: int = 0  # of where connections are cut
    at_once: int = 0  # connections; each one more is turned away at once
    status: int = 0  # ... with this answer to its first request, else with an RST
    slow: float = 0.0  # the cap of one connection alone ...
    slow_one: int = 0  # ... this one, counted from 1


class Crossing(NamedTuple):
    sent: float
    """When the sender is rid of it."""
    due: float
    """When the receiver has it."""


class Rate:
    """A line of `rate` bytes a second, on which everything is sent after what came before it."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free = -math.inf

    def book(self, now: float, size: int) -> float:
        """When bytes that are here now will have been sent."""
        if not self._rate:
            return now
        self._free = max(now, self._free) + size / self._rate
        return self._free


class SlowStart:
    """A sender that begins with ten segments in a round trip and doubles that in every other."""

    def __init__(self, rtt: float) -> None:
        self._rtt = rtt
        self._sent = 0
        self._free = -math.inf

    def book(self, now: float, size: int) -> float:
        """When bytes that are here now will have been sent."""
        before, self._sent = self._sent, self._sent + size
        self._free = max(now, self._free) + self._needs(self._sent) - self._needs(before)
        return self._free

    def _needs(self, size: int) -> float:
        """Seconds until a new connection may have sent as much."""
        # After k round trips: FIRST_WINDOW * (2 ** (k + 1) - 1) bytes.
        return max(0.0, self._rtt * (math.log2(size / FIRST_WINDOW + 1) - 1))


class Line:
    """One direction of one connection; `link` is what it shares with others."""

    def __init__(self, conditions: Conditions, link: Rate | None = None) -> None:
        self._delay = conditions.rtt / 2
        self._limits: list[Rate | SlowStart] = [Rate(conditions.cap)]
        if link is not None:
            self._limits.append(link)
        if conditions.slow_start:
            self._limits.append(SlowStart(conditions.rtt))

    def book(self, now: float, size: int) -> Crossing:
        sent = max(limit.book(now, size) for limit in self._limits)
        return Crossing(sent, sent + self._delay)


class Cuts:
    """After how many bytes each connection is cut, in the order of the connections."""

    def __init__(self, after: int, seed: int = 0) -> None:
        self._after = after
        self._random = random.Random(seed)

    def next(self) -> int | None:
        """None: never."""
        return round(self._after * self._random.uniform(0.8, 1.2)) if self._after else None

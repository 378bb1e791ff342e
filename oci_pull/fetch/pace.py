"""How fast a connection is, and whether it is worth keeping. Decisions only."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TypeVar

K = TypeVar("K")

#: The time that a rate is taken over, in seconds.
_WINDOW = 5.0
#: Bytes a second below which a connection is as good as silent.
_FLOOR = 1024.0
#: The share of its time that who waits for the line spends there.
_MOSTLY = 0.75
#: A connection at less than this share of what the others do is replaced, ...
_SHARE = 0.1
#: ... if there are so many others to compare it with.
_OTHERS = 3


class Pace:
    """What a connection brought lately. Marked by one thread, several times a second."""

    def __init__(self, now: float) -> None:
        #: When, what had come by then, and whether more was waited for.
        self._marks: deque[tuple[float, int, bool]] = deque([(now, 0, False)])
        #: The last time that it was worth keeping, and what it had brought by then.
        self._alive = (now, 0)

    def mark(self, now: float, received: int, *, is_wanted: bool = True) -> None:
        """Note how much came since the beginning, and whether anybody waits for more."""
        if received and not self._marks[-1][1]:
            # The wait for the first byte says nothing of the line.
            self._marks.clear()
        self._marks.append((now, received, is_wanted))
        while len(self._marks) > 2 and now - self._marks[1][0] >= _WINDOW:  # noqa: PLR2004
            self._marks.popleft()
        since, before = self._alive
        if not is_wanted or received - before >= max(1, _FLOOR * (now - since)):
            self._alive = (now, received)

    @property
    def rate(self) -> float | None:
        """Bytes a second over the last seconds, None before anything came."""
        (begun, first, _), (now, last, _) = self._marks[0], self._marks[-1]
        return (last - first) / (now - begun) if now > begun and last > first else None

    @property
    def is_waiting(self) -> bool:
        """Whether the line is what it waits for, and not the disk, the processor, or a limit."""
        return sum(wanted for _, _, wanted in self._marks) >= _MOSTLY * len(self._marks)

    @property
    def is_settled(self) -> bool:
        """Whether it ran for long enough to be compared with others."""
        (begun, _, _), (now, last, _) = self._marks[0], self._marks[-1]
        return last > 0 and now - begun >= _WINDOW

    def silence(self, now: float) -> float:
        """For how many seconds it has brought next to nothing."""
        return now - self._alive[0]


def laggards(rates: Mapping[K, float], ended: Sequence[float] = ()) -> list[K]:
    """The connections that are much slower than the others, those that ended a moment ago too."""
    if len(rates) + len(ended) <= _OTHERS:
        return []
    from statistics import median

    found = []
    for key, rate in rates.items():
        others = [*ended, *(each for other, each in rates.items() if other != key)]
        if rate < _SHARE * median(others):
            found.append(key)
    return found

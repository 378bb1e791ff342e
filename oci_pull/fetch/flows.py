"""The connections that are open: how fast each is, and which of them to replace or to cut."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from oci_pull.events import Stalled
from oci_pull.fetch.assembly import Stretch
from oci_pull.fetch.pace import Pace, laggards
from oci_pull.ports import BodyStream, Clock, Observer

#: What is left of a stretch takes longer than this (seconds), if another connection is worth it.
_WORTH = 10.0
#: For so long (seconds) a connection that has ended shows what can be had.
_RECENT = 60.0
#: A connection that brought nothing for longer than this (seconds) does not count as served.
_MOMENT = 5.0
#: Where nobody looked for longer than this (seconds), the process was stopped, and not the lines.
_ABSENCE = 5.0
#: How many of those are remembered.
_KNOWN = 8
#: A stretch that is slow over so many connections is slow for another reason.
_REPLACEMENTS = 3


class Verdict(Enum):
    """Why a connection was cut by us."""

    STALLED = "brings nothing"
    SLOW = "is much slower than the others"
    STOPPED = "is not needed any more"


class Flow:
    """An open connection, and what it has brought."""

    def __init__(self, stream: BodyStream, stretch: Stretch, now: float) -> None:
        self.stream = stream
        self.stretch = stretch
        self.received = 0
        #: Whether somebody waits for more; a slow disk or a limit is not the connection's fault.
        self.is_reading = False
        self.pace = Pace(now)
        self.verdict: Verdict | None = None

    def cut(self, verdict: Verdict) -> None:
        """Make its reader fail, for this reason."""
        self.verdict = verdict
        self.stream.abort()


class Flows:
    """Everything that is open now."""

    def __init__(self, observer: Observer, clock: Clock, *, stall_timeout: float) -> None:
        self._observer = observer
        self._clock = clock
        self._stall_timeout = stall_timeout
        self._lock = threading.Lock()
        self._open: set[Flow] = set()
        self._watched = clock.now()
        #: When connections ended that were not cut, and how fast they were.
        self._ended: deque[tuple[float, float]] = deque(maxlen=_KNOWN)
        self._is_over = False
        #: How many connections were opened so far.
        self.answered = 0

    @contextmanager
    def opened(self, stream: BodyStream, stretch: Stretch) -> Iterator[Flow]:
        """A connection that is watched, and closed in the end."""
        flow = Flow(stream, stretch, self._clock.now())
        with self._lock:
            self._open.add(flow)
            self.answered += 1
            is_late = self._is_over
        if is_late:
            flow.cut(Verdict.STOPPED)
        try:
            yield flow
        finally:
            with self._lock:
                self._open.discard(flow)
                stretch.rate = None
                if flow.pace.is_settled and flow.pace.rate and not flow.verdict:
                    self._ended.append((self._clock.now(), flow.pace.rate))
            stream.close()

    def watch(self) -> None:
        """Measure every connection, and cut what has stalled or holds the others up."""
        now = self._clock.now()
        was_away, self._watched = now - self._watched > _ABSENCE, now
        with self._lock:
            flows = list(self._open)
            # The last one of all has nobody beside it, and everybody waits for it.
            ended = [rate for when, rate in self._ended if now - when < _RECENT]
            for flow in flows:
                if was_away:
                    # What came meanwhile waits to be read.
                    flow.pace = Pace(now)
                flow.pace.mark(now, flow.received, is_wanted=flow.is_reading)
                flow.stretch.rate = flow.pace.rate
                flow.stretch.is_waiting = flow.pace.is_waiting
        for flow in flows:
            if flow.pace.silence(now) > self._stall_timeout and not flow.verdict:
                self._replace(flow, Verdict.STALLED)
        settled = {flow: flow.pace.rate or 0.0 for flow in flows if flow.pace.is_settled}
        for flow in laggards(settled, ended):
            stretch = flow.stretch
            is_worth_it = stretch.end - stretch.position > _WORTH * settled[flow]
            if is_worth_it and stretch.replaced < _REPLACEMENTS and not flow.verdict:
                stretch.replaced += 1
                self._replace(flow, Verdict.SLOW)

    def _replace(self, flow: Flow, verdict: Verdict) -> None:
        flow.cut(verdict)
        name = flow.stretch.assembly.job.name
        self._observer.on(Stalled(name, flow.stream.origin, verdict.value))

    def serving(self) -> int:
        """How many connections bring something, or were answered a moment ago."""
        now = self._clock.now()
        with self._lock:
            return sum(flow.pace.silence(now) < _MOMENT for flow in self._open)

    def cut_all(self) -> None:
        """Make every reader fail now, and those that are still to come."""
        with self._lock:
            self._is_over = True
            flows = list(self._open)
        for flow in flows:
            flow.cut(Verdict.STOPPED)

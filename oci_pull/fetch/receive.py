"""One stretch of a blob, over as many connections as it takes."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from oci_pull.errors import BadReply, Cancelled, ConnectionFailed, SizeMismatch, TransferError
from oci_pull.events import Counter, Retrying
from oci_pull.fetch.assembly import BUFFER, Stretch
from oci_pull.fetch.flows import Flow, Verdict
from oci_pull.fetch.limiter import Limiter
from oci_pull.fetch.retry import Budget, is_overload
from oci_pull.oci.ranges import Span
from oci_pull.ports import Cancel, Clock, Observer

#: Bytes that came go to the disk after so many seconds, even if there are few.
_FLUSH = 0.2
#: What a slow line brought is safe from a kill after so many seconds; a fast one says so by itself.
_SAVE_EVERY = 0.5
#: What makes up for a connection that stalled in the end (bytes).
_MIB = 1024 * 1024
#: So many wrong replies to a range are not an accident.
_BAD_REPLIES = 2
#: How often another size is asked about before the server is believed.
_SIZE_TRIES = 3
#: So many refusals in a row, while others are served, mean that there are too many of us.
_REFUSALS = 3


class Pause:
    """A host that wants to be left alone is left alone by everybody."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = clock.now()

    def extend(self, seconds: float) -> None:
        """Nobody asks for so many seconds."""
        self._until = max(self._until, self._clock.now() + seconds)

    def sit_out(self, stop: Cancel) -> None:
        """Return when the host may be asked; raises `Cancelled`."""
        while (left := self._until - self._clock.now()) > 0:
            self._clock.wait(left, stop)


@dataclass(frozen=True, slots=True)
class Line:
    """What one thread needs to fetch."""

    observer: Observer
    clock: Clock
    stop: Cancel
    pause: Pause
    limiter: Limiter
    buffer: memoryview
    #: The bytes that came over the network to this thread.
    received: Counter
    budget: Callable[[], Budget]
    open: Callable[[Stretch, Span], AbstractContextManager[Flow]]
    #: Origins that were seen to have no ranges.
    without_ranges: set[str]
    #: How many connections were answered so far.
    answered: Callable[[], int]
    #: Whether others are served, or were since so many were answered, so that this one can be
    #: spared; if so, for a while there will be no more than those.
    give_way: Callable[[int], bool]


def receive(stretch: Stretch, line: Line) -> None:
    """All of a stretch is here, or it was given back for others to bring.

    Raises:
        TransferError: nobody sends it, and the budget is used up.
        SizeMismatch: the server's blob has another size, whenever it is asked.
        BlobUnknown, AccessError: the server has none for us.
        Cancelled, DiskError.
    """
    setbacks = _Setbacks(stretch, line)
    while not stretch.is_done:
        line.pause.sit_out(line.stop)
        try:
            goes_on = _connect(stretch, line, setbacks.budget)
        except (TransferError, SizeMismatch) as error:
            if line.stop.is_set():
                raise Cancelled("stopped") from error
            goes_on = setbacks.bear(error)
        if not goes_on:
            return


class _Setbacks:
    """What went wrong with a stretch so far."""

    def __init__(self, stretch: Stretch, line: Line) -> None:
        self.budget = line.budget()
        self._stretch = stretch
        self._line = line
        self._sizes = self._bad_replies = 0
        #: How many connections had been answered when the last row of failures began.
        self._answered = 0

    def bear(self, error: TransferError | SizeMismatch) -> bool:
        """Whether to go on, when it is time to; if not, others should bring the rest.

        Raises the error where that is no use.
        """
        name = self._stretch.assembly.job.name
        if isinstance(error, SizeMismatch):
            self._sizes += 1
            if self._sizes == _SIZE_TRIES:
                message = f"{name}: {error.message}"
                raise SizeMismatch(message, facts=error.facts, hint=error.hint) from error
            return True
        if self.budget.failures == 0:
            self._answered = self._line.answered()
        is_refused_again = is_overload(error) and self.budget.failures >= _REFUSALS
        if is_refused_again and self._line.give_way(self._answered):
            return False
        wait_out(error, self.budget, name, self._line)
        if isinstance(error, BadReply):
            self._bad_replies += 1
            if self._bad_replies == _BAD_REPLIES:
                # A server that is confused by ranges, and not for once, may still send the whole.
                return self._stretch.assembly.without_ranges(self._stretch)
        return True


def wait_out(error: TransferError, budget: Budget, name: str, line: Line) -> None:
    """Return when it is time to try again; raises the error where the budget does not last."""
    wait = budget.delay_after(error)
    if wait is None:
        raise error
    line.observer.on(Retrying(name, budget.failures, budget.attempts, wait, error.message))
    if is_overload(error):
        line.pause.extend(wait)
        line.pause.sit_out(line.stop)
    elif wait:
        line.clock.wait(wait, line.stop)


def _connect(stretch: Stretch, line: Line, budget: Budget) -> bool:
    """Bring what one connection brings; False if others should bring the rest."""
    assembly = stretch.assembly
    asked = assembly.ask(stretch)
    with line.open(stretch, asked) as flow:
        origin = flow.stream.origin
        assembly.blame.origins.add(origin)
        if origin in line.without_ranges:
            assembly.has_ranges = False
        if flow.stream.start < asked.start:
            line.without_ranges.add(origin)
        if flow.stream.start < stretch.position and not assembly.without_ranges(stretch):
            return False
        begun = stretch.position
        try:
            _copy(flow, stretch, line)
        except TransferError as error:
            _judge(flow, error, stretch.position - begun, budget)
    return True


def _judge(flow: Flow, error: TransferError, gained: int, budget: Budget) -> None:
    """Raise what a connection that broke means for the next; nothing if it is to be replaced."""
    is_stalled = flow.verdict is Verdict.STALLED
    if gained >= (_MIB if is_stalled else 1):
        budget.refill()
    if is_stalled:
        origin = flow.stream.origin
        raise ConnectionFailed(f"{origin} stopped sending", origin=origin) from error
    if flow.verdict is not Verdict.SLOW:
        raise error


def _copy(flow: Flow, stretch: Stretch, line: Line) -> None:
    _skip(flow, stretch.position - flow.stream.start, line)
    saved = now = line.clock.now()
    while (left := stretch.end - stretch.position) > 0:
        view = line.buffer if left >= BUFFER else line.buffer[:left]
        count = _fill(flow, view, line, now)
        stretch.assembly.write(stretch, view if count == len(view) else view[:count])
        now = line.clock.now()
        if now - saved > _SAVE_EVERY:
            stretch.assembly.save(stretch)
            saved = now


def _skip(flow: Flow, count: int, line: Line) -> None:
    """Read over what is here already, from a server that has no ranges."""
    while count > 0:
        count -= _fill(flow, line.buffer[: min(BUFFER, count)], line, line.clock.now())


def _fill(flow: Flow, view: memoryview, line: Line, begun: float) -> int:
    """Read until the view is full, as far as the connection goes; at least a byte.

    What came a moment after it was begun is not kept waiting for more.

    Raises:
        ConnectionFailed: it is at its end.
        TransferError, SizeMismatch, Cancelled.
    """
    filled = 0
    while filled < len(view):
        most = line.limiter.most(len(view) - filled)
        flow.is_reading = True
        try:
            count = flow.stream.readinto(view[filled : filled + most])
        except (TransferError, SizeMismatch):
            # What came before it counts; a stream that broke says so again.
            if not filled:
                raise
            break
        finally:
            flow.is_reading = False
        if line.stop.is_set():
            raise Cancelled("stopped")
        if not count:
            break
        filled += count
        flow.received += count
        line.received.value += count
        line.limiter.pay(count, line.stop)
        if filled < len(view) and line.clock.now() - begun > _FLUSH:
            break
    if not filled:
        raise ConnectionFailed("the connection ended too early", origin=flow.stream.origin)
    return filled

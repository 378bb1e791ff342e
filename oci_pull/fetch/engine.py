"""Several blobs at once, each over one connection, resumed from what is there.

An `Engine` is the budget of connections of a process; a `Session` is one pull's use of it.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TypeVar

from oci_pull.errors import Cancelled, TransferError
from oci_pull.events import Counter, Tick
from oci_pull.fetch.download import Line, obtain, read_part, wait_out
from oci_pull.fetch.retry import Budget, RetryPolicy
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.ranges import Span
from oci_pull.ports import (
    BlobStore,
    BodyStream,
    Cancel,
    Clock,
    Job,
    Observer,
    PartialBlob,
    Source,
    StoredBlob,
)

Item = TypeVar("Item")
T = TypeVar("T")

#: How often the thread that waits for the workers looks whether to stop, in seconds.
_TICK = 0.1
#: How often other hosts are told that a partial has a living owner, in seconds.
_HEARTBEAT = 15.0
#: How long workers get to notice that their connections were cut, in seconds; then they are left.
_GRACE = 0.5


class Engine:
    """The connections of a process, shared by everything it pulls."""

    def __init__(
        self,
        *,
        jobs: int,
        clock: Clock,
        random: Callable[[], float],
        policy: RetryPolicy = RetryPolicy(),
        lock_timeout: float = 1800.0,
    ) -> None:
        self.jobs = jobs
        self.clock = clock
        self.lock_timeout = lock_timeout
        self._random = random
        self._policy = policy

    def budget(self) -> Budget:
        """A full one."""
        return Budget(self._policy, self._random)

    def session(
        self, source: Source, store: BlobStore, observer: Observer, cancel: Cancel
    ) -> "Session":
        """The engine as one pull uses it."""
        return Session(self, source, store, observer, cancel)


class Session:
    """One pull: where from, where to, who watches, who may stop it."""

    def __init__(
        self,
        engine: Engine,
        source: Source,
        store: BlobStore,
        observer: Observer,
        cancel: Cancel,
    ) -> None:
        self._engine = engine
        self._source = source
        self._store = store
        self._observer = observer
        self._cancel = cancel
        self._lines: list[Line] = []

    @property
    def fetched(self) -> int:
        """The bytes of blobs that came over the network so far."""
        return sum(line.received.value for line in self._lines)

    def fetch(self, jobs: Sequence[Job]) -> Mapping[Digest, StoredBlob]:
        """Every blob, verified and under its final name, the largest started first.

        Raises:
            OciPullError: the first failure; it stops the others, and what they have is kept.
        """
        ordered = sorted(jobs, key=lambda job: -job.blob.size)
        blobs = self._run(ordered, obtain)
        return {blob.descriptor.digest: blob for blob in blobs}

    def read(self, wanted: Sequence[tuple[Descriptor, Span]]) -> Sequence[bytes]:
        """A few bytes of each of some blobs; they are kept for the rest of their download."""
        return self._run(wanted, lambda want, line: read_part(*want, line))

    def persist(self, what: str, ask: Callable[[], T]) -> T:
        """The answer of `ask`, asked again while that helps and the budget lasts.

        It is asked in a thread of its own, so that a cancel does not wait for the network.
        """

        def keep_asking(_: None, line: Line) -> T:
            budget = line.budget()
            while True:
                try:
                    return ask()
                except TransferError as error:
                    wait_out(error, budget, what, line)

        return self._run([None], keep_asking)[0]

    def _run(self, items: Sequence[Item], work: Callable[[Item, Line], T]) -> list[T]:
        """The work of every item, done by a few threads; in the order of the items."""
        crew = _Crew(self._cancel, self._observer, self._engine.clock)
        lines = [self._line(crew) for _ in range(min(self._engine.jobs, len(items)))]
        self._lines += lines
        return crew.run(items, work, lines)

    def _line(self, crew: "_Crew") -> Line:
        return Line(
            store=self._store,
            observer=self._observer,
            clock=self._engine.clock,
            stop=crew,
            lock_timeout=self._engine.lock_timeout,
            received=Counter(),
            budget=self._engine.budget,
            open=lambda blob, span: crew.stream(self._source.open(blob, span, cancel=crew)),
            hold=crew.hold,
        )


class _Crew:
    """The threads of one run, and everything of theirs that has to end with them."""

    def __init__(self, cancel: Cancel, observer: Observer, clock: Clock) -> None:
        self._cancel = cancel
        self._observer = observer
        self._clock = clock
        self._next_beat = clock.now() + _HEARTBEAT
        self._failed = threading.Event()
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._streams: set[BodyStream] = set()
        self._partials: set[PartialBlob] = set()
        self._working = 0

    def is_set(self) -> bool:
        """Whether to stop: the user said so, or one of the threads failed."""
        return self._failed.is_set() or self._cancel.is_set()

    def run(
        self, items: Sequence[Item], work: Callable[[Item, Line], T], lines: list[Line]
    ) -> list[T]:
        """Start a thread a line, and wait for all of them."""
        todo: SimpleQueue[int] = SimpleQueue()
        done: SimpleQueue[tuple[int, T | BaseException]] = SimpleQueue()
        for number in range(len(items)):
            todo.put(number)

        def worker(line: Line) -> None:
            try:
                while not self.is_set():
                    number = todo.get_nowait()
                    outcome = _outcome(work, items[number], line)
                    done.put((number, outcome))
                    if isinstance(outcome, BaseException):
                        # Behind it in the queue: what the others say then is only the echo.
                        self._failed.set()
            except Empty:
                return
            finally:
                with self._idle:
                    self._working -= 1
                    self._idle.notify_all()

        self._working = len(lines)
        for line in lines:
            threading.Thread(target=worker, args=(line,), daemon=True).start()  # noqa: TID251
        results: dict[int, T] = {}
        try:
            while len(results) < len(items):
                number, outcome = self._next(done)
                if isinstance(outcome, BaseException):
                    raise outcome
                results[number] = outcome
        except BaseException:
            self._end()
            raise
        return [results[number] for number in range(len(items))]

    def _next(
        self, done: "SimpleQueue[tuple[int, T | BaseException]]"
    ) -> tuple[int, T | BaseException]:
        """The next outcome; meanwhile other hosts are told that the partials have an owner."""
        while True:
            if self._clock.now() >= self._next_beat:
                self._beat()
            try:
                return done.get(timeout=_TICK)
            except Empty:
                self._observer.on(Tick())
            if self._cancel.is_set():
                raise Cancelled("stopped; what was fetched is kept")

    def _beat(self) -> None:
        self._next_beat = self._clock.now() + _HEARTBEAT
        with self._lock:
            partials = list(self._partials)
        for partial in partials:
            partial.keep_alive()

    def _end(self) -> None:
        """Cut every connection, and give the threads a moment to leave what they hold."""
        self._failed.set()
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.abort()
        with self._idle:
            self._idle.wait_for(lambda: not self._working, _GRACE)

    @contextmanager
    def stream(self, stream: BodyStream) -> Iterator[BodyStream]:
        """A connection that is cut when the run ends early."""
        with self._lock:
            self._streams.add(stream)
        try:
            yield stream
        finally:
            with self._lock:
                self._streams.discard(stream)
            stream.close()

    @contextmanager
    def hold(self, partial: PartialBlob) -> Iterator[PartialBlob]:
        """A partial that is kept alive, and released in the end whatever happens."""
        with self._lock:
            self._partials.add(partial)
        try:
            yield partial
        finally:
            partial.release()
            with self._lock:
                self._partials.discard(partial)


def _outcome(work: Callable[[Item, Line], T], item: Item, line: Line) -> T | BaseException:
    """What came of the work, to be handed to the thread that waits for it."""
    try:
        return work(item, line)
    except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
        return error

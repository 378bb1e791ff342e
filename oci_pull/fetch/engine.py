"""Many blobs at once, over a few connections, resumed from what is there.

An `Engine` is the budget of connections of a process; a `Session` is one pull's use of it.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeVar

from oci_pull.errors import TransferError
from oci_pull.events import Counter
from oci_pull.fetch.assembly import BUFFER, Stretch
from oci_pull.fetch.board import Board
from oci_pull.fetch.crew import Crew
from oci_pull.fetch.download import Download, read_part
from oci_pull.fetch.flows import Flow, Flows
from oci_pull.fetch.limiter import Limiter
from oci_pull.fetch.receive import Line, Pause, wait_out
from oci_pull.fetch.retry import Budget, Patience
from oci_pull.fetch.schedule import SMALL, Limits
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.ranges import Span
from oci_pull.ports import BlobStore, Cancel, Clock, Job, Observer, Source, StoredBlob

Item = TypeVar("Item")
T = TypeVar("T")

#: Connections for large blobs that leave room for more to fetch small ones, and how many then.
_MANY = 8
_WITH_SMALL = 16


class Engine:
    """The connections of a process, shared by everything it pulls."""

    def __init__(
        self,
        *,
        jobs: int,
        cores: int,
        clock: Clock,
        random: Callable[[], float],
        patience: Patience = Patience(),
        limit_rate: int | None = None,
    ) -> None:
        connections = max(jobs, _WITH_SMALL) if jobs >= _MANY else jobs
        self.limits = Limits(jobs, connections, cores)
        self.clock = clock
        self.patience = patience
        self.limiter = Limiter(limit_rate, clock)
        #: Origins that were seen to have no ranges.
        self.without_ranges: set[str] = set()
        self._random = random

    def budget(self) -> Budget:
        """A full one."""
        return Budget(self.patience, self._random)

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
        self._pause = Pause(engine.clock)
        self._received: list[Counter] = []

    @property
    def fetched(self) -> int:
        """The bytes of blobs that came over the network so far."""
        return sum(counter.value for counter in self._received)

    def fetch(self, jobs: Sequence[Job]) -> Mapping[Digest, StoredBlob]:
        """Every blob, verified and under its final name, the largest started first.

        Raises:
            OciPullError: the first failure; it stops the others, and what they have is kept.
        """
        engine = self._engine
        board = Board(
            jobs,
            limits=engine.limits,
            clock=engine.clock,
            observer=self._observer,
            lock_timeout=engine.patience.lock_timeout,
        )
        crew, flows = self._crew()
        download = Download(self._store, board, crew)
        lines = (self._line(crew, flows, board.crowd) for _ in range(self._threads(jobs)))
        crew.run((partial(download.work, line) for line in lines), board.wake)
        return board.blobs

    def read(self, wanted: Sequence[tuple[Descriptor, Span]]) -> Sequence[bytes]:
        """A few bytes of each of some blobs; they are kept for the rest of their download."""
        return self._each(wanted, lambda want, crew, line: read_part(want, self._store, crew, line))

    def map(self, work: Callable[[Item], T], items: Sequence[Item]) -> list[T]:
        """What `work` makes of every item, in their order, in as many threads as there are cores.

        Raises the first failure, and `Cancelled`; `work` looks itself whether to stop.
        """
        threads = self._engine.limits.cores
        return self._each(items, lambda item, _, __: work(item), threads)

    def persist(self, what: str, ask: Callable[[], T]) -> T:
        """The answer of `ask`, asked again while that helps and the budget lasts.

        It is asked in a thread of its own, so that a cancel does not wait for the network.
        """

        def keep_asking(_: None, __: Crew, line: Line) -> T:
            budget = line.budget()
            while True:
                line.pause.sit_out(line.stop)
                try:
                    return ask()
                except TransferError as error:
                    wait_out(error, budget, what, line)

        return self._each([None], keep_asking)[0]

    def _each(
        self, items: Sequence[Item], work: Callable[[Item, Crew, Line], T], threads: int = 0
    ) -> list[T]:
        """What comes of every item, in their order."""
        crew, flows = self._crew()
        todo: SimpleQueue[int] = SimpleQueue()
        results: dict[int, T] = {}
        for number in range(len(items)):
            todo.put(number)

        def worker(line: Line) -> None:
            while not crew.is_set():
                try:
                    number = todo.get_nowait()
                except Empty:
                    return
                results[number] = work(items[number], crew, line)

        count = min(threads or self._engine.limits.connections, len(items))
        lines = (self._line(crew, flows, None) for _ in range(count))
        crew.run((partial(worker, line) for line in lines), lambda: None)
        return [results[number] for number in range(len(items))]

    def _threads(self, jobs: Sequence[Job]) -> int:
        limits = self._engine.limits
        small = sum(job.blob.size <= SMALL for job in jobs)
        large = limits.streams if small < len(jobs) else 0
        return min(limits.connections, large + small)

    def _crew(self) -> tuple[Crew, Flows]:
        engine = self._engine
        stall_timeout = engine.patience.stall_timeout
        flows = Flows(self._observer, engine.clock, stall_timeout=stall_timeout)
        return Crew(self._cancel, self._observer, engine.clock, flows), flows

    def _line(self, crew: Crew, flows: Flows, crowd: Callable[[int], None] | None) -> Line:
        received = Counter()
        self._received.append(received)

        def give_way(since: int) -> bool:
            # Small blobs come and go: that nothing is open right now says little.
            serving = max(flows.serving(), int(flows.answered > since))
            if crowd and serving:
                crowd(serving)
            return bool(crowd and serving)

        def opened(stretch: Stretch, span: Span) -> AbstractContextManager[Flow]:
            blob, avoid = stretch.assembly.blob, stretch.assembly.blame.avoid
            return flows.opened(self._source.open(blob, span, cancel=crew, avoid=avoid), stretch)

        return Line(
            observer=self._observer,
            clock=self._engine.clock,
            stop=crew,
            pause=self._pause,
            limiter=self._engine.limiter,
            buffer=memoryview(bytearray(BUFFER)),
            received=received,
            budget=self._engine.budget,
            open=opened,
            without_ranges=self._engine.without_ranges,
            answered=lambda: flows.answered,
            give_way=give_way,
        )

"""The threads of one run, and everything of theirs that has to end with them."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from oci_pull.errors import Cancelled, OciPullError
from oci_pull.events import Tick
from oci_pull.fetch.assembly import Assembly
from oci_pull.fetch.flows import Flows
from oci_pull.ports import Cancel, Clock, Observer

#: How often the thread that waits for the others looks whether to stop, in seconds.
_TICK = 0.05
#: How often other hosts are told that a partial has a living owner, in seconds.
_HEARTBEAT = 15.0
#: How long threads get to notice that their connections were cut, in seconds; then they are left.
_GRACE = 0.5


class Crew:
    """Daemon threads: what hangs in a name look-up or a handshake is left behind by a cancel."""

    def __init__(self, cancel: Cancel, observer: Observer, clock: Clock, flows: Flows) -> None:
        self._cancel = cancel
        self._observer = observer
        self._clock = clock
        self._flows = flows
        self._next_beat = clock.now() + _HEARTBEAT
        self._has_failed = False
        self._changed = threading.Condition()
        self._failures: deque[BaseException] = deque()
        self._assemblies: set[Assembly] = set()
        self._joins: list[Callable[[], None]] = []
        self._working = 0
        self._has_ended = False

    def is_set(self) -> bool:
        """Whether to stop: the user said so, or one of the threads failed."""
        return self._has_failed or self._cancel.is_set()

    def start(self, work: Callable[[], None]) -> None:
        """Do it in a thread of its own."""

        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
                self._failures.append(error)
                # Behind it in the queue: what the others say then is only the echo.
                self._has_failed = True
            finally:
                with self._changed:
                    self._working -= 1
                    self._changed.notify_all()

        thread = threading.Thread(target=guarded, daemon=True)  # noqa: TID251
        with self._changed:
            self._working += 1
        try:
            thread.start()
            self._joins.append(thread.join)
        except RuntimeError as error:
            # Those that run are stopped like after any other failure.
            with self._changed:
                self._working -= 1
            refused = OciPullError(
                f"no thread can be started: {error}",
                facts=["so many processes are allowed here (ulimit -u), or the program has ended"],
                hint="-j 1  needs the fewest",
            )
            refused.__cause__ = error
            self._failures.append(refused)
            self._has_failed = True

    def run(self, works: Iterable[Callable[[], None]], on_tick: Callable[[], None]) -> None:
        """Each was done in a thread of its own, and every thread has ended.

        `on_tick` was called several times a second meanwhile.

        Raises:
            Cancelled: the user said so; what was fetched is kept.
            BaseException: the first that a thread raised; it stops the others. So does what
                interrupts this one, also while it still starts them.
        """
        try:
            for work in works:
                self.start(work)
            while self._is_working():
                self._check()
                self._beat()
                self._flows.watch()
                self._observer.on(Tick())
                on_tick()
            self._check()
        except BaseException:
            self._end()
            raise
        # They have nothing left to do but to go. A process that forks while one of them is on its
        # way out, in the cleaning up of OpenSSL, gives its child a lock that nobody opens again.
        for join in self._joins:
            join()

    def _is_working(self) -> bool:
        """Whether any thread still runs, after a moment; false as soon as one failed."""
        with self._changed:
            is_over = self._changed.wait_for(lambda: not self._working or self._failures, _TICK)
        return not is_over

    def _check(self) -> None:
        failure = self._failures[0] if self._failures else None
        if self._cancel.is_set() and (failure is None or isinstance(failure, Cancelled)):
            raise Cancelled("stopped; what was fetched is kept")
        if failure:
            raise failure

    def _beat(self) -> None:
        if self._clock.now() < self._next_beat:
            return
        self._next_beat = self._clock.now() + _HEARTBEAT
        with self._changed:
            assemblies = list(self._assemblies)
        for assembly in assemblies:
            assembly.keep_alive()

    def _end(self) -> None:
        """Cut every connection, give the threads a moment to leave, and give up what they hold."""
        self._has_failed = True
        try:
            with self._changed:
                self._has_ended = True
            self._flows.cut_all()
            with self._changed:
                self._changed.wait_for(lambda: not self._working, _GRACE)
        finally:
            # Whoever is interrupted once more does not want to wait, and holds nothing any longer.
            with self._changed:
                assemblies = list(self._assemblies)
            for assembly in assemblies:
                assembly.close()

    @contextmanager
    def held(self, assembly: Assembly) -> Iterator[Assembly]:
        """A partial that is kept alive, and given up in the end whatever happens."""
        self.hold(assembly)
        try:
            yield assembly
        finally:
            self.release(assembly)

    def hold(self, assembly: Assembly) -> None:
        """Keep it alive, and give it up when the run ends, or at once if it has."""
        with self._changed:
            self._assemblies.add(assembly)
            is_late = self._has_ended
        if is_late:
            assembly.close()

    def release(self, assembly: Assembly) -> None:
        """Give it up now."""
        assembly.close()
        with self._changed:
            self._assemblies.discard(assembly)

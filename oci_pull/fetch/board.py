"""What is to be done, and who does it: the queue that the threads of a pull share."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from oci_pull.errors import Busy
from oci_pull.events import Waiting
from oci_pull.fetch.assembly import Assembly, Stretch
from oci_pull.fetch.schedule import SMALL, Begin, Divide, Fill, Limits, Small, Step, next_step
from oci_pull.oci.digest import Digest
from oci_pull.ports import Cancel, Clock, Job, Observer, StoredBlob

#: How often a thread without work looks again by itself, in seconds.
_TICK = 0.2
#: How often a blob that somebody else fetches is looked at, in seconds.
_POLL = 0.5
#: For how long a host that had too much of us is asked over fewer connections, in seconds.
_CROWDED = 30.0


@dataclass(slots=True)
class _Postponed:
    """A blob that another process fetches, or did when it was last looked at."""

    job: Job
    owner: str
    deadline: float
    #: When to look again, in seconds; None while somebody here has it in hand.
    due: float | None

    @property
    def is_with_others(self) -> bool:
        """Whether nobody here has it in hand."""
        return self.due is not None


class Board:
    """The blobs of a pull: waiting, with others, in the making, done."""

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        limits: Limits,
        clock: Clock,
        observer: Observer,
        lock_timeout: float,
    ) -> None:
        # A blob that is wanted twice is fetched once; unpacking it is the more that is wanted.
        unique = {job.blob.digest: job for job in sorted(jobs, key=lambda job: bool(job.unpack))}
        ordered = sorted(unique.values(), key=lambda job: -job.blob.size)
        self._large = deque(job for job in ordered if job.blob.size > SMALL)
        self._small = deque(job for job in ordered if job.blob.size <= SMALL)
        self._limits = limits
        self._clock = clock
        self._observer = observer
        self._lock_timeout = lock_timeout
        self._changed = threading.Condition()
        #: Large blobs that are just being begun, and small ones that are being fetched.
        self._beginning = 0
        self._small_running = 0
        self._postponed: dict[Digest, _Postponed] = {}
        self._running: list[Assembly] = []
        self._left = len(ordered)
        self._crowded_until = 0.0
        self._crowd = 1
        #: The blobs that are done.
        self.blobs: dict[Digest, StoredBlob] = {}

    @property
    def is_busy(self) -> bool:
        """Whether there are blobs enough to keep every core busy with one each."""
        with self._changed:
            return len(self._large) + self._beginning + len(self._running) >= self._limits.cores

    def take(self, stop: Cancel) -> Job | Stretch | None:
        """The next thing to do, once there is one; None when everything is done or it has to stop.

        Raises:
            Busy: another process did not finish a blob in time.
            Cancelled: while waiting for that.
        """
        while not stop.is_set():
            with self._changed:
                if not self._left:
                    return None
                self._resume()
                if task := self._next():
                    # Where one finds work there may be more.
                    self._changed.notify()
                    return task
                others = sum(each.is_with_others for each in self._postponed.values())
                is_up_to_others = others == self._left
                if not is_up_to_others:
                    self._changed.wait(_TICK)
            if is_up_to_others:
                self._clock.wait(_POLL, stop)
        return None

    def _next(self) -> Job | Stretch | None:
        step = self._step()
        if isinstance(step, Divide):
            self._running[step.transfer].divide(step.stream, step.at)
            step = self._step()
        match step:
            case Begin():
                self._beginning += 1
                return self._large.popleft()
            case Small():
                self._small_running += 1
                return self._small.popleft()
            case Fill(number, span):
                return self._running[number].offer(span)
        return None

    def _step(self) -> Step | None:
        limits = self._limits
        if self._clock.now() < self._crowded_until:
            limits = Limits(self._crowd, self._crowd, limits.cores)
        return next_step(
            [each.transfer for each in self._running],
            large=bool(self._large),
            small=bool(self._small),
            beginning=self._beginning,
            small_running=self._small_running,
            limits=limits,
        )

    def wake(self) -> None:
        """Rates were measured: somebody without work may find some, and then wakes the next."""
        with self._changed:
            self._changed.notify()

    def run(self, assembly: Assembly) -> None:
        """A large blob is claimed; any thread may take a stretch of it now."""
        with self._changed:
            self._beginning -= 1
            self._running.append(assembly)
            self._changed.notify_all()

    def crowd(self, connections: int) -> None:
        """For a while there are no more connections than this, at least one."""
        with self._changed:
            self._crowd = max(1, connections)
            self._crowded_until = self._clock.now() + _CROWDED

    def put_back(self, job: Job, assembly: Assembly | None = None) -> None:
        """A blob was given up for now."""
        with self._changed:
            self._forget(job, assembly)
            (self._large if job.blob.size > SMALL else self._small).append(job)

    def done(self, job: Job, blob: StoredBlob, assembly: Assembly | None = None) -> None:
        """A blob is complete."""
        with self._changed:
            self._forget(job, assembly)
            self.blobs[job.blob.digest] = blob
            self._postponed.pop(job.blob.digest, None)
            self._left -= 1
            self._changed.notify_all()

    def postpone(self, job: Job, owner: str) -> None:
        """Another process has the blob: it is looked at now and then, and others are fetched.

        Raises:
            Busy: that process has had it for too long.
        """
        now = self._clock.now()
        with self._changed:
            self._forget(job, None)
            known = self._postponed.get(job.blob.digest)
            deadline = known.deadline if known else now + self._lock_timeout
            self._postponed[job.blob.digest] = _Postponed(job, owner, deadline, now + _POLL)
        if known is None or known.owner != owner:
            self._observer.on(Waiting(job.name, owner))
        if now >= deadline:
            raise Busy(
                f"{job.name} is being fetched by {owner}, and was not finished in time",
                facts=["what that fetches is not fetched twice; it may be slow, or stopped"],
                hint="--lock-timeout TIME  waits longer",
            )

    def was_postponed(self, job: Job) -> bool:
        """Whether another process had it."""
        with self._changed:
            return job.blob.digest in self._postponed

    def _forget(self, job: Job, assembly: Assembly | None) -> None:
        if assembly in self._running:
            self._running.remove(assembly)
        elif job.blob.size > SMALL:
            self._beginning -= 1
        else:
            self._small_running -= 1

    def _resume(self) -> None:
        """Look again at what others had, if it is time."""
        now = self._clock.now()
        for each in self._postponed.values():
            if each.due is not None and each.due <= now:
                each.due = None
                (self._large if each.job.blob.size > SMALL else self._small).appendleft(each.job)

"""The queue that the threads of a pull share."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from oci_pull.errors import Busy, Cancelled
from oci_pull.events import Waiting
from oci_pull.fetch.assembly import Assembly, Stretch
from oci_pull.fetch.board import Board
from oci_pull.fetch.schedule import Limits
from oci_pull.oci.digest import Digest
from oci_pull.oci.ranges import Span
from oci_pull.ports import Job, Reader, Staged, StoredBlob
from tests.fakes.memory import PATIENCE, MemoryPartial
from tests.unit.fetch.support import World, content_of, in_background, write

MIB = 1024 * 1024
LARGE = 9 * MIB
LIMITS = Limits(streams=4, connections=4, cores=2)
GOES_ON = threading.Event()


class Desk:
    """A board, and who works at it, one thing after the other."""

    def __init__(self, world: World, *, timeout: float = 60) -> None:
        self.world = world
        self.jobs = world.jobs()
        self.board = Board(
            self.jobs,
            limits=LIMITS,
            clock=world.clock,
            observer=world.observer,
            lock_timeout=timeout,
        )

    def take_job(self) -> Job:
        task = self.board.take(GOES_ON)
        assert isinstance(task, Job)
        return task

    def take_stretch(self) -> Stretch:
        task = self.board.take(GOES_ON)
        assert isinstance(task, Stretch)
        return task

    def begin(self) -> Assembly:
        """A large blob is claimed."""
        job = self.take_job()
        partial = self.world.store.claim(job.blob)
        assert isinstance(partial, MemoryPartial)
        assembly = Assembly(job, partial, self.world.observer, self.world.cancel, inline=False)
        self.board.run(assembly)
        return assembly

    def done(self, job: Job, assembly: Assembly | None = None) -> None:
        content = self.world.contents[self.world.blobs.index(job.blob)]
        self.board.done(job, self.world.store.put(job.blob, content), assembly)

    def next_in_background(self) -> Job | Stretch | None:
        """What comes next, from a thread that a test which fails does not wait for."""
        return in_background(lambda: self.board.take(GOES_ON)).result(PATIENCE)


def desk(tmp_path: Path, *sizes: int, timeout: float = 60) -> Desk:
    contents = [content_of(size, seed) for seed, size in enumerate(sizes)]
    return Desk(World(tmp_path, *contents), timeout=timeout)


def sizes(jobs: list[Job]) -> list[int]:
    return [job.blob.size for job in jobs]


def test_the_largest_is_handed_out_first(tmp_path: Path) -> None:
    at = desk(tmp_path, 10, LARGE, 500, LARGE + 1)
    assert sizes([at.take_job() for _ in range(4)]) == [LARGE + 1, LARGE, 500, 10]


def test_when_everything_is_done_there_is_nothing_more(tmp_path: Path) -> None:
    at = desk(tmp_path, 10, 20)
    for job in [at.take_job(), at.take_job()]:
        at.done(job)
    assert at.board.take(GOES_ON) is None
    assert at.board.blobs.keys() == {blob.digest for blob in at.world.blobs}


def test_a_blob_that_is_wanted_twice_is_handed_out_once(tmp_path: Path) -> None:
    world = World(tmp_path, content_of(10))
    unpacks = Job("archive", world.blob, Ignored())
    plain = Job("file", world.blob)
    for jobs in ([unpacks, plain], [plain, unpacks]):
        board = Board(
            jobs,
            limits=LIMITS,
            clock=world.clock,
            observer=world.observer,
            lock_timeout=60,
        )
        assert board.take(GOES_ON) is unpacks
        board.done(unpacks, world.store.put(world.blob, world.contents[0]))
        assert board.take(GOES_ON) is None


class Ignored:
    def consume(self, reader: Reader) -> Staged:
        raise NotImplementedError


def test_who_has_to_stop_gets_nothing(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    assert desk(tmp_path, 10).board.take(stop) is None


def test_a_large_blob_that_is_claimed_is_handed_out_as_a_stretch(tmp_path: Path) -> None:
    at = desk(tmp_path, LARGE)
    assembly = at.begin()
    stretch = at.take_stretch()
    assert stretch.assembly is assembly
    assert (stretch.position, stretch.end) == (0, LARGE)
    assert assembly.gaps == ()


def test_what_is_left_of_a_stretch_is_handed_out_again(tmp_path: Path) -> None:
    at = desk(tmp_path, LARGE)
    assembly = at.begin()
    stretch = at.take_stretch()
    write(stretch, at.world.contents[0], until=MIB)
    assembly.leave(stretch)
    again = at.take_stretch()
    assert (again.position, again.end) == (MIB, LARGE)


def test_who_waits_gets_a_share_when_a_rate_is_known(tmp_path: Path) -> None:
    at = desk(tmp_path, LARGE)
    at.begin()
    stretch = at.take_stretch()
    waiting = in_background(at.take_stretch)
    stretch.rate = 1000.0
    stretch.is_waiting = True
    at.board.wake()
    shared = waiting.result(PATIENCE)
    assert Span(shared.position, shared.end) == Span(LARGE // 2, LARGE)
    assert stretch.end == LARGE // 2


def test_who_waits_is_told_when_the_last_is_done(tmp_path: Path) -> None:
    at = desk(tmp_path, 10)
    job = at.take_job()
    waiting = in_background(lambda: at.board.take(GOES_ON))
    at.done(job)
    assert waiting.result(PATIENCE) is None


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_blob_that_was_given_up_is_handed_out_again(tmp_path: Path, size: int) -> None:
    at = desk(tmp_path, size)
    for _ in range(10):
        at.board.put_back(at.take_job())
    assert at.take_job() == at.jobs[0]


def test_a_large_blob_that_was_lost_at_the_end_is_handed_out_again(tmp_path: Path) -> None:
    at = desk(tmp_path, LARGE)
    for _ in range(10):
        assembly = at.begin()
        assembly.close()
        at.board.put_back(assembly.job, assembly)
    assert at.take_job() == at.jobs[0]


# --- blobs that others have


@pytest.mark.parametrize("size", [1000, LARGE])
def test_what_others_have_keeps_nobody_from_the_rest(tmp_path: Path, size: int) -> None:
    at = desk(tmp_path, size + 2, size + 1, size)
    at.board.postpone(at.take_job(), "pid 7 on nas")
    assert sizes([at.take_job(), at.take_job()]) == [size + 1, size]
    assert at.world.clock.waits == []


def test_what_others_have_is_looked_at_again(tmp_path: Path) -> None:
    at = desk(tmp_path, 20, 10)
    theirs = at.take_job()
    at.board.postpone(theirs, "pid 7 on nas")
    at.take_job()
    at.world.clock.advance(0.6)
    assert at.take_job() == theirs
    assert at.board.was_postponed(theirs)
    assert not at.board.was_postponed(at.jobs[1])


def test_where_others_have_everything_only_the_clock_is_waited_for(tmp_path: Path) -> None:
    at = desk(tmp_path, 10)
    job = at.take_job()
    for _ in range(3):
        at.board.postpone(job, "pid 7 on nas")
        assert at.next_in_background() == job
    assert at.world.clock.waits == [0.5, 0.5, 0.5]
    at.done(job)
    assert at.board.take(GOES_ON) is None


def test_each_owner_is_named_once(tmp_path: Path) -> None:
    at = desk(tmp_path, 10)
    job = at.take_job()
    for owner in ("pid 7", "pid 7", "pid 8", "pid 8"):
        at.board.postpone(job, owner)
        at.next_in_background()
    assert at.world.observer.of(Waiting) == [Waiting("blob 0", "pid 7"), Waiting("blob 0", "pid 8")]


def test_the_time_for_others_is_counted_from_the_first_look(tmp_path: Path) -> None:
    at = desk(tmp_path, 10, timeout=60)
    job = at.take_job()
    at.board.postpone(job, "pid 7")
    at.world.clock.advance(59)
    assert at.take_job() == job
    at.board.postpone(job, "pid 8")
    at.world.clock.advance(1)
    assert at.take_job() == job
    with pytest.raises(Busy, match="pid 8"):
        at.board.postpone(job, "pid 8")


def test_a_cancel_ends_the_wait_for_others(tmp_path: Path) -> None:
    at = desk(tmp_path, 10)
    at.board.postpone(at.take_job(), "pid 7")
    stop = threading.Event()
    at.world.clock.on_wait = lambda _: stop.set()
    with pytest.raises(Cancelled):
        at.board.take(stop)


# --- hosts that have too much of us


def test_who_gave_way_is_not_replaced_for_a_while(tmp_path: Path) -> None:
    at = desk(tmp_path, LARGE, LARGE - 1)
    at.begin()
    at.take_stretch()
    at.board.crowd(1)
    waiting = in_background(at.take_job)
    # Whatever it does until then, it has nothing.
    at.board.wake()
    assert not waiting.done()
    at.world.clock.advance(30)
    at.board.wake()
    assert waiting.result(PATIENCE) == at.jobs[1]


def test_there_are_blobs_enough_for_every_core_or_not(tmp_path: Path) -> None:
    at = desk(tmp_path, LARGE, LARGE - 1, 1000)
    assert at.board.is_busy
    first = at.begin()
    at.take_stretch()
    assert at.board.is_busy
    at.done(first.job, first)
    assert not at.board.is_busy


def test_the_blobs_are_known_by_their_digests(tmp_path: Path) -> None:
    at = desk(tmp_path, 10)
    job = at.take_job()
    at.done(job)
    stored: dict[Digest, StoredBlob] = at.board.blobs
    assert stored[job.blob.digest].path.read_bytes() == at.world.contents[0]

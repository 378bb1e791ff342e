"""A blob in the making: who brings what, the hash behind it, and the file that must not close."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from itertools import pairwise
from pathlib import Path

import pytest

from oci_pull.errors import (
    Cancelled,
    DamagedArchive,
    DigestMismatch,
    NoSpace,
    OciPullError,
    UnsafeArchive,
)
from oci_pull.events import Committed, Restarted, Started, Verified
from oci_pull.fetch.assembly import BUFFER, Assembly
from oci_pull.oci.digest import Bytes
from oci_pull.oci.ranges import Span
from oci_pull.oci.verify import Verified as Proof
from oci_pull.ports import Job, Reader, StoredBlob
from tests.fakes.memory import PATIENCE, MemoryPartial
from tests.unit.fetch.support import World, content_of, in_background, write

KIB = 1024
RECORDED = 512 * KIB
SIZE = 3_000_000
CONTENT = content_of(SIZE)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, CONTENT)


def bring(assembly: Assembly, start: int, end: int, content: bytes = CONTENT) -> None:
    stretch = assembly.take(Span(start, end))
    write(stretch, content)
    assembly.leave(stretch)


def stored_bytes(stored: StoredBlob | None) -> bytes:
    assert stored
    return stored.path.read_bytes()


def finishing(assembly: Assembly) -> Future[StoredBlob | None]:
    return in_background(assembly.finish)


# --- hashing


def test_what_one_connection_brings_is_hashed_on_the_way(world: World) -> None:
    assembly = world.assembly(inline=True)
    preads = spy(world.store.partial(world.blob), "pread")
    bring(assembly, 0, 1_000_000)
    bring(assembly, 1_000_000, SIZE)
    assert stored_bytes(assembly.finish()) == CONTENT
    assert preads == []


def spy(partial: MemoryPartial, name: str) -> list[int]:
    calls: list[int] = []
    original = getattr(partial, name)

    def spied(*args: object) -> object:
        calls.append(1)
        return original(*args)

    setattr(partial, name, spied)
    return calls


def test_what_comes_before_its_turn_is_followed(world: World) -> None:
    assembly = world.assembly(inline=True)
    front = assembly.take(Span(0, 2_000_000))
    write(front, CONTENT, until=500_000)
    behind = assembly.take(Span(2_000_000, SIZE))
    done = finishing(assembly)
    write(behind, CONTENT)
    write(front, CONTENT)
    assembly.leave(front)
    assembly.leave(behind)
    assert stored_bytes(done.result(PATIENCE)) == CONTENT


@pytest.mark.parametrize("seed", range(8))
def test_several_connections_in_any_order_make_the_blob(world: World, seed: int) -> None:
    dice = random.Random(seed)
    cuts = [0, *sorted(dice.sample(range(1, SIZE), 6)), SIZE]
    spans = [Span(*pair) for pair in pairwise(cuts)]
    partial = world.store.partial(world.blob)
    for here in dice.sample(spans, seed % 4):
        partial.put((here.start, CONTENT[here.start : here.end]))
    assembly = world.assembly(inline=bool(seed % 2))
    done = finishing(assembly)
    stretches = [assembly.take(span) for span in spans if span not in partial.present]
    dice.shuffle(stretches)

    def work(number: int) -> None:
        for stretch in stretches[number::3]:
            write(stretch, CONTENT, piece=dice.choice([7000, BUFFER]))
            assembly.leave(stretch)

    workers = [in_background(lambda n=n: work(n)) for n in range(3)]  # type: ignore[misc]
    for worker in workers:
        worker.result(PATIENCE)
    assert stored_bytes(done.result(PATIENCE)) == CONTENT


def test_what_an_earlier_run_left_is_hashed_while_the_holes_are_filled(world: World) -> None:
    partial = world.store.partial(world.blob)
    partial.put((100, CONTENT[100:900_000]), (1_000_000, CONTENT[1_000_000:]))
    assembly = world.assembly(inline=True)
    assert assembly.gaps == (Span(0, 100), Span(900_000, 1_000_000))
    done = finishing(assembly)
    for gap in assembly.gaps:
        bring(assembly, gap.start, gap.end)
    assert stored_bytes(done.result(PATIENCE)) == CONTENT


def test_nothing_is_committed_while_somebody_still_writes(world: World) -> None:
    assembly = world.assembly()
    stretch = assembly.take(Span(0, SIZE))
    done = finishing(assembly)
    write(stretch, CONTENT)
    world.observer.wait_for(Verified)
    assert world.observer.of(Committed) == []
    assert not done.done()
    assembly.leave(stretch)
    assert stored_bytes(done.result(PATIENCE)) == CONTENT


# --- who brings what


def test_a_stretch_that_is_divided_leaves_a_gap(world: World) -> None:
    assembly = world.assembly()
    assembly.take(Span(0, SIZE))
    assembly.divide(0, 1_000_000)
    assert assembly.gaps == (Span(1_000_000, SIZE),)
    assert [each.left for each in assembly.transfer.streams] == [Span(0, 1_000_000)]


@pytest.mark.parametrize("at", [2 * BUFFER + 999_999, SIZE, SIZE + 1, 5])
def test_nothing_is_divided_where_its_reader_may_be_already(world: World, at: int) -> None:
    assembly = world.assembly()
    write(assembly.take(Span(0, SIZE)), CONTENT, until=1_000_000)
    assembly.divide(0, at)
    assembly.divide(1, SIZE // 2)
    assert assembly.gaps == ()


def test_what_was_not_brought_is_a_gap_again(world: World) -> None:
    assembly = world.assembly()
    stretch = assembly.take(Span(0, SIZE))
    write(stretch, CONTENT, until=400_000)
    assembly.leave(stretch)
    assert assembly.gaps == (Span(400_000, SIZE),)
    assert assembly.transfer.streams == ()


def test_who_is_asked_sends_the_rest_of_the_stretch(world: World) -> None:
    assembly = world.assembly()
    stretch = assembly.take(Span(0, SIZE))
    write(stretch, CONTENT, until=400_000)
    assembly.divide(0, 1_000_000)
    assert assembly.ask(stretch) == Span(400_000, 1_000_000)
    assembly.has_ranges = False
    assert assembly.ask(stretch) == Span(0, SIZE)


def test_bytes_that_are_here_can_be_read(world: World) -> None:
    world.store.partial(world.blob).put((100, CONTENT[100:200]))
    assembly = world.assembly()
    assert assembly.read(Span(110, 200)) == CONTENT[110:200]
    assert assembly.read(Span(110, 201)) is None


# --- servers without ranges


def test_alone_it_goes_on_and_brings_all_that_is_behind_it(world: World) -> None:
    partial = world.store.partial(world.blob)
    partial.put((0, CONTENT[:1000]), (5000, CONTENT[5000:6000]))
    assembly = world.assembly()
    stretch = assembly.take(Span(1000, 5000))
    assert assembly.without_ranges(stretch)
    assert (stretch.position, stretch.end) == (1000, SIZE)
    assert assembly.gaps == ()
    assert not assembly.transfer.has_ranges
    write(stretch, CONTENT)
    assembly.leave(stretch)
    assert stored_bytes(assembly.finish()) == CONTENT


def test_who_wants_a_part_only_stays_with_it(world: World) -> None:
    assembly = world.assembly()
    stretch = assembly.take(Span(1000, 5000), is_fixed=True)
    assert assembly.without_ranges(stretch)
    assert stretch.end == 5000


def test_who_joined_leaves_it_to_the_one_that_gets_everything(world: World) -> None:
    assembly = world.assembly()
    everything = assembly.take(Span(0, SIZE))
    assert assembly.ask(everything) == Span(0, SIZE)
    assembly.divide(0, 1_000_000)
    joined = assembly.take(Span(1_000_000, 2_000_000))
    assert not assembly.without_ranges(joined)
    assembly.leave(joined)
    assert (everything.end, assembly.gaps) == (SIZE, ())
    write(everything, CONTENT)
    assembly.leave(everything)
    assert stored_bytes(assembly.finish()) == CONTENT


def test_the_last_of_several_ranged_ones_goes_on(world: World) -> None:
    assembly = world.assembly()
    first, second = assembly.take(Span(0, 1_000_000)), assembly.take(Span(1_000_000, 2_000_000))
    assembly.ask(first)
    assembly.ask(second)
    assert not assembly.without_ranges(second)
    assembly.leave(second)
    assert first.end == 1_000_000, "it was asked for no more than that"
    assert assembly.without_ranges(first)
    assert first.end == SIZE


def test_a_new_connection_brings_all_from_the_first_gap(world: World) -> None:
    partial = world.store.partial(world.blob)
    partial.put((0, CONTENT[:1000]), (5000, CONTENT[5000:6000]))
    assembly = world.assembly()
    assembly.has_ranges = False
    bring(assembly, 1000, SIZE)
    assert assembly.gaps == ()
    assert stored_bytes(assembly.finish()) == CONTENT


# --- wrong bytes


def test_wrong_bytes_start_over(world: World) -> None:
    assembly = world.assembly()
    assembly.blame.origins.add("wrong:1")
    bring(assembly, 0, SIZE, bytes(SIZE))
    assert assembly.finish() is None
    assert len(world.observer.of(Restarted)) == 1
    assert assembly.gaps == (Span(0, SIZE),)
    assert (assembly.blame.avoid, len(assembly.blame.origins)) == (frozenset({"wrong:1"}), 0)
    assert world.store.partial(world.blob).discards == 1
    bring(assembly, 0, SIZE)
    assert stored_bytes(assembly.finish()) == CONTENT


def test_wrong_bytes_are_not_forgotten_under_somebody_who_writes(world: World) -> None:
    assembly = world.assembly()
    stretch = assembly.take(Span(0, SIZE))
    discarded = spy(world.store.partial(world.blob), "discard")
    done = finishing(assembly)
    write(stretch, bytes(SIZE))
    assert not world.observer.has(Restarted, within=0.2)
    assert discarded == []
    assembly.leave(stretch)
    assert done.result(PATIENCE) is None
    assert discarded


def test_wrong_bytes_again_and_again_name_who_sent_them(world: World) -> None:
    assembly = world.assembly()
    for origin in ("one:1", "two:2"):
        assembly.blame.origins.add(origin)
        bring(assembly, 0, SIZE, bytes(SIZE))
        if origin == "one:1":
            assert assembly.finish() is None
    with pytest.raises(DigestMismatch, match="blob 0 from two:2: "):
        assembly.finish()


# --- archives


class Taker:
    """A consumer of so many bytes at a time, up to a limit, which then fails as it was told to."""

    def __init__(
        self, size: int = BUFFER, limit: int = SIZE, fails: OciPullError | None = None
    ) -> None:
        self.size = size
        self.limit = limit
        self.fails = fails
        self.seen = b""
        self.log: list[str] = []

    def consume(self, reader: Reader) -> Taker:
        self.seen = b""
        while len(self.seen) < self.limit and (piece := reader.read(self.size)):
            assert len(piece) <= self.size
            self.seen += piece
        if self.fails:
            raise self.fails
        return self

    def publish(self, proof: Proof) -> None:
        self.log.append("publish")

    def discard(self) -> None:
        self.log.append("discard")


def archive(world: World, taker: Taker) -> Assembly:
    partial = world.store.claim(world.blob)
    assert isinstance(partial, MemoryPartial)
    job = Job("archive", world.blob, taker)
    return Assembly(job, partial, world.observer, world.cancel, inline=True)


@pytest.mark.parametrize("size", [999, BUFFER - 1, BUFFER, 10 * BUFFER])
def test_an_archive_is_read_in_order_while_it_comes(world: World, size: int) -> None:
    taker = Taker(size)
    assembly = archive(world, taker)
    behind, front = assembly.take(Span(1_000_000, SIZE)), assembly.take(Span(0, 1_000_000))
    done = finishing(assembly)
    for stretch in (behind, front):
        write(stretch, CONTENT, piece=10_000)
        assembly.leave(stretch)
    assert stored_bytes(done.result(PATIENCE)) == CONTENT
    assert taker.seen == CONTENT
    assert taker.log == ["publish", "discard"]


@pytest.mark.parametrize("limit", [0, 1, BUFFER, BUFFER + 1])
def test_who_needs_no_more_leaves_the_rest_to_the_hash(world: World, limit: int) -> None:
    taker = Taker(1, limit) if limit < 2 else Taker(BUFFER, limit)
    assembly = archive(world, taker)
    bring(assembly, 0, SIZE)
    assert stored_bytes(assembly.finish()) == CONTENT
    assert taker.log == ["publish", "discard"]


@pytest.mark.parametrize("error", [DamagedArchive("it is none"), UnsafeArchive("it is evil")])
@pytest.mark.parametrize("limit", [10, SIZE])
def test_a_bad_archive_with_the_right_digest_is_an_error_and_stays(
    world: World, error: OciPullError, limit: int
) -> None:
    assembly = archive(world, Taker(limit=limit, fails=error))
    bring(assembly, 0, SIZE)
    with pytest.raises(type(error)) as caught:
        assembly.finish()
    assert caught.value is error
    assert world.fetched(world.blob) == CONTENT


def test_a_bad_archive_with_a_wrong_digest_is_fetched_again(world: World) -> None:
    taker = Taker(limit=10, fails=DamagedArchive("it is none"))
    assembly = archive(world, taker)
    bring(assembly, 0, SIZE, bytes(SIZE))
    assert assembly.finish() is None
    taker.fails = None
    taker.limit = SIZE
    bring(assembly, 0, SIZE)
    assert stored_bytes(assembly.finish()) == CONTENT
    assert taker.log == ["publish", "discard"]


def test_a_good_archive_with_a_wrong_digest_is_not_published(world: World) -> None:
    taker = Taker()
    assembly = archive(world, taker)
    bring(assembly, 0, SIZE, bytes(SIZE))
    assert assembly.finish() is None
    assert taker.log == ["discard"]


def test_a_full_disk_is_told_before_the_rest_came(world: World) -> None:
    assembly = archive(world, Taker(limit=10, fails=NoSpace("the disk is full")))
    stretch = assembly.take(Span(0, SIZE))
    write(stretch, CONTENT, until=RECORDED)
    with pytest.raises(NoSpace):
        assembly.finish()
    assembly.leave(stretch)
    assert world.fetched(world.blob) is None


# --- the journal and the counters


@pytest.mark.parametrize("piece", [1000, BUFFER])
def test_a_kill_costs_half_a_megabyte_of_each_connection_at_most(world: World, piece: int) -> None:
    assembly = world.assembly()
    partial = world.store.partial(world.blob)
    first, second = assembly.take(Span(0, 1_500_000)), assembly.take(Span(1_500_000, SIZE))
    lost = []
    for position in range(0, 1_500_000, 30_000):
        for stretch in (first, second):
            write(stretch, CONTENT, until=stretch.start + position + 30_000, piece=piece)
        on_disk = sum(span.size for span in partial.present)
        lost.append(first.position + second.position - second.start - on_disk)
    assert max(lost) < 2 * RECORDED
    assert lost[-1] > 0, "not every piece is recorded"
    assembly.leave(first)
    assembly.leave(second)
    assert partial.present == (Span(0, SIZE),)


def test_the_counter_is_what_is_here_and_never_runs_backwards(world: World) -> None:
    world.store.partial(world.blob).put((0, bytes(1000)))
    assembly = world.assembly()
    assembly.announce()
    (started,) = world.observer.of(Started)
    seen = [started.counter.value]
    assert started.resumed == 1000
    bring(assembly, 1000, 501_000)
    seen.append(started.counter.value)
    bring(assembly, 501_000, SIZE)
    assert assembly.finish() is None
    seen.append(started.counter.value)
    bring(assembly, 0, 1_000_000)
    seen.append(started.counter.value)
    bring(assembly, 1_000_000, SIZE)
    assert assembly.finish()
    assert [*seen, started.counter.value] == [1000, 501_000, SIZE, SIZE, SIZE]
    assert started.hashed.value == SIZE


def test_what_is_hashed_is_written_to_the_disk_while_there_is_nothing_else_to_do(
    tmp_path: Path,
) -> None:
    """So that the end of a large blob is not the time when all of it is written."""
    content = bytes(65 * 1024 * KIB)
    world = World(tmp_path, content)
    assembly = world.assembly()
    stretch = assembly.take(Span(0, len(content)))
    synced = Held(world.store.partial(world.blob), "sync")
    synced.may_return.set()
    done = finishing(assembly)
    write(stretch, content, until=len(content) - 1, piece=1024 * KIB)
    assert assembly.blob.size - stretch.position == 1
    assert synced.inside.acquire(timeout=PATIENCE)
    write(stretch, content)
    assembly.leave(stretch)
    assert stored_bytes(done.result(PATIENCE)) == content
    assert not synced.inside.acquire(blocking=False), "once is enough"


# --- the file


Use = Callable[[Assembly], object]


def use_by_writing(assembly: Assembly) -> None:
    write(assembly.take(Span(0, 1000)), CONTENT)


def use_by_reading(assembly: Assembly) -> None:
    assembly.read(Span(SIZE - 1000, SIZE))


def use_by_finishing(assembly: Assembly) -> None:
    bring(assembly, 0, SIZE - 1000)
    assembly.finish()


class Held:
    """A method of a partial that returns when it may."""

    def __init__(self, partial: MemoryPartial, name: str) -> None:
        self.inside = threading.Semaphore(0)
        self.may_return = threading.Event()
        self._original = getattr(partial, name)
        setattr(partial, name, self)

    def __call__(self, *args: Bytes | int) -> object:
        self.inside.release()
        assert self.may_return.wait(PATIENCE)
        return self._original(*args)


@pytest.mark.parametrize(
    ("method", "use"),
    [
        ("write_at", use_by_writing),
        ("pread", use_by_reading),
        ("commit", use_by_finishing),
        ("pread", use_by_finishing),
    ],
)
def test_the_file_is_released_when_the_last_one_has_left(
    world: World, method: str, use: Use
) -> None:
    partial = world.store.partial(world.blob)
    partial.put((SIZE - 1000, CONTENT[-1000:]))
    assembly = world.assembly()
    held = Held(partial, method)
    using = in_background(lambda: use(assembly))
    assert held.inside.acquire(timeout=PATIENCE)
    assembly.close()
    assembly.close()
    assert partial.releases == 0
    held.may_return.set()
    using.exception(PATIENCE)
    assert (partial.releases, partial.is_held) == (1, False)


def test_the_file_is_released_once_by_many_who_leave(world: World) -> None:
    partial = world.store.partial(world.blob)
    partial.put((SIZE - 1000, CONTENT[-1000:]))
    assembly = world.assembly()
    held = Held(partial, "pread")
    users = [in_background(lambda: use_by_reading(assembly)) for _ in range(8)]
    for _ in users:
        assert held.inside.acquire(timeout=PATIENCE)
    assembly.close()
    held.may_return.set()
    for user in users:
        user.result(PATIENCE)
    assert partial.releases == 1


def test_a_file_that_nobody_uses_is_released_at_once(world: World) -> None:
    assembly = world.assembly()
    stretch = assembly.take(Span(0, SIZE))
    write(stretch, CONTENT, until=1000)
    assembly.close()
    partial = world.store.partial(world.blob)
    assert (partial.releases, partial.present) == (1, (Span(0, 1000),))


@pytest.mark.parametrize("use", [use_by_writing, use_by_reading, use_by_finishing])
def test_nobody_uses_a_file_that_was_released(world: World, use: Use) -> None:
    partial = world.store.partial(world.blob)
    partial.put((SIZE - 1000, CONTENT[-1000:]))
    assembly = world.assembly()
    assembly.close()
    writes, reads = spy(partial, "write_at"), spy(partial, "pread")
    with pytest.raises(Cancelled):
        use(assembly)
    assert (writes, reads) == ([], [])


def test_what_came_after_the_release_is_not_recorded(world: World) -> None:
    assembly = world.assembly()
    stretch = assembly.take(Span(0, SIZE))
    write(stretch, CONTENT, until=1000)
    assembly.close()
    records = spy(world.store.partial(world.blob), "record")
    assembly.leave(stretch)
    assert records == []


@pytest.mark.parametrize("came", [0, 1000, SIZE])
def test_a_cancel_ends_the_wait_for_bytes_and_for_who_writes(world: World, came: int) -> None:
    assembly = world.assembly()
    stretch = assembly.take(Span(0, SIZE))
    write(stretch, CONTENT, until=came)
    done = finishing(assembly)
    if came == SIZE:
        world.observer.wait_for(Verified)
    world.cancel.set()
    with pytest.raises(Cancelled):
        done.result(PATIENCE)

"""Mistakes of the engine that its tests have found."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from oci_pull.errors import BadReply, Cancelled, RateLimited, UnsupportedDigest
from oci_pull.events import Retrying, Tick, Verified
from oci_pull.fetch.board import Board
from oci_pull.fetch.crew import Crew
from oci_pull.fetch.engine import Session
from oci_pull.fetch.flows import Flows
from oci_pull.fetch.schedule import Limits, Stream, Transfer, next_step
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.ranges import Span
from oci_pull.ports import Job, StoredBlob, Taken
from tests.fakes.memory import (
    PATIENCE,
    MemoryPartial,
    MemoryStore,
    MemoryStream,
    Reply,
)
from tests.unit.fetch.support import World, content_of, in_background, write

MIB = 1024 * 1024
LARGE = content_of(9 * MIB)


# --- integrity


def test_what_was_hashed_is_not_written_over_before_the_commit(tmp_path: Path) -> None:
    """Two connections bring the same bytes: one from a server without ranges, one wrongly."""
    world = World(tmp_path, LARGE)
    assembly = world.assembly()
    assembly.announce()
    everything = assembly.take(Span(0, len(LARGE)))
    assembly.divide(0, 3 * MIB)
    refused = assembly.take(Span(3 * MIB, 6 * MIB))
    wrong = assembly.take(Span(6 * MIB, 9 * MIB))
    assert not assembly.without_ranges(refused)
    assembly.leave(refused)
    assert everything.end == len(LARGE)
    finishing = in_background(assembly.finish)
    write(everything, LARGE)
    assembly.leave(everything)
    # A moment for the mistake: all of it is hashed, and it is only waited for who writes.
    world.observer.has(Verified, within=0.5)
    write(wrong, bytes(len(LARGE)))
    assembly.leave(wrong)
    stored = finishing.result(PATIENCE)
    assert stored is None or stored.path.read_bytes() == LARGE


# --- servers without ranges


def test_an_origin_with_ranges_is_not_remembered_as_one_without(tmp_path: Path) -> None:
    """It was asked for everything, because another one has none, and sends that."""
    content = content_of(1000)
    world = World(tmp_path, content)
    world.store.partial(world.blob).put((0, content[:300]))
    world.source.script(
        world.blob,
        Reply(no_ranges=True, cut_after=400, origin="without:1"),
        Reply(origin="with:1"),
    )
    engine = world.engine()
    world.session_of(engine).fetch(world.jobs())
    assert engine.without_ranges == {"without:1"}


def test_one_bad_reply_does_not_take_an_origins_ranges_away(tmp_path: Path) -> None:
    content = content_of(1000)
    world = World(tmp_path, content)
    world.store.partial(world.blob).put((0, content[:300]))
    world.source.script(world.blob, Reply(error=BadReply("another range")))
    engine = world.engine()
    world.session_of(engine).fetch(world.jobs())
    assert engine.without_ranges == set()


def test_all_of_a_blob_comes_once_where_ranges_turn_out_to_be_none(tmp_path: Path) -> None:
    """Two ranged connections break, and the host is one without ranges from then on."""
    world = World(tmp_path, LARGE)
    assembly = world.assembly()
    first, second = (assembly.take(Span(at * MIB, (at + 3) * MIB)) for at in (0, 3))
    write(first, LARGE, until=MIB)
    assert not assembly.without_ranges(first)
    assembly.leave(first)
    # The other one would skip over the gap that the first has left, and all would come again.
    assert not assembly.without_ranges(second)


def test_what_nobody_has_brought_is_not_taken_for_here(tmp_path: Path) -> None:
    """A thread takes a gap just when another one finds that there are no ranges."""
    world = World(tmp_path, LARGE)
    assembly = world.assembly()
    front = assembly.take(Span(0, 3 * MIB))
    write(front, LARGE, until=MIB)
    assembly.has_ranges = False
    joined = assembly.take(Span(3 * MIB, 9 * MIB))
    assembly.leave(front)
    assembly.leave(joined)
    assert assembly.gaps == (Span(MIB, 9 * MIB),)


# --- connections that are taken for better than they are


def test_a_connection_that_went_silent_brings_nothing(tmp_path: Path) -> None:
    """Who asks whether others move is told that it does, for half a minute."""
    world = World(tmp_path, LARGE)
    flows = Flows(world.observer, world.clock, stall_timeout=30)
    stretch = world.assembly().take(Span(0, len(LARGE)))
    stream = MemoryStream(b"", Span(0, 1), Reply(), 1)
    with flows.opened(stream, stretch) as flow:
        flow.is_reading = True
        for second in range(15):
            flow.received += 5000 if second < 5 else 0
            world.clock.advance(1)
            flows.watch()
        assert stretch.rate is None


def test_a_connection_that_waits_for_its_first_byte_is_not_slow(tmp_path: Path) -> None:
    """A registry that fetches the blob itself first takes its time, and is not quicker if asked
    again: that is what the time for a stall is for.
    """
    world = World(tmp_path, LARGE)
    flows = Flows(world.observer, world.clock, stall_timeout=30)
    assembly = world.assembly()
    with ExitStack() as stack:
        waits, *fast = (
            stack.enter_context(
                flows.opened(
                    MemoryStream(b"", Span(0, 1), Reply(), 1),
                    assembly.take(Span(0, len(LARGE))),
                )
            )
            for _ in range(4)
        )
        for _ in range(10):
            for flow in fast:
                flow.received += 100_000
            world.clock.advance(1)
            flows.watch()
        assert waits.verdict is None


# --- the queue


def test_a_crowded_host_is_not_asked_again_for_a_blob_that_nobody_fetches() -> None:
    """Four of eight blobs are served, as many as the host allows."""
    served = Transfer(64 * MIB, (), (Stream(Span(MIB, 64 * MIB), 1e6),))
    refused = Transfer(64 * MIB, (Span(0, 64 * MIB),), ())
    step = next_step(
        [served] * 4 + [refused] * 4,
        large=False,
        small=False,
        beginning=0,
        small_running=0,
        limits=Limits(4, 4, 2),
    )
    assert step is None


def test_a_server_with_few_connections_serves_many_small_blobs(tmp_path: Path) -> None:
    """Those that are refused leave it to those that are served, as with large ones."""
    world = World(tmp_path, *(content_of(1000 + seed, seed) for seed in range(6)))
    hold = threading.Event()
    world.source.usual = Reply(hold=hold)
    world.source.most = 2
    # A wait lasts until those that are served could have gone on, as a real one does.
    world.clock.on_wait = lambda _: world.observer.await_next(Tick)
    fetching = in_background(lambda: world.session(jobs=8).fetch(world.jobs()))
    world.observer.wait_for(Retrying, 4, unless=fetching)
    hold.set()
    assert len(fetching.result(PATIENCE)) == 6


def test_a_server_that_says_retry_at_once_is_not_asked_without_end(tmp_path: Path) -> None:
    world = World(tmp_path, LARGE, content_of(9 * MIB - 1, 2))
    throttle = world.throttled(2)
    hold = threading.Event()
    world.source.script(world.blobs[1], Reply(hold=hold, cut_after=0))
    world.source.refusal = RateLimited("429", retry_after=0)
    fetching = in_background(lambda: world.session(jobs=2).fetch(world.jobs()))
    world.observer.wait_for(Tick, 5)
    world.source.most = 1
    hold.set()
    world.observer.wait_for(Tick, 15, unless=fetching)
    refused = world.source.refused
    throttle.open()
    assert len(fetching.result(PATIENCE)) == 2
    assert refused < 20


class Twice:
    """A cancel that comes when it was asked about for the third time."""

    def __init__(self) -> None:
        self.asked = 0

    def is_set(self) -> bool:
        self.asked += 1
        return self.asked > 2


def test_who_has_nothing_to_do_waits_for_us_and_not_for_others(tmp_path: Path) -> None:
    """Another process had the blob, and this one fetches it now: it may need help at any time."""
    world = World(tmp_path, content_of(1000))
    board = Board(
        world.jobs(),
        limits=Limits(4, 4, 2),
        clock=world.clock,
        observer=world.observer,
        lock_timeout=60,
    )
    (job,) = world.jobs()
    assert board.take(threading.Event()) == job
    board.postpone(job, "pid 7 on nas")
    assert board.take(threading.Event()) == job
    before = list(world.clock.waits)
    assert board.take(Twice()) is None
    assert world.clock.waits == before


@pytest.mark.parametrize(
    "fetch",
    [
        lambda session, blob: session.fetch([Job("a config", blob)]),
        lambda session, blob: session.read([(blob, Span(0, 10))]),
    ],
)
def test_a_blob_that_could_never_be_checked_is_nobodys(
    fetch: Callable[[Session, Descriptor], object], tmp_path: Path
) -> None:
    """Or the next pull of this process would wait for this one."""
    world = World(tmp_path)
    blob = Descriptor("", Digest("sha384", "0" * 96), 100)
    session = world.session()
    with pytest.raises(UnsupportedDigest):
        fetch(session, blob)
    assert not list(world.store.held)


# --- the end


def test_a_cancel_says_that_what_was_fetched_is_kept(tmp_path: Path) -> None:
    """Whether a thread notices it before the one that waits or not."""
    world = World(tmp_path, b"")
    flows = Flows(world.observer, world.clock, stall_timeout=30)
    crew = Crew(world.cancel, world.observer, world.clock, flows)

    def work() -> None:
        world.cancel.set()
        raise Cancelled("stopped")

    with pytest.raises(Cancelled, match="what was fetched is kept"):
        crew.run([work], lambda: None)


class SlowStore(MemoryStore):
    """A claim hangs, as on a network file system."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.is_asked = threading.Event()
        self.may_answer = threading.Event()
        self.released = threading.Event()

    def claim(self, blob: Descriptor) -> StoredBlob | MemoryPartial | Taken:
        self.is_asked.set()
        assert self.may_answer.wait(PATIENCE)
        claimed = super().claim(blob)
        if isinstance(claimed, MemoryPartial):
            release = claimed.release

            def releasing() -> None:
                release()
                self.released.set()

            claimed.release = releasing  # type: ignore[method-assign]
        return claimed


def test_a_claim_that_comes_after_the_end_is_given_up(tmp_path: Path) -> None:
    world = World(tmp_path, content_of(9 * MIB))
    store = world.store = SlowStore(tmp_path)
    fetching = in_background(lambda: world.session(jobs=1).fetch(world.jobs()))
    assert store.is_asked.wait(PATIENCE)
    world.cancel.set()
    with pytest.raises(Cancelled):
        fetching.result(PATIENCE)
    store.may_answer.set()
    assert store.released.wait(PATIENCE), "this process owns the partial for as long as it lives"


def test_a_connection_that_comes_after_the_end_is_cut(tmp_path: Path) -> None:
    world = World(tmp_path, content_of(1000))
    connects = threading.Event()
    world.source.script(world.blob, Reply(connects=connects, hold=threading.Event()))
    fetching = in_background(lambda: world.session(jobs=1).fetch(world.jobs()))
    world.source.wait_for_requests(1)
    world.cancel.set()
    with pytest.raises(Cancelled):
        fetching.result(PATIENCE)
    connects.set()
    (stream,) = world.source.streams
    assert stream.closed.wait(PATIENCE), "nobody will ever cut it, and it may be silent for ever"

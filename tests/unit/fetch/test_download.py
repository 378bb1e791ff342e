"""One blob: resumed, cut, wrong, taken by others, given up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from oci_pull.errors import (
    BlobUnknown,
    Busy,
    Cancelled,
    ConnectionFailed,
    DamagedArchive,
    DigestMismatch,
    NoSpace,
    OciPullError,
    RateLimited,
    ServerFailed,
    SizeMismatch,
)
from oci_pull.events import (
    Committed,
    Counter,
    Restarted,
    Retrying,
    Reused,
    Started,
    Unpacking,
    Waiting,
)
from oci_pull.fetch.retry import Patience
from oci_pull.oci.ranges import Span
from oci_pull.oci.verify import Verified
from oci_pull.ports import Job, Reader
from tests.fakes.memory import ORIGIN, PATIENCE, MemoryPartial, Reply
from tests.unit.fetch.support import World, content_of, in_background

SIZE = 1_000_000
CONTENT = content_of(SIZE)
RECORDED = 512 * 1024
CUT = ConnectionFailed("it was cut")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, CONTENT)


# --- resuming


def test_a_blob_is_fetched_in_one_go(world: World) -> None:
    session = world.session()
    found = session.fetch(world.jobs())
    assert found[world.blob.digest].path.read_bytes() == CONTENT
    assert world.source.spans(world.blob) == [Span(0, SIZE)]
    assert session.fetched == SIZE
    assert world.observer.of(Committed) == [Committed("blob 0", world.blob.digest, SIZE)]
    assert all(stream.closed.is_set() for stream in world.source.streams)


def test_an_empty_blob_needs_no_connection(tmp_path: Path) -> None:
    world = World(tmp_path, b"")
    world.session().fetch(world.jobs())
    assert world.fetched(world.blob) == b""
    assert world.source.opened == []


def test_only_what_is_missing_is_fetched(world: World) -> None:
    world.store.partial(world.blob).put((0, CONTENT[:300_000]), (500_000, CONTENT[500_000:700_000]))
    session = world.session()
    session.fetch(world.jobs())
    assert world.fetched(world.blob) == CONTENT
    assert world.source.spans(world.blob) == [Span(300_000, 500_000), Span(700_000, SIZE)]
    assert session.fetched == SIZE - 500_000
    (started,) = world.observer.of(Started)
    assert (started.size, started.resumed, started.counter.value) == (SIZE, 500_000, SIZE)


def test_a_blob_that_is_there_is_not_fetched(world: World) -> None:
    world.store.put(world.blob, CONTENT)
    session = world.session()
    assert session.fetch(world.jobs())[world.blob.digest].path.read_bytes() == CONTENT
    assert (world.source.opened, session.fetched) == ([], 0)
    assert world.observer.events == [Reused("blob 0", world.blob.digest, SIZE)]


def test_a_complete_partial_is_proved_and_not_fetched(world: World) -> None:
    world.store.partial(world.blob).put((0, CONTENT))
    world.session().fetch(world.jobs())
    assert world.fetched(world.blob) == CONTENT
    assert world.source.opened == []


# --- connections that break


@pytest.mark.parametrize("cut_after", [1, 1000, 100_000, 131_072, 400_000])
def test_every_cut_connection_makes_progress(world: World, cut_after: int) -> None:
    """Fewer bytes than a buffer are progress too."""
    world.source.script(world.blob, *[Reply(cut_after=cut_after)] * 9)
    session = world.session(patience=Patience(retries=1))
    session.fetch(world.jobs())
    assert world.fetched(world.blob) == CONTENT
    assert session.fetched == SIZE
    assert [span.start for span in world.source.spans(world.blob)] == [
        n * cut_after for n in range(10) if n * cut_after < SIZE
    ]
    retries = world.observer.of(Retrying)
    assert {(each.attempt, each.attempts, each.wait) for each in retries} == {(1, 1, 0.0)}
    assert all(stream.closed.is_set() for stream in world.source.streams)


def test_a_body_that_ends_early_is_asked_for_again(world: World) -> None:
    world.source.script(world.blob, Reply(ends_after=250_000), Reply(ends_after=0))
    world.session().fetch(world.jobs())
    assert world.fetched(world.blob) == CONTENT
    assert [span.start for span in world.source.spans(world.blob)] == [0, 250_000, 250_000]


def test_without_progress_it_gives_up_and_keeps_what_it_has(world: World) -> None:
    world.source.script(world.blob, Reply(cut_after=300_000), *[Reply(error=CUT)] * 9)
    with pytest.raises(ConnectionFailed):
        world.session(patience=Patience(retries=3)).fetch(world.jobs())
    # The first after progress is at once.
    assert world.clock.waits == [0.5, 1.0]
    partial = world.store.partial(world.blob)
    assert partial.present == (Span(0, 300_000),)
    assert partial.data[:300_000] == CONTENT[:300_000]
    assert (partial.is_held, partial.releases, partial.discards) == (False, 1, 0)


def test_what_does_not_help_is_not_asked_again(world: World) -> None:
    world.source.script(world.blob, Reply(error=BlobUnknown("no such blob")))
    with pytest.raises(BlobUnknown):
        world.session().fetch(world.jobs())
    assert world.clock.waits == []


@pytest.mark.parametrize(
    "error", [RateLimited("429", retry_after=42), ServerFailed("503", retry_after=42)]
)
def test_retry_after_is_obeyed_to_the_second(world: World, error: OciPullError) -> None:
    world.source.script(world.blob, Reply(error=error))
    world.session().fetch(world.jobs())
    assert world.clock.waits == [42]
    assert world.observer.of(Retrying) == [Retrying("blob 0", 1, 8, 42, error.message)]


def test_a_server_that_wants_too_long_a_wait_is_left(world: World) -> None:
    world.source.script(world.blob, Reply(error=RateLimited("429", retry_after=301)))
    with pytest.raises(RateLimited):
        world.session().fetch(world.jobs())
    assert world.clock.waits == []


# --- servers without ranges


def test_a_server_without_ranges_is_read_from_the_start(world: World) -> None:
    world.store.partial(world.blob).put((0, CONTENT[:300_000]))
    world.source.script(world.blob, Reply(no_ranges=True))
    session = world.session()
    session.fetch(world.jobs())
    assert world.fetched(world.blob) == CONTENT
    assert world.observer.of(Restarted) == []
    # Every byte that came over the network counts, also those that were here already.
    assert session.fetched == SIZE


def test_a_server_without_ranges_that_cuts_before_anything_new_is_given_up(world: World) -> None:
    world.store.partial(world.blob).put((0, CONTENT[:300_000]))
    world.source.script(world.blob, *[Reply(no_ranges=True, cut_after=200_000)] * 9)
    with pytest.raises(ConnectionFailed):
        world.session(patience=Patience(retries=2)).fetch(world.jobs())
    assert len(world.source.opened) == 3
    assert world.store.partial(world.blob).present == (Span(0, 300_000),)


# --- wrong bytes


def test_a_wrong_prefix_of_an_earlier_run_starts_over_once(world: World) -> None:
    world.store.partial(world.blob).put((0, bytes(300_000)))
    session = world.session()
    session.fetch(world.jobs())
    assert world.fetched(world.blob) == CONTENT
    assert world.source.spans(world.blob) == [Span(300_000, SIZE), Span(0, SIZE)]
    assert len(world.observer.of(Restarted)) == 1
    assert session.fetched == 2 * SIZE - 300_000


def test_a_wrong_fresh_download_is_tried_once_more(world: World) -> None:
    world.source.script(world.blob, Reply(corrupt=True))
    world.session().fetch(world.jobs())
    assert world.fetched(world.blob) == CONTENT
    assert len(world.observer.of(Restarted)) == 1


@pytest.mark.parametrize(("left", "tries"), [(b"", 2), (bytes(1000), 3)])
def test_what_stays_wrong_is_a_digest_mismatch(world: World, left: bytes, tries: int) -> None:
    if left:
        world.store.partial(world.blob).put((0, left))
    world.source.script(world.blob, *[Reply(corrupt=True)] * 9)
    with pytest.raises(DigestMismatch, match=str(world.blob.digest)) as caught:
        world.session().fetch(world.jobs())
    assert str(caught.value).startswith(f"blob 0 from {ORIGIN}: ")
    assert caught.value.hint
    partial = world.store.partial(world.blob)
    assert len(world.source.opened) == partial.discards == tries
    assert world.fetched(world.blob) is None
    assert partial.present == ()


def test_another_size_of_the_servers_costs_nothing_that_is_here(world: World) -> None:
    """A proxy that answers one request with a page of its own is no reason to start over."""
    world.store.partial(world.blob).put((0, CONTENT[:300_000]))
    world.source.script(world.blob, Reply(error=SizeMismatch("it has 17 bytes")))
    world.session().fetch(world.jobs())
    assert world.fetched(world.blob) == CONTENT
    assert world.source.spans(world.blob) == [Span(300_000, SIZE), Span(300_000, SIZE)]
    assert world.store.partials == {}


def test_another_size_for_good_is_told_at_once(world: World) -> None:
    world.store.partial(world.blob).put((0, CONTENT[:300_000]))
    world.source.script(world.blob, *[Reply(error=SizeMismatch("it has 17 bytes"))] * 9)
    with pytest.raises(SizeMismatch, match="blob 0: it has 17 bytes"):
        world.session().fetch(world.jobs())
    assert world.clock.waits == []
    assert world.store.partial(world.blob).present == (Span(0, 300_000),)


def test_a_data_file_that_is_shorter_than_its_journal_starts_over(world: World) -> None:
    partial = world.store.partial(world.blob)
    partial.put((0, CONTENT[:300_000]))
    del partial.data[200_000:]
    grown: list[int] = []

    def grow() -> None:
        grown.append(len(partial.data))
        partial.data.extend(bytes(SIZE - len(partial.data)))

    discard = partial.discard
    partial.discard = lambda: (discard(), grow())[0]  # type: ignore[method-assign, func-returns-value]
    world.session().fetch(world.jobs())
    assert world.fetched(world.blob) == CONTENT
    assert grown == [200_000 + SIZE - 300_000], "what was fetched came behind the end"


# --- the counters and the journal


def test_the_counter_never_runs_backwards(tmp_path: Path) -> None:
    world = World(tmp_path, CONTENT, piece=10_000)
    world.store.partial(world.blob).put((0, bytes(300_000)))
    world.source.script(world.blob, Reply(cut_after=300_000), Reply(), Reply(cut_after=50_000))
    seen: list[int] = []

    def look(_: int) -> None:
        seen.append(world.observer.of(Started)[0].counter.value)

    discard = world.store.partial(world.blob).discard

    def discarding() -> None:
        look(0)
        discard()

    world.store.partial(world.blob).discard = discarding  # type: ignore[method-assign]
    world.clock.on_wait = look
    world.session().fetch(world.jobs())
    look(0)
    assert seen == sorted(seen) == [SIZE, SIZE]


def test_a_long_download_is_recorded_on_the_way(tmp_path: Path) -> None:
    content = content_of(2 * RECORDED + 500_000)
    world = World(tmp_path, content)
    seen: list[tuple[Span, ...]] = []
    world.source.script(world.blob, Reply(cut_after=RECORDED + 1000))
    with pytest.raises(ConnectionFailed):
        world.session(patience=Patience(retries=0)).fetch(world.jobs())
    partial = world.store.partial(world.blob)
    assert partial.present == (Span(0, RECORDED + 1000),)
    record = partial.record
    partial.record = lambda span: (record(span), seen.append(partial.present))[0]  # type: ignore[method-assign, func-returns-value]
    world.session().fetch(world.jobs())
    assert [spans[0].end for spans in seen] == [2 * RECORDED + 1000, len(content)]


def test_a_full_disk_ends_it_and_keeps_what_was_recorded(world: World) -> None:
    world.store.partial(world.blob).put((0, CONTENT[:300_000]))
    world.store.disk_error = NoSpace("the disk is full")
    with pytest.raises(NoSpace):
        world.session().fetch(world.jobs())
    partial = world.store.partial(world.blob)
    assert (partial.present, partial.is_held) == ((Span(0, 300_000),), False)


# --- others


def test_what_another_process_fetches_is_waited_for_and_reused(world: World) -> None:
    world.store.taken_by[world.blob.digest] = "pid 7 on nas"

    def finish(count: int) -> None:
        if count == 3:
            del world.store.taken_by[world.blob.digest]
            world.store.put(world.blob, CONTENT)

    world.clock.on_wait = finish
    session = world.session()
    session.fetch(world.jobs())
    assert world.observer.of(Waiting) == [Waiting("blob 0", "pid 7 on nas")]
    assert (world.source.opened, session.fetched) == ([], 0)


def test_what_another_process_gave_up_is_gone_on_with(world: World) -> None:
    world.store.taken_by[world.blob.digest] = "pid 7 on nas"

    def give_up(count: int) -> None:
        if count == 2:
            world.store.taken_by[world.blob.digest] = "pid 8 on nas"
        if count == 4:
            del world.store.taken_by[world.blob.digest]
            world.store.partial(world.blob).put((0, CONTENT[:300_000]))

    world.clock.on_wait = give_up
    world.session().fetch(world.jobs())
    assert [each.owner for each in world.observer.of(Waiting)] == ["pid 7 on nas", "pid 8 on nas"]
    assert world.source.spans(world.blob) == [Span(300_000, SIZE)]


def test_nobody_is_waited_for_longer_than_the_lock_timeout(world: World) -> None:
    world.store.taken_by[world.blob.digest] = "pid 7 on nas"
    before = world.clock.now()
    with pytest.raises(Busy, match="pid 7 on nas"):
        world.session(patience=Patience(lock_timeout=12)).fetch(world.jobs())
    assert world.clock.now() - before == pytest.approx(12, abs=1)


def test_a_blob_that_is_taken_over_at_the_end_is_waited_for(world: World) -> None:
    world.store.steals.append("pid 9 on nas")

    def finish(count: int) -> None:
        world.store.taken_by.clear()
        world.store.put(world.blob, CONTENT)

    world.clock.on_wait = finish
    world.session().fetch(world.jobs())
    assert world.observer.of(Waiting) == [Waiting("blob 0", "pid 9 on nas")]
    assert len(world.source.opened) == 1
    assert not list(world.store.held)


# --- stopping


@pytest.mark.parametrize("left", [300_000, SIZE])
def test_a_cancel_stops_the_hashing_of_what_is_there(tmp_path: Path, left: int) -> None:
    world = World(tmp_path, CONTENT)
    partial = world.store.partial(world.blob)
    partial.put((0, CONTENT[:left]))
    pread = partial.pread

    def cancelling(view: memoryview, offset: int) -> int:
        world.cancel.set()
        return pread(view, offset)

    partial.pread = cancelling  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        world.session().fetch(world.jobs())
    assert partial.present == (Span(0, SIZE),), "what came is kept"


def test_a_cancel_while_bytes_are_skipped_stops(world: World) -> None:
    world.store.partial(world.blob).put((0, CONTENT[:900_000]))
    open_ = world.source.open

    def cancelling(*args: object, **named: object) -> object:
        stream = cast("Callable[..., object]", open_)(*args, **named)
        world.cancel.set()
        return stream

    world.source.script(world.blob, Reply(no_ranges=True))
    world.source.open = cancelling  # type: ignore[method-assign, assignment]
    with pytest.raises(Cancelled):
        world.session().fetch(world.jobs())
    assert world.store.partial(world.blob).present == (Span(0, 900_000),)


def test_a_cancel_between_two_bytes_stops(world: World) -> None:
    hold = threading.Event()
    world.source.script(world.blob, Reply(hold=hold))
    with ThreadPoolExecutor(1) as executor:
        fetching = executor.submit(lambda: world.session().fetch(world.jobs()))
        world.source.wait_for_streams(1)
        world.cancel.set()
        hold.set()
        with pytest.raises(Cancelled):
            fetching.result()
    assert world.store.partial(world.blob).present == ()


def test_a_cancel_while_a_rate_limit_is_waited_out_stops(world: World) -> None:
    world.source.script(world.blob, Reply(error=RateLimited("429", retry_after=100)))
    world.clock.on_wait = lambda _: world.cancel.set()
    with pytest.raises(Cancelled):
        world.session().fetch(world.jobs())
    assert len(world.source.opened) == 1
    assert not list(world.store.held)


# --- a few bytes


@pytest.mark.parametrize("taken", [False, True])
def test_a_few_bytes_are_read(world: World, taken: bool) -> None:
    if taken:
        world.store.taken_by[world.blob.digest] = "pid 7 on nas"
    world.source.script(world.blob, Reply(cut_after=10), Reply(no_ranges=True))
    wanted = [(world.blob, Span(100, 300)), (world.blob, Span(150, 250))]
    session = world.session(jobs=1)
    assert list(session.read(wanted)) == [CONTENT[100:300], CONTENT[150:250]]
    assert len(world.source.opened) == (3 if taken else 2)
    # They are kept, unless they belong to whoever has the blob.
    assert world.store.partial(world.blob).present == (() if taken else (Span(100, 300),))
    assert not list(world.store.held)


def test_what_was_read_is_not_fetched_again(world: World) -> None:
    session = world.session()
    assert list(session.read([(world.blob, Span(0, 300_000))])) == [CONTENT[:300_000]]
    session.fetch(world.jobs())
    assert world.source.spans(world.blob) == [Span(0, 300_000), Span(300_000, SIZE)]
    assert session.fetched == SIZE


def test_a_few_bytes_of_a_stored_blob_need_no_connection(world: World) -> None:
    world.store.put(world.blob, CONTENT)
    assert list(world.session().read([(world.blob, Span(100, 300))])) == [CONTENT[100:300]]
    assert world.source.opened == []


def test_reading_fails_as_fetching_does(world: World) -> None:
    world.source.script(world.blob, *[Reply(error=ServerFailed("503"))] * 9)
    with pytest.raises(ServerFailed):
        world.session().read([(world.blob, Span(100, 300))])
    assert {each.name for each in world.observer.of(Retrying)} == {str(world.blob.digest)}
    assert not list(world.store.held)


# --- archives


class Unpacker:
    """A consumer that notes what it was given and what became of it."""

    def __init__(
        self, consume: OciPullError | None = None, publish: OciPullError | None = None
    ) -> None:
        self.fails = consume
        self.publish_fails = publish
        self.seen = b""
        self.log: list[str] = []

    def consume(self, reader: Reader) -> Unpacker:
        while piece := reader.read(100_000):
            self.seen += piece
        if self.fails:
            raise self.fails
        return self

    def publish(self, proof: Verified) -> None:
        self.log.append(f"publish {proof.descriptor.digest.short}")
        if self.publish_fails:
            raise self.publish_fails

    def discard(self) -> None:
        self.log.append("discard")


@pytest.mark.parametrize("is_stored", [False, True])
def test_an_archive_is_unpacked_with_proof(world: World, is_stored: bool) -> None:
    if is_stored:
        world.store.put(world.blob, CONTENT)
    unpacker = Unpacker()
    world.session().fetch(world.jobs(unpacker))
    assert unpacker.seen == CONTENT
    assert unpacker.log == [f"publish {world.blob.digest.short}", "discard"]
    assert world.observer.of(Unpacking) == [Unpacking("blob 0", SIZE, Counter())]
    assert world.observer.of(Unpacking)[0].counter.value == SIZE


def test_an_archive_that_is_none_is_an_error_and_its_blob_stays(world: World) -> None:
    unpacker = Unpacker(consume=DamagedArchive("it ends early"))
    with pytest.raises(DamagedArchive):
        world.session().fetch(world.jobs(unpacker))
    assert unpacker.log == []
    assert world.fetched(world.blob) == CONTENT


def test_what_cannot_be_published_is_discarded(world: World) -> None:
    unpacker = Unpacker(publish=NoSpace("the disk is full"))
    with pytest.raises(NoSpace):
        world.session().fetch([Job("archive", world.blob, unpacker)])
    assert unpacker.log[-1] == "discard"


# --- large blobs, which several connections may bring and a thread of its own finishes


MIB = 1024 * 1024
#: The clock runs as fast as several threads look at it.
ENDLESS = Patience(lock_timeout=float("inf"))
LARGE = content_of(9 * MIB)


@pytest.fixture
def large(tmp_path: Path) -> World:
    return World(tmp_path, LARGE, piece=MIB)


def assert_fetched(world: World) -> None:
    assert all(
        world.fetched(blob) == content
        for blob, content in zip(world.blobs, world.contents, strict=True)
    )
    assert not list(world.store.held)
    assert world.source.serving == []


def test_a_large_blob_is_fetched_in_one_go_where_nobody_helps(large: World) -> None:
    session = large.session()
    session.fetch(large.jobs())
    assert_fetched(large)
    assert large.source.spans(large.blob) == [Span(0, len(LARGE))]
    assert session.fetched == len(LARGE)


@pytest.mark.parametrize("cut_after", [1, 1_000_000, 3 * MIB])
def test_a_large_blob_survives_cuts(large: World, cut_after: int) -> None:
    large.source.script(large.blob, *[Reply(cut_after=cut_after)] * 5)
    session = large.session(patience=Patience(retries=1))
    session.fetch(large.jobs())
    assert_fetched(large)
    assert session.fetched == len(LARGE)


def test_of_a_large_blob_only_the_holes_are_fetched(large: World) -> None:
    partial = large.store.partial(large.blob)
    partial.put((0, LARGE[: 2 * MIB]), (3 * MIB, LARGE[3 * MIB : 5 * MIB]))
    session = large.session()
    session.fetch(large.jobs())
    assert_fetched(large)
    assert large.source.spans(large.blob) == [
        Span(2 * MIB, 3 * MIB),
        Span(5 * MIB, 9 * MIB),
    ]
    assert session.fetched == 5 * MIB


def test_a_large_complete_partial_is_proved_and_not_fetched(large: World) -> None:
    large.store.partial(large.blob).put((0, LARGE))
    large.session().fetch(large.jobs())
    assert_fetched(large)
    assert large.source.opened == []


def test_a_large_blob_is_read_from_the_start_where_there_are_no_ranges(large: World) -> None:
    partial = large.store.partial(large.blob)
    partial.put((0, LARGE[: 2 * MIB]), (3 * MIB, LARGE[3 * MIB : 5 * MIB]))
    large.source.usual = Reply(no_ranges=True)
    session = large.session()
    session.fetch(large.jobs())
    assert_fetched(large)
    assert session.fetched == len(LARGE)


@pytest.mark.parametrize("is_followed", [False, True])
def test_a_large_blob_that_came_wrong_is_fetched_again(large: World, is_followed: bool) -> None:
    large.source.script(large.blob, Reply(corrupt=True, origin="wrong:1"))
    # With one core, one blob is enough to keep it busy, and is hashed by who fetches it.
    session = large.session(cores=2 if is_followed else 1)
    session.fetch(large.jobs())
    assert_fetched(large)
    assert large.source.avoided == [frozenset(), {"wrong:1"}]
    assert len(large.observer.of(Restarted)) == 1


def test_a_large_wrong_prefix_starts_over(large: World) -> None:
    large.store.partial(large.blob).put((0, bytes(2 * MIB)))
    session = large.session()
    session.fetch(large.jobs())
    assert_fetched(large)
    assert session.fetched == 16 * MIB


def test_a_large_blob_that_stays_wrong_is_given_up(large: World) -> None:
    large.source.usual = Reply(corrupt=True)
    with pytest.raises(DigestMismatch):
        large.session().fetch(large.jobs())
    assert len(large.source.opened) == 2
    assert not list(large.store.held)


def test_a_large_blob_that_another_process_finishes_is_reused(large: World) -> None:
    large.store.taken_by[large.blob.digest] = "pid 7 on nas"

    def finish(count: int) -> None:
        if count == 3:
            large.store.put(large.blob, LARGE)
            del large.store.taken_by[large.blob.digest]

    large.clock.on_wait = finish
    large.session(patience=ENDLESS).fetch(large.jobs())
    assert_fetched(large)
    assert large.observer.of(Reused) == [Reused("blob 0", large.blob.digest, len(LARGE))]
    assert large.source.opened == []


def test_a_large_blob_that_is_taken_over_at_the_end_is_waited_for(large: World) -> None:
    large.store.steals.append("pid 9 on nas")

    def finish(count: int) -> None:
        if count == 1:
            large.store.put(large.blob, LARGE)
            large.store.taken_by.clear()

    large.clock.on_wait = finish
    large.session(patience=ENDLESS).fetch(large.jobs())
    assert large.observer.of(Waiting) == [Waiting("blob 0", "pid 9 on nas")]
    assert len(large.source.opened) == 1
    assert_fetched(large)


@pytest.mark.parametrize("is_stored", [False, True])
def test_a_large_archive_is_unpacked_with_proof(large: World, is_stored: bool) -> None:
    if is_stored:
        large.store.put(large.blob, LARGE)
    unpacker = Unpacker()
    large.session().fetch(large.jobs(unpacker))
    assert unpacker.seen == LARGE
    assert unpacker.log == [f"publish {large.blob.digest.short}", "discard"]
    assert_fetched(large)


def test_a_large_archive_that_came_wrong_is_fetched_again(large: World) -> None:
    class Picky(Unpacker):
        def consume(self, reader: Reader) -> Unpacker:
            super().consume(reader)
            self.seen, seen = b"", self.seen
            if seen != LARGE:
                raise DamagedArchive("it is none")
            return self

    unpacker = Picky()
    large.source.script(large.blob, Reply(corrupt=True))
    large.session().fetch(large.jobs(unpacker))
    assert unpacker.log == [f"publish {large.blob.digest.short}", "discard"]
    assert_fetched(large)


def test_the_first_bytes_that_were_read_are_kept_for_a_large_blob(large: World) -> None:
    session = large.session()
    assert list(session.read([(large.blob, Span(0, MIB))])) == [LARGE[:MIB]]
    session.fetch(large.jobs())
    assert_fetched(large)
    assert session.fetched == len(LARGE)


# --- several connections for one blob


def test_several_connections_share_what_would_take_long(large: World) -> None:
    throttle = large.throttled(1)
    session = large.session()
    fetching = in_background(lambda: session.fetch(large.jobs()))
    large.source.wait_for_requests(3)
    throttle.open()
    fetching.result(PATIENCE)
    assert_fetched(large)
    assert session.fetched == len(LARGE)
    assert sum(span.start > 0 for span in large.source.spans(large.blob)) >= 2


def test_of_several_hosts_each_is_believed_alone_once(large: World) -> None:
    throttle = large.throttled(1)
    large.source.script(
        large.blob,
        Reply(throttle=throttle, origin="one:1"),
        Reply(throttle=throttle, origin="two:2", corrupt=True),
    )
    fetching = in_background(lambda: large.session(jobs=2).fetch(large.jobs()))
    large.source.wait_for_requests(2)
    throttle.open()
    fetching.result(PATIENCE)
    assert_fetched(large)
    assert large.source.avoided[-1], "somebody is avoided"
    assert not large.source.avoided[-1] >= {"one:1", "two:2"}


def test_who_joins_at_a_server_without_ranges_leaves_again(large: World) -> None:
    throttle = large.throttled(1)
    large.source.usual = Reply(no_ranges=True, throttle=throttle)
    fetching = in_background(lambda: large.session().fetch(large.jobs()))
    large.source.wait_for_requests(2)
    throttle.open()
    fetching.result(PATIENCE)
    assert_fetched(large)
    first, *joined = large.source.spans(large.blob)
    assert first == Span(0, len(LARGE))
    assert all(span.start for span in joined)
    assert len(joined) < 4, "nobody else has to find that out"


@pytest.mark.parametrize("error", [CUT, ServerFailed("503")])
def test_who_joins_and_is_cut_tries_again(large: World, error: OciPullError) -> None:
    throttle = large.throttled(1)
    large.source.script(
        large.blob, Reply(throttle=throttle), Reply(error=error), Reply(cut_after=100)
    )
    fetching = in_background(lambda: large.session(jobs=2).fetch(large.jobs()))
    large.source.wait_for_requests(4)
    throttle.open()
    fetching.result(PATIENCE)
    assert_fetched(large)


# --- stopping large ones


@pytest.mark.parametrize("size", [1000, len(LARGE)])
def test_a_cancel_leaves_who_is_connecting_and_frees_the_blob(tmp_path: Path, size: int) -> None:
    world = World(tmp_path, LARGE[:size])
    connects = threading.Event()
    world.source.usual = Reply(connects=connects)
    fetching = in_background(lambda: world.session().fetch(world.jobs()))
    world.source.wait_for_requests(1)
    world.cancel.set()
    with pytest.raises(Cancelled):
        fetching.result(PATIENCE)
    assert isinstance(world.store.claim(world.blob), MemoryPartial), "it can be claimed at once"
    connects.set()


@pytest.mark.parametrize("size", [8 * MIB, len(LARGE)])
def test_a_cancel_in_the_middle_keeps_what_came(tmp_path: Path, size: int) -> None:
    world = World(tmp_path, LARGE[:size])
    hold = threading.Event()
    world.source.usual = Reply(hold=hold, hold_after=MIB)
    fetching = in_background(lambda: world.session().fetch(world.jobs()))
    world.source.wait_for_streams(1)
    world.cancel.set()
    with pytest.raises(Cancelled):
        fetching.result(PATIENCE)
    assert world.store.partial(world.blob).present == (Span(0, MIB),)
    assert not list(world.store.held)


@pytest.mark.parametrize("size", [8 * MIB, len(LARGE)])
@pytest.mark.parametrize("method", ["commit", "pread", "write_at", "discard"])
def test_a_cancel_while_the_disk_is_slow_releases_the_file_when_it_is_done(
    tmp_path: Path, size: int, method: str
) -> None:
    world = World(tmp_path, LARGE[:size])
    partial = world.store.partial(world.blob)
    partial.put((0, bytes(MIB) if method == "discard" else LARGE[:MIB]))
    entered, leaves, released = threading.Event(), threading.Event(), threading.Event()
    original, release = getattr(partial, method), partial.release

    def slow(*args: object) -> object:
        entered.set()
        assert leaves.wait(PATIENCE)
        return original(*args)

    def releasing() -> None:
        release()
        released.set()

    setattr(partial, method, slow)
    partial.release = releasing  # type: ignore[method-assign]
    fetching = in_background(lambda: world.session().fetch(world.jobs()))
    assert entered.wait(PATIENCE)
    world.cancel.set()
    with pytest.raises(Cancelled):
        fetching.result(PATIENCE)
    assert not released.is_set(), "it is still used"
    leaves.set()
    assert released.wait(PATIENCE)
    assert partial.releases == 1


def test_a_cancel_while_an_archive_is_unpacked_stops(large: World) -> None:
    class Cancelling(Unpacker):
        def consume(self, reader: Reader) -> Unpacker:
            reader.read(10)
            large.cancel.set()
            return super().consume(reader)

    with pytest.raises(Cancelled):
        large.session().fetch(large.jobs(Cancelling()))
    assert not list(large.store.held)
    assert large.fetched(large.blob) is None

"""One blob: resumed, cut, wrong, taken by others, given up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from oci_pull.errors import (
    BadReply,
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
from oci_pull.events import Fetched, Restarted, Retrying, Started, Unpacking, Waiting
from oci_pull.fetch.retry import RetryPolicy
from oci_pull.oci.ranges import Span
from oci_pull.oci.verify import Verified
from oci_pull.ports import Job, Reader
from tests.fakes.memory import ORIGIN, Reply
from tests.unit.fetch.support import World, content_of

SIZE = 1_000_000
CONTENT = content_of(SIZE)
RECORDED = 1024 * 1024
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
    assert world.observer.of(Fetched) == [Fetched("blob 0", world.blob.digest, SIZE)]
    assert all(stream.closed for stream in world.source.streams)


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
    assert (world.source.opened, session.fetched, world.observer.events) == ([], 0, [])


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
    session = world.session(policy=RetryPolicy(retries=1))
    session.fetch(world.jobs())
    assert world.fetched(world.blob) == CONTENT
    assert session.fetched == SIZE
    assert [span.start for span in world.source.spans(world.blob)] == [
        n * cut_after for n in range(10) if n * cut_after < SIZE
    ]
    retries = world.observer.of(Retrying)
    assert {(each.attempt, each.attempts, each.wait) for each in retries} == {(1, 1, 0.5)}
    assert all(stream.closed for stream in world.source.streams)


def test_a_body_that_ends_early_is_asked_for_again(world: World) -> None:
    world.source.script(world.blob, Reply(ends_after=250_000), Reply(ends_after=0))
    world.session().fetch(world.jobs())
    assert world.fetched(world.blob) == CONTENT
    assert [span.start for span in world.source.spans(world.blob)] == [0, 250_000, 250_000]


def test_without_progress_it_gives_up_and_keeps_what_it_has(world: World) -> None:
    world.source.script(world.blob, Reply(cut_after=300_000), *[Reply(error=CUT)] * 9)
    with pytest.raises(ConnectionFailed):
        world.session(policy=RetryPolicy(retries=3)).fetch(world.jobs())
    assert world.clock.waits == [0.5, 1.0, 2.0]
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
        world.session(policy=RetryPolicy(retries=2)).fetch(world.jobs())
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
    assert grown == [200_000]


# --- the counters and the journal


def test_the_counter_never_runs_backwards(tmp_path: Path) -> None:
    world = World(tmp_path, CONTENT, piece=10_000)
    world.store.partial(world.blob).put((0, bytes(300_000)))
    world.source.script(world.blob, Reply(cut_after=300_000), Reply(), Reply(cut_after=50_000))
    seen: list[int] = []

    def look(_: int) -> None:
        seen.append(world.observer.of(Started)[0].counter.value)

    world.clock.on_wait = look
    world.session().fetch(world.jobs())
    look(0)
    assert seen == sorted(seen) == [600_000, SIZE, SIZE]


def test_a_long_download_is_recorded_on_the_way(tmp_path: Path) -> None:
    content = content_of(2 * RECORDED + 500_000)
    world = World(tmp_path, content)
    seen: list[tuple[Span, ...]] = []
    world.source.script(world.blob, Reply(cut_after=RECORDED + 1000))
    with pytest.raises(ConnectionFailed):
        world.session(policy=RetryPolicy(retries=0)).fetch(world.jobs())
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
        world.session(lock_timeout=12).fetch(world.jobs())
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
    assert world.source.opened == []
    assert partial.present == (Span(0, left),)


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
    world.source.script(world.blob, *[Reply(error=BadReply("another range"))] * 9)
    with pytest.raises(BadReply):
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
    assert world.observer.of(Unpacking) == [Unpacking("blob 0", SIZE)]


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

"""Several blobs at once: order, the first failure, cancelling, and questions asked again."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from oci_pull.errors import (
    BlobUnknown,
    Cancelled,
    ConnectionFailed,
    ManifestUnknown,
    RateLimited,
    ServerFailed,
)
from oci_pull.events import Committed, Retrying, Started, Tick
from oci_pull.fetch.retry import Patience
from oci_pull.oci.ranges import Span
from tests.fakes.memory import PATIENCE, Reply
from tests.unit.fetch.support import World, content_of, in_background


def test_several_blobs_come_the_largest_first(tmp_path: Path) -> None:
    contents = [content_of(size, seed) for seed, size in enumerate((10, 300_000, 70_000, 500))]
    world = World(tmp_path, *contents)
    session = world.session(jobs=1)
    found = session.fetch(world.jobs())
    assert {digest: blob.path.read_bytes() for digest, blob in found.items()} == {
        blob.digest: content for blob, content in zip(world.blobs, contents, strict=True)
    }
    assert [each.size for each in world.observer.of(Started)] == [300_000, 70_000, 500, 10]
    assert session.fetched == sum(map(len, contents))
    assert len(world.observer.of(Committed)) == 4


def test_nothing_to_fetch_is_done_at_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.session().fetch([]) == {}
    assert list(world.session().read([])) == []


@pytest.mark.parametrize("jobs", [1, 3])
def test_there_are_no_more_connections_than_jobs(tmp_path: Path, jobs: int) -> None:
    world = World(tmp_path, *(content_of(1000, seed) for seed in range(6)))
    hold = threading.Event()
    for blob in world.blobs:
        world.source.script(blob, Reply(hold=hold))
    fetching = in_background(lambda: world.session(jobs=jobs).fetch(world.jobs()))
    world.source.wait_for_streams(jobs)
    assert len(world.source.streams) == jobs
    hold.set()
    assert len(fetching.result(PATIENCE)) == 6


def test_the_same_blob_twice_is_fetched_once(tmp_path: Path) -> None:
    world = World(tmp_path, content_of(1000))
    # The clock runs as fast as the second one looks, and the first one takes its time.
    session = world.session(patience=Patience(lock_timeout=float("inf")))
    session.fetch([*world.jobs(), *world.jobs()])
    assert session.fetched == 1000


def test_the_first_failure_stops_the_others_and_keeps_what_they_have(tmp_path: Path) -> None:
    world = World(tmp_path, content_of(400_000, 1), content_of(300_000, 2), content_of(100, 3))
    slow, also_slow, gone = world.blobs
    forever = threading.Event()
    for blob, content in ((slow, world.contents[0]), (also_slow, world.contents[1])):
        world.store.partial(blob).put((0, content[:1000]))
        world.source.script(blob, Reply(hold=forever))
    fails = threading.Event()
    world.source.script(gone, Reply(hold=fails, cut_after=0, error=BlobUnknown("no such blob")))
    fetching = in_background(lambda: world.session().fetch(world.jobs()))
    world.source.wait_for_streams(3)
    fails.set()
    with pytest.raises(BlobUnknown):
        fetching.result(PATIENCE)
    assert not list(world.store.held)
    assert [world.store.partial(blob).present for blob in (slow, also_slow)] == [
        (Span(0, 1000),)
    ] * 2
    assert all(stream.closed.wait(PATIENCE) for stream in world.source.streams)


def test_a_failure_leaves_the_rest_of_the_queue_alone(tmp_path: Path) -> None:
    world = World(tmp_path, *(content_of(1000 - seed, seed) for seed in range(5)))
    world.source.script(world.blob, Reply(error=BlobUnknown("no such blob")))
    with pytest.raises(BlobUnknown):
        world.session(jobs=1).fetch(world.jobs())
    assert not [span for blob in world.blobs[3:] for span in world.source.spans(blob)]


def test_a_cancel_cuts_what_waits_for_bytes_and_releases_it(tmp_path: Path) -> None:
    world = World(tmp_path, content_of(400_000, 1), content_of(300_000, 2))
    for blob in world.blobs:
        world.source.script(blob, Reply(hold=threading.Event()))
    fetching = in_background(lambda: world.session().fetch(world.jobs()))
    streams = world.source.wait_for_streams(2)
    world.cancel.set()
    with pytest.raises(Cancelled):
        fetching.result(PATIENCE)
    assert all(stream.aborted.is_set() and stream.closed.wait(PATIENCE) for stream in streams)
    assert [partial.releases for partial in world.store.partials.values()] == [1, 1]
    assert not world.observer.of(Retrying)


def test_a_cancel_before_the_start_asks_for_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, content_of(1000))
    world.cancel.set()
    with pytest.raises(Cancelled):
        world.session().fetch(world.jobs())
    assert world.source.opened == []


def test_an_error_of_the_observers_ends_the_fetch(tmp_path: Path) -> None:
    """Such as a KeyboardInterrupt, which arrives in the thread that waits."""
    world = World(tmp_path, content_of(1000))
    world.source.script(world.blob, Reply(hold=threading.Event()))

    class Interrupted:
        def on(self, event: object) -> None:
            if isinstance(event, Tick):
                raise KeyboardInterrupt

    world.observer = Interrupted()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        world.session().fetch(world.jobs())
    assert not list(world.store.held)


def test_whoever_waits_gets_ticks(tmp_path: Path) -> None:
    world = World(tmp_path, content_of(1000))
    hold = threading.Event()
    world.source.script(world.blob, Reply(hold=hold))
    ticks: list[threading.Thread] = []

    class Ticked:
        def on(self, event: object) -> None:
            if isinstance(event, Tick):
                ticks.append(threading.current_thread())
                hold.set()

    world.observer = Ticked()  # type: ignore[assignment]
    world.session().fetch(world.jobs())
    assert set(ticks) == {threading.current_thread()}


def test_other_hosts_are_told_that_the_owner_lives(tmp_path: Path) -> None:
    world = World(tmp_path, content_of(1000, 1), content_of(2000, 2))
    hold = threading.Event()
    for blob in world.blobs:
        world.source.script(blob, Reply(hold=hold))
    fetching = in_background(lambda: world.session().fetch(world.jobs()))
    world.source.wait_for_streams(2)
    partials = list(world.store.partials.values())
    assert not any(partial.beaten.is_set() for partial in partials)
    world.clock.advance(15)
    assert all(partial.beaten.wait(PATIENCE) for partial in partials)
    hold.set()
    fetching.result(PATIENCE)


def test_fetched_is_the_sum_of_everything_so_far(tmp_path: Path) -> None:
    world = World(tmp_path, content_of(1000, 1), content_of(2000, 2))
    session = world.session()
    assert session.fetched == 0
    session.read([(world.blob, Span(0, 10))])
    assert session.fetched == 10
    session.fetch(world.jobs())
    assert session.fetched == 3000


# --- questions


def test_a_question_is_asked_again_until_it_is_answered(tmp_path: Path) -> None:
    world = World(tmp_path)
    outcomes = iter([ConnectionFailed("cut"), ServerFailed("503", retry_after=9), "answer"])

    def ask() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return str(outcome)

    assert world.session().persist("the manifest", ask) == "answer"
    assert world.clock.waits == [0.5, 9]
    assert world.observer.of(Retrying) == [
        Retrying("the manifest", 1, 8, 0.5, "cut"),
        Retrying("the manifest", 2, 8, 9, "503"),
    ]


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (ConnectionFailed("cut"), 4),
        (RateLimited("429"), 4),
        (ManifestUnknown("no such tag"), 1),
        (ValueError("a bug"), 1),
    ],
    ids=repr,
)
def test_a_question_is_given_up(tmp_path: Path, error: Exception, asked: int) -> None:
    world = World(tmp_path)
    times: list[int] = []

    def ask() -> None:
        times.append(1)
        raise error

    with pytest.raises(type(error), match=str(error)):
        world.session(patience=Patience(retries=3)).persist("the manifest", ask)
    assert len(times) == asked


def test_a_cancel_does_not_wait_for_the_answer(tmp_path: Path) -> None:
    world = World(tmp_path)
    answer = threading.Event()

    def ask() -> None:
        world.cancel.set()
        assert answer.wait(PATIENCE)

    with pytest.raises(Cancelled):
        world.session().persist("the manifest", ask)
    answer.set()


# --- large and small ones together


MIB = 1024 * 1024


def test_a_failure_stops_large_blobs_in_the_middle_and_keeps_what_they_have(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, content_of(10 * MIB, 1), content_of(9 * MIB, 2), content_of(100, 3))
    *large, gone = world.blobs
    for blob in large:
        world.source.script(blob, Reply(hold=threading.Event(), hold_after=2 * MIB))
    fails = threading.Event()
    world.source.script(gone, Reply(hold=fails, cut_after=0, error=BlobUnknown("no such blob")))
    fetching = in_background(lambda: world.session().fetch(world.jobs()))
    world.source.wait_for_streams(3)
    fails.set()
    with pytest.raises(BlobUnknown):
        fetching.result(PATIENCE)
    assert [world.store.partial(blob).present for blob in large] == [(Span(0, 2 * MIB),)] * 2
    assert not list(world.store.held)
    world.session().fetch(world.jobs())
    assert [world.fetched(blob) for blob in world.blobs] == list(world.contents)
    assert world.source.spans(world.blob)[1].start == 2 * MIB


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_blob_that_others_have_keeps_nobody_from_the_rest(tmp_path: Path, jobs: int) -> None:
    world = World(tmp_path, content_of(10 * MIB, 1), content_of(9 * MIB, 2), content_of(100, 3))
    theirs = world.blob
    world.store.taken_by[theirs.digest] = "pid 7 on nas"

    def give_up(count: int) -> None:
        # Nobody waits for them before the rest is done.
        if count == 1:
            assert len(world.observer.of(Committed)) == 2
            world.store.taken_by.clear()

    world.clock.on_wait = give_up
    world.session(jobs=jobs).fetch(world.jobs())
    assert [each.name for each in world.observer.of(Committed)][-1] == "blob 0"
    assert [world.fetched(blob) for blob in world.blobs] == list(world.contents)


def test_small_blobs_come_beside_large_ones(tmp_path: Path) -> None:
    """With eight connections for large ones there are sixteen in all."""
    small = [content_of(1000 + seed, seed) for seed in range(20)]
    large = [content_of(8 * MIB + 1 + seed, seed) for seed in range(9)]
    world = World(tmp_path, *large, *small)
    hold = threading.Event()
    world.source.usual = Reply(hold=hold)
    fetching = in_background(lambda: world.session(jobs=8).fetch(world.jobs()))
    world.source.wait_for_streams(16)
    sizes = [span.size for _, span in world.source.opened]
    hold.set()
    fetching.result(PATIENCE)
    assert (len(sizes), sum(size > 8 * MIB for size in sizes)) == (16, 8)


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_rate_holds_for_all_connections_together(tmp_path: Path, jobs: int) -> None:
    world = World(tmp_path, *(content_of(100_000, seed) for seed in range(5)))
    world.clock.advance = lambda seconds: None  # type: ignore[method-assign]
    world.session(jobs=jobs, limit_rate=50_000).fetch(world.jobs())
    # The clock stands still: whoever comes last waits for everything that was taken before.
    assert max(world.clock.waits) == pytest.approx(500_000 / 50_000 - 0.2)


def test_bytes_of_many_blobs_are_read_in_the_order_that_was_asked(tmp_path: Path) -> None:
    world = World(tmp_path, *(content_of(9 * MIB + seed, seed) for seed in range(4)))
    wanted = [(blob, Span(100 * n, 100 * n + 50)) for n, blob in enumerate(world.blobs)]
    found = world.session(jobs=2).read([*wanted, *reversed(wanted)])
    expected = [
        content[span.start : span.end]
        for content, (_, span) in zip(world.contents, wanted, strict=True)
    ]
    assert list(found) == [*expected, *reversed(expected)]
    assert not list(world.store.held)

"""One stretch over as many connections as it takes, and who leaves it to others."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from oci_pull.errors import (
    BadReply,
    Cancelled,
    ConnectionFailed,
    OciPullError,
    RateLimited,
    ServerFailed,
    SizeMismatch,
)
from oci_pull.events import Retrying, Stalled, Tick
from oci_pull.fetch.receive import Pause
from oci_pull.fetch.retry import Patience
from oci_pull.oci.ranges import Span
from tests.fakes.clock import FakeClock
from tests.fakes.memory import PATIENCE, Reply
from tests.unit.fetch.support import World, content_of, in_background

MIB = 1024 * 1024
SIZE = 1_000_000
CONTENT = content_of(SIZE)
GOES_ON = threading.Event()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, CONTENT)


# --- pauses


def test_a_pause_is_sat_out_once_and_by_everybody() -> None:
    clock = FakeClock()
    pause = Pause(clock)
    pause.sit_out(GOES_ON)
    assert clock.waits == []
    pause.extend(7)
    pause.extend(3)
    pause.sit_out(GOES_ON)
    pause.sit_out(GOES_ON)
    assert clock.waits == [7]


def test_a_pause_that_grows_meanwhile_is_sat_out_to_its_end() -> None:
    clock = FakeClock()
    pause = Pause(clock)
    pause.extend(5)
    clock.on_wait = lambda count: pause.extend(8) if count == 1 else None
    pause.sit_out(GOES_ON)
    assert clock.waits == [5, 3]


def test_a_cancel_ends_a_pause() -> None:
    clock = FakeClock()
    pause = Pause(clock)
    pause.extend(5)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        pause.sit_out(stop)


@pytest.mark.parametrize(
    "error", [RateLimited("429", retry_after=50), ServerFailed("503", retry_after=50)]
)
def test_a_host_that_wants_to_be_left_alone_is_not_asked_for_other_blobs(
    tmp_path: Path, error: OciPullError
) -> None:
    world = World(tmp_path, content_of(2000, 1), content_of(1000, 2))
    asked: list[float] = []
    world.source.on_open = lambda: asked.append(world.clock.now())
    world.source.script(world.blob, Reply(error=error))
    begun = world.clock.now()
    world.session(jobs=1).fetch(world.jobs())
    assert [at - begun for at in asked] == [0, 50, 50]


def test_a_question_waits_for_a_host_that_a_blob_was_refused_by(world: World) -> None:
    session = world.session()
    world.source.script(world.blob, Reply(error=RateLimited("429", retry_after=50)))
    world.clock.on_wait = lambda _: world.cancel.set()
    with pytest.raises(Cancelled):
        session.fetch(world.jobs())
    world.cancel.clear()
    world.clock.on_wait = None
    begun = world.clock.now()
    asked: list[float] = []
    session.persist("the manifest", lambda: asked.append(world.clock.now()))
    assert [at - begun for at in asked] == [50]


def test_a_connection_that_broke_keeps_nobody_waiting(tmp_path: Path) -> None:
    world = World(tmp_path, content_of(2000, 1), content_of(1000, 2))
    world.source.script(world.blob, *[Reply(error=ConnectionFailed("cut"))] * 2)
    world.session(jobs=1).fetch(world.jobs())
    assert world.clock.waits == [0.5, 1.0], "and by the one whose connection it was"


# --- replies that are none


def test_a_server_that_is_confused_by_a_range_is_asked_for_everything(world: World) -> None:
    world.store.partial(world.blob).put((0, CONTENT[:300_000]))
    world.source.script(world.blob, *[Reply(error=BadReply("another range"))] * 2)
    session = world.session()
    session.fetch(world.jobs())
    assert world.fetched(world.blob) == CONTENT
    spans = [Span(300_000, SIZE), Span(300_000, SIZE), Span(0, SIZE)]
    assert world.source.spans(world.blob) == spans


def test_a_server_that_is_confused_by_everything_is_given_up(world: World) -> None:
    world.source.usual = Reply(error=BadReply("it is compressed"))
    with pytest.raises(BadReply):
        world.session(patience=Patience(retries=3)).fetch(world.jobs())
    assert len(world.source.opened) == 4


def test_more_bytes_than_there_should_be_are_an_error_of_the_servers(world: World) -> None:
    world.source.usual = Reply(cut_after=0, error=SizeMismatch("it sends more"))
    with pytest.raises(SizeMismatch, match="blob 0: it sends more"):
        world.session().fetch(world.jobs())


# --- connections that are replaced


def test_a_connection_that_stalls_is_replaced(world: World) -> None:
    world.source.script(world.blob, Reply(hold=threading.Event(), hold_after=300_000))

    def pass_time() -> None:
        # Until then: the next connection may be slow to be scheduled.
        if not world.observer.of(Stalled):
            world.clock.advance(4)

    world.observer.on_tick = pass_time
    session = world.session()
    session.fetch(world.jobs())
    assert world.fetched(world.blob) == CONTENT
    assert len(world.observer.of(Stalled)) == 1
    (retrying,) = world.observer.of(Retrying)
    assert "stopped sending" in retrying.reason
    assert session.fetched == SIZE


def test_a_server_that_always_stalls_is_given_up(world: World) -> None:
    """A few bytes a minute are no progress."""
    world.source.usual = Reply(hold=threading.Event(), hold_after=1000)
    world.observer.on_tick = lambda: world.clock.advance(4)
    with pytest.raises(ConnectionFailed, match="stopped sending"):
        world.session(patience=Patience(retries=2)).fetch(world.jobs())
    assert len(world.source.opened) == 3


# --- servers that serve a few connections only


@pytest.mark.parametrize("refusal", [RateLimited("429"), ServerFailed("503")], ids=repr)
@pytest.mark.parametrize("most", [1, 2])
def test_who_is_refused_leaves_it_to_who_is_served(
    tmp_path: Path, most: int, refusal: RateLimited | ServerFailed
) -> None:
    """All of them want to share one blob, and the server serves one or two of them."""
    content = content_of(9 * MIB)
    world = World(tmp_path, content, piece=MIB)
    throttle = world.throttled(0.25)
    world.source.most = most
    world.source.refusal = refusal
    fetching = in_background(lambda: world.session(jobs=6).fetch(world.jobs()))
    world.observer.wait_for(Tick, 20, unless=fetching)
    refused = world.source.refused
    throttle.open()
    fetching.result(PATIENCE)
    assert world.fetched(world.blob) == content
    assert 0 < refused < 40

"""The threads of one run, and how they end."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oci_pull.errors import Cancelled, ConnectionFailed, OciPullError
from oci_pull.events import Tick
from oci_pull.fetch.crew import Crew
from oci_pull.fetch.flows import Flows
from oci_pull.oci.ranges import Span
from tests.fakes.memory import PATIENCE, MemoryStream, Reply
from tests.unit.fetch.support import World, content_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, content_of(1000))


@pytest.fixture
def flows(world: World) -> Flows:
    return Flows(world.observer, world.clock, stall_timeout=30)


@pytest.fixture
def crew(world: World, flows: Flows) -> Crew:
    return Crew(world.cancel, world.observer, world.clock, flows)


def nothing() -> None:
    pass


def wait_for(event: threading.Event) -> None:
    assert event.wait(PATIENCE)


def test_it_waits_for_every_thread(crew: Crew) -> None:
    done: list[int] = []
    crew.run([partial(done.append, number) for number in range(5)], nothing)
    assert sorted(done) == [0, 1, 2, 3, 4]
    assert not crew.is_set()


def test_it_waits_for_threads_that_threads_have_started(crew: Crew) -> None:
    done: list[str] = []
    crew.run([lambda: crew.start(lambda: done.append("second"))], nothing)
    assert done == ["second"]


def test_whoever_waits_gets_ticks_and_may_look(world: World, crew: Crew) -> None:
    looks = threading.Semaphore(0)

    def work() -> None:
        for _ in range(3):
            assert looks.acquire(timeout=PATIENCE)

    crew.run([work], looks.release)
    assert len(world.observer.of(Tick)) >= 3


def test_the_first_failure_stops_the_others_and_is_raised(crew: Crew) -> None:
    error = ConnectionFailed("cut")
    stopped = threading.Event()

    def fail() -> None:
        raise error

    def work() -> None:
        while not crew.is_set():
            stopped.wait(0.01)
        stopped.set()
        raise Cancelled("the echo")

    with pytest.raises(ConnectionFailed) as caught:
        crew.run([work, fail], nothing)
    assert caught.value is error
    wait_for(stopped)


def test_a_failure_that_comes_with_the_end_of_the_last_thread_is_raised(crew: Crew) -> None:
    def fail() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        crew.run([fail], nothing)


def test_a_cancel_is_told_even_where_everybody_left_in_time(world: World, crew: Crew) -> None:
    with pytest.raises(Cancelled, match="what was fetched is kept"):
        crew.run([world.cancel.set], nothing)


def test_that_there_are_no_more_threads_is_told_and_stops_those_that_run(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, start = threading.Event(), threading.Thread.start

    def work() -> None:
        runs.set()
        while not crew.is_set():
            runs.wait(0.01)

    def works() -> Iterator[Callable[[], None]]:
        yield work
        wait_for(runs)

        def refuse(thread: threading.Thread) -> None:
            # As a container does whose processes are counted, and Python 3.12 at its end.
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        yield work
        monkeypatch.setattr(threading.Thread, "start", start)

    with pytest.raises(OciPullError, match="can't start new thread") as caught:
        crew.run(works(), nothing)
    assert caught.value.hint


def test_who_hangs_is_left_behind(world: World, crew: Crew) -> None:
    hangs = threading.Event()
    world.cancel.set()
    with pytest.raises(Cancelled):
        crew.run([partial(wait_for, hangs)], nothing)
    hangs.set()


def test_who_is_interrupted_while_it_starts_them_stops_those_that_run(
    world: World, crew: Crew
) -> None:
    has_claimed, has_left = threading.Event(), threading.Event()

    def work() -> None:
        crew.hold(world.assembly())
        has_claimed.set()
        while not crew.is_set():
            has_left.wait(0.01)
        has_left.set()

    def works() -> Iterator[Callable[[], None]]:
        yield work
        wait_for(has_claimed)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crew.run(works(), nothing)
    wait_for(has_left)
    assert world.store.partial(world.blob).releases == 1


def test_who_is_interrupted_again_while_it_ends_them_holds_nothing(
    world: World, crew: Crew, flows: Flows
) -> None:
    assembly = world.assembly()
    crew.hold(assembly)
    stretch = assembly.take(Span(0, 1000))
    hangs = threading.Event()

    class Interrupting(MemoryStream):
        def abort(self) -> None:
            raise KeyboardInterrupt

    def work() -> None:
        with flows.opened(Interrupting(b"", Span(0, 1), Reply(), 1), stretch):
            world.cancel.set()
            hangs.wait(PATIENCE)

    with pytest.raises(KeyboardInterrupt):
        crew.run([work], nothing)
    assert world.store.partial(world.blob).releases == 1
    hangs.set()


def test_every_connection_is_cut_and_every_partial_released_in_the_end(
    world: World, crew: Crew, flows: Flows
) -> None:
    assembly = world.assembly()
    crew.hold(assembly)
    stretch = assembly.take(Span(0, 1000))
    stream = MemoryStream(b"", Span(0, 1), Reply(), 1)
    hangs = threading.Event()

    def work() -> None:
        with flows.opened(stream, stretch):
            world.cancel.set()
            hangs.wait(PATIENCE)

    with pytest.raises(Cancelled):
        crew.run([work], nothing)
    assert stream.aborted.is_set()
    assert world.store.partial(world.blob).releases == 1
    hangs.set()


def test_partials_are_kept_alive_every_quarter_of_a_minute(world: World, crew: Crew) -> None:
    crew.hold(world.assembly())
    mine = world.store.partial(world.blob)
    beats: list[float] = []
    mine.keep_alive = lambda: beats.append(world.clock.now())  # type: ignore[method-assign]
    enough = threading.Event()
    begun = world.clock.now()

    def look() -> None:
        world.clock.advance(5)
        if len(beats) == 3:
            enough.set()

    crew.run([partial(wait_for, enough)], look)
    assert [beat - begun for beat in beats[:3]] == [15, 30, 45]


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_held_for_a_moment_is_released_whatever_happens(
    world: World, crew: Crew, fails: bool
) -> None:
    def use() -> None:
        with crew.held(world.assembly()):
            assert list(world.store.held)
            if fails:
                raise ConnectionFailed("cut")

    if fails:
        with pytest.raises(ConnectionFailed):
            use()
    else:
        use()
    assert not list(world.store.held)
    assert world.store.partial(world.blob).releases == 1

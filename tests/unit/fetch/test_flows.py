"""Connections that are replaced or cut, by a clock that nobody waits for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from oci_pull.events import Stalled
from oci_pull.fetch.assembly import Assembly, Stretch
from oci_pull.fetch.flows import Flow, Flows, Verdict
from oci_pull.oci.ranges import Span
from tests.fakes.memory import ORIGIN, MemoryStream, Reply
from tests.unit.fetch.support import World, content_of

MIB = 1024 * 1024
PART = 8 * MIB
STALL = 30.0


class Wire:
    """Connections that bring what a test says, a second after the other."""

    def __init__(self, world: World, stack: ExitStack) -> None:
        self.world = world
        self.assembly: Assembly = world.assembly()
        self.flows = Flows(world.observer, world.clock, stall_timeout=STALL)
        self._stack = stack

    def open(self, stretch: Stretch | None = None) -> Flow:
        stretch = stretch or self.assembly.take(self.assembly.gaps[0])
        stream = MemoryStream(b"", Span(0, 1), Reply(), 1)
        flow = self._stack.enter_context(self.flows.opened(stream, stretch))
        flow.is_reading = True
        return flow

    def pass_by(self, seconds: int, *brings: tuple[Flow, int]) -> None:
        """Each of these connections brings so much in every second."""
        for _ in range(seconds):
            for flow, count in brings:
                flow.received += count
            self.world.clock.advance(1)
            self.flows.watch()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, content_of(PART))


@pytest.fixture
def wire(world: World, stack: ExitStack) -> Wire:
    return Wire(world, stack)


def is_cut(flow: Flow) -> bool:
    assert isinstance(flow.stream, MemoryStream)
    return flow.stream.aborted.is_set()


@pytest.mark.parametrize("brought", [0, 1, 1023])
def test_what_brings_next_to_nothing_is_cut_when_the_time_is_up(wire: Wire, brought: int) -> None:
    flow = wire.open()
    wire.pass_by(int(STALL), (flow, brought))
    assert not is_cut(flow)
    wire.pass_by(1, (flow, brought))
    assert is_cut(flow)
    assert flow.verdict is Verdict.STALLED
    assert wire.world.observer.of(Stalled) == [Stalled("blob 0", ORIGIN, "brings nothing")]


def test_it_is_said_once_that_a_connection_stalled(wire: Wire) -> None:
    flow = wire.open()
    wire.pass_by(100, (flow, 0))
    assert len(wire.world.observer.of(Stalled)) == 1


def test_what_brings_the_floor_is_kept(wire: Wire) -> None:
    flow = wire.open()
    wire.pass_by(100, (flow, 1024))
    assert not is_cut(flow)


def test_what_stops_after_a_good_start_is_cut(wire: Wire) -> None:
    flow = wire.open()
    wire.pass_by(10, (flow, MIB))
    wire.pass_by(int(STALL), (flow, 0))
    assert not is_cut(flow)
    wire.pass_by(1, (flow, 0))
    assert flow.verdict is Verdict.STALLED


def test_a_stop_of_the_whole_process_is_no_silence_of_the_line(wire: Wire) -> None:
    flow = wire.open()
    wire.pass_by(10, (flow, MIB))
    # Ctrl-Z, a frozen container: nobody looked, and what was sent meanwhile waits in the socket.
    wire.world.clock.advance(3600)
    wire.flows.watch()
    assert not is_cut(flow)
    wire.pass_by(int(STALL), (flow, 0))
    assert not is_cut(flow)
    wire.pass_by(1, (flow, 0))
    assert flow.verdict is Verdict.STALLED


def test_what_is_slow_by_order_is_not_stalled(world: World, stack: ExitStack) -> None:
    wire = Wire(world, stack)
    paying, silent = wire.open(), wire.open(wire.assembly.take(Span(0, PART)))
    # It was read from, and now the limit has to be kept.
    paying.is_reading = False
    wire.pass_by(int(STALL) + 1, (paying, 12), (silent, 0))
    assert (paying.verdict, silent.verdict) == (None, Verdict.STALLED)


def test_who_brings_something_or_was_just_answered_is_served(wire: Wire) -> None:
    assert wire.flows.serving() == 0
    brings, silent = wire.open(), wire.open(wire.assembly.take(Span(0, PART)))
    assert wire.flows.serving() == 2
    wire.pass_by(6, (brings, MIB), (silent, 0))
    assert wire.flows.serving() == 1
    wire.pass_by(6, (brings, 0), (silent, 0))
    assert wire.flows.serving() == 0


def test_a_rate_is_known_while_the_connection_is_open(wire: Wire) -> None:
    stretch = wire.assembly.take(Span(0, PART))
    stream = MemoryStream(b"", Span(0, 1), Reply(), 1)
    with wire.flows.opened(stream, stretch) as flow:
        rates = [stretch.rate]
        wire.pass_by(3, (flow, 5000))
        rates.append(stretch.rate)
    assert [*rates, stretch.rate] == [None, 5000, None]
    assert stream.closed.is_set()
    wire.pass_by(100)
    assert not stream.aborted.is_set(), "who is gone is not watched"


def replace_stack(wire: Wire, stack: ExitStack) -> Wire:
    """The same connections, of which those that are opened from now on last longer."""
    wire._stack = stack
    return wire


def slow_beside(wire: Wire, count: int, stretch: Stretch | None = None) -> tuple[Flow, list[Flow]]:
    fast = [wire.open(wire.assembly.take(Span(0, PART))) for _ in range(count)]
    return wire.open(stretch or wire.assembly.take(Span(0, PART))), fast


@pytest.mark.parametrize(("others", "verdict"), [(2, None), (3, Verdict.SLOW)])
def test_what_is_much_slower_than_three_others_is_replaced(
    wire: Wire, others: int, verdict: Verdict | None
) -> None:
    slow, fast = slow_beside(wire, others)
    wire.pass_by(7, (slow, 5000), *[(flow, 100_000) for flow in fast])
    assert slow.verdict is verdict
    assert not any(map(is_cut, fast))


def test_nothing_is_replaced_before_it_settled(wire: Wire) -> None:
    slow, fast = slow_beside(wire, 3)
    wire.pass_by(5, (slow, 5000), *[(flow, 100_000) for flow in fast])
    assert slow.verdict is None


def test_what_has_little_left_is_not_replaced(wire: Wire) -> None:
    slow, fast = slow_beside(wire, 3, wire.assembly.take(Span(0, 50_000)))
    wire.pass_by(20, (slow, 5000), *[(flow, 100_000) for flow in fast])
    assert slow.verdict is None


@pytest.mark.parametrize(("seconds", "verdict"), [(50, Verdict.SLOW), (70, None)])
def test_the_last_one_is_compared_with_those_that_ended_lately(
    world: World, seconds: int, verdict: Verdict | None
) -> None:
    with ExitStack() as last:
        with ExitStack() as before:
            wire = Wire(world, before)
            fast = [wire.open(wire.assembly.take(Span(0, PART))) for _ in range(3)]
            wire.pass_by(7, *[(flow, 100_000) for flow in fast])
        wire.pass_by(seconds - 7)
        wire = replace_stack(wire, last)
        slow = wire.open(wire.assembly.take(Span(0, PART)))
        wire.pass_by(7, (slow, 5000))
        assert slow.verdict is verdict


def test_a_stretch_that_stays_slow_is_replaced_three_times(wire: Wire) -> None:
    stretch = wire.assembly.take(Span(0, PART))
    _, fast = slow_beside(wire, 3, stretch)
    verdicts = []
    for _ in range(5):
        slow = wire.open(stretch)
        wire.pass_by(7, (slow, 5000), *[(flow, 100_000) for flow in fast])
        verdicts.append(slow.verdict)
    assert verdicts.count(Verdict.SLOW) == 3
    assert verdicts[-1] is None
    assert stretch.replaced == 3


def test_all_are_cut_in_the_end(wire: Wire) -> None:
    flows = [wire.open(wire.assembly.take(Span(0, PART))) for _ in range(3)]
    wire.flows.cut_all()
    assert [flow.verdict for flow in flows] == [Verdict.STOPPED] * 3
    assert all(map(is_cut, flows))
    assert wire.world.observer.of(Stalled) == []

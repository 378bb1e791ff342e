"""What is fetched next, by a function that knows nothing of threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci_pull.fetch.schedule import (
    Begin,
    Divide,
    Fill,
    Limits,
    Small,
    Step,
    Stream,
    Transfer,
    next_step,
)
from oci_pull.oci.ranges import Span, merge, missing

MIB = 1024 * 1024
GIB = 1024 * MIB
LIMITS = Limits(streams=8, connections=16, cores=4)
RATE = 10.0 * MIB


def step_of(
    *transfers: Transfer,
    large: bool = False,
    small: bool = False,
    beginning: int = 0,
    small_running: int = 0,
    limits: Limits = LIMITS,
) -> Step | None:
    return next_step(
        transfers,
        large=large,
        small=small,
        beginning=beginning,
        small_running=small_running,
        limits=limits,
    )


def running(
    start: int, end: int, rate: float | None = RATE, *, size: int = GIB, ranges: bool = True
) -> Transfer:
    """A blob that one connection fetches, up to its end."""
    return Transfer(size, (), (Stream(Span(start, end), rate),), ranges)


WHOLE = running(0, GIB)
HASHED = Transfer(GIB, (), ())
UNTOUCHED = Transfer(GIB, (Span(0, GIB),), ())


# --- blobs first


def test_a_blob_that_waits_comes_before_help() -> None:
    assert step_of(WHOLE, large=True) == Begin()


def test_a_blob_that_nobody_fetches_comes_first_of_all() -> None:
    assert step_of(WHOLE, UNTOUCHED, large=True, small=True) == Fill(1, Span(0, GIB))


def test_the_first_connection_of_a_blob_is_asked_for_all_up_to_what_is_here() -> None:
    resumed = Transfer(GIB, (Span(5, 10), Span(50, GIB)), ())
    assert step_of(resumed) == Fill(0, Span(5, 10))


def test_without_ranges_everything_behind_the_first_gap_comes_again() -> None:
    resumed = Transfer(GIB, (Span(5, 10), Span(50, GIB)), (), has_ranges=False)
    assert step_of(resumed) == Fill(0, Span(5, GIB))


@pytest.mark.parametrize(
    ("streams", "beginning", "expected"),
    [(7, 0, Begin()), (8, 0, None), (7, 1, None), (0, 7, Begin()), (0, 8, None)],
)
def test_large_blobs_have_a_limit_of_connections(
    streams: int, beginning: int, expected: Step | None
) -> None:
    assert step_of(*[WHOLE] * streams, large=True, beginning=beginning) == expected


def test_several_connections_of_one_blob_count_each() -> None:
    crowd = Transfer(GIB, (), tuple(Stream(Span(n * MIB, n * MIB + 1)) for n in range(8)))
    assert step_of(crowd, large=True) is None


@pytest.mark.parametrize(("hashed", "expected"), [(11, Begin()), (12, None)])
def test_so_many_blobs_are_begun_as_can_be_fetched_and_hashed(
    hashed: int, expected: Step | None
) -> None:
    assert step_of(*[HASHED] * hashed, large=True) == expected


# --- small ones beside


@pytest.mark.parametrize(
    ("large_running", "small_running", "expected"),
    [(0, 0, Small()), (8, 0, Small()), (8, 7, Small()), (8, 8, None), (0, 16, None)],
)
def test_small_blobs_come_over_connections_beside_the_large_ones(
    large_running: int, small_running: int, expected: Step | None
) -> None:
    found = step_of(*[WHOLE] * large_running, small=True, small_running=small_running)
    assert found == expected


def test_large_blobs_come_before_small_ones() -> None:
    assert step_of(large=True, small=True) == Begin()


def test_small_blobs_leave_large_ones_no_more_than_all_connections() -> None:
    limits = Limits(streams=4, connections=4, cores=4)
    assert step_of(WHOLE, large=True, small=True, small_running=3, limits=limits) is None


# --- help


@pytest.mark.parametrize("rate", [None, 0.0])
def test_nobody_helps_before_a_rate_is_known(rate: float | None) -> None:
    assert step_of(running(0, GIB, rate)) is None


def test_nobody_helps_where_all_connections_are_used() -> None:
    assert step_of(*[WHOLE] * 8) is None
    assert step_of(WHOLE, small_running=14) == Divide(0, 0, 64 * MIB)
    assert step_of(WHOLE, small_running=15) is None


@pytest.mark.parametrize(
    ("start", "size", "at"),
    [
        (0, 200 * MIB, 32),
        (1, 200 * MIB, 32),
        (15, 200 * MIB, 32),
        (16, 200 * MIB, 64),
        (33, 200 * MIB, 64),
        (0, 320 * MIB, 40),
        (0, 400 * MIB, 50),
        (0, GIB, 64),
        (33, 3 * GIB, 128),
    ],
)
def test_a_lone_connection_is_cut_back_to_the_end_of_a_range(
    start: int, size: int, at: int
) -> None:
    assert step_of(running(start * MIB, size, size=size)) == Divide(0, 0, at * MIB)


@pytest.mark.parametrize(
    ("gap", "span"),
    [
        (Span(32 * MIB, GIB), Span(32 * MIB, 96 * MIB)),
        (Span(32 * MIB, 97 * MIB), Span(32 * MIB, 97 * MIB)),
        (Span(32 * MIB, 97 * MIB + 1), Span(32 * MIB, 96 * MIB)),
        (Span(50 * MIB, 51 * MIB), Span(50 * MIB, 51 * MIB)),
    ],
)
def test_who_helps_brings_a_range_and_a_short_rest(gap: Span, span: Span) -> None:
    transfer = Transfer(GIB, (gap,), (Stream(Span(0, 32 * MIB), RATE),))
    assert step_of(transfer) == Fill(0, span)


def test_the_first_gap_is_filled_first() -> None:
    """So that the hash follows while the bytes are in the page cache."""
    gaps = (Span(64 * MIB, 128 * MIB), Span(256 * MIB, GIB))
    transfer = Transfer(GIB, gaps, (Stream(Span(0, 64 * MIB), RATE),))
    assert step_of(transfer) == Fill(0, Span(64 * MIB, 128 * MIB))


@pytest.mark.parametrize(("left", "at"), [(64, 32), (40, 20), (16, 8)])
def test_the_tail_is_split_in_the_middle(left: int, at: int) -> None:
    end = 512 * MIB
    start = end - left * MIB
    found = step_of(running(start, end, RATE, size=end))
    assert found == Divide(0, 0, start + at * MIB)


@pytest.mark.parametrize(
    ("left", "rate"),
    [(14 * MIB, 10.0 * MIB), (GIB, GIB * 0.7), (2 * MIB - 1, 1000.0)],
    ids=["ends soon", "even if it is large", "too little to share"],
)
def test_what_is_nearly_over_is_not_divided(left: int, rate: float) -> None:
    limits = Limits(8, 16, cores=64)
    assert step_of(running(GIB - left, GIB, rate), limits=limits) is None


def test_the_blob_that_takes_longest_is_helped() -> None:
    quick, slow = running(0, GIB, 4 * RATE), running(0, GIB, RATE)
    assert step_of(quick, slow) == Divide(1, 0, 64 * MIB)


def test_where_one_cannot_be_helped_the_next_is() -> None:
    slow = running(0, GIB, RATE / 10, ranges=False)
    assert step_of(slow, WHOLE) == Divide(1, 0, 64 * MIB)


def test_of_several_connections_the_one_that_ends_last_is_divided() -> None:
    streams = (
        Stream(Span(0, 20 * MIB), RATE),
        Stream(Span(100 * MIB, 120 * MIB), RATE / 2),
        Stream(Span(200 * MIB, 220 * MIB)),
    )
    assert step_of(Transfer(GIB, (), streams)) == Divide(0, 1, 110 * MIB)


@pytest.mark.parametrize(("waiting", "helps"), [(0, False), (1, False), (2, False), (3, True)])
def test_where_the_line_is_not_the_limit_no_connection_helps(waiting: int, helps: bool) -> None:
    """Where most of them wait for the disk, the processor, or the limit that was asked for."""
    spans = [Span(n * GIB, (n + 1) * GIB) for n in range(4)]
    streams = tuple(
        Stream(span, RATE, is_waiting=number < waiting) for number, span in enumerate(spans)
    )
    step = step_of(Transfer(4 * GIB, (), streams))
    assert isinstance(step, Divide) is helps


def test_a_server_without_ranges_is_never_helped() -> None:
    assert step_of(running(0, GIB, RATE, ranges=False)) is None


def test_where_nothing_is_left_there_is_nothing_to_do() -> None:
    assert step_of() is None
    assert step_of(HASHED) is None


# --- a whole pull


@dataclass
class Connection:
    position: int
    end: int
    rate: int
    has_begun: bool = False

    @property
    def left(self) -> int:
        return self.end - self.position


@dataclass
class Blob:
    size: int
    present: list[Span]
    has_ranges: bool
    connections: list[Connection] = field(default_factory=list)
    brought: list[Span] = field(default_factory=list)

    @property
    def transfer(self) -> Transfer:
        going = [Span(each.position, each.end) for each in self.connections]
        return Transfer(
            self.size,
            missing(self.size, [*self.present, *self.brought, *going]),
            tuple(
                Stream(Span(each.position, each.end), each.rate if each.has_begun else None)
                for each in self.connections
            ),
            self.has_ranges,
        )


class Pull:
    """Workers that ask what to do, and connections that go on until the next of them ends."""

    def __init__(
        self, sizes: list[tuple[int, list[Span], bool]], small: int, rates: Iterator[int]
    ) -> None:
        self.waiting = [Blob(*each) for each in sorted(sizes, key=lambda each: -each[0])]
        self.blobs = list(self.waiting)
        self.begun: list[Blob] = []
        self.small = small
        self.small_running = 0
        self.rates = rates

    def run(self, limits: Limits) -> None:
        for _ in range(10_000):
            idle = limits.connections - self.small_running - self._open
            while idle > 0 and self._act(limits):
                idle -= 1
            assert self._open <= limits.streams
            assert self._open + self.small_running <= limits.connections
            if not self._pass():
                return
        pytest.fail("it does not end")

    @property
    def _open(self) -> int:
        return sum(len(blob.connections) for blob in self.begun)

    def _step(self, limits: Limits) -> Step | None:
        return next_step(
            [blob.transfer for blob in self.begun],
            large=bool(self.waiting),
            small=bool(self.small),
            beginning=0,
            small_running=self.small_running,
            limits=limits,
        )

    def _act(self, limits: Limits) -> bool:
        """What a worker does, as the board does it."""
        step = self._step(limits)
        if isinstance(step, Begin):
            self.begun.append(self.waiting.pop(0))
            step = self._step(limits)
        if isinstance(step, Divide):
            connection = self.begun[step.transfer].connections[step.stream]
            assert connection.position < step.at < connection.end
            connection.end = step.at
            step = self._step(limits)
        match step:
            case Small():
                self.small -= 1
                self.small_running += 1
            case Fill(number, span):
                blob = self.begun[number]
                if not blob.has_ranges:
                    assert not blob.connections
                    blob.present = [Span(0, span.start)] if span.start else []
                assert merge([*blob.transfer.gaps, span]) == merge(blob.transfer.gaps)
                blob.connections.append(Connection(span.start, span.end, next(self.rates)))
        return step is not None

    def _pass(self) -> bool:
        """Let time pass until a connection ends, and hash a blob that is here; whether any did."""
        connections = [each for blob in self.begun for each in blob.connections]
        self.small_running, ended = 0, self.small_running
        hashed = next((blob for blob in self.begun if not blob.transfer.left), None)
        if hashed:
            self.begun.remove(hashed)
        if not connections:
            return bool(ended or hashed)
        # Rates are known after a second at the latest, which is when others may join.
        seconds = min(1.0, *(each.left / each.rate for each in connections))
        for blob in self.begun:
            for each in list(blob.connections):
                start = each.position
                each.position = min(each.end, start + max(1, round(each.rate * seconds)))
                each.has_begun = True
                blob.brought.append(Span(start, each.position))
                if not each.left:
                    blob.connections.remove(each)
        return True


SIZES = st.integers(9 * MIB, 600 * MIB)


@st.composite
def blobs(draw: st.DrawFn) -> tuple[int, list[Span], bool]:
    size = draw(SIZES)
    cuts = sorted(draw(st.sets(st.integers(0, size), max_size=4)))
    present = [Span(*pair) for pair in zip(cuts[::2], cuts[1::2], strict=False)]
    return size, present, draw(st.booleans())


@given(
    sizes=st.lists(blobs(), max_size=6),
    small=st.integers(0, 20),
    streams=st.integers(1, 8),
    more=st.integers(0, 8),
    cores=st.integers(1, 8),
    rates=st.lists(st.integers(2 * MIB, 300 * MIB), min_size=1, max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_every_pull_ends_with_every_byte_fetched_once(
    sizes: list[tuple[int, list[Span], bool]],
    small: int,
    streams: int,
    more: int,
    cores: int,
    rates: list[int],
) -> None:
    def endless() -> Iterator[int]:
        while True:
            yield from rates

    pull = Pull(sizes, small, endless())
    pull.run(Limits(streams, streams + more, cores))
    assert not pull.waiting
    assert not pull.small
    for blob in pull.blobs:
        assert merge([*blob.present, *blob.brought]) == (Span(0, blob.size),)
        assert sum(span.size for span in [*blob.present, *blob.brought]) == blob.size

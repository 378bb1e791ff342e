"""One rate for all connections together."""

from __future__ import annotations

import threading

import pytest

from oci_pull.errors import Cancelled
from oci_pull.fetch.limiter import Limiter
from tests.fakes.clock import FakeClock

GOES_ON = threading.Event()
BURST = 0.2


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_without_a_rate_it_costs_nothing(clock: FakeClock) -> None:
    limiter = Limiter(None, clock)
    limiter.pay(1 << 60, GOES_ON)
    assert limiter.most(1 << 60) == 1 << 60
    assert clock.waits == []


@pytest.mark.parametrize("rate", [1000, 1_000_000])
def test_many_pieces_take_their_sum(clock: FakeClock, rate: int) -> None:
    limiter = Limiter(rate, clock)
    begun = clock.now()
    for number in range(100):
        limiter.pay(rate // 10 + number % 3, GOES_ON)
    assert clock.now() - begun == pytest.approx(10, abs=BURST + 0.1)


def test_several_payers_share_the_rate(clock: FakeClock) -> None:
    """Each waits for what all before it have taken, as if it came over one line."""
    limiter = Limiter(1000, clock)
    begun = clock.now()
    stands_still = Standing(begun)
    limiter = Limiter(1000, stands_still)
    for _ in range(8):
        limiter.pay(500, GOES_ON)
    assert stands_still.waits == pytest.approx([0.5 * n - BURST for n in range(1, 9)])


class Standing(FakeClock):
    """All of them ask at the same moment."""

    def advance(self, seconds: float) -> None:
        pass


def test_a_pause_is_made_up_for_by_a_moment_only(clock: FakeClock) -> None:
    limiter = Limiter(1000, clock)
    limiter.pay(1000, GOES_ON)
    clock.advance(3600)
    begun = clock.now()
    limiter.pay(5000, GOES_ON)
    assert clock.now() - begun == pytest.approx(5 - BURST)


def test_what_is_within_the_burst_is_not_waited_for(clock: FakeClock) -> None:
    Limiter(1000, clock).pay(199, GOES_ON)
    assert clock.waits == []


@pytest.mark.parametrize(
    ("rate", "size", "most"),
    [(160_000, 131_072, 10_000), (160_000, 5000, 5000), (100, 131_072, 64), (1 << 40, 500, 500)],
)
def test_a_low_rate_is_read_in_small_pieces(
    clock: FakeClock, rate: int, size: int, most: int
) -> None:
    assert Limiter(rate, clock).most(size) == most


def test_a_cancel_ends_the_wait(clock: FakeClock) -> None:
    stop = threading.Event()
    clock.on_wait = lambda _: stop.set()
    with pytest.raises(Cancelled):
        Limiter(1, clock).pay(1000, stop)

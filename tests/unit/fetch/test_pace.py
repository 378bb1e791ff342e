"""How fast a connection is, and whether it is worth keeping."""

from __future__ import annotations

import pytest

from oci_pull.fetch.pace import Pace, laggards


def pace_of(*marks: tuple[float, int]) -> Pace:
    """What was marked, at what time and with how many bytes, of a connection opened at 0."""
    pace = Pace(0)
    for now, received in marks:
        pace.mark(now, received)
    return pace


@pytest.mark.parametrize(
    ("marks", "rate"),
    [
        ([], None),
        ([(1, 0), (2, 0)], None),
        ([(1, 500)], None),
        ([(0, 500)], None),
        ([(1, 500), (1, 900)], None),
        ([(1, 500), (2, 1500)], 1000),
        ([(8, 500), (9, 1500)], 1000),
        ([(1, 500), (2, 1500), (4, 9500)], 3000),
        ([(1, 10), (2, 1_000_010), (7, 1_005_010), (8, 1_006_010)], 1000),
        ([(1, 500), (2, 1500), (7, 1500), (8, 1500)], None),
    ],
    ids=[
        "nothing was marked",
        "nothing came",
        "the first bytes alone say nothing",
        "nor do they when they come at once",
        "no time has passed",
        "what came since the first bytes",
        "the wait for the first byte does not count",
        "over all of a short time",
        "what is older than five seconds does not count",
        "what came and then stopped",
    ],
)
def test_the_rate_is_that_of_the_last_seconds(
    marks: list[tuple[float, int]], rate: float | None
) -> None:
    assert pace_of(*marks).rate == rate


@pytest.mark.parametrize(
    ("marks", "settled"),
    [
        ([], False),
        ([(1, 10), (5.9, 20)], False),
        ([(1, 10), (6, 20)], True),
        ([(4, 10), (6, 20)], False),
    ],
)
def test_a_connection_is_settled_after_five_seconds_of_bytes(
    marks: list[tuple[float, int]], settled: bool
) -> None:
    assert pace_of(*marks).is_settled is settled


@pytest.mark.parametrize(
    ("marks", "silence"),
    [
        ([], 30),
        ([(10, 0), (20, 0)], 30),
        ([(10, 50_000)], 20),
        ([(10, 50_000), (20, 50_000)], 20),
        ([(second, second) for second in range(1, 31)], 30),
        ([(second, second * 1024) for second in range(1, 31)], 0),
        ([(10, 1), (20, 30_000)], 10),
    ],
    ids=[
        "never marked",
        "nothing came",
        "something came",
        "and nothing since",
        "a byte a second is nothing",
        "the floor is something",
        "what comes late makes up for a pause",
    ],
)
def test_silence_is_the_time_that_brought_next_to_nothing(
    marks: list[tuple[float, int]], silence: float
) -> None:
    assert pace_of(*marks).silence(30) == silence


def test_what_nobody_waits_for_is_not_missed() -> None:
    """A disk that is slow, or a limit that is kept."""
    pace = Pace(0)
    pace.mark(20, 0, is_wanted=False)
    pace.mark(29, 0)
    assert pace.silence(30) == 10


@pytest.mark.parametrize(
    ("rates", "found"),
    [
        ([], []),
        ([1.0], []),
        ([0.0, 100, 100], []),
        ([0.0, 100, 100, 100], [0]),
        ([9.0, 100, 100, 100], [0]),
        ([10.0, 100, 100, 100], []),
        ([100, 100.0, 1, 100, 2, 100], [2, 4]),
        ([1.0, 1, 1, 100], []),
        ([0.0, 0, 0, 0], []),
    ],
)
def test_who_brings_less_than_a_tenth_of_three_others_holds_them_up(
    rates: list[float], found: list[int]
) -> None:
    assert laggards(dict(enumerate(rates))) == found


@pytest.mark.parametrize(("wanted", "is_waiting"), [(0, False), (5, False), (7, True), (9, True)])
def test_who_mostly_waits_for_the_line_is_held_up_by_it(wanted: int, is_waiting: bool) -> None:
    """Of nine looks, and the first, at which there was nothing yet to wait for."""
    pace = Pace(0)
    for second in range(1, 10):
        pace.mark(second / 10, second * 1000, is_wanted=second <= wanted)
    # The first bytes begin the time that is looked at.
    assert pace.is_waiting is is_waiting

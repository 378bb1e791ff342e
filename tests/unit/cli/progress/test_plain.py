import io
import re
from itertools import pairwise

import pytest

from oci_pull import events
from oci_pull.cli.progress.plain import PlainProgress
from tests.unit.cli.progress.moments import PLANNED, A, B, Clock, planned, started

_UNFINISHED = "of an unfinished download of what the reference was before"


class _Log:
    def __init__(self, *, stamps: bool = False) -> None:
        self.stream, self.clock = io.StringIO(), Clock()
        self.progress = PlainProgress(self.stream, clock=self.clock, stamps=stamps)

    def on(self, *told: events.Event) -> None:
        for event in told:
            self.progress.on(event)

    def after(self, seconds: float) -> None:
        self.clock.now += seconds
        self.on(events.Tick())

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


def test_plain_lines_have_a_heartbeat_and_no_escapes() -> None:
    log = _Log()
    one = started(A, 700)
    log.on(events.Resolved("docker.io/ai/x:latest", A, "docker-model"), PLANNED, one)
    for seconds, received in ((1, 10), (9.5, 70), (0.5, 80), (10, 180)):
        one.counter.value = received
        log.after(seconds)
    log.on(events.Retrying("x", 1, 8, 1.5, "it broke"))
    assert log.lines == [
        f"resolved docker.io/ai/x:latest -> sha256:{A.short} (docker-model)",
        "plan 2 files, 1.0 kB, to fetch 700 B, free 1.0 GB; resuming, 300 B already here",
        "37%  370 B of 1.0 kB  7 B/s  1:34 left",
        "48%  480 B of 1.0 kB  10 B/s  52 s left",
        "retry 1/8 of x in 1.5 s: it broke",
    ]


def test_the_heartbeat_says_what_takes_so_long() -> None:
    log = _Log()
    log.on(events.Resolving("docker.io/ai/x:latest"))
    log.after(10)
    one = started(A, 700)
    log.on(PLANNED)
    log.after(10)
    log.on(one)
    one.counter.value, one.hashed.value = 700, 300
    log.after(10)
    one.hashed.value = 700
    log.after(10)
    log.on(events.Committed("x", A, 700))
    log.on(events.Unpacking("the model", 400, events.Counter(100)))
    log.after(10)
    log.on(events.LayingOut(2, 1000, events.Counter(500)))
    log.after(10)
    assert [line for line in log.lines if not line.startswith("plan")] == [
        "resolving docker.io/ai/x:latest",
        "30%  300 B of 1.0 kB  0 B/s",
        "verifying 60%  600 B of 1.0 kB",
        "100%  1.0 kB of 1.0 kB  writing",
        "unpacking 25%  100 B of 400 B",
        "laying out 50%  500 B of 1.0 kB",
    ]


def test_twenty_minutes_are_some_sixty_lines_and_no_silence_is_longer_than_a_minute() -> None:
    log = _Log()
    log.on(planned(10**12))
    moments = []
    for second in range(1, 3601):
        before = len(log.lines)
        log.after(1)
        if len(log.lines) > before:
            moments.append(second)
    gaps = [after - before for before, after in pairwise(moments)]
    assert moments[0] == 10
    assert 50 <= sum(moment <= 1200 for moment in moments) <= 60
    assert (min(gaps), max(gaps)) == (10, 60)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            events.Stalled("x.bin", "cdn.example:443", "brings nothing"),
            "stalled x.bin: cdn.example:443 brings nothing; reconnecting\n",
        ),
        (
            events.Superseded(3, 1_200_000_000),
            f"kept 1.2 GB {_UNFINISHED}; not needed any more (partial/ in the cache)\n",
        ),
        (events.Examining(3, 7_000_000, events.Counter()), "reading 3 files, 7.0 MB\n"),
        (events.Rereading("x.bin", 10_000_000), "checking x.bin  10.0 MB\n"),
        (events.Reused("x.bin", A, 10_000_000), "reused x.bin  10.0 MB\n"),
        (events.Reused("x.bin", A, 9_999_999), ""),
        (events.Verified("x.bin", A, 10_000_000), ""),
        (events.Committed("x.bin", A, 10_000_000), "verified x.bin  10.0 MB\n"),
    ],
)
def test_an_event_is_a_line_where_it_is_worth_one(event: events.Event, line: str) -> None:
    log = _Log()
    log.on(event)
    assert log.stream.getvalue() == line


def test_eight_connections_that_break_at_once_are_one_line() -> None:
    log = _Log()
    for number in range(8):
        reason = f"cdn:443 closed the connection of {number:012x}"
        log.on(events.Retrying(f"{number}.bin", 2, 8, 1.0, reason))
    log.on(events.Retrying("8.bin", 2, 8, 1.0, "cdn:443 answered 503"))
    log.clock.now = 10
    log.on(events.Retrying("9.bin", 3, 8, 1.0, "cdn:443 closed the connection of 8a8a8a8a8a8a"))
    assert [line.split()[3] for line in log.lines] == ["0.bin", "8.bin", "9.bin"]


def test_plain_lines_say_when_unless_somebody_else_does() -> None:
    log = _Log(stamps=True)
    log.on(events.Warned("careful"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ warning careful", log.lines[0])


def test_a_thousand_small_files_are_no_thousand_lines() -> None:
    log = _Log()
    for _ in range(1000):
        log.on(events.Committed("x.json", A, 900), events.Reused("y.json", B, 900))
        log.on(events.Unpacking("x.tar", 900, events.Counter()))
    log.on(events.Committed("model.safetensors", A, 90_000_000))
    assert log.lines == ["verified model.safetensors  90.0 MB"]


@pytest.mark.parametrize(("blobs", "lines"), [(24, 2), (25, 1)])
def test_nor_are_two_hundred_shards(blobs: int, lines: int) -> None:
    log = _Log()
    log.on(planned(10**12, blobs), events.Committed("model.safetensors", A, 90_000_000))
    assert len(log.lines) == lines

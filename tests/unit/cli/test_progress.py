import io
import json
import re

import pytest

from oci_pull import events
from oci_pull.cli.bar import BarProgress
from oci_pull.cli.progress import JsonProgress, NoProgress, PlainProgress, Rate, Totals
from oci_pull.cli.terminal import make_progress
from oci_pull.oci.digest import Digest
from oci_pull.settings import Settings

_A, _B = Digest.of(b"a"), Digest.of(b"b")
_PLANNED = events.Planned(
    files=2,
    archives=0,
    blobs=2,
    size=1000,
    reused=100,
    resumed=200,
    early=0,
    to_fetch=700,
    free=10**9,
)
_UNFINISHED = "of an unfinished download of what the reference was before"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _started(digest: Digest, size: int, resumed: int) -> events.Started:
    counter, hashed = events.Counter(resumed), events.Counter()
    return events.Started(f"{digest.short}.bin", digest, size, resumed, counter, hashed)


def test_totals_count_what_was_there_once() -> None:
    totals = Totals()
    totals.on(_PLANNED)
    assert totals.done == 300
    first, second = _started(_A, 500, 200), _started(_B, 400, 0)
    totals.on(first)
    totals.on(second)
    assert totals.done == 300
    first.counter.value, second.counter.value = 500, 50
    assert totals.done == 650


@pytest.mark.parametrize("end", [events.Committed("x", _A, 500), events.Reused("x", _A, 500)])
def test_a_blob_is_active_until_it_has_its_final_name(end: events.Event) -> None:
    totals = Totals()
    totals.on(_PLANNED)
    first, second = _started(_A, 500, 200), _started(_B, 400, 0)
    totals.on(first)
    totals.on(second)
    assert totals.unhashed == 900
    first.counter.value, first.hashed.value = 500, 300
    assert (totals.active, totals.unhashed) == ([first, second], 600)
    first.hashed.value = 500
    totals.on(events.Verified("x", _A, 500))
    assert (totals.active, totals.unhashed) == ([first, second], 400)
    totals.on(end)
    assert (totals.active, totals.done) == ([second], 600)
    totals.on(first)
    assert totals.active == [first, second], "it is fetched anew"
    totals.on(_PLANNED)
    assert totals.active == []


def test_what_is_kept_is_told_in_figures_once_they_are_known() -> None:
    totals = Totals()
    assert totals.kept == "what was fetched is kept"
    totals.on(_PLANNED)
    assert totals.kept == "300 B of 1.0 kB kept"


def test_a_rate_is_that_of_the_last_moments() -> None:
    rate = Rate()
    assert rate.after(100, 5_000) == 0
    assert rate.after(101, 5_100) == 100
    for second in range(2, 11):
        rate.after(100 + second, 5_100 + second * 10)
    assert rate.after(111, 5_210) == pytest.approx(11)
    assert rate.after(130, 5_210) == 0
    assert rate.after(131, 5_000) == 0, "it never runs backwards"


def test_plain_lines_have_a_heartbeat_and_no_escapes() -> None:
    stream, clock = io.StringIO(), _Clock()
    progress = PlainProgress(stream, clock=clock, stamps=False)
    progress.on(events.Resolved("docker.io/ai/x:latest", _A, "docker-model"))
    progress.on(_PLANNED)
    started = _started(_A, 700, 0)
    progress.on(started)
    for seconds, received in ((1, 10), (10.5, 70), (11, 80), (21, 180)):
        clock.now, started.counter.value = seconds, received
        progress.on(events.Tick())
    progress.on(events.Retrying("x", 1, 8, 1.5, "it broke"))
    assert stream.getvalue().splitlines() == [
        f"resolved docker.io/ai/x:latest -> sha256:{_A.short} (docker-model)",
        "plan 2 files, 1.0 kB, to fetch 700 B, free 1.0 GB; resuming, 300 B already here",
        "37%  370 B of 1.0 kB  7 B/s",
        "48%  480 B of 1.0 kB  10 B/s",
        "retry 1/8 of x in 1.5 s: it broke",
    ]


def _beats(progress: PlainProgress, clock: _Clock, count: int = 1) -> None:
    for _ in range(count):
        clock.now += 10
        progress.on(events.Tick())


def test_the_heartbeat_says_what_takes_so_long() -> None:
    stream, clock = io.StringIO(), _Clock()
    progress = PlainProgress(stream, clock=clock, stamps=False)
    _beats(progress, clock)
    progress.on(_PLANNED)
    _beats(progress, clock)
    started = _started(_A, 700, 0)
    progress.on(started)
    started.counter.value, started.hashed.value = 700, 300
    _beats(progress, clock)
    started.hashed.value = 700
    _beats(progress, clock)
    progress.on(events.Committed("x", _A, 700))
    progress.on(events.Unpacking("x", 700, events.Counter()))
    _beats(progress, clock)
    assert stream.getvalue().splitlines()[1:] == [
        "30%  300 B of 1.0 kB  0 B/s",
        "100%  1.0 kB of 1.0 kB  verifying 400 B",
        "100%  1.0 kB of 1.0 kB  writing",
        "100%  1.0 kB of 1.0 kB  writing",
    ]


_RETRIES = [
    (events.Retrying("x", 1, 8, 0.9, "it broke"), False),
    (events.Retrying("x", 1, 8, 1.0, "it broke"), True),
    (events.Retrying("x", 2, 8, 0.1, "it broke"), True),
]


@pytest.mark.parametrize(("event", "is_told"), _RETRIES)
def test_a_retry_that_nobody_notices_is_no_line(event: events.Event, is_told: bool) -> None:
    plain, lines = io.StringIO(), io.StringIO()
    PlainProgress(plain, clock=_Clock(), stamps=False).on(event)
    JsonProgress(lines, clock=_Clock()).on(event)
    assert bool(plain.getvalue()) is is_told
    assert json.loads(lines.getvalue())["event"] == "retrying"


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
        (events.Reused("x.bin", _A, 10_000_000), "reused x.bin  10.0 MB\n"),
        (events.Reused("x.bin", _A, 9_999_999), ""),
        (events.Verified("x.bin", _A, 10_000_000), ""),
        (events.Committed("x.bin", _A, 10_000_000), "verified x.bin  10.0 MB\n"),
    ],
)
def test_an_event_is_a_line_where_it_is_worth_one(event: events.Event, line: str) -> None:
    stream = io.StringIO()
    PlainProgress(stream, clock=_Clock(), stamps=False).on(event)
    assert stream.getvalue() == line


def test_plain_lines_say_when_unless_somebody_else_does() -> None:
    stream = io.StringIO()
    PlainProgress(stream, clock=_Clock(), stamps=True).on(events.Warned("careful"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ warning careful\n", stream.getvalue())


def test_a_thousand_small_files_are_no_thousand_lines() -> None:
    stream = io.StringIO()
    progress = PlainProgress(stream, clock=_Clock(), stamps=False)
    for _ in range(1000):
        progress.on(events.Committed("x.json", _A, 900))
        progress.on(events.Reused("y.json", _A, 900))
        progress.on(events.Unpacking("x.tar", 900, events.Counter()))
    progress.on(events.Committed("model.safetensors", _A, 90_000_000))
    assert stream.getvalue() == "verified model.safetensors  90.0 MB\n"


def test_json_lines_are_objects_with_a_time_and_the_facts_of_the_event() -> None:
    stream, clock = io.StringIO(), _Clock()
    progress = JsonProgress(stream, clock=clock)
    progress.on(_PLANNED)
    started = _started(_A, 700, 200)
    progress.on(started)
    started.counter.value = 500
    clock.now = 2
    progress.on(events.Tick())
    progress.on(events.LayingOut(2, 1000, events.Counter()))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["planned", "started", "progress", "laying_out"]
    assert all("t" in line for line in lines)
    assert lines[1]["digest"] == str(_A)
    assert (lines[2]["done"], lines[2]["total"]) == (600, 1000)
    assert not {"counter", "hashed"} & lines[1].keys()


def test_bars_are_drawn_and_taken_away_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    stream = _Terminal()
    progress = BarProgress(stream)
    progress.on(_PLANNED)
    started = _started(_A, 700, 0)
    progress.on(started)
    progress.on(events.Tick())
    assert "total" in stream.getvalue()
    assert f"{_A.short}.bin" in stream.getvalue()
    assert "verifying" not in stream.getvalue()
    progress.on(events.Superseded(3, 1_200_000_000))
    progress.on(events.Stalled("x.bin", "cdn.example:443", "brings nothing"))
    progress.on(events.LayingOut(2, 1000, events.Counter()))
    progress.close()
    for line in ("Plan        2 files, 1.0 kB", "Kept        1.2 GB of", "Stalled     x.bin: cdn."):
        assert line in stream.getvalue()


def test_a_bar_says_that_what_is_all_here_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    stream = _Terminal()
    progress = BarProgress(stream)
    progress.on(_PLANNED)
    started = _started(_A, 700, 0)
    started.counter.value = 700
    progress.on(started)
    progress.on(events.Tick())
    progress.close()
    assert f"verifying {_A.short}"[:17] in stream.getvalue()


@pytest.mark.parametrize(
    ("options", "stream", "expected"),
    [
        ({}, io.StringIO(), PlainProgress),
        ({}, _Terminal(), BarProgress),
        ({"progress": "bar"}, io.StringIO(), PlainProgress),
        ({"progress": "bar"}, _Terminal(), BarProgress),
        ({"progress": "plain"}, _Terminal(), PlainProgress),
        ({"progress": "json"}, _Terminal(), JsonProgress),
        ({"progress": "none"}, _Terminal(), NoProgress),
        ({"quiet": True}, _Terminal(), NoProgress),
    ],
)
def test_the_stream_decides_unless_it_was_said(
    options: dict[str, object], stream: io.StringIO, expected: type
) -> None:
    settings = Settings.load({"HOME": "/home/ada"}, options)
    assert type(make_progress(settings, stream)) is expected


def test_a_terminal_in_continuous_integration_gets_lines() -> None:
    settings = Settings.load({"HOME": "/home/ada", "CI": "true"})
    assert type(make_progress(settings, _Terminal())) is PlainProgress

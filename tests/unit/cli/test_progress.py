import io
import json
import re

import pytest

from oci_pull import events
from oci_pull.cli.bar import BarProgress
from oci_pull.cli.progress import JsonProgress, NoProgress, PlainProgress, Totals
from oci_pull.cli.terminal import make_progress
from oci_pull.oci.digest import Digest
from oci_pull.settings import Settings

_A, _B = Digest.of(b"a"), Digest.of(b"b")
_PLANNED = events.Planned(
    files=2, archives=0, size=1000, reused=100, resumed=200, early=0, to_fetch=700, free=10**9
)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _started(digest: Digest, size: int, resumed: int) -> events.Started:
    return events.Started(f"{digest.short}.bin", digest, size, resumed, events.Counter(resumed))


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
    assert totals.active == [second]


def test_plain_lines_have_a_heartbeat_and_no_escapes() -> None:
    stream, clock = io.StringIO(), _Clock()
    progress = PlainProgress(stream, clock=clock, stamps=False)
    progress.on(events.Resolved("docker.io/ai/x:latest", _A, "docker-model"))
    progress.on(_PLANNED)
    started = _started(_A, 700, 0)
    progress.on(started)
    for seconds, received in ((1, 10), (10.5, 70), (11, 80), (21, 140)):
        clock.now, started.counter.value = seconds, received
        progress.on(events.Tick())
    progress.on(events.Retrying("x", 1, 8, 0.5, "it broke"))
    lines = stream.getvalue().splitlines()
    assert lines[0] == f"resolved docker.io/ai/x:latest -> sha256:{_A.short} (docker-model)"
    assert "resuming, 300 B already here" in lines[1]
    assert [line.split()[0] for line in lines[2:4]] == ["37%", "44%"]
    assert lines[4] == "retry 1/8 of x in 0.5 s: it broke"
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_plain_lines_say_when_unless_somebody_else_does() -> None:
    stream = io.StringIO()
    PlainProgress(stream, clock=_Clock(), stamps=True).on(events.Warned("careful"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ warning careful\n", stream.getvalue())


def test_a_thousand_small_files_are_no_thousand_lines() -> None:
    stream = io.StringIO()
    progress = PlainProgress(stream, clock=_Clock(), stamps=False)
    for _ in range(1000):
        progress.on(events.Fetched("x.json", _A, 900))
        progress.on(events.Unpacking("x.tar", 900))
    progress.on(events.Fetched("model.safetensors", _A, 90_000_000))
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
    progress.on(events.LayingOut(2))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["planned", "started", "progress", "laying_out"]
    assert all("t" in line for line in lines)
    assert lines[1]["digest"] == str(_A)
    assert (lines[2]["done"], lines[2]["total"]) == (600, 1000)
    assert "counter" not in lines[1]


def test_bars_are_drawn_and_taken_away_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    stream = _Terminal()
    progress = BarProgress(stream)
    progress.on(_PLANNED)
    progress.on(_started(_A, 700, 0))
    progress.on(events.Tick())
    assert "total" in stream.getvalue()
    assert f"{_A.short}.bin" in stream.getvalue()
    progress.on(events.LayingOut(2))
    progress.close()
    assert "Plan        2 files, 1.0 kB" in stream.getvalue()


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

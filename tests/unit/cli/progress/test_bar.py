import io
from collections.abc import Callable

import pytest

from oci_pull import events
from oci_pull.cli.color import Ink
from oci_pull.cli.progress.bar import BarProgress
from oci_pull.cli.progress.seat import Seat
from oci_pull.errors import Cancelled
from tests.unit.cli.progress.moments import PLANNED, A, Clock, Shell, Terminal, planned, started


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm")


def _bar(ink: Ink = Ink()) -> tuple[Terminal, Clock, BarProgress]:  # noqa: B008 - frozen
    stream, clock = Terminal(), Clock()
    return stream, clock, BarProgress(stream, clock=clock, ink=ink, seat=Shell().seat(stream))


def test_bars_are_drawn_below_what_is_said() -> None:
    stream, clock, progress = _bar()
    progress.on(planned(7_000_000))
    progress.on(started(A, 7_000_000))
    clock.now = 1
    progress.on(events.Tick())
    drawn = stream.getvalue()
    assert drawn.startswith("Plan        2 files, 7.0 MB")
    assert "total" in drawn
    assert A.short in drawn
    assert "verifying" not in drawn
    progress.on(events.Superseded(3, 1_200_000_000))
    progress.on(events.Stalled("x.bin", "cdn.example:443", "brings nothing"))
    progress.close()
    for line in ("Kept        1.2 GB of", "Stalled     x.bin: cdn."):
        assert line in stream.getvalue()


def test_a_bar_says_how_much_was_read() -> None:
    stream, clock, progress = _bar()
    counter = events.Counter()
    progress.on(events.Examining(3, 7_000_000, counter))
    counter.value, clock.now = 3_500_000, 1
    progress.on(events.Tick())
    assert stream.getvalue().startswith("Reading     3 files, 7.0 MB")
    assert "3.5/7.0 MB" in stream.getvalue()


def test_a_bar_says_that_what_is_all_here_is_verified() -> None:
    stream, clock, progress = _bar()
    progress.on(planned(9_000_000))
    one = started(A, 7_000_000)
    one.counter.value = 7_000_000
    progress.on(one)
    clock.now = 1
    progress.on(events.Tick())
    assert "verifying" in stream.getvalue()


def test_what_is_over_at_once_is_not_drawn() -> None:
    stream, clock, progress = _bar()
    progress.on(PLANNED)
    clock.now = 0.3
    progress.on(events.Tick())
    progress.close()
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_pictures_are_a_tenth_of_a_second_apart() -> None:
    stream, clock, progress = _bar()
    progress.on(PLANNED)
    lengths = set()
    for hundredths in range(100, 150):
        clock.now = hundredths / 100
        progress.on(events.Tick())
        lengths.add(len(stream.getvalue()))
    assert len(lengths) == 5


def test_colours_are_for_those_who_want_them() -> None:
    for ink, has_colours in ((Ink(), False), (Ink(is_colored=True), True)):
        stream, clock, progress = _bar(ink)
        progress.on(PLANNED)
        clock.now = 1
        progress.on(events.Tick())
        assert ("\x1b[36m" in stream.getvalue()) is has_colours


def test_a_failure_is_told_after_the_bars_are_gone() -> None:
    stream, clock, progress = _bar()
    progress.on(PLANNED)
    clock.now = 1
    progress.on(events.Tick())
    progress.fail(Cancelled("interrupted; 300 B of 1.0 kB kept"))
    assert stream.getvalue().endswith("interrupted; 300 B of 1.0 kB kept\n")


def test_a_stream_without_lines_gets_other_signs() -> None:
    raw = io.BytesIO()
    stream, clock = io.TextIOWrapper(raw, encoding="ascii", write_through=True), Clock()
    progress = BarProgress(stream, clock=clock, seat=Seat(stream, lambda: 0))
    progress.on(PLANNED)
    clock.now = 1
    progress.on(events.Tick())
    assert b"##" in raw.getvalue()


def _tick(progress: BarProgress, clock: Clock) -> None:
    clock.now += 1
    progress.on(events.Tick())


def test_after_a_stop_what_the_shell_wrote_stays() -> None:
    stream, clock, shell = Terminal(), Clock(), Shell()
    progress = BarProgress(stream, clock=clock, seat=shell.seat(stream))
    progress.on(PLANNED)
    _tick(progress, clock)
    going_on: list[Callable[[], None]] = [
        lambda: _tick(progress, clock),
        lambda: progress.say("a", "b"),
        progress.close,
    ]
    for go_on in going_on:
        shell.stops += 1
        before = len(stream.getvalue())
        go_on()
        assert "\x1b[1A" not in stream.getvalue()[before:]
    _tick(progress, clock)
    assert stream.getvalue().count("total ") == 3


def test_nothing_is_drawn_in_the_background() -> None:
    stream, clock, shell = Terminal(), Clock(), Shell()
    progress = BarProgress(stream, clock=clock, seat=shell.seat(stream))
    progress.on(PLANNED)
    shell.has_it = True
    _tick(progress, clock)
    progress.on(events.Warned("it is said"))
    assert "total " not in stream.getvalue()
    assert stream.getvalue().endswith("Warning     it is said\n")
    shell.has_it = False
    _tick(progress, clock)
    assert "total " in stream.getvalue()


def test_a_process_that_is_stopped_leaves_a_cursor() -> None:
    stream, clock, progress = _bar()
    progress.on(PLANNED)
    _tick(progress, clock)
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")

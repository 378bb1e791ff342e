import io
import json
import threading

from oci_pull import events
from oci_pull.cli.progress.json_lines import JsonProgress
from oci_pull.errors import RateLimited
from tests.unit.cli.progress.moments import PLANNED, A, Clock, started


def test_json_lines_are_objects_with_a_time_and_the_facts_of_the_event() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = JsonProgress(stream, clock=clock)
    one = started(A, 700, 200)
    for event in (PLANNED, one):
        progress.on(event)
    clock.now = 1
    progress.on(events.Tick())
    one.counter.value, clock.now = 500, 2
    progress.on(events.Tick())
    clock.now = 2.5
    progress.on(events.Tick())
    progress.on(events.LayingOut(2, 1000, events.Counter()))
    progress.say("warm", "2 of 2 ready")
    progress.fail(RateLimited("too often", hint="wait"))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [
        "planned", "started", "progress", "progress", "laying_out", "error",
    ]  # fmt: skip
    assert all("t" in line for line in lines)
    assert lines[1]["digest"] == str(A)
    del lines[3]["t"]
    assert lines[3] == {
        "event": "progress", "phase": "fetching", "done": 600, "total": 1000, "rate": 300,
        "left": None,
    }  # fmt: skip
    assert not {"counter", "hashed"} & (lines[1].keys() | lines[4].keys())
    assert (lines[5]["code"], lines[5]["exit"], lines[5]["retryable"]) == ("rate_limited", 6, True)


def test_lines_are_in_the_order_of_their_times_whoever_writes_them() -> None:
    class _Slow(io.StringIO):
        """While the first line is being written, another thread has something to say."""

        other: threading.Thread | None = None

        def write(self, text: str) -> int:
            if self.other is None:
                self.other = threading.Thread(target=progress.on, args=(events.Warned("b"),))
                self.other.start()
                self.other.join(0.1)
            return super().write(text)

    stream = _Slow()
    progress = JsonProgress(stream, clock=Clock())
    progress.on(events.Warned("a"))
    assert stream.other is not None
    stream.other.join()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["message"] for line in lines] == ["a", "b"]
    assert lines[0]["t"] <= lines[1]["t"]


def test_json_lines_say_how_much_was_read() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = JsonProgress(stream, clock=clock)
    counter = events.Counter()
    progress.on(events.Examining(3, 1000, counter))
    counter.value, clock.now = 480, 1
    progress.on(events.Tick())
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert {**first, "t": ""} == {"t": "", "event": "examining", "files": 3, "size": 1000}
    assert (second["phase"], second["done"], second["total"]) == ("reading", 480, 1000)

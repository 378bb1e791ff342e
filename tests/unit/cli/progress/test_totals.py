import pytest

from oci_pull import events
from oci_pull.cli.progress.totals import Left, Rate, Row, Totals
from tests.unit.cli.progress.moments import PLANNED, A, B, planned, started


def test_totals_count_what_was_there_once() -> None:
    totals = Totals()
    totals.on(PLANNED)
    assert totals.done == 300
    first, second = started(A, 500, 200), started(B, 400)
    totals.on(first)
    totals.on(second)
    assert totals.done == 300
    first.counter.value, second.counter.value = 500, 50
    assert totals.done == 650


def test_what_is_done_never_runs_backwards_nor_beyond_the_end() -> None:
    totals = Totals()
    totals.on(PLANNED)
    first = started(A, 900)
    totals.on(first)
    first.counter.value = 600
    assert totals.done == 900
    totals.on(started(A, 900))
    assert totals.done == 900, "it is fetched anew, and the bar stays"
    first = started(A, 900)
    totals.on(first)
    first.counter.value = 900
    assert totals.done == 1000


@pytest.mark.parametrize("end", [events.Committed("x", A, 500), events.Reused("x", A, 500)])
def test_a_blob_is_active_until_it_has_its_final_name(end: events.Event) -> None:
    totals = Totals()
    totals.on(PLANNED)
    first, second = started(A, 500, 200), started(B, 400)
    totals.on(first)
    totals.on(second)
    assert totals.unhashed == 900
    first.counter.value, first.hashed.value = 500, 300
    assert (totals.active, totals.unhashed) == ([first, second], 600)
    first.hashed.value = 500
    totals.on(events.Verified("x", A, 500))
    assert (totals.active, totals.unhashed) == ([first, second], 400)
    totals.on(end)
    assert (totals.active, totals.done) == ([second], 600)
    totals.on(first)
    assert totals.active == [first, second], "it is fetched anew"
    totals.on(PLANNED)
    assert totals.active == []


def test_blobs_are_verified_under_way_or_waiting() -> None:
    totals = Totals()
    totals.on(planned(1000, blobs=6))
    assert totals.blobs == (0, 6, 6)
    totals.on(started(A, 500))
    totals.on(events.Waiting("other", "pid 7 on host"))
    assert totals.blobs == (0, 6, 4)
    totals.on(events.Committed("x", A, 500))
    assert totals.blobs == (1, 6, 4)


def test_what_is_kept_is_told_in_figures_once_they_are_known() -> None:
    totals = Totals()
    assert totals.kept == "what was fetched is kept"
    totals.on(PLANNED)
    assert totals.kept == "300 B of 1.0 kB kept"


def test_a_rate_is_that_of_the_last_moments() -> None:
    rate = Rate()
    assert rate.after(100, 5_000) is None, "one look tells nothing"
    assert rate.after(101, 5_100) == 100
    for second in range(2, 11):
        rate.after(100 + second, 5_100 + second * 10)
    assert rate.after(111, 5_210) == pytest.approx(11)
    assert rate.after(130, 5_210) == 0
    assert rate.after(131, 5_000) == 0, "it never runs backwards"


def test_what_is_left_passes_and_does_not_jump() -> None:
    left = Left()
    assert left.after(0, 1000, 10) is None
    assert left.after(2.9, 1000, 10) is None, "nobody can know yet"
    assert left.after(3, 1000, 10) == 100
    assert left.after(4, 990, 10) == 99
    # Twice as fast for a moment: it is corrected by a part.
    after = left.after(4.5, 985, 20)
    assert after is not None
    assert 90 < after < 98
    assert left.after(10, 985, 20) == pytest.approx(49.25), "and by all of it in time"
    assert left.after(11, 985, 0) is None
    assert left.after(12, 0, 20) is None


def test_each_phase_has_a_line_of_its_own() -> None:
    totals = Totals()
    totals.on(events.Resolving("docker.io/ai/x:latest"))
    assert totals.total(0)[0] == Row("resolving", note="docker.io/ai/x:latest")
    totals.on(planned(1000))
    assert totals.total(0)[0] == Row("total", 0, 1000)
    one = started(A, 1000, name="model.tar")
    totals.on(one)
    one.counter.value, one.hashed.value = 600, 300
    assert totals.total(1)[0] == Row("total", 600, 1000, 600)
    one.counter.value = 1000
    assert totals.total(2)[0] == Row("verifying", 300, 1000)
    one.hashed.value = 1000
    assert totals.total(3)[0].name == "total"
    totals.on(events.Committed("model.tar", A, 1000))
    written = events.Counter(250)
    totals.on(events.Unpacking("the model in the image", 500, written))
    assert totals.total(4)[0] == Row("unpacking", 250, 500)
    written.value = 500
    assert totals.total(5)[0].name == "total"
    placed = events.Counter(400)
    totals.on(events.LayingOut(3, 800, placed))
    assert totals.total(6)[0] == Row("laying out", 400, 800)


def test_what_is_read_again_is_a_line_until_something_is_fetched() -> None:
    totals, counter = Totals(), events.Counter()
    totals.on(events.Examining(3, 1000, counter))
    assert totals.total(0)[0] == Row("reading", 0, 1000)
    counter.value = 480
    assert totals.total(1)[0] == Row("reading", 480, 1000, 480)
    totals.on(planned(700))
    assert totals.total(2)[0] == Row("total", 0, 700)


def test_a_row_says_what_happened_to_its_blob_until_it_goes_on() -> None:
    totals = Totals()
    totals.on(planned(9_000_000))
    one = started(A, 5_000_000, name="a.bin")
    totals.on(one)
    one.counter.value = 100
    for event, note in (
        (events.Retrying("a.bin", 2, 8, 1.0, "it broke"), "retry 2/8"),
        (events.Stalled("a.bin", "cdn:443", "brings nothing"), "reconnects"),
        (events.Restarted("a.bin", "wrong"), "again"),
    ):
        totals.on(event)
        assert totals.rows(1)[0].note == note
        one.counter.value += 1
        assert totals.rows(1)[0].note == ""
    one.counter.value = 5_000_000
    assert totals.rows(2)[0].note == "verifying"
    totals.on(events.Unpacking("a.bin", 5_000_000, one.hashed))
    assert totals.rows(2)[0].note == "unpacking"


def test_what_is_over_at_once_has_no_row() -> None:
    totals = Totals()
    totals.on(planned(9_000_000))
    totals.on(started(A, 999_999))
    totals.on(started(B, 1_000_000))
    assert [row.size for row in totals.rows(0)] == [1_000_000]


def test_a_blob_that_another_process_fetches_is_a_row_without_a_bar() -> None:
    totals = Totals()
    totals.on(planned(9_000_000))
    totals.on(events.Waiting("a.bin", "pid 7 on host"))
    assert totals.rows(0) == [Row("a.bin", note="waiting for pid 7 on host")]
    totals.on(started(A, 5_000_000, name="a.bin"))
    assert [row.size for row in totals.rows(0)] == [5_000_000]

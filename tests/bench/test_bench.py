"""What is computed from measurements, and how it is shown. Nothing is measured here."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.bench import page, plot, results, startup
from tests.bench.cases import CASES, OURS
from tests.bench.results import Outcome, Results, Run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_THEIRS = "curl | tee | openssl"


def _runs(walls: Sequence[float], *, foreign: float = 0.0) -> list[Run]:
    return [Run(wall, wall / 2, 50_000_000, foreign, quiet=True) for wall in walls]


def _outcome(ours: Sequence[float], theirs: Sequence[float]) -> Outcome:
    return Outcome("one", 1_000_000, {OURS: _runs(ours), _THEIRS: _runs(theirs)})


def _results(*outcomes: Outcome) -> Results:
    return Results({"Memory": "1 GiB"}, {"curl": "1.2.3"}, 3, 1 << 20, list(outcomes))


def test_a_ratio_is_of_medians_and_of_rounds() -> None:
    found = results.ratio(_outcome([1, 2, 9], [4, 5, 6]), "wall", _THEIRS)
    assert found is not None
    assert found.of_medians == 0.4
    assert found.of_rounds == 0.4
    found = results.ratio(_outcome([1, 2, 3], [10, 4, 2]), "wall", _THEIRS)
    assert found is not None
    assert found.of_medians == 0.5
    assert found.of_rounds == 0.5


@pytest.mark.parametrize(("ours", "reached"), [([1.4, 1.5, 1.6], True), ([1.4, 1.6, 1.7], False)])
def test_a_goal_is_reached_by_the_ratio_of_the_medians(ours: list[float], reached: bool) -> None:
    wall, cpu, memory = results.judge(_outcome(ours, [1, 2, 3]))
    assert (wall.goal.metric, wall.reached) == ("wall", reached)
    assert (cpu.goal.metric, cpu.reached) == ("cpu", True)
    assert (memory.found, memory.reached) == (50_000_000, True)


def test_a_goal_against_somebody_who_was_left_out_is_not_judged() -> None:
    outcome = Outcome("one", 1, {OURS: _runs([1.0])}, {_THEIRS: "not installed"})
    assert [each.goal.metric for each in results.judge(outcome)] == ["memory"]


def test_disturbed_runs_are_counted() -> None:
    runs = {OURS: _runs([1, 2], foreign=0.3), _THEIRS: _runs([1, 2])}
    assert results.disturbed(Outcome("one", 1, runs)) == (2, 4)


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    found = _results(_outcome([1, 2], [3, 4]))
    found.write(tmp_path / "new" / "bench.json")
    assert results.read(tmp_path / "new" / "bench.json") == found


def test_a_goal_names_a_contender_of_its_case() -> None:
    for case in CASES:
        names = {contender.name for contender in case.contenders}
        assert OURS in names
        assert {goal.against for goal in case.goals} <= names | {""}


def test_the_page_says_who_was_slow_and_who_was_left_out() -> None:
    outcome = _outcome([1.9, 2.0, 2.1], [1.0, 1.0, 1.0])
    outcome.missing["skopeo copy"] = "not installed"
    text = page.write(_results(outcome))
    assert r"| One blob | time | curl \| tee \| openssl | 0.75 | 2.00 | 2.00 | **no** |" in text
    assert "| **oci-pull** | 2.00 (1.90-2.10) |" in text
    assert "skopeo copy is left out: not installed" in text
    assert "    oci-pull REF -o model --progress plain" in text
    assert "{" not in text


def test_the_plot_has_a_bar_for_everybody_and_stays_within_its_frame() -> None:
    drawn = ET.fromstring(plot.draw(_results(_outcome([1.9, 2.0], [0.5, 20.0]))))
    frame = [float(number) for number in drawn.attrib["viewBox"].split()]
    bars = drawn.findall("{*}rect")
    assert len(bars) == 2
    for bar in bars:
        assert float(bar.attrib["x"]) + float(bar.attrib["width"]) < frame[2]
        assert float(bar.attrib["y"]) + float(bar.attrib["height"]) < frame[3]


def test_a_start_that_takes_too_long_is_said_on_the_page() -> None:
    measured = startup.lines("r.example/m:v1", "sha256:0")
    seconds = {line.name: 0.3 for line in measured} | {startup.PYTHON: 0.1, startup.HF: 0.5}
    found = {name: [startup.Took(each, each / 2)] * 3 for name, each in seconds.items()}
    text = startup.section(measured, found, {"Processor": "1 core", "Python": "3.11"}, "2.0")
    assert (
        "| **oci-pull -V** | 0.300 (0.300-0.300) | 0.150 s | python -c pass | 2.00 | 3.00" in text
    )
    assert text.count("| **no** |") == 1
    assert text.count("| yes |") == len(measured) - 1


def test_the_section_on_starting_is_the_end_of_its_page() -> None:
    assert startup.section_of("# Benchmarks\n\n## Commands\n") == ""
    page = "# Benchmarks\n\n## Start-up\n\nfast\n"
    assert startup.section_of(page) == "\n## Start-up\n\nfast\n"

"""What was measured, as JSON has it, and what follows from it."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from tests.bench.cases import CASES, OURS, Case, Goal

if TYPE_CHECKING:
    from pathlib import Path

#: From here on a run counts as disturbed by others.
DISTURBED = 0.1


@dataclass(frozen=True)
class Run:
    wall: float  # seconds
    cpu: float  # seconds, of all its processes
    memory: int  # bytes, of the largest of them
    foreign: float  # the share of the machine that others used meanwhile
    quiet: bool  # whether it was quiet before

    @property
    def disturbed(self) -> bool:
        return self.foreign > DISTURBED or not self.quiet


@dataclass
class Outcome:
    """Of one case: the runs of each contender, in the order of the rounds."""

    name: str
    bytes: int
    runs: dict[str, list[Run]] = field(default_factory=dict)
    #: Who could not take part, and why.
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def case(self) -> Case:
        return next(case for case in CASES if case.name == self.name)

    def values(self, contender: str, metric: str) -> list[float]:
        return [getattr(run, metric) for run in self.runs.get(contender, ())]


@dataclass
class Results:
    machine: dict[str, str]
    versions: dict[str, str]
    rounds: int
    size: int  # of a large blob
    outcomes: list[Outcome] = field(default_factory=list)

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def read(path: Path) -> Results:
    document = json.loads(path.read_text())
    outcomes = [
        Outcome(
            **{
                **each,
                "runs": {name: [Run(**run) for run in runs] for name, runs in each["runs"].items()},
            }
        )
        for each in document.pop("outcomes")
    ]
    return Results(**document, outcomes=outcomes)


@dataclass(frozen=True)
class Ratio:
    """Ours to another's: the ratio of the medians, and the median of the rounds' ratios."""

    of_medians: float
    of_rounds: float


def ratio(outcome: Outcome, metric: str, against: str) -> Ratio | None:
    """None where one of the two was not measured."""
    ours, theirs = outcome.values(OURS, metric), outcome.values(against, metric)
    if not ours or not theirs:
        return None
    return Ratio(
        statistics.median(ours) / statistics.median(theirs),
        statistics.median(mine / other for mine, other in zip(ours, theirs, strict=False)),
    )


@dataclass(frozen=True)
class Judged:
    goal: Goal
    found: float  # a ratio, or bytes
    rounds: float | None  # the median of the rounds' ratios

    @property
    def reached(self) -> bool:
        return self.found <= self.goal.most


def judge(outcome: Outcome) -> list[Judged]:
    """The goals of the case that could be measured."""
    found = []
    for goal in outcome.case.goals:
        if not goal.against:
            if values := outcome.values(OURS, goal.metric):
                found.append(Judged(goal, max(values), None))
        elif compared := ratio(outcome, goal.metric, goal.against):
            found.append(Judged(goal, compared.of_medians, compared.of_rounds))
    return found


def disturbed(outcome: Outcome) -> tuple[int, int]:
    """How many runs others disturbed, of how many."""
    runs = [run for runs in outcome.runs.values() for run in runs]
    return sum(run.disturbed for run in runs), len(runs)

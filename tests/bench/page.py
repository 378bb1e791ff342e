"""docs/benchmarks.md: the tables, and everything that has to be known to read them."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from tests.bench.cases import CASES, OURS
from tests.bench.results import disturbed, judge, ratio
from tests.bench.stage import FAR, SMALL_BLOBS, SMALL_LEAST, SMALL_MOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.cases import Contender
    from tests.bench.results import Judged, Outcome, Results

_SHOWN = {
    "oci_pull": "oci-pull",
    "plain_httpx": "python plain_httpx.py",
    "reference": "REF",
    "url": "URL",
}
_METRICS = {"wall": "time", "cpu": "processor time", "memory": "peak memory"}

_INTRODUCTION = """\
# Benchmarks

`make bench` measures the installed command beside other ways to get the same bytes, and writes this
page. A ratio is what `oci-pull` takes divided by what the other takes: below 1 it is better.

![Seconds that each way takes; the line spans the rounds](benchmarks.svg)
"""
_FIGURES = """\
## Figures

Medians of the rounds; in brackets the fastest and the slowest. Memory is the highest peak of the
largest process. Ratios are of the medians; beside the first is the median of the rounds' ratios.
"""
_COMMANDS = """\
## Commands

Each is a line for bash (with `pipefail`), run in an empty directory. `curl.conf`, `urls.txt` and
`blobs.txt` name the same blobs, for whoever reads them; `files.txt` has the names of the files.
`plain_httpx.py` is in [tests/bench](../tests/bench/plain_httpx.py).
"""


def write(results: Results) -> str:
    size = f"{results.size / (1 << 20):.0f} MiB"
    parts = [
        _INTRODUCTION,
        "## Goals\n",
        *_table(
            ("case", "what", "against", "at most", "found", "median of rounds", "reached"),
            (row for outcome in results.outcomes for row in _goal_rows(outcome)),
        ),
        _FIGURES,
    ]
    for outcome in results.outcomes:
        parts += _case(outcome)
    parts += [
        "## Machine\n",
        *(f"- {name}: {value}" for name, value in results.machine.items()),
        "- " + ", ".join(f"{name} {version}" for name, version in results.versions.items()),
        "",
        _method(results.rounds, size),
        _COMMANDS,
        *(f"    {_shown(contender)}" for contender in _contenders(results)),
    ]
    return "\n".join(parts) + "\n"


def _method(rounds: int, size: str) -> str:
    return f"""\
## Method

- Registries (Debian's `docker-registry`), nginx, and the client share one machine and talk over
  loopback. So the figures are about the cost of the programs, not about networks, and servers take
  processor time from clients.
- Large blobs have {size} of random bytes each, so nothing can compress them or find them twice.
  Small ones have {SMALL_LEAST / 1e3:.0f} to {SMALL_MOST / 1e3:.0f} KB, and there are {SMALL_BLOBS}.
- `oci-pull` and `skopeo` fetch the whole model: a manifest and two small files beside what the
  others fetch. Those are given URLs, of the small blobs that of the manifest as well.
- {rounds} rounds. In each, every contender runs once, in an order drawn for each round.
- `oci-pull` begins with an empty cache on the file system of its output, and its stderr is a pipe.
  It checks digests and syncs what it keeps. `aria2c`, and `curl` where nothing follows it, check
  nothing; of the others only `skopeo` and the httpx program check what they get.
- The yardstick for hashing is `openssl dgst -sha256`: Debian's `sha256sum` does not use the
  processor's instructions for it, and would flatter everybody else.
- *From afar* is a proxy, a model of a network: {FAR.rtt * 1e3:.0f} ms a round trip, slow start,
  {FAR.cap / 1e6:.0f} MB/s for each connection, no loss. It stands for a registry that limits every
  connection, where several of them help. Where one connection fills the line they do not.
- Before each run: `sync`, a wait until others use less than a tenth of the machine (20 s at most),
  and as much memory as the run will fill is touched once, because the first touch is dear in a
  virtual machine. The files that servers read stay in the page cache.
- A run during which others use more than a tenth of the machine is repeated, twice at most, and the
  least disturbed of them counts.
- Time is from start to exit, with the start of the interpreter. Processor time and memory are what
  `wait4` reports of the whole tree of processes; about 10 MB is the least that can be measured.
- Every run is checked: the exit status, the sizes of all files, and the digests where they are
  printed.
- Differences of less than 15 % are within what such machines do by themselves.
"""


def _goal_rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    for judged in judge(outcome):
        goal = judged.goal
        yield (
            outcome.case.title,
            _METRICS[goal.metric],
            goal.against or "-",
            _amount(judged, goal.most),
            _amount(judged, judged.found),
            "-" if judged.rounds is None else f"{judged.rounds:.2f}",
            "yes" if judged.reached else "**no**",
        )


def _amount(judged: Judged, value: float) -> str:
    return f"{value / 1e6:.0f} MB" if judged.goal.metric == "memory" else f"{value:.2f}"


def _case(outcome: Outcome) -> Iterator[str]:
    yield f"### {outcome.case.title}\n"
    yield from _table(
        (
            "",
            "seconds",
            "MB/s",
            "processor",
            "memory",
            "time ratio",
            "of rounds",
            "processor ratio",
        ),
        (_row(outcome, name) for name in _by_speed(outcome)),
    )
    for name, reason in outcome.missing.items():
        yield f"{name} is left out: {reason}\n"
    count, whole = disturbed(outcome)
    if count:
        yield f"{count} of {whole} runs were disturbed by others all the same.\n"


def _by_speed(outcome: Outcome) -> list[str]:
    return sorted(outcome.runs, key=lambda name: statistics.median(outcome.values(name, "wall")))


def _row(outcome: Outcome, name: str) -> tuple[str, ...]:
    walls = outcome.values(name, "wall")
    wall = statistics.median(walls)
    time, cpu = (None if name == OURS else ratio(outcome, each, name) for each in ("wall", "cpu"))
    return (
        f"**{name}**" if name == OURS else name,
        f"{wall:.2f} ({min(walls):.2f}-{max(walls):.2f})",
        f"{outcome.bytes / 1e6 / wall:.3g}",
        f"{statistics.median(outcome.values(name, 'cpu')):.2f} s",
        f"{max(outcome.values(name, 'memory')) / 1e6:.0f} MB",
        "" if time is None else f"{time.of_medians:.2f}",
        "" if time is None else f"{time.of_rounds:.2f}",
        "" if cpu is None else f"{cpu.of_medians:.2f}",
    )


def _contenders(results: Results) -> list[Contender]:
    """Each line once."""
    measured = {outcome.name for outcome in results.outcomes}
    return list(
        dict.fromkeys(
            contender for case in CASES if case.name in measured for contender in case.contenders
        )
    )


def _shown(contender: Contender) -> str:
    return contender.command.format(**{name: _SHOWN.get(name, name) for name in contender.names})


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""

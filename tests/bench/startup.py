"""`python -m tests.bench.startup`: what it takes to start, beside Python itself and beside `hf`.

Nothing is fetched: what is asked for is there already, from a registry on this machine. Everybody
runs once a round, because machines have moods; `hf` is the one that pip installs today.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import machine
from tests.builders import docker_v02
from tests.e2e.command import SCRIPT, Command
from tests.e2e.models import model, put
from tests.fakes.registry import FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_HEADING = "## Start-up\n"
PYTHON, HF = "python -c pass", "hf --version"


@dataclass(frozen=True)
class Line:
    """A command line of ours, and at most how many times as long as another it takes."""

    name: str
    words: tuple[str, ...]
    against: str
    most: float


@dataclass(frozen=True)
class Took:
    """Seconds from start to exit, and of the processor."""

    wall: float
    cpu: float


def lines(reference: str, digest: str) -> tuple[Line, ...]:
    """What is measured; the reference is of a model that was pulled."""
    pinned = f"{reference}@{digest}"
    return (
        Line("oci-pull -V", ("-V",), PYTHON, 2.0),
        Line("oci-pull \\_\\_complete", ("__complete", "references", ""), PYTHON, 5.0),
        Line("oci-pull -h", ("-h",), HF, 1.0),
        Line("oci-pull REF@DIGEST, unchanged", (pinned,), HF, 1.0),
        Line("oci-pull REF, unchanged", (reference,), HF, 1.0),
        Line("the same with --plain-http", ("--plain-http", reference), HF, 1.0),
    )


def main() -> int:
    """Print the section, and write it where that is wanted; 1 where a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--command", type=Path, default=SCRIPT, help="another oci-pull")
    parser.add_argument("--write", action="store_true", help="write the section of the page")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, FakeRegistry() as registry:
        folder = Path(scratch)
        hf = _install_hf(folder / "hf")
        (folder / "home").mkdir()
        ours = Command(folder / "home", program=(given.command.absolute(),))
        reference = put(registry, docker_v02(model()))
        measured = lines(reference, ours("--format", "json", reference).json["digest"])
        field = {
            PYTHON: [sys.executable, "-c", "pass"],
            HF: [str(hf), "--version"],
            **{line.name: ours.argv(*line.words) for line in measured},
        }
        found = _measure(field, ours.environment(), given.rounds)
        text = section(measured, found, machine.describe(folder), _version(hf))
    print(text)
    if given.write:
        page = _PAGE.read_text()
        _PAGE.write_text(page.removesuffix(section_of(page)) + text)
    return int(any(_ratio(found, line, "wall") > line.most for line in measured))


def section_of(page: str) -> str:
    """What a page says of start-up, which is the end of it; empty where it says nothing."""
    _, heading, rest = page.partition("\n" + _HEADING)
    return heading + rest


def section(
    measured: Sequence[Line],
    found: Mapping[str, Sequence[Took]],
    described: Mapping[str, str],
    hf: str,
) -> str:
    """The end of the page."""
    return "\n".join(_section(measured, found, described, hf)) + "\n"


def _section(
    measured: Sequence[Line],
    found: Mapping[str, Sequence[Took]],
    described: Mapping[str, str],
    hf: str,
) -> Iterator[str]:
    rounds = len(found[PYTHON])
    yield f"\n{_HEADING}"
    yield "`python -m tests.bench.startup --write` writes this section.\n"
    yield "| command | seconds | processor | against | at most | time | processor time | reached |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for name in (PYTHON, HF):
        yield f"| {name} | {_seconds(found[name])} | | | | | |"
    for line in measured:
        wall, cpu = (_ratio(found, line, metric) for metric in ("wall", "cpu"))
        reached = "yes" if wall <= line.most else "**no**"
        yield (
            f"| **{line.name}** | {_seconds(found[line.name])} | {line.against} | {line.most:.2f} "
            f"| {wall:.2f} | {cpu:.2f} | {reached} |"
        )
    yield (
        f"\nMedians of {rounds} rounds, in brackets the fastest and the slowest; ratios are of the "
        "medians. In each\nround everybody runs once, in an order drawn for it. The registry is on "
        "this machine and speaks http:\nwithout `--plain-http` TLS is tried first. `hf` is that of "
        f"huggingface_hub {hf}, in an\nenvironment of its own. {described['Processor']}; Python "
        f"{described['Python']}."
    )


def _seconds(runs: Sequence[Took]) -> str:
    walls = [run.wall for run in runs]
    wall, cpu = statistics.median(walls), statistics.median(run.cpu for run in runs)
    return f"{wall:.3f} ({min(walls):.3f}-{max(walls):.3f}) | {cpu:.3f} s"


def _ratio(found: Mapping[str, Sequence[Took]], line: Line, metric: str) -> float:
    ours, theirs = (
        statistics.median(float(getattr(run, metric)) for run in found[name])
        for name in (line.name, line.against)
    )
    return ours / theirs


def _measure(
    field: Mapping[str, Sequence[str]], environment: Mapping[str, str], rounds: int
) -> dict[str, list[Took]]:
    found: dict[str, list[Took]] = {name: [] for name in field}
    for argv in field.values():  # what they compile and look up once
        _run(argv, environment)
    for number in range(rounds):
        for name in random.Random(number).sample(sorted(field), len(field)):
            found[name].append(_run(field[name], environment))
    return found


def _run(argv: Sequence[str], environment: Mapping[str, str]) -> Took:
    begun = time.monotonic()
    # Whoever has a terminal may draw on it: here nobody has one.
    process = subprocess.Popen(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{argv} ended with {process.returncode}")
    return Took(wall, usage.ru_utime + usage.ru_stime)


def _install_hf(home: Path) -> Path:
    venv.create(home, with_pip=True, symlinks=True)
    install = ("-m", "pip", "-q", "--disable-pip-version-check", "install", "huggingface_hub")
    subprocess.run([home / "bin/python", *install], check=True)
    return home / "bin/hf"


def _version(hf: Path) -> str:
    done = subprocess.run([hf, "--version"], check=True, capture_output=True, text=True)
    number = re.search(r"\d+(?:\.\d+)+", done.stdout)
    return number[0] if number else "of unknown version"


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.chaos`: pull, warm, prune and verify on one cache, each killed again and again.

Four processes run beside each other, one of each verb, and every one of them is ended by SIGKILL at
a moment that a seed decides. In the end the same commands run once more, to their ends. What counts
then: the right bytes, hardly a byte fetched twice, and a cache in which nothing is wrong or held.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.command import Command
from tests.e2e.disk import assert_sound, digest_of
from tests.e2e.models import MIB, archive_layer, model, pack_around, put, raw_layer
from tests.fakes.registry import FakeRegistry
from tests.servers.process import HOST
from tests.servers.wan import Wan
from tests.servers.wan_line import Conditions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.content import Content

#: Seconds in which a kill may come: from before the first import to well into the blobs.
_LATEST = 1.2
_JOBS = 2
#: What a kill may cost of a connection: what was written since the last record, and what was under
#: way to a client that is gone.
_COST = 1 * MIB
_SHARED = 6 * MIB
_OWN = 8 * MIB


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it; sizes in bytes."""

    seed: int
    rounds: int
    #: How many of each verb were killed before they had ended.
    killed: Mapping[str, int]
    size: int
    served: int
    #: What may come twice, by what was killed.
    allowed: int
    #: What is wrong, in words.
    problems: Sequence[str]


def storm(home: Path, *, rounds: int, seed: int) -> Report:
    """Kill `rounds` processes, let the last ones end, and look at what they leave."""
    home.mkdir(parents=True, exist_ok=True)
    command = Command(home)
    with FakeRegistry() as registry:
        expected, size = _fill(registry)
        with Wan((HOST, registry.registry.port), Conditions(cap=6e6)) as wan:
            names = {name: f"{wan.host}/team/{name}:v1" for name in expected}
            first, *others = names.values()
            listed = home / "models.txt"
            listed.write_text("".join(f"{name}\n" for name in others))
            lines: dict[str, tuple[str, ...]] = {
                "pull": ("-j", str(_JOBS), first),
                "warm": ("warm", "-j", str(_JOBS), str(listed)),
                "prune": ("cache", "prune", "-y", "--older-than", "1h"),
                "verify": ("cache", "verify"),
            }
            with ThreadPoolExecutor(len(lines)) as pool:
                counts = pool.map(
                    lambda each: _kill(command, lines[each], rounds // len(lines), f"{seed}{each}"),
                    lines,
                )
            killed = Counter(dict(zip(lines, counts, strict=True)))
            problems = [
                problem
                for name, line in lines.items()
                if (problem := _ended(command, name, line)) is not None
            ]
            problems += _wrong_trees(command, names, expected)
            problems += _left_over(command)
            served = wan.served
    allowed = (killed["pull"] + killed["warm"]) * _JOBS * _COST
    if not size <= served <= size + allowed:
        problems.append(f"{served} bytes were served for {size}, at most {allowed} more are fine")
    return Report(seed, rounds, dict(killed), size, served, allowed, problems)


def _fill(registry: FakeRegistry) -> tuple[Mapping[str, Mapping[str, Content]], int]:
    """Three models that share a layer, two of them with an archive; and the bytes of it all."""
    shared = random.Random("shared").randbytes(_SHARED)
    packed: Mapping[str, Content] = {
        f"part-{number}.json": random.Random(number).randbytes(MIB // 4) for number in range(16)
    }
    expected: dict[str, Mapping[str, Content]] = {}
    sizes: dict[str, int] = {}
    for name in ("one", "two", "three"):
        own = random.Random(name).randbytes(_OWN)
        layers = [raw_layer("shared.json", shared), raw_layer("own.json", own)]
        if name != "two":
            layers.append(archive_layer(packed, form="tar+gzip"))
        artifact = pack_around(*layers)
        put(registry, artifact, repository=f"team/{name}")
        sizes |= {each["digest"]: int(each["size"]) for each in artifact.document["layers"]}
        files = {**model(), "shared.json": shared, "own.json": own}
        expected[name] = {**files, **packed} if name != "two" else files
    return expected, sum(sizes.values())


def _kill(command: Command, line: Sequence[str], times: int, seed: str) -> int:
    """Start a command so often and kill it; how often it had not ended before."""
    moments = random.Random(seed)
    killed = 0
    for _ in range(times):
        with command.start(*line) as running:
            try:
                running.process.wait(moments.uniform(0.0, _LATEST))
            except subprocess.TimeoutExpired:
                running.send(signal.SIGKILL)
                killed += running.process.wait() == -signal.SIGKILL
    return killed


def _ended(command: Command, name: str, line: Sequence[str]) -> str | None:
    """What is wrong with a run that nobody kills."""
    run = command(*line)
    return None if run.code == 0 else f"{name} ended with {run.code}: {run.stderr}{run.stdout}"


def _wrong_trees(
    command: Command, names: Mapping[str, str], expected: Mapping[str, Mapping[str, Content]]
) -> list[str]:
    wrong = []
    for name, reference in names.items():
        found = command("cache", "path", reference)
        if found.code:
            wrong.append(f"{name} is not complete: {found.stderr}")
            continue
        for path, content in expected[name].items():
            if digest_of(found.path / path) != digest_of(content):
                wrong.append(f"{name}/{path} has other bytes")
    return wrong


def _left_over(command: Command) -> list[str]:
    """Anything under a final name that is wrong, and any claim or lock that outlived its owner."""
    problems = []
    try:
        assert_sound(command.cache, after_kill=True)
    except AssertionError as error:
        problems.append(f"the cache is not sound: {error}")
    locks = command.cache / "locks"
    held = [path.name for path in locks.iterdir()] if locks.is_dir() else []
    if held:
        problems.append(f"held by nobody: {', '.join(held)}")
    return problems


def main() -> int:
    """Run it and print the report; the exit code is 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="processes to kill (200)")
    parser.add_argument("--seed", type=int, default=7, help="decides when each is killed (7)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        report = storm(Path(home), rounds=given.rounds, seed=given.seed)
    print(json.dumps(asdict(report), indent=1))
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())

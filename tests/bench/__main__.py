"""`python -m tests.bench`: measure, say what came of it, and keep it."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from tests.bench import machine, page, plot, results, startup
from tests.bench.cases import CASES
from tests.bench.results import Results
from tests.bench.runner import Programs, Runner, programs
from tests.bench.stage import stage
from tests.e2e.command import SCRIPT
from tests.servers.debian import TOOLS, tool

_ROOT = Path(__file__).parents[2]
_DOCS = _ROOT / "docs"
_NUMBER = re.compile(r"\d+(?:\.\d+)+")


def main() -> int:
    """The exit status is 1 where a goal was missed, or ours could not be measured."""
    given = _arguments()
    found = results.read(given.render) if given.render else _measure(given)
    if not given.render:
        found.write(given.json)
        print(f"\n{given.json}")
    if given.write or given.render:
        _DOCS.mkdir(exist_ok=True)
        written = _DOCS / "benchmarks.md"
        # What it takes to start is measured on its own, and stays as it is.
        kept = startup.section_of(written.read_text()) if written.is_file() else ""
        written.write_text(page.write(found) + kept)
        (_DOCS / "benchmarks.svg").write_text(plot.draw(found))
    return _say_goals(found)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    names = [case.name for case in CASES]
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        default=names,
        metavar="CASE",
        help=f"of {', '.join(names)}",
    )
    parser.add_argument("--size", type=int, default=512, help="MiB of a large blob")
    parser.add_argument("--command", type=Path, default=SCRIPT, help="another oci-pull")
    parser.add_argument(
        "--dir",
        type=Path,
        default=TOOLS / "bench",
        help="where everything is, until the end; not on tmpfs",
    )
    parser.add_argument("--json", type=Path, default=_ROOT / "build" / "bench.json")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and .svg")
    parser.add_argument(
        "--render", type=Path, metavar="JSON", help="write them from an earlier run"
    )
    given = parser.parse_args()
    if given.write and len(set(given.only)) < len(names):
        parser.error("--write wants every case; a page with some of them would be half a page")
    return given


def _measure(given: argparse.Namespace) -> Results:
    cases = [case for case in CASES if case.name in given.only]
    known = programs(given.command.absolute())
    given.dir.mkdir(parents=True, exist_ok=True)
    size = given.size << 20
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=given.dir)))
        print("Models are made and pushed ...", flush=True)
        models = sorted({case.model for case in cases})
        ready = stack.enter_context(stage(scratch, models=models, size=size))
        runner = Runner(ready, known, scratch, lambda line: print(line, flush=True))
        found = Results(machine.describe(scratch), _versions(known), given.rounds, size)
        for case in cases:
            print(f"\n{case.title}", flush=True)
            found.outcomes.append(runner.outcome(case, given.rounds))
    return found


def _versions(known: Programs) -> dict[str, str]:
    """Of everything that took part."""
    asked = {
        "oci-pull": [known.words["oci_pull"], "--version"],
        "docker-registry": [str(tool("docker-registry").path), "--version"],
        "nginx": [str(tool("nginx").path), "-v"],
        **{
            name: [known.words[name], "version" if name == "openssl" else "--version"]
            for name in ("curl", "openssl", "aria2c", "skopeo")
            if name in known.words
        },
    }
    found = {}
    for name, words in asked.items():
        env = tool(name).environment() if name in {"aria2c", "skopeo", "nginx"} else None
        done = subprocess.run(words, check=False, capture_output=True, text=True, env=env)
        number = _NUMBER.search(done.stdout + done.stderr)
        found[name] = number[0] if number else "of unknown version"
    return {**found, "httpx": version("httpx")}


def _say_goals(found: Results) -> int:
    status = 0
    print()
    for outcome in found.outcomes:
        judged = results.judge(outcome)
        if len(judged) < len(outcome.case.goals):
            print(f"{outcome.name:9} not every goal could be measured")
            status = 1
        for each in judged:
            goal = each.goal
            unit = 1e6 if goal.metric == "memory" else 1
            against = goal.against or "MB"
            rounds = "" if each.rounds is None else f" (of rounds {each.rounds:.2f})"
            print(
                f"{outcome.name:9} {goal.metric:6} {each.found / unit:6.2f}{rounds:18}"
                f" at most {goal.most / unit:5.2f}  {against:22} {'yes' if each.reached else 'NO'}"
            )
            status |= not each.reached
    return status


if __name__ == "__main__":
    sys.exit(main())

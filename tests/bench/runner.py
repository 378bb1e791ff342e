"""Runs the contenders of a case in turn, round by round, and sees that each did its work."""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import machine
from tests.bench.cases import OURS, Contender
from tests.bench.plain_httpx import ACCEPT
from tests.bench.results import Outcome, Run
from tests.servers.debian import ToolUnavailable, tool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.bench.cases import Case
    from tests.bench.stage import Model, Stage

_HERE = Path(__file__).parent
_PROGRAMS = ("aria2c", "skopeo")
_INSTALLED = ("curl", "openssl")
_LIMIT = 600.0
_ATTEMPTS = 3
_PATH = "/usr/local/bin:/usr/bin:/bin"
#: What a contender touches beside the blobs: page tables, buffers, whatever.
_SPARE = 256 << 20


class Failed(Exception):
    """A contender did not do its work; the message says what it said."""


@dataclass(frozen=True)
class Programs:
    """How each program is called in a line of bash, and what its environment needs."""

    words: Mapping[str, str]
    env: Mapping[str, Mapping[str, str]]
    missing: Mapping[str, str]


def programs(command: Path) -> Programs:
    """`command` is ours."""
    python = shlex.quote(sys.executable)
    words = {
        "oci_pull": shlex.quote(str(command)),
        "plain_httpx": f"{python} {shlex.quote(str(_HERE / 'plain_httpx.py'))}",
    }
    env: dict[str, Mapping[str, str]] = {}
    missing = {}
    for name in _INSTALLED:
        if found := shutil.which(name, path=_PATH):
            words[name] = found
        else:
            missing[name] = f"{name} is not installed"
    for name in _PROGRAMS:
        try:
            one = tool(name)
        except ToolUnavailable as error:
            missing[name] = str(error)
        else:
            words[name] = shlex.quote(str(one.path))
            env[name] = one.env
    return Programs(words, env, missing)


@dataclass(frozen=True)
class Runner:
    stage: Stage
    programs: Programs
    scratch: Path
    say: Callable[[str], None]

    def outcome(self, case: Case, rounds: int) -> Outcome:
        model = self.stage.models[case.model]
        outcome = Outcome(case.name, model.size)
        field: list[Contender] = []
        for contender in case.contenders:
            reasons = [self.programs.missing.get(name) for name in sorted(contender.names)]
            if reason := next(filter(None, reasons), None):
                outcome.missing[contender.name] = reason
                self.say(f"  {contender.name}: left out: {reason}")
            else:
                field.append(contender)
        for number in range(rounds):
            # Nobody always runs after the same one, nor always first; the same in every run of it.
            for contender in random.Random(number).sample(field, len(field)):
                if contender.name not in outcome.missing:
                    self._add(outcome, case, contender, number)
        return outcome

    def _add(self, outcome: Outcome, case: Case, contender: Contender, number: int) -> None:
        try:
            run = self._undisturbed(case, contender)
        except Failed as error:
            outcome.runs.pop(contender.name, None)
            outcome.missing[contender.name] = f"failed: {error}"
            self.say(f"  {contender.name}: {error}")
            return
        outcome.runs.setdefault(contender.name, []).append(run)
        self.say(
            f"  {number + 1}  {contender.name:24} {run.wall:7.3f} s  cpu {run.cpu:6.2f} s  "
            f"{run.memory / 1e6:5.0f} MB  others {run.foreign:4.0%}"
            + ("" if run.quiet else "  (not quiet before)")
        )

    def _undisturbed(self, case: Case, contender: Contender) -> Run:
        """Once more where others used the machine meanwhile; in the end the least disturbed one."""
        runs = []
        for _ in range(_ATTEMPTS):
            runs.append(self._run(case, contender))
            if not runs[-1].disturbed:
                break
        return min(runs, key=lambda run: run.foreign)

    def _run(self, case: Case, contender: Contender) -> Run:
        model = self.stage.models[case.model]
        url = self.stage.doors[case.door]
        folder = self.scratch / "run"
        work, home = folder / "work", folder / "home"
        work.mkdir(parents=True)
        home.mkdir()
        try:
            _write_lists(work, url, model)
            places = {"reference": model.reference(url), "url": url + model.blobs[0].path}
            line = contender.command.format(**self.programs.words, **places)
            env = self._environment(contender, home)
            os.sync()  # what the last run left to be written
            quiet = machine.wait_for_quiet()
            machine.warm(model.size + _SPARE)
            run, output = _timed(line, work, env, quiet=quiet)
            _check(contender, model, work, output)
            return run
        finally:
            shutil.rmtree(folder)

    def _environment(self, contender: Contender, home: Path) -> dict[str, str]:
        env = {
            "PATH": _PATH,
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "SSL_CERT_FILE": str(self.stage.ca_file),
        }
        for name in contender.names:
            env |= self.programs.env.get(name, {})
        return env


def _write_lists(work: Path, url: str, model: Model) -> None:
    blobs = [(url + blob.path, blob.name, blob.digest) for blob in model.blobs]
    lists = {
        "urls.txt": "".join(f"{where}\n  out={name}\n" for where, name, _ in blobs),
        "curl.conf": f'header = "Accept: {ACCEPT}"\n'
        + "".join(f'url = "{where}"\noutput = "{name}"\n' for where, name, _ in blobs),
        "blobs.txt": "".join(f"{where} {name} {digest}\n" for where, name, digest in blobs),
        "files.txt": "".join(f"{name}\n" for _, name, _ in blobs),
    }
    for name, content in lists.items():
        (work / name).write_text(content)


def _timed(line: str, work: Path, env: Mapping[str, str], *, quiet: bool) -> tuple[Run, str]:
    """The run, and what was printed; stdout and stderr are pipes."""
    read, write = os.pipe()
    argv: Sequence[str] = (
        sys.executable,
        "-I",
        "-S",
        str(_HERE / "stopwatch.py"),
        str(write),
        line,
    )
    before, own_before, begun = machine.busy(), machine.own(), time.monotonic()
    with os.fdopen(read) as report:
        process = subprocess.Popen(
            argv,
            cwd=work,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=(write,),
            start_new_session=True,
        )
        os.close(write)
        try:
            output, errors = process.communicate(timeout=_LIMIT)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise Failed(f"took more than {_LIMIT:.0f} s") from None
            raise
        took = time.monotonic() - begun
        foreign = (machine.busy() - before) - (machine.own() - own_before)
        wall, cpu, memory, code = report.read().split()
    if int(code):
        raise Failed(f"exit status {code}, and said: {errors.strip()[-500:] or 'nothing'}")
    share = max(0.0, foreign / (took * machine.CORES))
    return Run(float(wall), float(cpu), int(memory), share, quiet), output


def _check(contender: Contender, model: Model, work: Path, output: str) -> None:
    """The bytes are all here, and digests that were printed are the right ones."""
    found = Counter(path.stat().st_size for path in work.rglob("*") if path.is_file())
    # We lay out a model, and that has no manifest in it.
    wanted = [
        blob for blob in model.blobs if contender.name != OURS or "/manifests/" not in blob.path
    ]
    expected = Counter(blob.size for blob in wanted)
    if absent := expected - found:
        raise Failed(f"{absent.total()} files are missing or have another size")
    if contender.prints_digests:
        digests = {blob.digest.removeprefix("sha256:") for blob in model.blobs}
        if not digests <= set(output.split()):
            raise Failed("a digest is wrong")

"""The command, many times over: each run is a fork of one process that has imported it already.

A start costs a quarter of a second, and what is tested here are hundreds of runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.command import Command, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]


class Forks:
    """Runs the command in the environment of one user."""

    def __init__(self, parent: subprocess.Popen[bytes], folder: Path) -> None:
        self._parent = parent
        self._output, self._errors = folder / "stdout", folder / "stderr"

    def __call__(self, *words: str | Path) -> Run:
        """Run to the end."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        begun = time.monotonic()
        job = [str(self._output), str(self._errors), *map(str, words)]
        self._parent.stdin.write(json.dumps(job).encode() + b"\n")
        self._parent.stdin.flush()
        code = int(self._parent.stdout.readline())
        seconds = time.monotonic() - begun
        return Run(code, self._output.read_bytes(), self._errors.read_bytes(), seconds)


@contextmanager
def forks(user: Command) -> Iterator[Forks]:
    """The command of a user, started once."""
    program = [*map(str, user.prefix), sys.executable, "-m", __name__]
    env = {**user.environment(), "PYTHONPATH": str(_ROOT)}
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=user.home
    ) as parent:
        yield Forks(parent, user.home)
        assert parent.stdin is not None
        parent.stdin.close()


def main() -> None:
    import httpx  # noqa: F401 - what a run would import

    from oci_pull.cli import app, pull, run  # noqa: F401

    for line in sys.stdin:
        output, errors, *words = json.loads(line)
        child = os.fork()
        if not child:
            for name, descriptor in ((os.devnull, 0), (output, 1), (errors, 2)):
                flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
                os.dup2(os.open(name, flags, 0o644), descriptor)
            run.run(words)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()

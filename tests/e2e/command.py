"""The command as a shell runs it: a process of its own, with an environment that is empty.

Nothing of whoever runs the tests is in it: no proxy, no credential, no option, no cache. Only what
says that coverage is measured goes on to it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
SCRIPT = Path(sys.executable).with_name("oci-pull")
"""The console script of the environment that the tests run in."""

_COVERAGE = "COVERAGE_PROCESS_CONFIG"
_MEASURED = {_COVERAGE: os.environ[_COVERAGE]} if _COVERAGE in os.environ else {}
#: Seconds; nothing takes as long unless it hangs, on a machine that is slow and busy as well.
_LIMIT = 300.0
_SOON = 120.0
_POLL = 0.01


@dataclass(frozen=True)
class Run:
    """A process that has ended."""

    code: int
    output: bytes
    errors: bytes
    seconds: float

    @property
    def stdout(self) -> str:
        return self.output.decode()

    @property
    def stderr(self) -> str:
        return self.errors.decode()

    @property
    def path(self) -> Path:
        """The one path on stdout; the run was a success and said nothing else there."""
        self.must_succeed()
        assert self.stdout.endswith("\n"), self
        assert self.stdout.count("\n") == 1, self
        return Path(self.stdout.removesuffix("\n"))

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        assert self.stdout.count("\n") == 1, self
        found: dict[str, Any] = json.loads(self.stdout)
        return found

    def must_succeed(self) -> Self:
        assert self.code == 0, self
        assert "Traceback" not in self.stderr, self
        return self

    def must_fail(self, code: int) -> Self:
        """It ended with the code, and told a person why in words."""
        assert self.code == code, self
        assert "Traceback" not in self.stderr, self
        assert "error: " in self.stderr, self
        assert "error: unexpected" not in self.stderr, self
        return self


class Running:
    """A process that is under way; what it wrote so far can be read."""

    def __init__(
        self, process: subprocess.Popen[bytes], output: IO[bytes], errors: IO[bytes]
    ) -> None:
        self.process = process
        self._output = output
        self._errors = errors
        self._begun = time.monotonic()

    @property
    def stdout(self) -> str:
        return _content(self._output).decode(errors="replace")

    @property
    def stderr(self) -> str:
        return _content(self._errors).decode(errors="replace")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, limit: float = _LIMIT) -> Run:
        code = self.process.wait(limit)
        seconds = time.monotonic() - self._begun
        return Run(code, _content(self._output), _content(self._errors), seconds)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something that happens while it runs."""

        def happened() -> bool:
            if condition():
                return True
            assert self.process.poll() is None, f"ended before {what}: {self.wait()}"
            return False

        until(happened, what)


@dataclass(frozen=True)
class Command:
    """`oci-pull` of one user; `home` is the directory that everything of theirs is in."""

    home: Path
    #: Beside HOME and PATH; an empty value takes a variable away.
    env: Mapping[str, str] = field(default_factory=dict)
    #: What runs the command: `unshare`, `setpriv`.
    prefix: Sequence[str | Path] = ()
    program: Sequence[str | Path] = (SCRIPT,)

    @property
    def cache(self) -> Path:
        return self.home / ".cache" / "oci-pull"

    @property
    def temporary(self) -> Path:
        return self.home / "tmp"

    def with_env(self, **more: str) -> Command:
        return replace(self, env={**self.env, **more})

    def environment(self) -> dict[str, str]:
        self.temporary.mkdir(parents=True, exist_ok=True)
        whole = {
            "PATH": PATH,
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "LC_ALL": "C.UTF-8",
            **_MEASURED,
            **self.env,
        }
        return {name: value for name, value in whole.items() if value}

    def argv(self, *words: str | Path) -> list[str]:
        return [str(word) for word in (*self.prefix, *self.program, *words)]

    def __call__(self, *words: str | Path, limit: float = _LIMIT, **options: Any) -> Run:
        """Run to the end."""
        with self.start(*words, **options) as running:
            return running.wait(limit)

    def at_once(self, *lines: Sequence[str | Path]) -> list[Run]:
        """Run several command lines beside each other, to their ends."""
        with ExitStack() as stack:
            started = [stack.enter_context(self.start(*line)) for line in lines]
            return [running.wait() for running in started]

    @contextmanager
    def start(self, *words: str | Path, **options: Any) -> Iterator[Running]:
        """Run beside the test; whatever is left of it at the end is killed."""
        with (
            tempfile.TemporaryFile() as output,
            tempfile.TemporaryFile() as errors,
            interruptible(),
        ):
            given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output}
            given |= {"stderr": errors, "env": self.environment(), "cwd": self.home} | options
            process = subprocess.Popen(self.argv(*words), **given)
            try:
                yield Running(process, output, errors)
            finally:
                process.kill()
                process.wait()


@contextmanager
def interruptible() -> Iterator[None]:
    """Children get Ctrl-C as from a terminal, even where the tests run in the background.

    A shell starts background jobs with SIGINT ignored, and that is inherited.
    """
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if not (ignored and threading.current_thread() is threading.main_thread()):
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def until(condition: Callable[[], object], what: str, limit: float = _SOON) -> None:
    """Wait until the condition holds, and fail where it does not in time."""
    deadline = time.monotonic() + limit
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"did not happen in {limit} s: {what}"
        pause.wait(_POLL)


def _content(file: IO[bytes]) -> bytes:
    """What is in a file that another process writes to, whose offset it shares."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)

"""Scenes: a command, a registry that does as it is told, and the moment to look."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.builders import docker_v02
from tests.e2e.command import PATH, SCRIPT
from tests.e2e.models import put, weights
from tests.fakes.registry import BlobFaults, FakeRegistry
from tests.screens.terminal import Terminal, running, terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.content import Artifact, Content

_NAME = "aistaging/smollm2-vllm"
_MB = 1_000_000
_CONFIG = b'{"architectures":["LlamaForCausalLM"],"model_type":"llama"}\n'
#: How far each of the shards comes that are held: eight, as there are connections.
_HELD = (0.94, 0.76, 0.52, 0.38, 0.19, 0.66, 0.27, 0.45)


@dataclass(frozen=True)
class Stage:
    """A registry with a model, a cache of its own, and a terminal."""

    registry: FakeRegistry
    terminal: Terminal
    home: Path
    artifact: Artifact
    #: What was looked at, by name: the text of the screen.
    seen: dict[str, str] = field(default_factory=dict)
    looks: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """Of a person with an empty home, whose names are those of the registry."""
        return {
            "PATH": f"{SCRIPT.parent}:{PATH}",
            "HOME": str(self.home),
            "TERM": "xterm-256color",
            "LC_ALL": "C.UTF-8",
            "OCI_PULL_DEFAULT_REGISTRY": self.registry.address,
            "OCI_PULL_STALL_TIMEOUT": "10m",
        }

    def hold(self, *more: BlobFaults) -> None:
        """Each of the largest shards falls silent at some point."""
        shards = self.shards()[: len(_HELD)]
        self.registry.blob_faults = [
            *more,
            *(
                BlobFaults(stall_after=int(size * share), only=[digest])
                for (digest, size), share in zip(shards, _HELD, strict=True)
            ),
        ]

    def shards(self) -> list[tuple[str, int]]:
        """Digests and sizes, the largest first."""
        layers = sorted(self.artifact.document["layers"], key=lambda each: -int(each["size"]))
        return [(each["digest"], int(each["size"])) for each in layers]

    @contextmanager
    def pull(self, *words: str) -> Iterator[int]:
        """The command line is typed, and runs; its process id."""
        self.terminal.type(f"$ oci-pull {' '.join((*words, _NAME))}\n")
        program = [sys.executable, "-m", "oci_pull", *words, _NAME]
        with running(program, self.terminal, self.environment) as process:
            yield process.pid

    def shell(self, line: str) -> None:
        """A line is typed for a shell, and runs to its end."""
        self.terminal.type(f"$ {line}\n")
        with running(["/bin/sh", "-c", line], self.terminal, self.environment) as process:
            process.wait()
        self.terminal.settle()

    def whole(self, *words: str) -> None:
        """It runs to its end."""
        with self.pull(*words) as pid:
            os.waitpid(pid, 0)
        self.terminal.settle()

    def until_held(self) -> None:
        """Eight shards are on their way, and the rates are known."""
        self.until("3 of 15 blobs verified, 4 waiting")
        self.terminal.until(lambda text: text.count("B/s") > len(_HELD), "rates")

    def until(self, *parts: str) -> None:
        """The screen shows all of these."""
        self.terminal.until(lambda text: all(part in text for part in parts), " and ".join(parts))

    def smoothed(self, text: str) -> str:
        """The text without what is never the same twice."""
        host, port = self.registry.address.split(":")
        text = text.replace(str(self.home), "~").replace(self.registry.address, f"{host}:5000")
        text = text.replace(f"{host}+{port}", f"{host}+5000")
        for pattern, instead in _NEVER_THE_SAME:
            text = pattern.sub(partial(_in_its_place, instead), text)
        text = re.sub("[━╸─]+", lambda m: f"{'━' * 5}{'─' * (len(m[0]) - 5)}", text)
        return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _in_its_place(text: str, match: re.Match[str]) -> str:
    """As wide as what was there, where that is a column."""
    return text.rjust(len(match[0])) if match[0].startswith(" ") else text


_NEVER_THE_SAME = (
    (re.compile(r"(?<=free )\d+(\.\d)? [kMGT]?B"), "412.0 GB"),
    (re.compile(r"(?<=[(])\d+(\.\d)? [kMG]?B/s"), "81.0 MB/s"),
    (re.compile(r"(?<=at )\d+(\.\d)? [kMG]?B/s"), "81.0 MB/s"),
    (re.compile(r" +\d+(\.\d)? [kMG]?B/s"), "81.0 MB/s"),
    (re.compile(r" *\d+%"), "42%"),
    (re.compile(r"\d+\.\d(?= MB( of| at| were| already|, free))"), "5.0"),
    (re.compile(r" +\d+\.\d(?=/\d)"), "5.0"),
    (re.compile(r"retry +\d/8"), "retry 2/8"),
    (re.compile(r"(?<=\()\d+\.\d s(?=\))"), "0.3 s"),
    (re.compile(r" *(\d+ s left|\d+:\d\d(:\d\d)? left|>1 day)"), ""),
    (re.compile(r"(?<=of )model-\d+-of"), "model-00001-of"),
    (re.compile(r"(?<=verified )model-\d+-of"), "model-00001-of"),
    (re.compile(r"(?<= in )(\d+(\.\d)? s|\d+:\d\d)"), "0.3 s"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "2026-11-23T14:02:10Z"),
)


def _model(shards: int) -> dict[str, Content]:
    files: dict[str, Content] = {"config.json": _CONFIG, "tokenizer.json": b"{}"}
    for number in range(1, shards + 1):
        # Of decreasing sizes: the largest are fetched first.
        size = (12 * _MB - number * 4096) & ~3
        files[f"model-{number:05d}-of-{shards:05d}.safetensors"] = weights(size, number)
    return files


@contextmanager
def stage(columns: int = 100, rows: int = 24, shards: int = 12) -> Iterator[Stage]:
    """A new one."""
    with (
        FakeRegistry() as registry,
        terminal(columns, rows) as screen,
        # Short, so that no path is folded on the screen.
        tempfile.TemporaryDirectory(prefix="o", dir="/tmp") as home,
    ):
        artifact = docker_v02(_model(shards))
        put(registry, artifact, repository=_NAME, tag="latest")
        yield Stage(registry, screen, Path(home), artifact)


def first(on: Stage) -> None:
    """A first pull, with eight shards on their way."""
    on.hold()
    with on.pull():
        on.until_held()


def failing(on: Stage) -> None:
    """Two of the twelve fail again and again, and the others go on."""
    on.hold(BlobFaults(status=503, only=[digest for digest, _ in on.shards()[:2]]))
    with on.pull():
        on.until_held()
        on.terminal.until(lambda text: text.count("  retry ") == 2, "retries")


def interrupted(on: Stage) -> None:
    """Ctrl-C, and the same command again."""
    on.hold()
    with on.pull() as pid:
        on.until_held()
        os.kill(pid, signal.SIGINT)
        on.until("interrupted")
    on.registry.blob_faults = BlobFaults()
    on.whole()
    on.until("Ready")


def stopped(on: Stage) -> None:
    """Ctrl-Z, something else, and `fg`."""
    on.hold()
    with on.pull() as pid:
        on.until_held()
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
        on.terminal.type("^Z\n[1]+  Stopped\n$ fg\n")
        os.kill(pid, signal.SIGCONT)
        on.terminal.until(lambda text: text.count("Ctrl-C keeps") > 1, "bars once more")


def unchanged(on: Stage) -> None:
    """It is here, and a HEAD says so."""
    on.whole("-q")
    on.whole()
    on.until("Up to date", "Next")


def narrow(on: Stage) -> None:
    """A terminal of forty columns."""
    on.hold()
    with on.pull():
        on.until("total", "━")


def piped(on: Stage) -> None:
    """Nobody is there to see bars: a log has whole lines."""
    on.shell(f"oci-pull {_NAME} 2>&1 | cat")
    on.until("Ready")
    on.shell(f"oci-pull {_NAME} 2>&1 | cat")
    on.until("Up to date")


def captured(on: Stage) -> None:
    """What a script gets, and what its user sees."""
    on.shell(f'echo "[$(oci-pull -q {_NAME})]"')
    on.until("]")
    on.shell(f'echo "[$(oci-pull {_NAME})]"')
    on.until("Up to date", "]")


def moving(on: Stage) -> None:
    """A first pull at a rate that a line could have."""
    with on.pull("--limit-rate", "12M"):
        on.until("4 waiting", "7 s left")


SCENES: dict[str, tuple[Callable[[Stage], None], dict[str, int]]] = {
    "first-pull": (first, {}),
    "two-of-twelve-fail": (failing, {}),
    "interrupted-and-resumed": (interrupted, {}),
    "stopped-and-continued": (stopped, {"rows": 40}),
    "unchanged": (unchanged, {}),
    "eighty-columns": (first, {"columns": 80}),
    "piped": (piped, {"columns": 120}),
    "captured": (captured, {}),
    "narrow": (narrow, {"columns": 40, "rows": 10}),
}

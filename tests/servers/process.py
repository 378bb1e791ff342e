"""A server program as a child process: up when its port answers, gone at the end."""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

HOST = "127.0.0.1"

_ATTEMPTS = 3
_POLL = 0.01


class ServerFailed(Exception):
    """The message has the end of the server's log."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Process:
    child: subprocess.Popen[bytes]
    port: int

    @property
    def pid(self) -> int:
        return self.child.pid

    def stop(self, deadline: float = 20.0) -> None:
        if self.child.poll() is None:
            self.child.terminate()
        try:
            self.child.wait(deadline)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def start(
    command: Callable[[int], Sequence[str | Path]],
    *,
    log: Path,
    env: Mapping[str, str],
    port: int | None = None,
    deadline: float = 120.0,
) -> Process:
    """A process that answers on its port.

    Without `port` a free one is chosen. Somebody else can take it before the server binds it;
    then the server ends at once, and the next attempt has another port.
    """
    attempts = _ATTEMPTS if port is None else 1
    for attempt in range(1, attempts + 1):
        chosen = port or free_port()
        with log.open("ab") as output:
            child = subprocess.Popen(
                command(chosen),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
            )
        process = Process(child, chosen)
        if _answers(process, time.monotonic() + deadline):
            return process
        process.stop()
        if attempt == attempts or "in use" not in log.read_text(errors="replace"):
            break
    tail = log.read_text(errors="replace")[-2000:]
    raise ServerFailed(f"{child.args!r} does not answer on port {chosen}:\n{tail}")


def _answers(process: Process, deadline: float) -> bool:
    while time.monotonic() < deadline:
        try:
            process.child.wait(_POLL)
        except subprocess.TimeoutExpired:
            pass
        else:
            return False
        try:
            socket.create_connection((HOST, process.port), timeout=10.0).close()
        except OSError:
            continue
        return True
    return False

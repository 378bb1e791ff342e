"""`vllm serve` as a person runs it: until it is healthy, asked over HTTP, and stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.e2e.command import until
from tests.servers.process import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

#: Seconds: a start takes 40 on two quiet cores.
_START = 400.0
_END = 30.0
_REPLY = 60.0


class DidNotServe(Exception):
    """The message is the end of the log."""


@dataclass(frozen=True)
class Server:
    """A vLLM that answers."""

    url: str
    process: subprocess.Popen[bytes]

    def get(self, path: str, question: object = None) -> Any:
        """The JSON of a reply."""
        body = None if question is None else json.dumps(question).encode()
        request = urllib.request.Request(
            f"{self.url}{path}", body, {"Content-Type": "application/json"}
        )
        # No proxy of the machine is between us and ourselves.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_REPLY) as reply:
            content = reply.read()
        return json.loads(content) if content else None

    def models(self) -> list[str]:
        return [each["id"] for each in self.get("/v1/models")["data"]]

    def chat(self, text: str) -> str:
        question = {
            "model": self.models()[0],
            "messages": [{"role": "user", "content": text}],
            "max_tokens": 40,
            "temperature": 0,
        }
        reply = self.get("/v1/chat/completions", question)
        answer: str = reply["choices"][0]["message"]["content"]
        return answer

    def embed(self, *texts: str) -> list[list[float]]:
        reply = self.get("/v1/embeddings", {"model": self.models()[0], "input": texts})
        return [each["embedding"] for each in reply["data"]]


@contextmanager
def serving(
    command: Sequence[str | Path], environ: Mapping[str, str], log: Path
) -> Iterator[Server]:
    """The command until it answers; whatever it started is gone afterwards.

    Raises:
        DidNotServe: it ended before.
    """
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", HOST, "--port", str(port)],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(f"http://{HOST}:{port}", process)
    try:
        until(lambda: _is_healthy(server, log), f"{log} says that it serves", _START)
        yield server
    finally:
        _stop(process)


def _is_healthy(server: Server, log: Path) -> bool:
    if server.process.poll() is not None:
        raise DidNotServe(log.read_text(errors="replace").strip())
    with suppress(OSError):
        server.get("/health")
        return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

"""A long, slow or broken line in front of a real server: a TCP proxy on loopback.

`Wan` runs in a thread of the caller's process, `WanProcess` is the same as a process of its own,
which a measurement wants: `python -m tests.servers.wan --target HOST:PORT --rtt 0.05 --cap 20M`
prints its port, obeys `stop` and `start` on its stdin, and ends when that does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.servers.process import HOST
from tests.servers.wan_line import Conditions, Cuts, Line, Rate

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROOT = Path(__file__).parents[2]
_CHUNK = 128 * 1024
#: Chunks between a reader and its writer: what is under way on a line that has a length.
_DEPTH_FAR, _DEPTH_NEAR = 256, 4
#: A reader is that many seconds ahead of its pace, so that a timer's lateness costs no speed.
_AHEAD = 0.01
_NO_LINGER = struct.pack("ii", 1, 0)
_SUFFIXES = {"K": 10**3, "M": 10**6, "G": 10**9}

_Queue = asyncio.Queue[tuple[float, bytes]]


class _Cut(Exception):
    """A connection has carried what it may."""


@dataclass(frozen=True)
class _Way:
    """What one connection goes over."""

    conditions: Conditions
    link: Rate
    #: After so many bytes it is cut; None for never.
    limit: int | None


class Wan:
    """Forwards to `target` from `start` (or `with`) until `stop`.

    It can be started again, and then has the port that it had before. `stop` is a server that
    dies: nobody listens, and every connection ends.
    """

    def __init__(
        self, target: tuple[str, int], conditions: Conditions | None = None, port: int = 0
    ) -> None:
        self.conditions = conditions or Conditions()
        #: Bytes that clients were sent, and connections that they made, since the beginning.
        self.served = 0
        self.connections = 0
        #: Connections of them that were one too many.
        self.turned_away = 0
        self._target = target
        self._port = port
        self._cuts = Cuts(self.conditions.cut_after, self.conditions.seed)
        self._running: _Running | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        if self._running is None:
            listener = socket.create_server((HOST, self._port), backlog=512)
            self._port = listener.getsockname()[1]
            self._running = _Running(self, listener)
        return self

    def stop(self) -> None:
        if self._running is not None:
            self._running.stop()
            self._running = None

    @property
    def port(self) -> int:
        if not self._port:
            raise RuntimeError("not started")
        return self._port

    @property
    def host(self) -> str:
        """As it stands in a reference."""
        return f"{HOST}:{self.port}"

    async def accept(self, listener: socket.socket) -> None:
        """Until it is cancelled; every connection is a task that ends with the loop."""
        loop = asyncio.get_running_loop()
        link = Rate(self.conditions.link)
        alive: set[asyncio.Task[None]] = set()
        while True:
            client, _ = await loop.sock_accept(listener)
            self.connections += 1
            most = self.conditions.at_once
            is_one_more = bool(most) and len(alive) >= most
            self.turned_away += is_one_more
            conditions = self.conditions
            if conditions.slow and self.connections == conditions.slow_one:
                conditions = replace(conditions, cap=conditions.slow)
            way = _Way(conditions, link, self._cuts.next())
            work = self._turn_away(client) if is_one_more else self._connection(client, way)
            task = loop.create_task(work)
            alive.add(task)
            # Not by `with` in the task: one that is cancelled early does not even begin.
            task.add_done_callback(partial(_over, client))
            task.add_done_callback(alive.discard)

    async def _turn_away(self, client: socket.socket) -> None:
        """There are connections enough already."""
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            if status := self.conditions.status:
                await loop.sock_recv(client, _CHUNK)
                head = f"HTTP/1.1 {status} Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                await loop.sock_sendall(client, head.encode())
                client.shutdown(socket.SHUT_WR)
            else:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)

    async def _connection(self, client: socket.socket, way: _Way) -> None:
        loop = asyncio.get_running_loop()
        # The kernel has answered the client already; this is the round trip that it takes.
        await asyncio.sleep(self.conditions.rtt)
        with suppress(OSError), socket.socket() as server:
            server.setblocking(False)
            await loop.sock_connect(server, self._target)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            there = self._queue()
            back = self._queue()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._read(client, there, Line(way.conditions)))
                    group.create_task(self._write(server, there))
                    group.create_task(self._read(server, back, Line(way.conditions, way.link)))
                    group.create_task(self._serve(client, back, way.limit))
            except* (OSError, _Cut):
                if self.conditions.reset:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)

    def _queue(self) -> _Queue:
        return asyncio.Queue(_DEPTH_FAR if self.conditions.rtt else _DEPTH_NEAR)

    async def _read(self, source: socket.socket, queue: _Queue, line: Line) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(source, _CHUNK):
            crossing = line.book(loop.time(), len(data))
            await queue.put((crossing.due, data))
            await _until(crossing.sent - _AHEAD)
        await queue.put((line.book(loop.time(), 0).due, b""))

    async def _write(self, target: socket.socket, queue: _Queue) -> None:
        loop = asyncio.get_running_loop()
        while data := await _arrived(queue):
            await loop.sock_sendall(target, data)
        target.shutdown(socket.SHUT_WR)

    async def _serve(self, client: socket.socket, queue: _Queue, limit: int | None) -> None:
        """To a client: what it gets is counted, and ends at the limit."""
        loop = asyncio.get_running_loop()
        left = limit
        while data := await _arrived(queue):
            piece = data[:left]
            await loop.sock_sendall(client, piece)
            self.served += len(piece)
            if left is not None and not (left := left - len(piece)):
                raise _Cut
        client.shutdown(socket.SHUT_WR)


class _Running:
    """The thread and the loop of a proxy, from start to stop."""

    def __init__(self, wan: Wan, listener: socket.socket) -> None:
        listener.setblocking(False)
        self._wan = wan
        self._listener = listener
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="wan", daemon=True)
        self._stopped = asyncio.Event()
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def _run(self) -> None:
        with self._listener, asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._until_stopped())
            # What is left are connections; the runner cancels them.

    async def _until_stopped(self) -> None:
        accepting = asyncio.create_task(self._wan.accept(self._listener))
        await self._stopped.wait()
        accepting.cancel()


def _over(client: socket.socket, _: asyncio.Task[None]) -> None:
    client.close()


async def _arrived(queue: _Queue) -> bytes:
    due, data = await queue.get()
    await _until(due)
    return data


async def _until(moment: float) -> None:
    left = moment - asyncio.get_running_loop().time()
    if left > 0:
        await asyncio.sleep(left)


class WanProcess:
    """`Wan` in a process of its own, with the same interface."""

    def __init__(self, target: tuple[str, int], conditions: Conditions | None = None) -> None:
        self._words = _words(target, conditions or Conditions())
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.servers.wan", *self._words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=_ROOT,
            )
            assert self._process.stdout is not None
            self.port = int(self._process.stdout.readline())
        else:
            self._say("start")
        return self

    def stop(self) -> None:
        """As a server dies; `start` brings it back, `close` ends the process."""
        self._say("stop")

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()  # closes its stdin first, and that ends it
            self._process = None

    @property
    def host(self) -> str:
        """As it stands in a reference."""
        return f"{HOST}:{self.port}"

    @property
    def served(self) -> int:
        return self._say("counts")["served"]

    @property
    def connections(self) -> int:
        return self._say("counts")["connections"]

    def _say(self, word: str) -> dict[str, int]:
        """Every word is answered with the counts."""
        if self._process is None:
            raise RuntimeError("not started")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        counts: dict[str, int] = json.loads(self._process.stdout.readline())
        return counts


def _words(target: tuple[str, int], conditions: Conditions) -> list[str]:
    words = ["--target", "{}:{}".format(*target)]
    for name, value in vars(conditions).items():
        option = "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif value:
            words += [option, str(value)]
    return words


def _size(text: str) -> float:
    number, factor = (text[:-1], _SUFFIXES[text[-1]]) if text[-1:] in _SUFFIXES else (text, 1)
    return float(number) * factor


def _count(text: str) -> int:
    return int(_size(text))


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.servers.wan", description=__doc__)
    add: Any = parser.add_argument
    add("--target", type=_address, required=True, metavar="HOST:PORT")
    add("--port", type=int, default=0, help="where to listen; else one is chosen")
    add("--rtt", type=float, default=0.0, help="seconds of a round trip")
    add("--cap", type=_size, default=0.0, help="bytes a second of a connection: 20M")
    add("--link", type=_size, default=0.0, help="bytes a second to all clients together")
    add("--slow-start", action="store_true", help="connections begin slowly, as TCP's do")
    add("--cut-after", type=_count, default=0, help="bytes, about: 1G")
    add("--reset", action="store_true", help="cut by RST")
    add("--seed", type=int, default=0, help="of where connections are cut")
    add("--at-once", type=int, default=0, help="connections; others are turned away")
    add("--status", type=int, default=0, help="how: with this answer, else by RST")
    add("--slow", type=_size, default=0.0, help="bytes a second of one connection alone")
    add("--slow-one", type=int, default=0, help="which: the first is 1")
    given = vars(parser.parse_args(words))
    with Wan(given.pop("target"), port=given.pop("port"), conditions=Conditions(**given)) as wan:
        print(wan.port, flush=True)
        for line in sys.stdin:
            match line.strip():
                case "stop":
                    wan.stop()
                case "start":
                    wan.start()
            counts = {"served": wan.served, "connections": wan.connections}
            print(json.dumps(counts), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

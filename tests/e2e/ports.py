"""Ports of this machine behind which nobody answers."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from tests.servers.process import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

_TICK = 0.02


class Silence:
    """Listens, accepts, reads, and says nothing."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0), backlog=64)
        self.number: int = self._listener.getsockname()[1]
        self.accepted = 0
        #: What came first over each connection.
        self.received: list[bytes] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with ExitStack() as stack:
            listener = stack.enter_context(self._listener)
            silent: list[socket.socket] = []
            while not self._over.is_set():
                ready, _, _ = select.select([listener, *silent], [], [], _TICK)
                for each in ready:
                    if each is listener:
                        client, _ = listener.accept()
                        silent.append(stack.enter_context(client))
                        self.accepted += 1
                    else:
                        silent.remove(each)
                        with suppress(OSError):
                            self.received.append(each.recv(4096))

    def close(self) -> None:
        self._over.set()
        self._thread.join()


@contextmanager
def silence() -> Iterator[Silence]:
    found = Silence()
    try:
        yield found
    finally:
        found.close()


@contextmanager
def closed() -> Iterator[int]:
    """A port that nobody listens to, and that nobody else is given meanwhile."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        yield taken.getsockname()[1]


@contextmanager
def unreachable() -> Iterator[int]:
    """A port that no connection to it is ever made to: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((HOST, 0), backlog=0))
        port = listener.getsockname()[1]
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect((HOST, port))
        yield port

"""Servers of a few lines, for what no good server can be told to do."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

#: How long nobody is waited for who should have come long ago, in seconds.
_LIMIT = 60.0
_PIECE = 64 << 10

Serve = Callable[[socket.socket], None]


@contextlib.contextmanager
def listening(serve: Serve, *, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Give every connection to `serve`, in a thread of its own; yields the `host:port`."""
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def run(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            serve(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                connection.settimeout(_LIMIT)
                if tls:
                    connection = tls.wrap_socket(
                        connection, server_side=True, do_handshake_on_connect=False
                    )
                connections.append(connection)
                threads.append(threading.Thread(target=run, args=(connection,), daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.join(_LIMIT)
            for connection in connections:
                with contextlib.suppress(OSError):
                    # Not SSLSocket.shutdown(), which takes TLS away from a thread that uses it.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
            for thread in threads:
                thread.join(_LIMIT)


def silent(connection: socket.socket) -> None:
    """Say nothing until the client goes."""
    while connection.recv(_PIECE):
        pass


def scripted(*pieces: bytes, behind_tls: bytes = b"") -> Serve:
    """Answer one request with these bytes, and then nothing; `behind_tls` past the encryption."""

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        for piece in pieces:
            connection.sendall(piece)
        socket.socket.sendall(connection, behind_tls)
        silent(connection)

    return serve


def tunnel(target: str) -> Serve:
    """A proxy: whatever a client wants to be connected to, it is `target` that it gets."""

    def serve(near: socket.socket) -> None:
        host, _, port = target.partition(":")
        with socket.create_connection((host, int(port)), timeout=_LIMIT) as far:
            read_head(near)
            near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            others = {near: far, far: near}
            while True:
                held = isinstance(near, ssl.SSLSocket) and near.pending()
                for source in [near] if held else select.select(others, [], [], _LIMIT)[0]:
                    piece = source.recv(_PIECE)
                    if not piece:
                        return
                    others[source].sendall(piece)

    return serve


def read_head(connection: socket.socket) -> bytes:
    """The head of a request."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(_PIECE)
        if not piece:
            raise ConnectionAbortedError("the client left")
        head += piece
    return head

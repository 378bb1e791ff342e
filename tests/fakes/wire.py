"""The sockets of the fake registry: origins that listen on loopback, and how a reply is sent.

Nothing here can hang a test. Whatever a connection's thread waits for, it waits on its socket,
and closing an origin shuts every socket down.
"""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from tests.fakes.journal import Journal, Line, OriginName, Request, kind_of

if TYPE_CHECKING:
    import io
    import ssl

    from tests.fakes.faults import Framing

Piece = bytes | memoryview
Pieces = Generator[Piece, None, None]

_TLS_HANDSHAKE = b"\x16"
_CLOSE_LIMIT = 60.0  # seconds; only where something hangs


def pieces_of(data: bytes) -> Pieces:
    if data:
        yield data


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What happens to a body under way; the smallest of the offsets is the one that happens."""

    cut_after: int | None = None
    reset: bool = False
    stall_after: int | None = None
    drip_after: int | None = None
    drip_interval: float = 0.05

    @property
    def limit(self) -> int | None:
        offsets = (self.cut_after, self.stall_after, self.drip_after)
        return min((offset for offset in offsets if offset is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: Pieces
    length: int  # of what the body yields
    promised: int  # of what it should yield
    framing: Framing = "asked"
    delivery: Delivery = Delivery()
    hold: threading.Event | None = None

    @classmethod
    def of(
        cls,
        status: int,
        headers: Mapping[str, str],
        data: bytes = b"",
        *,
        framing: Framing = "asked",
        delivery: Delivery = Delivery(),
        hold: threading.Event | None = None,
    ) -> Reply:
        return cls(
            status=status,
            headers=tuple(headers.items()),
            body=pieces_of(data),
            length=len(data),
            promised=len(data),
            framing=framing,
            delivery=delivery,
            hold=hold,
        )


Answer = Callable[[Request], Reply]


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # the default of 5 would drop the connections of one client
    timeout = 0.5  # only where the wake-up call of close() got lost

    def __init__(
        self,
        name: OriginName,
        answer: Answer,
        journal: Journal,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.name = name
        self.answer = answer
        self.journal = journal
        self.tls = tls
        self.closing = threading.Event()
        self.errors: list[BaseException] = []
        self.refuse = 0
        self.accepted = 0
        self.peak = 0
        self._changed = threading.Condition()
        self._open: dict[socket.socket, socket.socket] = {}
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own looks the host's name up, which can take as long as DNS likes.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def run(self) -> None:
        while not self.closing.is_set():
            self.handle_request()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        with self._changed:
            refused = self.refuse > 0
            self.refuse -= refused
            self.accepted += not self.closing.is_set()
        return not refused and not self.closing.is_set()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._open[request] = request
            self.peak = max(self.peak, len(self._open))
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        wrapped = self.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        with wrapped:
            with self._changed:
                self._open[request] = wrapped
            if self.closing.is_set():
                return
            wrapped.do_handshake()
            super().finish_request(wrapped, client_address)

    def shutdown_request(self, request: Any) -> None:
        # Without the shutdown() of the original: a FIN before the RST would spoil a reset.
        request.close()
        with self._changed:
            self._open.pop(request, None)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):  # OSError: the client left
            self.errors.append(error)

    def drop_connections(self) -> None:
        with self._changed:
            for connection in self._open.values():
                with contextlib.suppress(OSError):
                    # Not SSLSocket.shutdown(), which takes TLS away from a thread that uses it.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
        self.wait_until_idle(_CLOSE_LIMIT)

    def wait_until_idle(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, timeout=seconds)


class Origin:
    """One scheme, host and port."""

    def __init__(
        self,
        name: OriginName,
        answer: Answer,
        journal: Journal,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._server = _Server(name, answer, journal, tls)
        self.port: int = self._server.server_port
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.address}"
        self._thread = threading.Thread(target=self._server.run, name=f"fake-{name}", daemon=True)
        self._thread.start()

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._server.accepted

    @property
    def peak_connections(self) -> int:
        """How many were open at once, at most."""
        return self._server.peak

    @property
    def errors(self) -> list[BaseException]:
        """What went wrong in the fake itself."""
        return self._server.errors

    def wait_until_idle(self, seconds: float) -> bool:
        """Return whether all connections are closed by then."""
        return self._server.wait_until_idle(seconds)

    def fail_next_connections(self, count: int) -> None:
        self._server.refuse = count

    def close(self) -> None:
        if self._server.closing.is_set():
            return
        self._server.closing.set()
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=_CLOSE_LIMIT),
        ):
            pass  # it only wakes the thread that accepts
        self._thread.join(_CLOSE_LIMIT)
        self._server.drop_connections()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
        pass

    def handle_one_request(self) -> None:
        reader = cast("io.BufferedReader", self.rfile)
        if self.server.tls is None and reader.peek(1)[:1] == _TLS_HANDSHAKE:
            # A ClientHello may have no line end: reading a line would wait for ever.
            reader.read1(65536)
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\n")
            self.close_connection = True
            return
        super().handle_one_request()

    def _serve(self) -> None:
        request = self._read_request()
        line = self.server.journal.open(request)
        reply = self.server.answer(request)
        while reply.hold is not None and not reply.hold.is_set():
            if self._gone(0.01):
                self.close_connection = True
                return
        line.answered(reply.status)
        self.wfile.write(self._head(reply))
        with contextlib.closing(reply.body):
            bodiless = self.command == "HEAD" or reply.status == HTTPStatus.NOT_MODIFIED
            if not bodiless and not self._send_body(reply, line):
                self.close_connection = True

    do_GET = do_HEAD = do_POST = _serve  # noqa: N815 - named by the base class

    def _read_request(self) -> Request:
        target = urlsplit(self.path)
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        path = unquote(target.path)
        return Request(
            method=self.command,
            path=path,
            query=target.query,
            headers=MappingProxyType(headers),
            body=self.rfile.read(int(headers.get("content-length", 0))),
            origin=self.server.name,
            kind=kind_of(path),
        )

    @staticmethod
    def _head(reply: Reply) -> bytes:
        lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, '')}"]
        lines += [f"Date: {formatdate(usegmt=True)}"]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        match reply.framing:
            case "asked" if reply.status == HTTPStatus.NOT_MODIFIED:
                pass
            case "asked":
                lines.append(f"Content-Length: {reply.promised}")
            case "sent":
                lines.append(f"Content-Length: {reply.length}")
            case "chunked":
                lines.append("Transfer-Encoding: chunked")
            case "close":
                lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _send_body(self, reply: Reply, line: Line) -> bool:
        """Return whether the connection can be used for another request."""
        write = self._chunked_writer(line) if reply.framing == "chunked" else self._writer(line)
        limit, sent = reply.delivery.limit, 0
        for piece in reply.body:
            room = len(piece) if limit is None else min(len(piece), limit - sent)
            if room:
                write(piece[:room])
            sent += room
            if room < len(piece) and not self._trouble(reply, piece[room:], write):
                return False
        if reply.framing == "chunked":
            self.wfile.write(b"0\r\n\r\n")
        if reply.framing == "asked":
            return reply.length == reply.promised
        return reply.framing != "close"

    def _trouble(self, reply: Reply, rest: Piece, write: Callable[[Piece], None]) -> bool:
        """Do at the limit what the test wants; return whether all bytes went out in the end."""
        delivery = reply.delivery
        if delivery.limit == delivery.cut_after:
            if delivery.reset:
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return False
        if delivery.limit == delivery.stall_after:
            while not self._gone(0.5):
                pass
            return False
        for tail in ([rest], reply.body):
            for piece in tail:
                for index in range(len(piece)):
                    # Before the byte, not after it: after the last one the client may go on.
                    if self._gone(delivery.drip_interval):
                        return False
                    write(piece[index : index + 1])
        return True

    def _gone(self, seconds: float) -> bool:
        """Wait; return whether the client or the origin closed the connection meanwhile."""
        # No client sends its next request before the end of a reply: bytes can only be a goodbye.
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        return bool(poll.poll(seconds * 1000)) or self.server.closing.is_set()

    def _writer(self, line: Line) -> Callable[[Piece], None]:
        def write(piece: Piece) -> None:
            line.sending(len(piece))
            self.wfile.write(piece)

        return write

    def _chunked_writer(self, line: Line) -> Callable[[Piece], None]:
        def write(piece: Piece) -> None:
            line.sending(len(piece))
            self.wfile.write(b"%x\r\n" % len(piece) + bytes(piece) + b"\r\n")

        return write

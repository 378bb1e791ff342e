"""Request lines of the combined log format, which Distribution and nginx both write."""

from __future__ import annotations

import re
import secrets
import ssl
import threading
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

_DEADLINE = 60.0
_POLL = 0.01
_MARKER = "/v2/?marker="

_LINE = re.compile(
    r'^\S+ \S+ (?P<user>\S+) \[[^\]]*\] "(?P<method>[A-Z]+) (?P<path>\S+) HTTP/[\d.]+" '
    r'(?P<status>\d{3}) (?P<size>\d+|-)(?: "[^"]*" "(?P<agent>[^"]*)")?',
    re.MULTILINE,
)


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # with its query
    status: int
    size: int = 0  # bytes of the body that were sent
    agent: str = ""


def parse(text: str) -> tuple[Request, ...]:
    return tuple(
        Request(
            method=found["method"],
            path=found["path"],
            status=int(found["status"]),
            size=0 if found["size"] == "-" else int(found["size"]),
            agent=found["agent"] or "",
        )
        for found in _LINE.finditer(text)
    )


def read(log: Path, url: str) -> tuple[Request, ...]:
    """Every request that the server at `url` answered before this call.

    A server writes a line after its client has the reply. So this sends a request of its own and
    waits for its line, which comes after the others; it is not in the result.
    """
    marker = _MARKER + secrets.token_hex(8)
    _get(url, marker)
    deadline = time.monotonic() + _DEADLINE
    pause = threading.Event()
    while marker not in (text := log.read_text(errors="replace")):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{marker} does not appear in {log}")
        pause.wait(_POLL)
    return tuple(each for each in parse(text) if _MARKER not in each.path)


def _get(url: str, path: str) -> None:
    parts = urlsplit(url)
    connection: HTTPConnection
    if parts.scheme == "https":
        # Whose certificate it is does not matter here.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = HTTPSConnection(parts.netloc, timeout=_DEADLINE, context=context)
    else:
        connection = HTTPConnection(parts.netloc, timeout=_DEADLINE)
    try:
        connection.request("GET", path)
        connection.getresponse().read()
    finally:
        connection.close()

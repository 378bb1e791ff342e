"""What the fake registry was asked, and what it answered."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Mapping

OriginName = Literal["registry", "storage", "other", "token"]
Kind = Literal["ping", "manifest", "blob", "token", "tags", "other"]

_KINDS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(r"/v2/?"), "ping"),
    (re.compile(r"/v2/.+/manifests/[^/]+|/objects/manifests/.+"), "manifest"),
    (re.compile(r"/v2/.+/blobs/[^/]+|/objects/blobs/.+"), "blob"),
    (re.compile(r"/v2/.+/tags/list"), "tags"),
    (re.compile(r"/token(/.*)?"), "token"),
)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str  # percent-decoded
    query: str  # as received
    headers: Mapping[str, str]  # names in lower case, repeated ones joined by ", "
    body: bytes  # what the client sent
    origin: OriginName
    kind: Kind
    status: int = 0  # 0 while there is no answer
    sent: int = 0  # body bytes handed to the socket

    @property
    def params(self) -> dict[str, list[str]]:
        return parse_qs(self.query, keep_blank_values=True)

    @property
    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode(), keep_blank_values=True)


def kind_of(path: str) -> Kind:
    return next((kind for pattern, kind in _KINDS if pattern.fullmatch(path)), "other")


class Line:
    """One request's place in the journal while it is being answered."""

    def __init__(self, journal: Journal, index: int) -> None:
        self._journal = journal
        self._index = index

    def answered(self, status: int) -> None:
        self._journal.update(self._index, status=status)

    def sending(self, count: int) -> None:
        """Count before the bytes go out: a client that has them may ask the journal at once."""
        self._journal.update(self._index, more=count)


class Journal:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[Request] = []

    def open(self, request: Request) -> Line:
        with self._lock:
            self._requests.append(request)
            return Line(self, len(self._requests) - 1)

    def update(self, index: int, *, status: int | None = None, more: int = 0) -> None:
        with self._lock:
            old = self._requests[index]
            status = old.status if status is None else status
            self._requests[index] = replace(old, status=status, sent=old.sent + more)

    def find(
        self,
        method: str | None = None,
        kind: Kind | None = None,
        origin: OriginName | None = None,
        status: int | None = None,
    ) -> list[Request]:
        with self._lock:
            requests = list(self._requests)
        return [
            request
            for request in requests
            if method in (None, request.method)
            and kind in (None, request.kind)
            and origin in (None, request.origin)
            and status in (None, request.status)
        ]

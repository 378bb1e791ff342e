"""Signed URLs: where the fake registry sends clients, and what such a URL is good for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

from tests.fakes.journal import OriginName, Request
from tests.fakes.replies import moved, storage_refusal
from tests.fakes.wire import Reply

if TYPE_CHECKING:
    from tests.fakes.faults import Redirects

_Serve = Callable[[Request], Reply]


@dataclass(slots=True)
class _Ticket:
    method: str  # pre-signed URLs are bound to theirs
    path: str
    serve: _Serve
    terms: Redirects
    expires_at: float
    hops: int
    uses: int | None


class SignedUrls:
    def __init__(self, clock: Callable[[], float], urls: Mapping[OriginName, str]) -> None:
        self._clock = clock
        self._urls = urls
        self._lock = threading.Lock()
        self._tickets: dict[str, _Ticket] = {}
        self._serials = count(1)

    def redirect(self, request: Request, path: str, serve: _Serve, terms: Redirects) -> Reply:
        """Send a client of the registry to `path` below /objects/, where `serve` answers it."""
        ticket = _Ticket(
            method=request.method,
            path=f"/objects/{path}",
            serve=serve,
            terms=terms,
            expires_at=self._clock() + terms.expires_in,
            hops=terms.hops - 1,
            uses=terms.uses,
        )
        return self._send_on(ticket, request.origin)

    def answer(self, request: Request) -> Reply:
        signature = request.params.get("X-Amz-Signature", [""])[0]
        with self._lock:
            ticket = self._tickets.get(signature)
            if ticket is None or (ticket.method, ticket.path) != (request.method, request.path):
                return storage_refusal(403, "SignatureDoesNotMatch", "signature does not match")
            terms = ticket.terms
            if terms.reject_authorization and "authorization" in request.headers:
                return storage_refusal(400, "InvalidArgument", "Only one auth mechanism allowed")
            if ticket.uses == 0 or self._clock() >= ticket.expires_at:
                return storage_refusal(terms.expired_status, "AccessDenied", "Request has expired")
            if ticket.uses is not None:
                ticket.uses -= 1
        if ticket.hops > 0:
            onward = replace(ticket, hops=ticket.hops - 1, uses=terms.uses)
            return self._send_on(onward, request.origin)
        return ticket.serve(request)

    def _send_on(self, ticket: _Ticket, here: OriginName) -> Reply:
        terms = ticket.terms
        if terms.location is not None:
            return moved(terms.status, terms.location)
        with self._lock:
            signature = f"{next(self._serials):08x}"
            self._tickets[signature] = ticket
        target = f"{ticket.path}?X-Amz-Expires={terms.expires_in}&X-Amz-Signature={signature}"
        if not terms.relative:
            there = terms.to() if terms.to else "storage"
            target = self._urls[there if here == "registry" else "registry"] + target
        return moved(terms.status, target)

"""A token server of the Distribution specification, with tokens that a real registry verifies."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import secrets
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from tests.servers.jwt import Algorithm, KeyHeader, Signer
from tests.servers.process import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.servers.tls import Certificate

REGISTRY_LEEWAY = 60
"""Distribution accepts a token this many seconds beyond its `exp`."""


@dataclass(frozen=True)
class TokenRequest:
    method: str
    account: str | None  # None is anonymous; a name that failed is here too
    grant: str  # basic, anonymous, password, refresh_token
    scopes: tuple[str, ...]
    service: str
    status: int
    at: float  # seconds on a clock that never runs backwards


@dataclass(frozen=True)
class Policy:
    users: Mapping[str, str] = field(default_factory=dict)
    anonymous_pull: bool = True
    lifetime: int = 300
    # The claim is earlier than what the reply says; with REGISTRY_LEEWAY a real registry
    # refuses the token when the reply's lifetime is over.
    backdate: int = 0
    # The first so many requests are answered with 503.
    outages: int = 0
    # Several registries leave the lifetime out; 60 seconds are then understood.
    says_expires_in: bool = True


class TokenService:
    """Serves on a loopback port from construction until `stop`.

    `policy` may be replaced while it runs.
    """

    def __init__(
        self,
        directory: Path,
        policy: Policy | None = None,
        *,
        service: str = "registry.test",
        issuer: str = "token.test",
        tls: Certificate | None = None,
        algorithm: Algorithm = "ES256",
        key_header: KeyHeader = "x5c",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.policy = policy or Policy()
        self.service = service
        self.issuer = issuer
        self._signer = Signer(issuer, algorithm, key_header)
        self.bundle = directory / "token-bundle.pem"
        self.bundle.write_bytes(self._signer.certificate_pem)
        self._lock = threading.Lock()
        self._requests: list[TokenRequest] = []
        self._refresh_tokens: dict[str, str] = {}
        self._server = _Server((HOST, 0), self)
        if tls is not None:
            # The handshake belongs to the request's thread: a client that never speaks must
            # not hold up the others.
            self._server.socket = tls.server_context().wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._scheme = "http" if tls is None else "https"
        self._thread = threading.Thread(  # the rule is for the product
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def realm(self) -> str:
        return f"{self._scheme}://{HOST}:{self._server.server_port}/token"

    @property
    def requests(self) -> tuple[TokenRequest, ...]:
        with self._lock:
            return tuple(self._requests)

    def forget_requests(self) -> None:
        with self._lock:
            self._requests.clear()

    def issue_refresh_token(self, account: str) -> str:
        """An identity token, as `docker login` would store it."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._refresh_tokens[token] = account
        return token

    def issue(self, account: str, scopes: Sequence[str]) -> str:
        """A registry token that gives the account all it asks for."""
        now = int(time.time())
        access = [_access(scope) for scope in scopes]
        if not account:
            access = [entry | {"actions": _pull_only(entry["actions"])} for entry in access]
        return self._signer.sign(
            {
                "iss": self.issuer,
                "sub": account,
                "aud": self.service,
                "iat": now - self.policy.backdate,
                "nbf": now - self.policy.backdate,
                "exp": now + self.policy.lifetime - self.policy.backdate,
                "jti": secrets.token_hex(8),
                "access": access,
            }
        )

    def answer(self, request: _Asked) -> tuple[int, dict[str, Any]]:
        """Status and body of the reply; the request is on record."""
        account = self._account(request)
        status = 200 if account is not None else 401
        with self._lock:
            if len(self._requests) < self.policy.outages:
                status = HTTPStatus.SERVICE_UNAVAILABLE
        known = TokenRequest(
            request.method,
            request.account,
            request.grant,
            request.scopes,
            request.service,
            status,
            time.monotonic(),
        )
        with self._lock:
            self._requests.append(known)
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            return status, {"details": "try again"}
        if account is None:
            return status, {"details": "incorrect username or password"}
        return status, self._reply(request, account)

    def _account(self, request: _Asked) -> str | None:
        """Who asks: empty for anonymous, None for somebody who may not."""
        if request.grant == "anonymous":
            return "" if self.policy.anonymous_pull else None
        if request.grant == "refresh_token":
            with self._lock:
                return self._refresh_tokens.get(request.secret)
        account = request.account or ""
        known = self.policy.users.get(account)
        return account if known is not None and known == request.secret else None

    def _reply(self, request: _Asked, account: str) -> dict[str, Any]:
        token = self.issue(account, request.scopes)
        reply: dict[str, Any] = {"access_token": token}
        if request.method == "GET":
            reply["token"] = token
        else:
            reply["scope"] = " ".join(request.scopes)
        if self.policy.says_expires_in:
            reply["expires_in"] = self.policy.lifetime
        now = dt.datetime.now(dt.UTC)
        reply["issued_at"] = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        if request.offline and account:
            reply["refresh_token"] = self.issue_refresh_token(account)
        return reply


@dataclass(frozen=True)
class _Asked:
    method: str
    grant: str
    account: str | None
    secret: str
    service: str
    scopes: tuple[str, ...]
    offline: bool


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], service: TokenService) -> None:
        super().__init__(address, _Handler)
        self.service = service

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        account, secret = _basic(self.headers.get("Authorization"))
        self._answer(
            _Asked(
                "GET",
                "anonymous" if account is None else "basic",
                account,
                secret,
                _one(query, "service"),
                _scopes(query),
                offline=_one(query, "offline_token") == "true",
            )
        )

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        form = urllib.parse.parse_qs(self.rfile.read(length).decode())
        grant = _one(form, "grant_type")
        self._answer(
            _Asked(
                "POST",
                grant,
                _one(form, "username") or None,
                _one(form, "refresh_token" if grant == "refresh_token" else "password"),
                _one(form, "service"),
                _scopes(form),
                offline=_one(form, "access_type") == "offline",
            )
        )

    def _answer(self, asked: _Asked) -> None:
        path = urllib.parse.urlsplit(self.path).path
        status, body = (
            self.server.service.answer(asked) if path == "/token" else (404, {"details": "no"})
        )
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """`requests` has it."""


def _basic(header: str | None) -> tuple[str | None, str]:
    kind, _, value = (header or "").partition(" ")
    if kind.lower() != "basic":
        return None, ""
    try:
        account, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return account, secret


def _one(values: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(values.get(name, ())), "")


def _scopes(values: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    return tuple(scope for value in values.get("scope", ()) for scope in value.split())


def _access(scope: str) -> dict[str, Any]:
    # A name may have a port, so the type ends at the first colon and the actions begin at the last.
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return {"type": kind, "name": name, "actions": actions.split(",")}


def _pull_only(actions: Sequence[str]) -> list[str]:
    return [action for action in actions if action == "pull"]

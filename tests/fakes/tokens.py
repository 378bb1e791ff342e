"""The fake registry's doorman: challenges, the token endpoint, and who may pass."""

from __future__ import annotations

import base64
import binascii
import json
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from tests.fakes.faults import Auth, Switch, TokenFaults
from tests.fakes.replies import moved, refusal, refused_by
from tests.fakes.wire import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.fakes.journal import OriginName, Request

_DEFAULT_LIFETIME = 60  # of a token that does not say
_Verdict = Literal["", "none", "invalid_token", "expired", "insufficient_scope"]


class _NobodyError(Exception):
    """The credentials are no good."""


@dataclass(slots=True)
class _Grant:
    access: frozenset[tuple[str, str]]  # what, action
    expires_at: float
    uses: int | None


def _access(scopes: Iterable[str]) -> frozenset[tuple[str, str]]:
    """Read scopes: the type ends at the first colon, the actions begin after the last."""
    access = set[tuple[str, str]]()
    for scope in scopes:
        if scope.count(":") < 2:  # such as "aws"
            access.add((scope, ""))
            continue
        what, _, actions = scope.rpartition(":")
        access |= {(what, action) for action in actions.split(",")}
    return frozenset(access)


class Doorman:
    def __init__(
        self,
        clock: Callable[[], float],
        origins: Mapping[OriginName, str],
        faults: Switch[TokenFaults],
    ) -> None:
        self._clock = clock
        self._origins = origins  # names to URLs, for the realms
        self._faults = faults
        self._lock = threading.Lock()
        self._grants: dict[str, _Grant] = {}
        self._issued = 0
        self.auth: Auth | None = None

    def revoke(self) -> None:
        """Let every token that was issued be expired from now on."""
        with self._lock:
            for grant in self._grants.values():
                grant.uses = 0

    # --- at the registry

    def stop(self, request: Request, name: str | None) -> Reply | None:
        """Return the 401 for a request about repository `name` (None: the ping), or let it pass."""
        auth = self.auth
        if auth is None:
            return None
        verdict = self._verdict(auth, request.headers.get("authorization"), name)
        if not verdict:
            return None
        headers = {}
        if auth.challenge_on == "all" or (auth.challenge_on == "ping" and name is None):
            headers["WWW-Authenticate"] = self._challenge(auth, name, verdict)
        reply = refusal(401, message="authentication required", headers=headers)
        if headers and auth.beside and not auth.joined:
            reply = replace(reply, headers=(("WWW-Authenticate", auth.beside), *reply.headers))
        return reply

    def _verdict(self, auth: Auth, authorization: str | None, name: str | None) -> _Verdict:
        scheme, _, value = (authorization or "").partition(" ")
        if scheme.lower() != auth.scheme:
            return "none"
        if auth.scheme == "bearer":
            return self._verdict_on_token(auth, value, name)
        try:
            _user(auth, authorization)
        except _NobodyError:
            return "none"
        return ""

    def _verdict_on_token(self, auth: Auth, token: str, name: str | None) -> _Verdict:
        needed = auth.scope or "repository:{name}:pull"
        with self._lock:
            grant = self._grants.get(token)
            if grant is None:
                return "invalid_token"
            if self._clock() >= grant.expires_at or grant.uses == 0:
                return "expired"
            if name is not None and not self._enough(needed.replace("{name}", name), grant):
                return "insufficient_scope"
            if grant.uses is not None:
                grant.uses -= 1
        return ""

    @staticmethod
    def _enough(needed: str, grant: _Grant) -> bool:
        # A registry may name more in its challenge (pull,push) than a pull takes.
        return any(access in grant.access for access in _access([needed]) if access[1] != "push")

    def _challenge(self, auth: Auth, name: str | None, verdict: _Verdict) -> str:
        if auth.scheme == "basic":
            ours = f'{auth.challenge_name or "Basic"} realm="fake"'
        else:
            realm = auth.realm
            if verdict == "expired" and auth.realm_after_expiry is not None:
                realm = auth.realm_after_expiry
            values = {"realm": self._resolved(realm)}
            if auth.service is not None:
                values["service"] = auth.service
            if auth.scope is not None and name is not None:
                values["scope"] = auth.scope.replace("{name}", name)
            if verdict in ("invalid_token", "expired"):
                values["error"] = "invalid_token"
            elif verdict == "insufficient_scope":
                values["error"] = "insufficient_scope"
            quote = '"' if auth.quoted else ""
            words = ",".join(f"{key}={quote}{value}{quote}" for key, value in values.items())
            ours = f"{auth.challenge_name or 'Bearer'} {words}"
        return f"{auth.beside}, {ours}" if auth.beside and auth.joined else ours

    def _resolved(self, realm: str) -> str:
        for name, url in self._origins.items():
            realm = realm.replace(f"{{{name}}}", url)
        return realm

    # --- at the token endpoint

    def token(self, request: Request) -> Reply:
        if request.path == "/token/moved":
            query = f"?{request.query}" if request.query else ""
            return moved(307, f"{self._origins['storage']}/token{query}")
        if request.path == "/token/refuses":
            return refusal(401, message="no token here")
        asked = request.form if request.method == "POST" else request.params
        scopes = [scope for value in asked.get("scope", []) for scope in value.split()]
        access = _access(scopes)
        faults = self._faults.take(*(what.partition(":")[2] for what, _ in access))
        reply = self._unhelpful(request, faults) or self._issue(request, asked, access, faults)
        return replace(reply, hold=faults.hold, framing="chunked" if faults.chunked else "asked")

    @staticmethod
    def _unhelpful(request: Request, faults: TokenFaults) -> Reply | None:
        if request.method == "POST" and faults.post_status is not None:
            return refusal(faults.post_status)
        if faults.body is not None:
            return Reply.of(200, {"Content-Type": faults.content_type}, faults.body)
        return refused_by(faults)

    def _issue(
        self,
        request: Request,
        asked: Mapping[str, list[str]],
        access: frozenset[tuple[str, str]],
        faults: TokenFaults,
    ) -> Reply:
        auth = self.auth or Auth()
        if auth.service is not None and asked.get("service") != [auth.service]:
            return refusal(400, message=f"the service is {auth.service}")
        try:
            user = _user_of_form(auth, asked) if request.method == "POST" else None
            user = user or _user(auth, request.headers.get("authorization"))
        except _NobodyError:
            return refusal(401, message="wrong credentials")
        if user is None and not auth.anonymous:
            return refusal(401, message="log in first")
        if user is None:
            hidden = {f"repository:{name}" for name in auth.private}
            access = frozenset(one for one in access if one[0] not in hidden)
        token = self._grant(frozenset() if faults.no_access else access, faults)
        members: dict[str, object] = {}
        if faults.fields != "access_token":
            members["token"] = token
        if faults.fields != "token":
            members["access_token"] = token
        if faults.expires_in is not None:
            members["expires_in"] = faults.expires_in
        if faults.issued_at is not None:
            moment = datetime.now(UTC) + faults.issued_at
            members["issued_at"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        if faults.padding:
            members["padding"] = "x" * faults.padding
        body = json.dumps(members).encode()
        return Reply.of(200, {"Content-Type": faults.content_type}, body)

    def _grant(self, access: frozenset[tuple[str, str]], faults: TokenFaults) -> str:
        lifetime = _DEFAULT_LIFETIME if faults.expires_in is None else faults.expires_in
        with self._lock:
            self._issued += 1
            token = f"fake-token-{self._issued}"
            self._grants[token] = _Grant(access, self._clock() + lifetime, faults.uses)
        return token


def _user(auth: Auth, authorization: str | None) -> str | None:
    """Return who Basic credentials say it is; None where there are none."""
    if authorization is None:
        return None
    scheme, _, value = authorization.partition(" ")
    try:
        name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise _NobodyError from None
    if scheme.lower() != "basic" or name not in auth.users or auth.users[name] != password:
        raise _NobodyError
    return name


def _user_of_form(auth: Auth, form: Mapping[str, list[str]]) -> str | None:
    match form:
        case {"grant_type": ["refresh_token"], "refresh_token": [secret]}:
            if secret in auth.identity_tokens:
                return "<token>"
        case {"grant_type": ["password"], "username": [name], "password": [password]}:
            if name in auth.users and auth.users[name] == password:
                return name
    raise _NobodyError

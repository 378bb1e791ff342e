"""What is sent along so that a registry answers: tokens from wherever its challenge points."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from oci_pull.adapters.registry.http import TOKEN, origin_of, status_error, translating
from oci_pull.errors import (
    AccessDenied,
    CredentialsRejected,
    CredentialsRequired,
    OciPullError,
    RedirectRefused,
    ServerFailed,
)
from oci_pull.oci.challenge import Challenge, parse_challenges, preferred
from oci_pull.oci.credential import Anonymous, Basic, Credential, IdentityToken, RegistryToken
from oci_pull.ports import Clock

#: What a reply without `expires_in` means, and the least that is believed (seconds): the token
#: specification's own default, and registries that say 0.
_LIFETIME = 60.0
#: Renewed so long before it expires, in seconds.
_MARGIN = 5.0
_MAX_REPLY = 1024 * 1024
_CLIENT_ID = "oci-pull"
#: What comes of reading a reply that is anything but a token.
_NO_TOKEN = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    expires: float


class RegistryAuth:
    """The authorization of one registry for one repository, shared by all workers."""

    def __init__(
        self,
        *,
        host: str,
        repository: str,
        credential: Callable[[], Credential],
        client: httpx.Client,
        clock: Clock,
    ) -> None:
        self._host = host
        self._repository = repository
        self._find_credential = credential
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._credential: Credential | None = None
        self._challenge: Challenge | None = None
        self._token: _Token | None = None

    @property
    def credential(self) -> Credential:
        """Who asks; found when the registry first wants to know."""
        if self._credential is None:
            self._credential = self._find_credential()
        return self._credential

    def header(self, url: httpx.URL) -> str | None:
        """What to send with a request, None as long as nobody has asked for anything."""
        with self._lock:
            if self._token and self._challenge and self._token.expires <= self._clock.now():
                self._token = self._obtain(self._challenge, url)
            return self._token.header if self._token else None

    def answer(self, response: httpx.Response, sent: str | None) -> str:
        """What to send after this 401; one thread asks for a token, the others get the same.

        Raises:
            CredentialsRequired, CredentialsRejected, AccessDenied: there is nothing better to send.
        """
        challenge = preferred(parse_challenges(response.headers.get_list("WWW-Authenticate")))
        with self._lock:
            if self._token and self._token.header != sent:
                return self._token.header
            if challenge is None:
                raise self.refusal(f"{self._host} wants credentials and does not say which")
            # A registry may point elsewhere once a token expired (nvcr.io): the first one counts.
            challenge = self._challenge or challenge
            self._token = self._obtain(challenge, response.url)
            if self._token.header == sent:
                raise self.refused()
            self._challenge = challenge
            return self._token.header

    def refused(self) -> OciPullError:
        """The error for a registry that took none of what was sent."""
        return self.refusal(f"{self._host} refused access to {self._repository}")

    def refusal(self, message: str) -> OciPullError:
        """The error for a registry that will not let these credentials in."""
        who = self.credential
        if isinstance(who, Anonymous):
            return CredentialsRequired(
                f"{message} (asked as: anonymous)",
                hint=f"check the name; if it is private:  docker login {self._host}",
            )
        return CredentialsRejected(
            f"{message} (asked as: {who})", hint=f"docker login {self._host}"
        )

    def denial(self, message: str) -> OciPullError:
        """The error for credentials that are good and not good enough."""
        return AccessDenied(
            f"{message} (asked as: {self.credential})",
            hint="the account needs the right to pull, or the name is misspelt",
        )

    def _obtain(self, challenge: Challenge, url: httpx.URL) -> _Token:
        who = self.credential
        forever = float("inf")
        if isinstance(who, RegistryToken):
            return _Token(who.header, forever)
        if challenge.scheme == "basic":
            if not isinstance(who, Basic):
                raise self.refusal(f"{self._host} wants a user and a password")
            return _Token(who.header, forever)
        return self._fetch(challenge, url, who)

    def _fetch(self, challenge: Challenge, url: httpx.URL, who: Credential) -> _Token:
        realm = _realm(challenge, url)
        scope = challenge.scope or f"repository:{self._repository}:pull"
        request = self._request(realm, challenge.service, scope, who)
        origin = origin_of(realm)
        with translating(origin):
            response = self._client.send(request, stream=True)
            try:
                if response.status_code in (401, 403):
                    message = f"the token service {origin} gave no token for {self._repository}"
                    raise self.refusal(message)
                if response.status_code != httpx.codes.OK:
                    raise status_error(response, "a token")
                body = _read(response)
            finally:
                response.close()
        return self._parse(body, origin)

    def _request(
        self, realm: httpx.URL, service: str, scope: str, who: Credential
    ) -> httpx.Request:
        parameters = {"service": service} if service else {}
        if isinstance(who, IdentityToken):
            form = {
                "grant_type": "refresh_token",
                "client_id": _CLIENT_ID,
                "scope": scope,
                "refresh_token": who.token,
                **parameters,
            }
            return self._client.build_request("POST", realm, data=form)
        # httpx would replace the query that a realm may have of its own.
        query = realm.params.merge({**parameters, "client_id": _CLIENT_ID})
        for each in scope.split():
            query = query.add("scope", each)
        headers = {"Authorization": who.header} if isinstance(who, Basic) else {}
        return self._client.build_request("GET", realm.copy_with(params=query), headers=headers)

    def _parse(self, body: bytes, origin: str) -> _Token:
        try:
            reply = json.loads(body)
            token = reply.get("token") or reply["access_token"]
            lifetime = float(reply.get("expires_in") or _LIFETIME)
            if not TOKEN.fullmatch(token):
                raise ValueError("no header can hold it")
        except _NO_TOKEN as error:
            raise ServerFailed(f"{origin} answered with no token", origin=origin) from error
        expires = self._clock.now() + max(lifetime, _LIFETIME) - _MARGIN
        return _Token(f"Bearer {token}", expires)


def _read(response: httpx.Response) -> bytes:
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _MAX_REPLY:
            origin = origin_of(response.url)
            raise ServerFailed(f"the reply of {origin} is too long for a token", origin=origin)
    return body


def _realm(challenge: Challenge, url: httpx.URL) -> httpx.URL:
    """Where to ask for a token; never over a connection that is weaker than the registry's."""
    if not challenge.realm:
        raise ServerFailed(f"{origin_of(url)} wants a token and does not say from where")
    with translating(origin_of(url)):
        realm = url.join(challenge.realm)
    if realm.scheme not in ("http", "https") or (url.scheme, realm.scheme) == ("https", "http"):
        raise RedirectRefused(
            f"{origin_of(url)} sends for a token to {origin_of(realm)} without encryption"
        )
    return realm

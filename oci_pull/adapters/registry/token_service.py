"""How a token is asked for, and what the answers mean.

The token specification of Distribution (docs/spec/auth/token.md, oauth.md), and what services make
of it.
"""

import json
import math
from typing import Any

import httpx

from oci_pull.adapters.registry.http import TOKEN, translating
from oci_pull.adapters.registry.origin import origin_of
from oci_pull.adapters.registry.refusals import status_error
from oci_pull.adapters.registry.tokens import Token, TokenKey
from oci_pull.errors import RedirectRefused, ServerFailed
from oci_pull.oci.credential import Basic, IdentityToken
from oci_pull.ports import Clock

#: What a reply without a lifetime means, and the least that is believed (seconds): the token
#: specification's own default, and services that say 0.
_LIFETIME = 60.0
#: The most that is believed.
_MAX_LIFETIME = 24 * 3600.0
#: Renewed so long before it expires, in seconds.
_MARGIN = 5.0
_MAX_REPLY = 1024 * 1024
_CLIENT_ID = "oci-pull"
#: How a service says that it has no POST (Google's).
_NO_POST = (404, 405)
#: How it says no to who asks; the first is how OAuth refuses a refresh token (RFC 6749, 5.2).
_REFUSALS_OF_POST = (400, 401, 403)
_REFUSALS = (401, 403)
#: What comes of reading a reply that is anything but a token.
_NO_TOKEN = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def fetch_token(key: TokenKey, client: httpx.Client, clock: Clock) -> Token | None:
    """A new token; None where the service gives none to who asks.

    A redirect is not followed, because what was sent would have to go along.

    Raises:
        RedirectRefused: the service redirects.
        TransferError: the service did not answer, or with something else than a token.
    """
    response = _ask(key, client)
    origin = origin_of(response.url)
    is_post = response.request.method == "POST"
    try:
        if response.status_code in (_REFUSALS_OF_POST if is_post else _REFUSALS):
            return None
        if response.is_redirect:
            raise RedirectRefused(
                f"the token service {origin} redirects, and a request for a token is not sent on",
                hint="the registry has to name the place itself; tell whoever runs it",
            )
        if response.status_code != httpx.codes.OK:
            raise status_error(response, "a token", who=str(key.who))
        with translating(origin):
            body = _read(response)
    finally:
        response.close()
    return _parse(body, origin, clock.now())


def _ask(key: TokenKey, client: httpx.Client) -> httpx.Response:
    """The reply to a POST with an identity token, else to a GET with a password if there is one."""
    realm = httpx.URL(key.realm)
    with translating(origin_of(realm)):
        if isinstance(key.who, IdentityToken):
            response = client.send(_post(key, key.who, realm, client), stream=True)
            if response.status_code not in _NO_POST:
                return response
            response.close()
        return client.send(_get(key, realm, client), stream=True)


def _post(
    key: TokenKey, who: IdentityToken, realm: httpx.URL, client: httpx.Client
) -> httpx.Request:
    form = {
        "grant_type": "refresh_token",
        "client_id": _CLIENT_ID,
        "refresh_token": who.token,
    }
    if key.scopes:
        form["scope"] = " ".join(key.scopes)
    if key.service:
        form["service"] = key.service
    return client.build_request("POST", realm, data=form)


def _get(key: TokenKey, realm: httpx.URL, client: httpx.Client) -> httpx.Request:
    # httpx would replace the query that a realm may have of its own.
    query = realm.params.merge({"client_id": _CLIENT_ID})
    if key.service:
        query = query.set("service", key.service)
    for scope in key.scopes:
        query = query.add("scope", scope)
    headers = {"Authorization": key.who.header} if isinstance(key.who, Basic) else {}
    return client.build_request("GET", realm.copy_with(params=query), headers=headers)


def _read(response: httpx.Response) -> bytes:
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _MAX_REPLY:
            origin = origin_of(response.url)
            raise ServerFailed(f"the reply of {origin} is too long for a token", origin=origin)
    return body


def _parse(body: bytes, origin: str, now: float) -> Token:
    try:
        reply = json.loads(body)
        token = reply.get("token") or reply["access_token"]
        if not TOKEN.fullmatch(token):
            raise ValueError("no header can hold it")
    except _NO_TOKEN as error:
        raise ServerFailed(f"{origin} answered with no token", origin=origin) from error
    return Token(f"Bearer {token}", now + _lifetime(reply.get("expires_in")) - _MARGIN)


def _lifetime(expires_in: Any) -> float:
    """The seconds from now on; one that makes no sense is none that was said.

    `issued_at` is not looked at: it is another machine's clock. A token that is older than it seems
    is renewed when the registry refuses it.
    """
    try:
        seconds = float(expires_in)
    except (ValueError, TypeError, OverflowError):
        return _LIFETIME
    if math.isnan(seconds):
        return _LIFETIME
    return min(max(seconds, _LIFETIME), _MAX_LIFETIME)

"""One entry of `auths`, as text and as a credential."""

import base64
from collections.abc import Mapping
from typing import Any

from oci_pull.adapters.registry.http import TOKEN
from oci_pull.oci.credential import Anonymous, Basic, Credential, IdentityToken, RegistryToken

#: What stands in the place of a user where the secret is an identity token.
TOKEN_USER = "<token>"  # noqa: S105 - the protocol's word, not a secret


def read_entry(entry: Mapping[str, Any], source: str) -> Credential:
    """The credential of an entry; raises `ValueError` where it is none."""
    if token := entry.get("registrytoken"):
        if not TOKEN.fullmatch(str(token)):
            raise ValueError("no header can hold it")
        return RegistryToken(str(token), source)
    if token := entry.get("identitytoken"):
        return pair(TOKEN_USER, str(token), source)
    if packed := entry.get("auth"):
        username, password = _unpacked(str(packed))
        if not username:
            raise ValueError("no user")
        return pair(username, password, source)
    return pair(_text(entry, "username"), _text(entry, "password"), source)


def read_reply(reply: Any, source: str) -> Credential:
    """The credential in the reply of a helper; raises `ValueError` where it is none."""
    if not isinstance(reply, dict):
        raise ValueError("not an object")  # noqa: TRY004 - JSON of another shape is a bad value
    return pair(_text(reply, "Username"), _text(reply, "Secret"), source)


def pair(username: str, secret: str, source: str) -> Credential:
    """What a user and a secret mean; without a user nothing.

    Raises:
        ValueError: JSON can hold halves of characters, which nothing else can.
    """
    f"{username}{secret}".encode()
    if not username:
        return Anonymous()
    if username == TOKEN_USER:
        return IdentityToken(secret, source)
    return Basic(username, secret, source)


def write_entry(who: Basic) -> dict[str, str]:
    """The entry of a user, as Docker writes it."""
    return {"auth": base64.b64encode(f"{who.username}:{who.password}".encode()).decode()}


def _unpacked(packed: str) -> tuple[str, str]:
    """User and password; raises `ValueError`. A password may have colons, a user has none."""
    compact = "".join(packed.split())
    text = base64.b64decode(compact, validate=True).decode().rstrip("\0")
    username, _, password = text.partition(":")
    return username, password


def _text(values: Mapping[str, Any], name: str) -> str:
    return str(values.get(name) or "")

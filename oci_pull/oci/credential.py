"""Who is asking. Secrets are in no representation of these values."""

import base64
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody in particular."""

    def __str__(self) -> str:
        return "anonymous"


@dataclass(frozen=True, slots=True)
class Basic:
    """A user and a password."""

    username: str
    password: str = field(repr=False)
    #: Where it was found: named in errors, so that the right file is mended.
    source: str = ""

    @property
    def header(self) -> str:
        """The value of an Authorization header."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def __str__(self) -> str:
        return f"user {self.username!r} from {self.source}"


@dataclass(frozen=True, slots=True)
class IdentityToken:
    """A token that a token service takes for short-lived ones (ACR, `docker login` by browser)."""

    token: str = field(repr=False)
    source: str = ""

    def __str__(self) -> str:
        return f"an identity token from {self.source}"


@dataclass(frozen=True, slots=True)
class RegistryToken:
    """A token that a registry takes as it is."""

    token: str = field(repr=False)
    source: str = ""

    @property
    def header(self) -> str:
        """The value of an Authorization header."""
        return f"Bearer {self.token}"

    def __str__(self) -> str:
        return f"a registry token from {self.source}"


def asked_as(who: "Credential | str") -> str:
    """The fact of an error that depends on who asked; no secret is in it."""
    return f"asked as: {who}"


Credential = Anonymous | Basic | IdentityToken | RegistryToken

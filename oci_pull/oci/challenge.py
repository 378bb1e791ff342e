"""What a registry answers to a request without the right credentials (RFC 9110, 11.6.1)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - the grammar's token, not a secret
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)')
_SCHEME = re.compile(rf"[\s,]*({_TOKEN})(?:\s+|(?=,)|$)")
_SCHEMES_BY_PREFERENCE = ("bearer", "basic")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One scheme with its parameters, both compared in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def realm(self) -> str:
        """Where a token is to be had, possibly relative; empty where it was not said."""
        return self.parameters.get("realm", "")

    @property
    def service(self) -> str:
        """The service that a token is for; Artifact Registry and nvcr.io leave it out."""
        return self.parameters.get("service", "")

    @property
    def scope(self) -> str:
        """What a token has to allow; Artifactory leaves it out, as does a `/v2/` ping."""
        return self.parameters.get("scope", "")

    @property
    def error(self) -> str:
        """What was wrong with the token that was sent, `invalid_token` or `insufficient_scope`.

        Registries of Alibaba say the latter to who sent none.
        """
        return self.parameters.get("error", "")


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Every challenge of every WWW-Authenticate line, in order.

    Commas inside quotes, several challenges in a line, unquoted values and unknown schemes are
    all seen in the wild; what cannot be read ends its line, nothing is raised.
    """
    return tuple(challenge for line in headers for challenge in _parse_line(line))


def preferred(challenges: Iterable[Challenge]) -> Challenge | None:
    """Bearer before Basic, anything else (Negotiate) never; the first of its kind."""
    found = tuple(challenges)
    for scheme in _SCHEMES_BY_PREFERENCE:
        for challenge in found:
            if challenge.scheme == scheme:
                return challenge
    return None


def _parse_line(line: str) -> Iterable[Challenge]:
    position = 0
    while match := _SCHEME.match(line, position):
        position = match.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(line, position):
            quoted, bare = parameter[2], parameter[3]
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
            parameters.setdefault(parameter[1].lower(), value)
            position = parameter.end()
        yield Challenge(match[1].lower(), MappingProxyType(parameters))
        if position >= len(line):
            return

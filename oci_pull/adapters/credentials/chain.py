"""The order in which credentials are looked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from oci_pull.adapters.clock import NEVER
from oci_pull.adapters.credentials.docker_config import Warn, ask_helper
from oci_pull.adapters.credentials.helper import Helper
from oci_pull.oci.credential import Anonymous, Basic, Credential
from oci_pull.oci.reference import canonical_host
from oci_pull.ports import Cancel


class Place(Protocol):
    """Somewhere that a credential may be."""

    def find(self, host: str, repository: str) -> Credential:
        """What it says of a repository; anonymous where that is nothing."""
        ...


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What was given for the one registry that the command line names."""

    host: str
    who: Basic

    def find(self, host: str, repository: str) -> Credential:
        """The credential for that registry; nobody else ever gets it."""
        return self.who if canonical_host(host) == canonical_host(self.host) else Anonymous()


@dataclass(frozen=True, slots=True)
class NamedHelpers:
    """The helpers that the configuration names, by registry."""

    helpers: Mapping[str, str]
    warn: Warn = field(repr=False)
    cancel: Cancel = field(default=NEVER, repr=False)

    def find(self, host: str, repository: str) -> Credential:
        """What the helper of that registry has."""
        for registry, name in self.helpers.items():
            if name and canonical_host(registry) == canonical_host(host):
                return ask_helper(Helper(name, cancel=self.cancel), host, self.warn)
        return Anonymous()


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who to be, from everything that may say so."""

    places: tuple[Place, ...]
    #: What was found before, for whoever is done before that is old; None to ask every time.
    known: dict[tuple[str, str], Credential] | None = field(default=None, repr=False, compare=False)

    def remembering(self) -> "Credentials":
        """The same, and nobody is asked twice for the same."""
        return Credentials(self.places, {})

    def of_others(self) -> "Credentials":
        """The same without what the command line says, for a host that it does not name."""
        return Credentials(tuple(each for each in self.places if not isinstance(each, CommandLine)))

    def find(self, host: str, repository: str = "") -> Credential:
        """The credential of the first place that has one; it says where that is."""
        if self.known is None:
            return self._look(host, repository)
        if (host, repository) not in self.known:
            self.known[host, repository] = self._look(host, repository)
        return self.known[host, repository]

    def _look(self, host: str, repository: str) -> Credential:
        for place in self.places:
            found = place.find(host, repository)
            if not isinstance(found, Anonymous):
                return found
        return Anonymous()

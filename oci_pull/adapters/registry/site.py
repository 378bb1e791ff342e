"""Where a repository is asked for: at its registry, or at a mirror of it."""

from dataclasses import dataclass
from typing import Self

import httpx

from oci_pull.adapters.registry.origin import origin_of
from oci_pull.oci.mirror import Mirror
from oci_pull.oci.reference import DOCKER_HUB, Reference, canonical_host

#: Docker Hub answers under another name than the one that people know.
_SERVERS = {DOCKER_HUB: "registry-1.docker.io"}


@dataclass(frozen=True, slots=True)
class Site:
    """A host, and what the repository is called there."""

    #: `host` or `host:port` to connect to.
    host: str
    #: With the prefix that a mirror may want (Artifactory, a Harbor project).
    repository: str
    #: Speak http from the beginning.
    plain_http: bool = False
    #: A host on this machine may turn out to speak no TLS; anywhere else that is an error.
    is_loopback: bool = False
    #: So may one of which somebody said that nothing need be proved.
    may_be_plain: bool = False
    #: The registry that a mirror stands for, sent as `?ns=`; empty for the registry itself.
    namespace: str = ""

    @classmethod
    def of(cls, reference: Reference, *, plain_http: bool = False) -> Self:
        """The registry of a reference itself."""
        return cls(
            _SERVERS.get(reference.host, reference.host),
            reference.repository,
            plain_http=plain_http,
            is_loopback=reference.is_loopback,
        )

    @classmethod
    def of_mirror(cls, mirror: Mirror, namespace: str, reference: Reference) -> Self:
        """A mirror of the registry `namespace`; `reference` is what is asked of it."""
        return cls(
            _SERVERS.get(mirror.host, mirror.host),
            reference.repository,
            plain_http=mirror.plain_http,
            is_loopback=reference.is_loopback,
            may_be_plain=mirror.insecure,
            namespace="" if canonical_host(mirror.host) == namespace else namespace,
        )

    @property
    def origin(self) -> str:
        """Its `host:port`, as long as it speaks what it should."""
        return origin_of(httpx.URL(f"{'http' if self.plain_http else 'https'}://{self.host}"))

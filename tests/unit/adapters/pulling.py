"""A registry source as the composition root makes it, over the fake registry."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from oci_pull.adapters.registry.auth import RegistryAuth
from oci_pull.adapters.registry.disclosure import NOTHING, Disclosure
from oci_pull.adapters.registry.discretion import DiscreetClient
from oci_pull.adapters.registry.endpoint import Endpoint
from oci_pull.adapters.registry.http import Network, make_client
from oci_pull.adapters.registry.locations import Locations
from oci_pull.adapters.registry.site import Site
from oci_pull.adapters.registry.source import RegistrySource
from oci_pull.adapters.registry.tokens import TokenCache
from oci_pull.oci.credential import Anonymous, Credential
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.ranges import Span
from oci_pull.oci.reference import Reference
from tests.builders import docker_v02
from tests.fakes.clock import FakeClock
from tests.fakes.memory import blob_of
from tests.fakes.registry import FakeRegistry

REPOSITORY = "team/model"
CONTENT = bytes(range(256)) * 40
BLOB = blob_of(CONTENT)
WHOLE = Span(0, len(CONTENT))
PART = Span(1000, 2000)
ARTIFACT = docker_v02({"config.json": CONTENT})
DIGEST = Digest.parse(ARTIFACT.digest)
GO_ON = threading.Event()
#: Long enough for any machine: no test waits for its end (seconds).
NETWORK = Network(connect_timeout=60, stall_timeout=60)


def serve(registry: FakeRegistry) -> None:
    registry.put(REPOSITORY, "v1", ARTIFACT.manifest, ARTIFACT.media_type, ARTIFACT.blobs)


@dataclass
class Puller:
    """Whoever pulls from one repository."""

    registry: FakeRegistry
    credential: Credential = field(default_factory=Anonymous)
    plain_http: bool = True
    repository: str = REPOSITORY
    network: Network = NETWORK
    host: str = ""
    clock: FakeClock = field(default_factory=FakeClock)
    tokens: TokenCache | None = None
    token_hosts: tuple[str, ...] = ()
    #: In place of the network.
    transport: httpx.BaseTransport | None = None
    disclosure: Disclosure = NOTHING
    client: DiscreetClient = field(init=False)
    asked: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.transport:
            self.client = DiscreetClient(self.disclosure, transport=self.transport)
        else:
            self.client = make_client(self.network, disclosure=self.disclosure)
        host = self.host or self.registry.address
        self.reference = Reference.parse(f"{host}/{self.repository}:v1")
        self.auth = RegistryAuth(
            host=self.reference.host,
            repository=self.repository,
            credential=self._credential,
            client=self.client,
            clock=self.clock,
            tokens=self.tokens,
            token_hosts=self.token_hosts,
        )
        site = Site.of(self.reference, plain_http=self.plain_http)
        self.endpoint = Endpoint(site, self.client, self.auth)
        locations = Locations(now=self.clock.now)
        self.source = RegistrySource(self.reference, self.endpoint, self.auth, locations)

    def _credential(self) -> Credential:
        self.asked += 1
        return self.credential

    def read(
        self, span: Span = WHOLE, blob: Descriptor = BLOB, *, avoid: frozenset[str] = frozenset()
    ) -> bytes:
        """The body of a reply to its end."""
        body = self.source.open(blob, span, cancel=GO_ON, avoid=avoid)
        found = bytearray()
        view = memoryview(bytearray(700))
        try:
            while count := body.readinto(view):
                found += view[:count]
        finally:
            body.close()
        return bytes(found)

    def document(self, selector: str | Digest = "v1") -> bytes:
        return self.source.document(selector).raw

    @contextmanager
    def in_a_hurry(self) -> Iterator[None]:
        """For what nobody will answer; what is asked before and after has time."""
        patient = self.client.timeout
        self.client.timeout = httpx.Timeout(**{**patient.as_dict(), "read": 0.2})
        try:
            yield
        finally:
            self.client.timeout = patient


Pull = Callable[..., Puller]

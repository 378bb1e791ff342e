"""The source of a reference: its registry through its mirrors, or its layout on disk."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from oci_pull.adapters.lazy import LazySource
from oci_pull.events import Warned
from oci_pull.oci.mirror import Mirror
from oci_pull.oci.reference import LayoutReference, Locator, Reference, canonical_host
from oci_pull.ports import Cancel, Observer, Source
from oci_pull.settings import RegistrySettings, Settings
from oci_pull.sources.credentials import make_credentials
from oci_pull.sources.network import network_of, site_of
from oci_pull.sources.once import once
from oci_pull.sources.route import Route, find_route

if TYPE_CHECKING:
    from oci_pull.adapters.credentials.chain import Credentials
    from oci_pull.adapters.registry.connections import Connections
    from oci_pull.adapters.registry.disclosure import Disclosure
    from oci_pull.adapters.registry.discretion import DiscreetClient
    from oci_pull.adapters.registry.endpoint import Endpoint
    from oci_pull.adapters.registry.http import Network
    from oci_pull.adapters.registry.lead import Lead
    from oci_pull.adapters.registry.mirrors import Place as MirrorPlace
    from oci_pull.adapters.registry.site import Site
    from oci_pull.adapters.registry.source import RegistrySource
    from oci_pull.oci.credential import Credential

    Connect = Callable[[Network, Disclosure], DiscreetClient]


class Sources:
    """The sources of a pull: of the artifact that it is of, and of what that is built on.

    Imports are where things are used, because a hit needs no HTTP.
    """

    def __init__(
        self,
        locator: Locator,
        settings: Settings,
        observer: Observer,
        stack: ExitStack,
        *,
        cancel: Cancel,
        user_agent: str,
        connections: "Connections | None" = None,
    ) -> None:
        self._locator = locator
        self._settings = settings
        self._observer = observer
        self._warn = once(lambda message: observer.on(Warned(message)))
        self._stack = stack
        self._cancel = cancel
        self._user_agent = user_agent
        self._shared = connections
        #: Of the artifact itself, opened when it is first asked.
        self.own = LazySource(self.open)

    def open(self) -> Source:
        """The registry or the layout of the artifact itself."""
        locator, settings = self._locator, self._settings
        if isinstance(locator, LayoutReference):
            from oci_pull.adapters.layout_archive import Scratch
            from oci_pull.adapters.oci_layout import LayoutSource
            from oci_pull.adapters.space import DiskSpace

            space = DiskSpace(
                settings.cache, is_checked=not settings.no_space_check, quota=settings.max_bytes
            )
            scratch = Scratch(space, self._observer, self._cancel)
            return LayoutSource.at(locator, scratch, self._stack)
        credentials = make_credentials(settings, self._warn, locator.host, self._cancel)
        build = _Builder(
            settings,
            credentials,
            self._user_agent,
            self._observer,
            self._connections,
            self._connect,
        )
        return build.repository(locator, settings.registry(locator.host), self._warn)

    def _connect(self, network: "Network", told: "Disclosure") -> "DiscreetClient":
        line = self._connections.line(network, told)
        self._lead.follow(line.guard)
        return line.client

    def parent(self, reference: Reference) -> Source:
        """The registry of something that the artifact is built on.

        The artifact has named it, not its user: what the command line says is for the registry
        that it names, credentials not even for another repository there, and addresses are those
        that the registry of the artifact may redirect to.
        """
        return LazySource(lambda: self._open_parent(reference))

    def _open_parent(self, reference: Reference) -> Source:
        settings = self._settings
        is_named = isinstance(self._locator, Reference) and self._locator.host == reference.host
        find = settings.registry if is_named else settings.unnamed_registry
        build = _Builder(
            settings,
            make_credentials(settings, self._warn, cancel=self._cancel),
            self._user_agent,
            self._observer,
            self._connections,
            self._connect_led,
        )
        return build.repository(reference, find(reference.host), self._warn)

    def _connect_led(self, network: "Network", told: "Disclosure") -> "DiscreetClient":
        """A client that nobody shares: where it may go depends on who led to it."""
        from oci_pull.adapters.registry.guard import Guard
        from oci_pull.adapters.registry.http import make_client

        client = make_client(network, Guard(network.trust, self._lead.allow), told)
        self._stack.callback(client.close)
        return client

    @cached_property
    def _connections(self) -> "Connections":
        """Those that were given, else its own: made when somebody is asked."""
        return self._shared or own_connections(self._stack)

    @cached_property
    def _lead(self) -> "Lead":
        from oci_pull.adapters.registry.lead import Lead

        return Lead(self._locator, self.own)


def open_repository(
    reference: Reference,
    settings: Settings,
    credentials: "Credentials",
    observer: Observer,
    stack: ExitStack,
    *,
    user_agent: str,
) -> Source:
    """The registry of a reference through its mirrors, asked with credentials that are known."""
    build = _Builder(settings, credentials, user_agent, observer, own_connections(stack))
    said = settings.registry(reference.host)
    return build.repository(reference, said, lambda message: observer.on(Warned(message)))


def own_connections(stack: ExitStack) -> "Connections":
    """Those of one pull alone, closed with the stack."""
    from oci_pull.adapters.registry.connections import Connections

    return stack.enter_context(closing(Connections()))


@dataclass(frozen=True, slots=True)
class _Builder:
    """Makes the source of each registry and mirror; what is said of one is for it alone."""

    settings: Settings
    credentials: "Credentials"
    user_agent: str
    observer: Observer
    connections: "Connections"
    #: How the registry itself is reached; mirrors are as any other.
    connect: "Connect | None" = None

    def repository(
        self, reference: Reference, said: RegistrySettings, warn: Callable[[str], None]
    ) -> Source:
        """A repository of a registry of which that was said, through its mirrors."""
        route = find_route(reference, self.settings, warn, said)
        if (said.insecure or route.insecure) and not said.plain_http:
            warn(
                f"the certificate of {reference.host} is not verified: "
                "anybody may answer in its place"
            )
        registry = self._registry(reference, said, route)
        if not route.mirrors:
            return registry.source
        from oci_pull.adapters.registry.mirrors import MirroredSource

        mirrors = [self.mirror(mirror, reference) for mirror in route.mirrors]
        return MirroredSource(mirrors, registry, warn)

    def _registry(
        self, reference: Reference, said: RegistrySettings, route: Route
    ) -> "MirrorPlace":
        """The registry, or whoever is in its place."""
        from oci_pull.adapters.registry.site import Site

        if route.location:
            return self.mirror(route.location, reference)
        said = replace(said, insecure=said.insecure or route.insecure)
        site = Site.of(reference, plain_http=said.plain_http)
        site = replace(site, may_be_plain=route.insecure)
        return self._place(reference, site, said, self.credentials, self.connect)

    def mirror(self, mirror: Mirror, reference: Reference) -> "MirrorPlace":
        """A mirror; the options of the command line are not for it."""
        from oci_pull.adapters.registry.site import Site

        said = self.settings.tables.get(canonical_host(mirror.host), RegistrySettings())
        plain = mirror.plain_http or said.plain_http
        mirror = replace(mirror, plain_http=plain, insecure=mirror.insecure or said.insecure)
        asked = mirror.of(reference)
        site = Site.of_mirror(mirror, reference.host, asked)
        said = replace(said, insecure=mirror.insecure)
        # It may be on the registry's own host: another project, or a port without TLS.
        return self._place(asked, site, said, self.credentials.of_others(), tags=mirror.tags)

    def _place(
        self,
        reference: Reference,
        site: "Site",
        said: RegistrySettings,
        credentials: "Credentials",
        connect: "Connect | None" = None,
        *,
        tags: bool = True,
    ) -> "MirrorPlace":
        from oci_pull.adapters.registry.mirrors import Place

        source = LazySource(lambda: self._source(reference, site, said, credentials, connect))
        return Place(reference.host, site.origin, source, tags=tags)

    def _source(
        self,
        reference: Reference,
        site: "Site",
        said: RegistrySettings,
        credentials: "Credentials",
        connect: "Connect | None",
    ) -> "RegistrySource":
        from oci_pull.adapters.clock import SystemClock
        from oci_pull.adapters.registry.auth import RegistryAuth
        from oci_pull.adapters.registry.endpoint import Endpoint
        from oci_pull.adapters.registry.source import RegistrySource

        network = network_of(self.settings, reference.host, site, said, self.user_agent)
        told = _disclosure(self.settings, self.observer)
        connect = connect or (lambda network, told: self.connections.line(network, told).client)
        client = connect(network, told)
        host = canonical_host(reference.host)
        auth = RegistryAuth(
            host=host,
            repository=reference.repository,
            credential=lambda: credentials.find(host, reference.repository),
            client=client,
            clock=SystemClock(),
            tokens=self.connections.tokens,
            token_hosts=said.token_hosts,
        )
        return RegistrySource(reference, Endpoint(site, client, auth), auth)


def open_registry(
    host: str,
    settings: Settings,
    who: "Credential",
    stack: ExitStack,
    *,
    repository: str = "",
    observer: Observer,
    user_agent: str,
) -> "Endpoint":
    """A registry itself, not its mirrors, asked as `who`: as such, or about one repository."""
    from oci_pull.adapters.clock import SystemClock
    from oci_pull.adapters.registry.auth import RegistryAuth
    from oci_pull.adapters.registry.endpoint import Endpoint
    from oci_pull.adapters.registry.http import make_client

    site, said = site_of(host, settings)
    network = network_of(settings, host, site, said, user_agent)
    client = make_client(network, disclosure=_disclosure(settings, observer))
    stack.callback(client.close)
    auth = RegistryAuth(
        host=host,
        repository=repository,
        credential=lambda: who,
        client=client,
        clock=SystemClock(),
        token_hosts=said.token_hosts,
    )
    return Endpoint(site, client, auth)


def _disclosure(settings: Settings, observer: Observer) -> "Disclosure":
    from oci_pull.adapters.registry.disclosure import Disclosure

    return Disclosure.of(observer, settings.verbose)

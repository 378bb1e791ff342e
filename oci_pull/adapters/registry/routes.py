"""Which connection a request goes over: by whom it is for, and through which proxy."""

import ssl
import threading
from collections.abc import Iterator

import httpx

from oci_pull.adapters.registry.distrust import shown_certificate, untrusted
from oci_pull.adapters.registry.guard import Guard, Watch
from oci_pull.adapters.registry.origin import origin_of, port_of
from oci_pull.adapters.registry.trust import Identity, Trust, context_for
from oci_pull.errors import ConnectionFailed, RequestRefused, TlsFailed, TransferError
from oci_pull.oci.proxy import Proxies, ProxyServer

#: Extensions of a request: the origin of the registry that it is for, whether somebody else than
#: its user led to where it goes, and whether nobody knows yet that TLS is spoken there.
REGISTRY = "oci_pull.registry"
IS_LED_TO = "oci_pull.is_led_to"
MAY_BE_PLAIN = "oci_pull.may_be_plain"

_Key = tuple[Identity | None, ProxyServer | None]


class Routes(httpx.BaseTransport):
    """Connections to one registry and to wherever that leads, kept apart by what they show.

    What belongs to the registry (its client certificate, its authorities, no verification at all)
    is used with its origin only, and no connection is used for what it was not made for.
    """

    def __init__(
        self, trust: Trust, proxies: Proxies, limits: httpx.Limits, guard: Guard | None = None
    ) -> None:
        self._trust = trust
        self._proxies = proxies
        self._limits = limits
        self._guard = guard or Guard(trust)
        self._lock = threading.Lock()
        self._identities: dict[tuple[str, bool], Identity] = {}
        self._inner: dict[_Key, httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The reply of whoever the URL names.

        Raises:
            RedirectRefused: the registry may not lead there; nothing was sent.
            TlsFailed, ConnectionFailed, RequestRefused: where this knows more than httpx does.
            httpx.HTTPError: anything else.
            InvalidSetting: a file of certificates that cannot be used.
        """
        url, origin = request.url, origin_of(request.url)
        if registry := request.extensions.get(REGISTRY):
            self._guard.meet(registry)
        self._guard.judge_host(url.host, origin)
        proxy = self._proxies.choose(url.scheme, url.host, port_of(url))
        is_led_to = bool(request.extensions.get(IS_LED_TO))
        identity = self._identity(origin, is_led_to=is_led_to) if url.scheme == "https" else None
        watch = Watch(None if proxy else self._guard, origin)
        request.extensions = {**request.extensions, "trace": watch}
        try:
            response = self._sent(request, identity, proxy)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if proxy and watch.is_unreached:
                raise _unreached(proxy, error, origin) from error
            if cause := _verification(error):
                certificate = None
                if not proxy and watch.peer:
                    timeout = request.extensions["timeout"]["connect"]
                    certificate = shown_certificate(watch.peer, url.host, timeout)
                is_registry = self._trust.registry(origin) is not None
                raise untrusted(
                    cause,
                    origin,
                    certificate,
                    believed=identity.ca_files if identity else (),
                    is_registry=is_registry,
                ) from error
            raise
        if proxy and response.status_code == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
            response.close()
            raise refused_by(proxy, origin)
        return response

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for transport in self._inner.values():
                transport.close()

    def _sent(
        self, request: httpx.Request, identity: Identity | None, proxy: ProxyServer | None
    ) -> httpx.Response:
        """The reply, over a connection of this identity.

        Reading the system's authorities takes longer than a model that is there takes to be found.
        So where there may be no TLS, somebody who believes nobody knocks first.
        """
        is_open = (identity, proxy) in self._inner
        if request.extensions.get(MAY_BE_PLAIN) and identity and not (is_open or identity.insecure):
            try:
                return self._transport(None, proxy).handle_request(request)
            except httpx.ConnectError as error:
                if not _verification(error):
                    raise
        return self._transport(identity, proxy).handle_request(request)

    def _identity(self, origin: str, *, is_led_to: bool) -> Identity:
        """Found once for each origin: it may be in files."""
        key = (origin, is_led_to)
        with self._lock:
            if key not in self._identities:
                self._identities[key] = self._trust.identity(origin, is_led_to=is_led_to)
            return self._identities[key]

    def _transport(
        self, identity: Identity | None, proxy: ProxyServer | None
    ) -> httpx.HTTPTransport:
        """Made when it is first needed: reading the system's authorities takes its time."""
        with self._lock:
            if (identity, proxy) not in self._inner:
                self._inner[identity, proxy] = self._make(identity, proxy)
            return self._inner[identity, proxy]

    def _make(self, identity: Identity | None, proxy: ProxyServer | None) -> httpx.HTTPTransport:
        # Without TLS there is nobody to believe: an empty context is cheap, and believes nobody.
        context = context_for(identity) if identity else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return httpx.HTTPTransport(
            verify=context,
            http2=False,
            trust_env=False,
            limits=self._limits,
            proxy=self._proxy(proxy) if proxy else None,
        )

    def _proxy(self, server: ProxyServer) -> httpx.Proxy:
        is_secure = server.scheme == "https"
        general = Identity(self._trust.ca_files)
        return httpx.Proxy(
            server.url,
            auth=(server.username, server.password) if server.username else None,
            ssl_context=context_for(general) if is_secure else None,
        )


def refused_by(proxy: ProxyServer, origin: str) -> RequestRefused:
    """The error for a proxy that wants to know who asks."""
    return RequestRefused(
        f"the proxy {proxy} wants credentials before it leads to {origin} (it answered 407)",
        hint="http://USER:PASSWORD@HOST:PORT  as the proxy, in --proxy or HTTPS_PROXY",
        origin=origin,
    )


def _unreached(proxy: ProxyServer, error: Exception, origin: str) -> TransferError:
    """The error for a proxy that could not even be connected to; it is not the registry's fault."""
    hint = "look at --proxy, HTTPS_PROXY, HTTP_PROXY and ALL_PROXY; NO_PROXY leaves hosts out"
    to = f"the proxy {proxy}, through which {origin} is reached,"
    causes = list(_causes(error))
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        refused = ConnectionFailed(f"{to} refused the connection", hint=hint, origin=origin)
        refused.is_refused = True
        return refused
    if isinstance(error, httpx.ConnectTimeout):
        return ConnectionFailed(f"{to} did not answer in time", hint=hint, origin=origin)
    if distrusted := _verification(error):
        reason = f"has a certificate that is not trusted: {distrusted.verify_message}"
        return TlsFailed(f"{to} {reason}", hint="--ca-file FILE", origin=origin)
    return ConnectionFailed(f"{to} could not be reached", hint=hint, origin=origin)


def _verification(error: BaseException) -> ssl.SSLCertVerificationError | None:
    found = (each for each in _causes(error) if isinstance(each, ssl.SSLCertVerificationError))
    return next(found, None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

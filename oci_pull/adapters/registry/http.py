"""One HTTP client for everything, and what its failures mean."""

import importlib.util
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from oci_pull.adapters.registry.disclosure import NOTHING, Disclosure
from oci_pull.adapters.registry.discretion import DiscreetClient
from oci_pull.adapters.registry.distrust import untrusted
from oci_pull.adapters.registry.guard import Guard
from oci_pull.adapters.registry.origin import origin_of
from oci_pull.adapters.registry.routes import Routes
from oci_pull.adapters.registry.trust import Trust
from oci_pull.errors import (
    BadReply,
    ConnectionFailed,
    InvalidSetting,
    NameNotResolved,
    NotTls,
    RequestRefused,
    TlsFailed,
    TransferError,
)
from oci_pull.oci.proxy import Proxies

#: Reasons of OpenSSL that mean that the other side does not speak TLS at all.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
#: TLS that was under way and broke: bytes that were damaged, or a server in trouble.
_BROKEN_TLS = (
    "BAD_RECORD_MAC",
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
    "SSLV3_ALERT_BAD_RECORD_MAC",
    "TLSV1_ALERT_INTERNAL_ERROR",
)
#: What a server says that believes none of the certificates that were shown to it.
_CLIENT_CERTIFICATE = (
    "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "TLSV1_ALERT_UNKNOWN_CA",
)
#: What a look-up says where there is no such name; all else is trouble with the look-up itself.
_NO_NAME = tuple(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
)
#: Statuses below 500 after which the same request may succeed: time-outs, and too many of them.
TEMPORARY = (408, 425, 429, 499)
_HTTPS = ":443"
_REFUSAL = re.compile(r"4\d\d\b")


#: What a token may be of, so that it fits into a header (RFC 6750, and what registries send).
TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Network:
    """How to reach other machines. Times in seconds."""

    connect_timeout: float = 10.0
    #: The longest silence in the middle of a reply.
    stall_timeout: float = 30.0
    user_agent: str = "oci-pull"
    proxies: Proxies = field(default_factory=Proxies)
    trust: Trust = field(default_factory=Trust)


def make_client(
    network: Network, guard: Guard | None = None, disclosure: Disclosure = NOTHING
) -> DiscreetClient:
    """A client for one registry and for wherever that leads; see `Routes`.

    `guard` is one of its own, unless somebody else has a use for it.

    It follows no redirect, asks for no encoding, keeps no cookie, and asks the environment nothing.
    HTTP/1.1 only: with HTTP/2 all ranges would share one window of one connection.

    Raises:
        InvalidSetting: a SOCKS proxy without the package that speaks it.
    """
    _check(network.proxies)
    timeout = httpx.Timeout(network.stall_timeout, connect=network.connect_timeout, pool=None)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
    return DiscreetClient(
        disclosure,
        transport=Routes(network.trust, network.proxies, limits, guard),
        trust_env=False,
        follow_redirects=False,
        headers={"User-Agent": network.user_agent, "Accept-Encoding": "identity"},
        timeout=timeout,
        # One of the registry's would go to every port of its host, and to hosts beside it.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )


def _check(proxies: Proxies) -> None:
    is_socks = any(proxy.is_socks for proxy in (proxies.http, proxies.https) if proxy)
    if is_socks and importlib.util.find_spec("socksio") is None:
        raise InvalidSetting(
            "a SOCKS proxy needs another package", hint="pip install 'oci-pull[socks]'"
        )


@contextmanager
def translating(origin: str) -> Iterator[None]:
    """Turn what httpx and the socket raise into our errors.

    Raises:
        TransferError: instead of anything from below; the message names the origin and no URL.
    """
    try:
        yield
    except httpx.InvalidURL as error:
        raise RequestRefused(f"{origin} sent a URL that is none", origin=origin) from error
    except UnicodeError as error:
        # A host that DNS has no form for: a label that is empty, too long, or no punycode.
        raise _no_host(origin) from error
    except (httpx.HTTPError, httpx.StreamError, ssl.SSLError, OSError) as error:
        raise translated(error, origin) from error


def read_body(response: httpx.Response, limit: int) -> bytes:
    """The body, of which no more than `limit` bytes are taken; raises `TransferError`."""
    body = b""
    with translating(origin_of(response.url)):
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) >= limit:
                break
    return body[:limit]


#: What is left once TLS, names and refused connections are told apart; the first that fits.
_MEANINGS: tuple[tuple[type[Exception], type[TransferError], str], ...] = (
    (httpx.ConnectTimeout, ConnectionFailed, "did not answer in time"),
    (httpx.TimeoutException, ConnectionFailed, "stopped sending"),
    (TimeoutError, ConnectionFailed, "stopped sending"),
    (httpx.UnsupportedProtocol, RequestRefused, "sent a URL of an unknown kind"),
    # Its own words may hold the header that it would not send.
    (httpx.LocalProtocolError, RequestRefused, "cannot be asked that"),
    (httpx.DecodingError, BadReply, "sent a reply that cannot be decoded"),
)


def translated(error: Exception, origin: str) -> TransferError:
    """The error of ours for what httpx, TLS, or the operating system raised."""
    causes = list(_chain(error))
    for cause in causes:
        if found := _from_below(cause, origin):
            return found
    if isinstance(error, httpx.RemoteProtocolError) and "location header" in str(error):
        # httpx reads it though it follows none, and says what is in it.
        return RequestRefused(f"{origin} redirects to a URL that is none", origin=origin)
    if isinstance(error, httpx.ProxyError):
        return _proxy_error(error, origin)
    for kind, ours, words in _MEANINGS:
        if isinstance(error, kind):
            return ours(f"{origin} {words}", origin=origin)
    reason = next((os_error.strerror for os_error in causes if isinstance(os_error, OSError)), None)
    # What h11 says of a reply ends with the line that it could not read, which may hold a URL.
    detail = reason or str(error).partition(":")[0] or "it broke"
    return ConnectionFailed(f"the connection to {origin} failed: {detail}", origin=origin)


def _from_below(cause: BaseException, origin: str) -> TransferError | None:
    """The error for what TLS, names and refused connections raise; None for anything else."""
    if isinstance(cause, ssl.SSLError):
        return _tls_error(cause, origin)
    if isinstance(cause, socket.gaierror):
        return _name_error(cause, origin)
    if isinstance(cause, ConnectionRefusedError):
        message = f"{origin} refused the connection: nothing listens there"
        hint = f"oci-pull doctor {origin.removesuffix(_HTTPS)}"
        refused = ConnectionFailed(message, hint=hint, origin=origin)
        refused.is_refused = True
        return refused
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _tls_error(error: ssl.SSLError, origin: str) -> TransferError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return untrusted(error, origin, None)
    if error.reason in _NO_TLS:
        return NotTls(
            f"{origin} does not speak TLS", hint="--plain-http  if that is meant", origin=origin
        )
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)):
        return ConnectionFailed(f"{origin} closed the connection", origin=origin)
    if error.reason in _BROKEN_TLS:
        return ConnectionFailed(f"the connection to {origin} is damaged", origin=origin)
    if error.reason in _CLIENT_CERTIFICATE:
        return TlsFailed(
            f"{origin} did not accept who this is: it wants another client certificate, or one",
            hint="--client-cert FILE --client-key FILE",
            origin=origin,
        )
    return TlsFailed(f"TLS with {origin} failed: {error.reason or error}", origin=origin)


def _proxy_error(error: httpx.ProxyError, origin: str) -> TransferError:
    """What a proxy that opens no tunnel means; httpx has its answer only as text."""
    status = _REFUSAL.match(str(error))
    if status is None or int(status[0]) in TEMPORARY:
        return ConnectionFailed(f"{origin} could not be reached through the proxy", origin=origin)
    return RequestRefused(
        f"the proxy does not open a connection to {origin} (it answered {status[0]})",
        hint="HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT  if it wants to know who asks",
        origin=origin,
    )


def _name_error(error: socket.gaierror, origin: str) -> TransferError:
    if error.errno not in _NO_NAME:
        host = _host_of(origin)
        return ConnectionFailed(f"the name {host} could not be looked up", origin=origin)
    return _no_host(origin)


def _no_host(origin: str) -> NameNotResolved:
    return NameNotResolved(
        f"there is no host {_host_of(origin)}",
        hint=f"oci-pull doctor {origin.removesuffix(_HTTPS)}  if the name is right",
        origin=origin,
    )


def _host_of(origin: str) -> str:
    return origin.rpartition(":")[0]

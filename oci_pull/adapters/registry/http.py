"""One HTTP client for everything, and what its failures mean."""

import email.utils
import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import truststore

from oci_pull.errors import (
    BadReply,
    ConnectionFailed,
    InvalidSetting,
    NameNotResolved,
    NotTls,
    RateLimited,
    RequestRefused,
    ServerFailed,
    TlsFailed,
    TransferError,
)

#: Reasons of OpenSSL that mean that the other side does not speak TLS at all.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
_TOO_MANY = 429
#: Statuses after which the same request may succeed: time-outs, overload, and proxies' own.
_TEMPORARY = (408, 425, 499)
_SERVER_ERRORS = 500


#: What a token may be of, so that it fits into a header (RFC 6750, and what registries send).
TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Network:
    """How to reach other machines. Times in seconds."""

    connect_timeout: float = 10.0
    #: The longest silence in the middle of a reply.
    stall_timeout: float = 30.0
    user_agent: str = "oci-pull"


def make_client(network: Network) -> httpx.Client:
    """A client that follows no redirect and asks for no encoding.

    HTTP/1.1 only: with HTTP/2 all ranges would share one window of one connection.

    Raises:
        InvalidSetting: the environment names a proxy that cannot be used.
    """
    timeout = httpx.Timeout(network.stall_timeout, connect=network.connect_timeout, pool=None)
    try:
        return httpx.Client(
            http2=False,
            verify=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            follow_redirects=False,
            headers={"User-Agent": network.user_agent, "Accept-Encoding": "identity"},
            timeout=timeout,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
            # A proxy of the environment is not for this machine, as curl and Go have it.
            mounts={f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")},
        )
    except ImportError as error:
        raise InvalidSetting(
            "the environment names a SOCKS proxy, which needs another package",
            hint="pip install 'oci-pull[socks]'",
        ) from error
    except (ValueError, httpx.InvalidURL) as error:
        raise InvalidSetting(
            "the environment names a proxy that is none",
            hint="HTTPS_PROXY=http://HOST:PORT; look at HTTP_PROXY and ALL_PROXY too",
        ) from error


def origin_of(url: httpx.URL) -> str:
    """`host:port` of a URL, the port always said."""
    port = url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
    return f"{url.host}:{port}"


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
    except (httpx.HTTPError, httpx.StreamError, ssl.SSLError, OSError) as error:
        raise translated(error, origin) from error


#: What is left once TLS, names and refused connections are told apart; the first that fits.
_MEANINGS: tuple[tuple[type[Exception], type[TransferError], str], ...] = (
    (httpx.ConnectTimeout, ConnectionFailed, "did not answer in time"),
    (httpx.TimeoutException, ConnectionFailed, "stopped sending"),
    (TimeoutError, ConnectionFailed, "stopped sending"),
    (httpx.ProxyError, ConnectionFailed, "could not be reached through the proxy"),
    (httpx.UnsupportedProtocol, RequestRefused, "sent a URL of an unknown kind"),
    # Its own words may hold the header that it would not send.
    (httpx.LocalProtocolError, RequestRefused, "cannot be asked that"),
    (httpx.DecodingError, BadReply, "sent a reply that cannot be decoded"),
)


def translated(error: Exception, origin: str) -> TransferError:
    """The error of ours for what httpx, TLS, or the operating system raised."""
    causes = list(_chain(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return _tls_error(cause, origin)
        if isinstance(cause, socket.gaierror):
            return _name_error(cause, origin)
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        refused = ConnectionFailed(
            f"{origin} refused the connection: nothing listens there", origin=origin
        )
        refused.is_refused = True
        return refused
    if isinstance(error, httpx.RemoteProtocolError) and "location header" in str(error):
        # httpx reads it though it follows none, and says what is in it.
        return RequestRefused(f"{origin} redirects to a URL that is none", origin=origin)
    for kind, ours, words in _MEANINGS:
        if isinstance(error, kind):
            return ours(f"{origin} {words}", origin=origin)
    reason = next((os_error.strerror for os_error in causes if isinstance(os_error, OSError)), None)
    detail = reason or str(error) or "it broke"
    return ConnectionFailed(f"the connection to {origin} failed: {detail}", origin=origin)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _tls_error(error: ssl.SSLError, origin: str) -> TransferError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsFailed(
            f"the certificate of {origin} is not trusted: {error.verify_message}",
            hint="SSL_CERT_FILE=FILE  with the certificate of your own authority",
            origin=origin,
        )
    if error.reason in _NO_TLS:
        return NotTls(
            f"{origin} does not speak TLS", hint="--plain-http  if that is meant", origin=origin
        )
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return ConnectionFailed(f"{origin} closed the connection", origin=origin)
    return TlsFailed(f"TLS with {origin} failed: {error.reason or error}", origin=origin)


def _name_error(error: socket.gaierror, origin: str) -> TransferError:
    host = origin.rpartition(":")[0]
    if error.errno == socket.EAI_AGAIN:
        return ConnectionFailed(f"the name {host} could not be looked up", origin=origin)
    return NameNotResolved(
        f"there is no host {host}", hint="check the spelling, and the network", origin=origin
    )


def status_error(response: httpx.Response, what: str) -> TransferError:
    """The error for a status that is nobody's fault on this side."""
    origin = origin_of(response.url)
    status = response.status_code
    wait = retry_after(response)
    if status == _TOO_MANY:
        when = f"; it asks to wait {wait:.0f} s" if wait is not None else ""
        return RateLimited(
            f"{origin} limits how often it is asked ({what}){when}",
            hint="log in for a higher limit: docker login, or wait",
            origin=origin,
            retry_after=wait,
        )
    message = f"{origin} answered {status} for {what}"
    if status >= _SERVER_ERRORS or status in _TEMPORARY:
        return ServerFailed(message, origin=origin, retry_after=wait)
    return RequestRefused(message, origin=origin)


def retry_after(response: httpx.Response) -> float | None:
    """The seconds of a Retry-After header, in either of its forms; None where there is none."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, moment - time.time())

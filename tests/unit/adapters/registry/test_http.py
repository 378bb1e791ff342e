"""What the failures of the network mean, and the client itself."""

from __future__ import annotations

import errno
import importlib.util
import inspect
import socket
import ssl
from collections.abc import Iterator

import httpcore
import httpx
import pytest

from oci_pull.adapters.registry.http import (
    Network,
    make_client,
    translated,
    translating,
)
from oci_pull.adapters.registry.origin import origin_of
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
from tests.fakes.registry import FakeRegistry, ServerFaults
from tests.unit.adapters.scripted import listening, scripted, silent

ORIGIN = "registry.example:443"
SECRET = "s3cr3t"
REQUEST = httpx.Request("GET", f"https://registry.example/v2/?X-Amz-Signature={SECRET}")


def errors_of_httpx() -> Iterator[Exception]:
    """One of every exception that httpx has."""
    for _, kind in inspect.getmembers(httpx, inspect.isclass):
        if not issubclass(kind, (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL)):
            continue
        if kind is httpx.HTTPStatusError:
            yield kind("message", request=REQUEST, response=httpx.Response(500))
        elif issubclass(
            kind,
            (httpx.StreamConsumed, httpx.ResponseNotRead, httpx.RequestNotRead, httpx.StreamClosed),
        ):
            yield kind()
        else:
            yield kind("message")


@pytest.mark.parametrize("error", list(errors_of_httpx()), ids=lambda error: type(error).__name__)
def test_every_error_of_httpx_becomes_one_of_ours(error: Exception) -> None:
    with pytest.raises(TransferError) as caught, translating(ORIGIN):
        raise error
    assert caught.value.__cause__ is error
    assert caught.value.origin == ORIGIN
    assert ORIGIN in str(caught.value)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (httpx.ConnectTimeout(""), ConnectionFailed, "did not answer in time"),
        (httpx.ReadTimeout(""), ConnectionFailed, "stopped sending"),
        (TimeoutError(), ConnectionFailed, "stopped sending"),
        (httpx.PoolTimeout(""), ConnectionFailed, "stopped sending"),
        (httpx.WriteTimeout(""), ConnectionFailed, "stopped sending"),
        (httpx.ProxyError(f"407 {SECRET}"), RequestRefused, r"the proxy .* \(it answered 407\)"),
        (httpx.ProxyError("403 Forbidden"), RequestRefused, "the proxy does not open"),
        (httpx.ProxyError("429 Slow down"), ConnectionFailed, "through the proxy"),
        (httpx.ProxyError("408 Timeout"), ConnectionFailed, "through the proxy"),
        (httpx.ProxyError("503 Unavailable"), ConnectionFailed, "through the proxy"),
        (httpx.ProxyError("4000 bytes"), ConnectionFailed, "through the proxy"),
        (httpx.ProxyError("SOCKS says no"), ConnectionFailed, "through the proxy"),
        (UnicodeError("label empty or too long"), NameNotResolved, "there is no host registry.exa"),
        (httpx.UnsupportedProtocol("ftp"), RequestRefused, "unknown kind"),
        (httpx.InvalidURL("odd"), RequestRefused, "a URL that is none"),
        (httpx.DecodingError("gzip"), BadReply, "cannot be decoded"),
        (httpx.RemoteProtocolError("it went away"), ConnectionFailed, "it went away"),
        (httpx.LocalProtocolError(f"Illegal header {SECRET}"), RequestRefused, "cannot be asked"),
        (httpx.ReadError(""), ConnectionFailed, "it broke"),
        (
            httpx.RemoteProtocolError(f"illegal header line: bytearray(b'Location: {SECRET}')"),
            ConnectionFailed,
            "illegal header line$",
        ),
        (ConnectionResetError(104, "Connection reset by peer"), ConnectionFailed, "reset by peer"),
    ],
    ids=repr,
)
def test_what_an_error_means(error: Exception, kind: type[TransferError], words: str) -> None:
    with pytest.raises(kind, match=words) as caught, translating(ORIGIN):
        raise error
    assert SECRET not in str(caught.value)


def caused(error: Exception, *causes: BaseException) -> Exception:
    """The error as httpx raises it, from what is below."""
    above: BaseException = error
    for cause in causes:
        above.__cause__ = cause
        above = cause
    return error


@pytest.mark.parametrize(
    ("cause", "kind", "is_retryable"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "again"), ConnectionFailed, True),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), NameNotResolved, False),
        (socket.gaierror(socket.EAI_NODATA, "no address"), NameNotResolved, False),
        (socket.gaierror(socket.EAI_FAIL, "refused"), ConnectionFailed, True),
        (socket.gaierror(socket.EAI_SYSTEM, "too many files"), ConnectionFailed, True),
        (socket.gaierror(socket.EAI_MEMORY, "no memory"), ConnectionFailed, True),
        (OSError(errno.ENETUNREACH, "unreachable"), ConnectionFailed, True),
        (OSError(errno.EHOSTUNREACH, "no route"), ConnectionFailed, True),
        (ConnectionResetError(errno.ECONNRESET, "reset"), ConnectionFailed, True),
        (BrokenPipeError(errno.EPIPE, "broken pipe"), ConnectionFailed, True),
        (TimeoutError("the handshake timed out"), ConnectionFailed, True),
        (ConnectionRefusedError(111, "refused"), ConnectionFailed, True),
        (ssl.SSLCertVerificationError(1, "verify failed"), TlsFailed, False),
        (ssl.SSLEOFError(8, "EOF"), ConnectionFailed, True),
        (ssl.SSLZeroReturnError(6, "closed"), ConnectionFailed, True),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong"), TlsFailed, False),
        (ssl.SSLSyscallError(5, "syscall"), ConnectionFailed, True),
        (ssl.SSLError(1, "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"), ConnectionFailed, True),
        (ssl.SSLError(1, "TLSV1_ALERT_INTERNAL_ERROR"), ConnectionFailed, True),
        (ssl.SSLError(1, "TLSV1_UNRECOGNIZED_NAME"), TlsFailed, False),
        (ssl.SSLError(1, "UNSUPPORTED_PROTOCOL"), TlsFailed, False),
        (ssl.SSLError(1, "odd"), TlsFailed, False),
    ],
    ids=repr,
)
def test_what_is_below_counts(
    cause: OSError, kind: type[TransferError], is_retryable: bool
) -> None:
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLCertVerificationError):
        cause.reason = "WRONG_VERSION_NUMBER" if "WRONG" in str(cause) else cause.args[1]
    if isinstance(cause, ssl.SSLCertVerificationError):
        cause.verify_message = "self-signed certificate"
    error = translated(caused(httpx.ConnectError("x"), httpcore.ConnectError("x"), cause), ORIGIN)
    assert type(error) is (NotTls if "WRONG" in str(cause) else kind)
    assert error.retryable is is_retryable
    assert getattr(error, "is_refused", False) == isinstance(cause, ConnectionRefusedError)


def test_causes_that_go_in_circles_end() -> None:
    first, second = httpx.ConnectError("first"), OSError("second")
    caused(first, second, first)
    assert "first" in str(translated(first, ORIGIN))


@pytest.mark.parametrize(
    "reason", ["WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"]
)
def test_what_speaks_no_tls_is_told_apart(reason: str) -> None:
    error = ssl.SSLError(1, "x")
    error.reason = reason
    found = translated(error, ORIGIN)
    assert isinstance(found, NotTls)
    assert "--plain-http" in str(found.hint)


# --- the client


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.example", "a.example:80"),
        ("https://a.example/x", "a.example:443"),
        ("https://a.example:5000", "a.example:5000"),
        ("https://user:secret@a.example", "a.example:443"),
        ("https://[::1]:5000", "::1:5000"),
        ("https://bücher.example", "xn--bcher-kva.example:443"),
        ("https://xn--/", "xn--:443"),
    ],
)
def test_an_origin_always_has_its_port(url: str, expected: str) -> None:
    assert origin_of(httpx.URL(url)) == expected


def test_the_client_follows_nothing_and_asks_for_no_encoding() -> None:
    with FakeRegistry() as registry, make_client(Network(user_agent="test/1")) as client:
        response = client.get(f"{registry.url}/v2/")
        (request,) = registry.requests
        assert not client.follow_redirects
        assert response.http_version == "HTTP/1.1"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"] == "test/1"
    assert client.timeout == httpx.Timeout(30, connect=10, pool=None)


def test_a_proxy_is_not_for_this_machine() -> None:
    proxies = Proxies.of({"ALL_PROXY": "http://127.0.0.1:1"})
    with FakeRegistry() as registry, make_client(Network(proxies=proxies)) as client:
        assert client.get(f"{registry.url}/v2/").status_code == 200
        with pytest.raises(ConnectionFailed), translating(ORIGIN):
            client.get("http://registry.example/")


def test_a_cookie_goes_nowhere() -> None:
    with FakeRegistry() as registry, make_client(Network()) as client:
        registry.server_faults = ServerFaults(headers={"Set-Cookie": f"session={SECRET}; Path=/"})
        for url in (registry.url, registry.url, registry.storage.url):
            client.get(f"{url}/v2/")
        assert len(registry.requests) == 3
        assert not [each for each in registry.requests if "cookie" in each.headers]


@pytest.mark.parametrize("host", ["a..example", "a" * 64 + ".example", ".example", "xn--"])
def test_a_host_that_dns_cannot_have_is_none(host: str) -> None:
    url = httpx.URL(f"http://{host}/?X-Amz-Signature={SECRET}")
    with (
        make_client(Network()) as client,
        pytest.raises(NameNotResolved, match="there is no host") as caught,
        translating(origin_of(url)),
    ):
        client.get(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        f"Location: https://storage.example/?X-Amz-Signature={SECRET}\0",
        f"X-Amz-Signature {SECRET}",
    ],
)
def test_a_head_that_cannot_be_read_is_not_shown(line: str) -> None:
    head = f"HTTP/1.1 307 Moved\r\n{line}\r\n\r\n".encode()
    with (
        listening(scripted(head)) as address,
        make_client(Network()) as client,
        pytest.raises(ConnectionFailed) as caught,
        translating(address),
    ):
        client.get(f"http://{address}/")
    assert SECRET not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("scheme", "network", "words"),
    [
        ("http", Network(connect_timeout=60, stall_timeout=0.2), "stopped sending"),
        ("https", Network(connect_timeout=0.2, stall_timeout=60), "did not answer in time"),
    ],
)
def test_who_takes_a_connection_and_says_nothing_is_given_up(
    scheme: str, network: Network, words: str
) -> None:
    """Before the head of a reply, and in the midst of the handshake of TLS."""
    with (
        listening(silent) as address,
        make_client(network) as client,
        pytest.raises(ConnectionFailed, match=words) as caught,
        translating(address),
    ):
        client.get(f"{scheme}://{address}/")
    assert caught.value.retryable
    assert not caught.value.is_refused


def test_a_proxy_that_says_nothing_is_given_up() -> None:
    with listening(silent) as address:
        proxies = Proxies.of({"HTTPS_PROXY": f"http://{address}"})
        network = Network(connect_timeout=0.2, stall_timeout=0.2, proxies=proxies)
        with (
            make_client(network) as client,
            pytest.raises(ConnectionFailed),
            translating(ORIGIN),
        ):
            client.get("https://registry.example/")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
            RequestRefused,
        ),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", RequestRefused),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", ConnectionFailed),
    ],
    ids=["407", "403", "502"],
)
def test_a_proxy_that_opens_no_tunnel(answer: bytes, kind: type[TransferError]) -> None:
    with listening(scripted(answer)) as address:
        network = Network(proxies=Proxies.of({"HTTPS_PROXY": f"http://{address}"}))
        with make_client(network) as client, pytest.raises(kind), translating(ORIGIN):
            client.get("https://registry.example/")


def test_a_proxy_that_needs_another_package_is_a_clear_error() -> None:
    if importlib.util.find_spec("socksio"):
        pytest.skip("SOCKS is spoken here")
    network = Network(proxies=Proxies.of({"ALL_PROXY": "socks5h://127.0.0.1:1"}))
    with pytest.raises(InvalidSetting) as caught:
        make_client(network)
    assert "oci-pull[socks]" in str(caught.value.hint)

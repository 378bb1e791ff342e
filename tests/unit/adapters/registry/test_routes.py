"""Over which connection a request goes: what is shown to whom, which proxy, which addresses."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from oci_pull.adapters.registry.http import Network, make_client, translating
from oci_pull.adapters.registry.origin import origin_of
from oci_pull.adapters.registry.routes import IS_LED_TO, MAY_BE_PLAIN, REGISTRY
from oci_pull.adapters.registry.trust import RegistryAccess, Trust
from oci_pull.errors import (
    BlobUnknown,
    ConnectionFailed,
    InvalidSetting,
    NotTls,
    RedirectRefused,
    RequestRefused,
    TlsFailed,
)
from oci_pull.oci.credential import Basic
from oci_pull.oci.proxy import Proxies
from oci_pull.oci.ranges import Span
from tests.fakes.memory import blob_of
from tests.fakes.registry import Auth, FakeRegistry, Redirects
from tests.servers.tls import Authority, Certificate
from tests.unit.adapters.pulling import ARTIFACT, BLOB, CONTENT, NETWORK, Pull, serve
from tests.unit.adapters.scripted import listening, read_head, scripted, silent, tunnel

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SECRET = "s3cr3t"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def client_certificate(authority: Authority) -> Certificate:
    return authority.client()


class Curious:
    """Answers, and remembers what certificate each of its clients showed."""

    def __init__(self, authority: Authority) -> None:
        self.seen: list[bool] = []
        self.context = authority.server().server_context()
        self.context.verify_mode = ssl.CERT_OPTIONAL
        self.context.load_verify_locations(authority.ca_file)

    def __call__(self, connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        self.seen.append(bool(connection.getpeercert()))
        scripted(OK)(connection)


def get(client: httpx.Client, url: str, **said: object) -> httpx.Response:
    with translating(origin_of(httpx.URL(url))):
        return client.get(url, extensions=said)


# --- what is shown to whom


def test_a_client_certificate_is_for_the_registry_alone(
    authority: Authority, client_certificate: Certificate
) -> None:
    registry, storage = Curious(authority), Curious(authority)
    with (
        listening(registry, tls=registry.context) as home,
        listening(storage, tls=storage.context) as elsewhere,
    ):
        access = RegistryAccess(
            home, client_cert=client_certificate.chain, client_key=client_certificate.key
        )
        network = Network(trust=Trust((authority.ca_file,), (access,)))
        with make_client(network) as client:
            get(client, f"https://{home}/", **{REGISTRY: home})
            get(client, f"https://{elsewhere}/", **{REGISTRY: home, IS_LED_TO: True})
            # A redirect back: the storage chose what is asked of the registry.
            get(client, f"https://{home}/", **{REGISTRY: home, IS_LED_TO: True})
    assert (registry.seen, storage.seen) == ([True, False], [False])


def test_a_file_with_both_is_enough(
    authority: Authority, client_certificate: Certificate, tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(client_certificate.chain.read_bytes() + client_certificate.key.read_bytes())
    server = Curious(authority)
    with listening(server, tls=server.context) as home:
        access = RegistryAccess(home, client_cert=both)
        with make_client(Network(trust=Trust((authority.ca_file,), (access,)))) as client:
            get(client, f"https://{home}/")
    assert server.seen == [True]


def test_no_verification_is_for_the_registry_alone(authority: Authority) -> None:
    context = authority.server().server_context()
    with (
        listening(scripted(OK), tls=context) as home,
        listening(scripted(OK), tls=context) as elsewhere,
        make_client(Network(trust=Trust((), (RegistryAccess(home, insecure=True),)))) as client,
    ):
        assert get(client, f"https://{home}/").text == "ok"
        with pytest.raises(TlsFailed, match="not trusted") as caught:
            get(client, f"https://{elsewhere}/")
    assert "--insecure" not in str(caught.value.hint)


def test_an_authority_of_the_registry_is_for_it_alone(authority: Authority) -> None:
    context = authority.server().server_context()
    with (
        listening(scripted(OK), tls=context) as home,
        listening(scripted(OK), tls=context) as elsewhere,
    ):
        access = RegistryAccess(home, ca_file=authority.ca_file)
        with make_client(Network(trust=Trust((), (access,)))) as client:
            assert get(client, f"https://{home}/").text == "ok"
            with pytest.raises(TlsFailed, match="not trusted"):
                get(client, f"https://{elsewhere}/")


def test_certificates_of_docker_are_used(
    authority: Authority, client_certificate: Certificate, tmp_path: Path
) -> None:
    server = Curious(authority)
    with listening(server, tls=server.context) as home:
        directory = tmp_path / home
        directory.mkdir()
        for name, source in (
            ("ca.crt", authority.ca_file),
            ("me.cert", client_certificate.chain),
            ("me.key", client_certificate.key),
        ):
            (directory / name).write_bytes(source.read_bytes())
        trust = Trust((), (RegistryAccess(home),), (tmp_path,))
        with make_client(Network(trust=trust)) as client:
            get(client, f"https://{home}/")
        with make_client(Network(trust=replace(trust, registries=()))) as client:
            # Of a host that is no registry its authorities count, and nothing is shown to it.
            get(client, f"https://{home}/")
    assert server.seen == [True, False]


def test_a_registry_that_wants_a_certificate_says_how(authority: Authority) -> None:
    context = authority.server().server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    # What it sends first is its alert.
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    with (
        listening(scripted(OK), tls=context) as home,
        make_client(Network(trust=Trust((authority.ca_file,)))) as client,
        pytest.raises(TlsFailed, match="another client certificate") as caught,
    ):
        get(client, f"https://{home}/")
    assert "--client-cert" in str(caught.value.hint)


def test_connections_are_kept(registry: FakeRegistry, puller: Pull) -> None:
    pull = puller()
    for _ in range(3):
        assert pull.document() == ARTIFACT.manifest
    assert registry.registry.connections == 1


# --- proxies


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down_is_named(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    proxies = Proxies.of({}, f"http://ada:{SECRET}@127.0.0.1:{port}")
    with (
        make_client(Network(proxies=proxies)) as client,
        pytest.raises(ConnectionFailed, match=f"the proxy 127.0.0.1:{port}, .* refused") as caught,
    ):
        get(client, f"{scheme}://registry.example/")
    assert caught.value.is_refused
    assert caught.value.origin.startswith("registry.example:")
    assert SECRET not in f"{caught.value} {caught.value.hint}"


def test_a_proxy_that_nobody_knows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    proxies = Proxies.of({"HTTPS_PROXY": "http://proxy.example:3128"})
    with (
        make_client(Network(proxies=proxies)) as client,
        pytest.raises(ConnectionFailed, match=r"the proxy proxy\.example:3128.*reached"),
    ):
        get(client, "https://registry.example/")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_to_know_who_asks(scheme: str) -> None:
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with listening(scripted(answer)) as address:
        proxies = Proxies.of({"HTTP_PROXY": address, "HTTPS_PROXY": address})
        with (
            make_client(Network(proxies=proxies)) as client,
            pytest.raises(RequestRefused, match="answered 407") as caught,
        ):
            get(client, f"{scheme}://registry.example/")
    assert "USER:PASSWORD" in str(caught.value.hint)


def test_a_proxy_that_nobody_vouches_for_is_named(authority: Authority) -> None:
    with (
        listening(silent, tls=authority.server().server_context()) as address,
        make_client(Network(proxies=Proxies.of({}, f"https://{address}"))) as client,
        pytest.raises(TlsFailed, match=f"the proxy {address}, .* not trusted"),
    ):
        get(client, "https://registry.example/")


def test_the_password_of_a_proxy_is_for_the_proxy() -> None:
    heads: list[bytes] = []

    def remember(connection: socket.socket) -> None:
        heads.append(read_head(connection))
        connection.sendall(OK)
        silent(connection)

    with listening(remember) as address:
        proxies = Proxies.of({}, f"http://ada:p%40ss@{address}")
        with make_client(Network(proxies=proxies)) as client:
            assert get(client, "http://registry.example/x").text == "ok"
    assert heads[0].startswith(b"GET http://registry.example/x ")
    assert b"Proxy-Authorization: Basic YWRhOnBAc3M=" in heads[0]


def test_the_storage_may_be_an_exception(registry: FakeRegistry, puller: Pull) -> None:
    """The registry by a proxy that alone knows its name, the blobs directly."""
    registry.redirects = Redirects()
    with listening(forward(registry.address)) as proxy:
        environ = {"HTTP_PROXY": proxy, "NO_PROXY": "127.0.0.0/8"}
        access = RegistryAccess("registry.example", private_redirects=True)
        network = replace(NETWORK, proxies=Proxies.of(environ), trust=Trust((), (access,)))
        pull = puller(registry=registry, host="registry.example", network=network)
        assert pull.document() == ARTIFACT.manifest
        assert pull.read() == CONTENT
    assert registry.find("GET", "blob", "storage")


def forward(target: str) -> Callable[[socket.socket], None]:
    """A proxy for http: whatever a client wants, `target` is asked for it."""

    def serve_it(near: socket.socket) -> None:
        host, _, port = target.partition(":")
        line, _, rest = read_head(near).partition(b"\r\n")
        method, url, version = line.split(b" ")
        path = b"/" + url.split(b"/", 3)[3]
        with socket.create_connection((host, int(port)), timeout=60) as far:
            rest = b"Connection: close\r\n" + rest
            far.sendall(b" ".join((method, path, version)) + b"\r\n" + rest)
            status, _, reply = read_head(far).partition(b"\r\n")
            # The client has to hear of it, or it may send its next request here just then.
            near.sendall(status + b"\r\nConnection: close\r\n" + reply)
            while piece := far.recv(65536):
                near.sendall(piece)
        near.shutdown(socket.SHUT_RDWR)

    return serve_it


# --- layers that are kept elsewhere


FOREIGN = b"a layer that no registry may have"


class Owner:
    """Keeps it, and remembers what it was asked."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    def __call__(self, connection: socket.socket) -> None:
        self.heads.append(read_head(connection))
        length = b"Content-Length: %d\r\n\r\n" % len(FOREIGN)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + length + FOREIGN)


def test_a_layer_that_the_registry_does_not_have_is_asked_of_its_owner(
    registry: FakeRegistry, puller: Pull, authority: Authority
) -> None:
    """Only then, over https alone, and without the credential."""
    owner = Owner()
    registry.auth = Auth(users={"ada": SECRET})
    network = replace(NETWORK, trust=Trust((authority.ca_file,)))
    pull = puller(network=network, credential=Basic("ada", SECRET, "the test"))
    with listening(owner, tls=authority.server().server_context()) as place:
        urls = (f"http://{place}/plain", "ftp://x", "https://[", f"https://u:p@{place}/layer")
        assert pull.read(blob=replace(BLOB, urls=urls)) == CONTENT
        assert owner.heads == []
        layer = replace(blob_of(FOREIGN), urls=urls)
        assert pull.read(Span(0, layer.size), layer) == FOREIGN
    (head,) = owner.heads
    assert head.startswith(b"GET /layer HTTP/1.1")
    assert b"authorization" not in head.lower()


def test_a_layer_that_nobody_has_is_unknown_to_the_registry(
    registry: FakeRegistry, puller: Pull
) -> None:
    urls = ("https://127.0.0.1:1/layer", "https://169.254.169.254/layer")
    gone = replace(blob_of(b"gone"), urls=urls)
    with pytest.raises(BlobUnknown, match=f"{registry.address} has no blob"):
        puller().read(Span(0, 4), gone)


# --- addresses


@pytest.mark.parametrize(
    "target",
    [
        "169.254.169.254",
        "100.100.100.200",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "2852039166",
        "0.0.0.0",
    ],
)
def test_nobody_leads_to_metadata(registry: FakeRegistry, puller: Pull, target: str) -> None:
    registry.redirects = Redirects(location=f"http://{target}/?X-Amz-Signature={SECRET}")
    access = RegistryAccess(registry.address, private_redirects=True)
    pull = puller(network=replace(NETWORK, trust=Trust((), (access,))))
    with pytest.raises(
        RedirectRefused, match=r"leads to .* that no registry may lead to"
    ) as caught:
        pull.read()
    assert registry.address in str(caught.value)
    assert SECRET not in str(caught.value)


def test_the_token_service_is_no_exception(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth(realm="http://169.254.169.254/token")
    with pytest.raises(RedirectRefused, match=r"169\.254\.169\.254"):
        puller().document()


@pytest.mark.parametrize("target", ["127.0.0.1", "localhost", "storage.example"])
def test_a_registry_elsewhere_does_not_lead_to_this_machine(
    registry: FakeRegistry, puller: Pull, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its address, and by a name that leads here: nothing is sent where that goes."""
    got: list[bytes] = []
    is_over = threading.Event()

    def listen(connection: socket.socket) -> None:
        got.append(connection.recv(100))
        is_over.set()

    look_up = socket.getaddrinfo

    def here(host: str, *rest: Any, **more: Any) -> object:
        return look_up("127.0.0.1" if host == "storage.example" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    with listening(listen) as storage, listening(forward(registry.address)) as proxy:
        port = storage.partition(":")[2]
        registry.redirects = Redirects(location=f"http://{target}:{port}/x")
        environ = {"HTTP_PROXY": proxy, "NO_PROXY": "storage.example"}
        network = replace(NETWORK, proxies=Proxies.of(environ))
        pull = puller(host="registry.example", network=network)
        with pytest.raises(RedirectRefused, match="this machine") as caught:
            pull.read()
        if target == "storage.example":
            assert is_over.wait(60)
            assert f"storage.example:{port} (127.0.0.1)" in str(caught.value)
    assert got in ([], [b""])
    assert '[registry."registry.example:80"]  private_redirects' in str(caught.value.hint)


def test_a_proxy_is_not_asked_for_what_is_nobodys(registry: FakeRegistry, puller: Pull) -> None:
    registry.redirects = Redirects(location="http://169.254.169.254/x")
    seen: list[bytes] = []
    reach = forward(registry.address)

    def count(connection: socket.socket) -> None:
        seen.append(connection.recv(1000, socket.MSG_PEEK).partition(b"\r\n")[0])
        reach(connection)

    with listening(count) as proxy:
        network = replace(NETWORK, proxies=Proxies.of({}, proxy))
        with pytest.raises(RedirectRefused):
            puller(host="registry.example", network=network).read()
    assert seen
    assert not [line for line in seen if b"169.254" in line]


# --- what a certificate is refused for


def test_what_is_seen_through_a_proxy_is_not_asked_for_again(authority: Authority) -> None:
    context = authority.server("registry.example").server_context()
    with (
        listening(scripted(OK), tls=context) as home,
        listening(tunnel(home)) as proxy,
        make_client(Network(proxies=Proxies.of({}, proxy))) as client,
        pytest.raises(TlsFailed, match="not trusted: ") as caught,
    ):
        get(client, "https://registry.example/")
    assert "issued by" not in str(caught.value)


def test_who_issued_it_is_told(authority: Authority) -> None:
    context = authority.server().server_context()
    with FakeRegistry(tls=context) as registry:
        serve(registry)
        with (
            make_client(Network(trust=Trust((), (RegistryAccess(registry.address),)))) as client,
            pytest.raises(TlsFailed, match=r"not trusted: .*\nissued by: trustme") as caught,
        ):
            get(client, f"https://{registry.address}/")
        assert "--ca-file FILE" in str(caught.value.hint)
        assert f"--insecure for {registry.address} alone" in str(caught.value.hint)
        assert registry.requests == []


def test_a_run_without_tls_reads_no_authority(registry: FakeRegistry, tmp_path: Path) -> None:
    trust = Trust((tmp_path / "missing.pem",))
    with make_client(Network(trust=trust)) as client:
        assert get(client, f"{registry.url}/v2/").status_code == 200
        with pytest.raises(InvalidSetting, match=r"missing\.pem"):
            get(client, f"https://{registry.address}/v2/")


def test_where_there_may_be_no_tls_authorities_are_read_once_there_is(
    registry: FakeRegistry, authority: Authority, tmp_path: Path
) -> None:
    missing = Trust((tmp_path / "missing.pem",))
    with make_client(Network(trust=missing)) as client, pytest.raises(NotTls):
        get(client, f"https://{registry.address}/v2/", **{MAY_BE_PLAIN: True})
    with FakeRegistry(tls=authority.server().server_context()) as secured:
        url = f"https://{secured.address}/v2/"
        with make_client(Network(trust=missing)) as client, pytest.raises(InvalidSetting):
            get(client, url, **{MAY_BE_PLAIN: True})
        with make_client(Network()) as client, pytest.raises(TlsFailed, match="not trusted"):
            get(client, url, **{MAY_BE_PLAIN: True})
        assert secured.requests == []
        with make_client(Network(trust=Trust((authority.ca_file,)))) as client:
            for _ in range(2):
                assert get(client, url, **{MAY_BE_PLAIN: True}).status_code == 200

"""How a registry is reached: schemes, certificates, redirects, and where no credential goes."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import respx

from oci_pull.adapters.registry.http import Network
from oci_pull.errors import (
    BlobUnknown,
    ConnectionFailed,
    NotTls,
    OciPullError,
    RedirectRefused,
    RequestRefused,
    ServerFailed,
    TlsFailed,
)
from oci_pull.oci.credential import Basic
from tests.fakes.registry import (
    Auth,
    BlobFaults,
    FakeRegistry,
    ManifestFaults,
    OriginName,
    Redirects,
    ServerFaults,
)
from tests.servers.tls import Authority
from tests.unit.adapters.pulling import (
    ARTIFACT,
    BLOB,
    CONTENT,
    PART,
    REPOSITORY,
    WHOLE,
    Pull,
    serve,
)

SECRET = "s3cr3t"
ADA = Basic("ada", SECRET, "config.json")
AUTH = Auth(users={"ada": SECRET}, anonymous=False)
BLOB_URL = f"https://registry.example/v2/{REPOSITORY}/blobs/{BLOB.digest}"


# --- http and https


def test_a_loopback_registry_may_speak_plain_http(registry: FakeRegistry, puller: Pull) -> None:
    pull = puller(plain_http=False)
    assert pull.document() == ARTIFACT.manifest
    # It is found out once.
    connections = registry.registry.connections
    assert pull.read() == CONTENT
    assert registry.registry.connections - connections <= 1


def test_what_fails_after_that_has_nothing_to_do_with_tls(
    registry: FakeRegistry, puller: Pull
) -> None:
    registry.server_faults = ServerFaults(hold=threading.Event(), times=1)
    pull = puller(plain_http=False)
    with pytest.raises(ConnectionFailed, match="stopped sending") as caught, pull.in_a_hurry():
        pull.document()
    assert caught.value.retryable
    assert pull.document() == ARTIFACT.manifest


def test_any_other_registry_may_not(puller: Pull) -> None:
    asked: list[httpx.URL] = []

    def answer_in_plain(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        cause = ssl.SSLError(1, "x")
        cause.reason = "WRONG_VERSION_NUMBER"
        raise httpx.ConnectError("x") from cause

    transport = httpx.MockTransport(answer_in_plain)
    with pytest.raises(NotTls) as caught:
        puller(plain_http=False, host="registry.example", transport=transport).document()
    assert "--plain-http" in str(caught.value.hint)
    assert [url.scheme for url in asked] == ["https"]


def test_a_loopback_registry_that_is_down_is_not_asked_in_plain(
    registry: FakeRegistry, puller: Pull
) -> None:
    registry.close()
    pull = puller(plain_http=False)
    with pytest.raises(ConnectionFailed) as caught:
        pull.document()
    assert caught.value.is_refused
    assert pull.endpoint.origin == registry.address
    with pytest.raises(ConnectionFailed):
        pull.document()


def hang_up(server: socket.socket) -> None:
    connection, _ = server.accept()
    connection.close()


def test_a_registry_that_hangs_up_is_not_asked_in_plain(puller: Pull) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as executor:
        executor.submit(hang_up, server)
        pull = puller(plain_http=False, host=f"127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(ConnectionFailed):
            pull.document()


def test_docker_hub_is_reached_under_another_name(puller: Pull) -> None:
    assert puller(plain_http=False, host="docker.io").endpoint.origin == "registry-1.docker.io:443"
    assert puller(plain_http=False, host="Registry.Example").endpoint.origin == (
        "registry.example:443"
    )
    assert puller(host="registry.example:5000").endpoint.origin == "registry.example:5000"


# --- certificates


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def secure(authority: Authority) -> Iterator[FakeRegistry]:
    with FakeRegistry(tls=authority.server().server_context()) as registry:
        serve(registry)
        yield registry


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))


@pytest.mark.usefixtures("trusted")
def test_an_authority_of_ones_own_can_be_trusted(secure: FakeRegistry, puller: Pull) -> None:
    secure.auth = AUTH
    secure.redirects = Redirects()
    pull = puller(registry=secure, plain_http=False, credential=ADA)
    assert pull.document() == ARTIFACT.manifest
    assert pull.read() == CONTENT


def test_a_certificate_that_is_not_trusted_is_never_a_reason_for_plain_http(
    secure: FakeRegistry, puller: Pull
) -> None:
    pull = puller(registry=secure, plain_http=False)
    for _ in range(2):
        with pytest.raises(TlsFailed, match="not trusted") as caught:
            pull.document()
        assert not isinstance(caught.value, NotTls)
        assert "SSL_CERT_FILE" in str(caught.value.hint)
    assert secure.requests == []


@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_name_is_not_trusted(authority: Authority, puller: Pull) -> None:
    context = authority.server("other.example").server_context()
    with (
        FakeRegistry(tls=context) as registry,
        pytest.raises(TlsFailed, match=r"is for other\.example"),
    ):
        puller(registry=registry, plain_http=False).document()


def test_plain_http_to_a_server_of_tls_is_told(secure: FakeRegistry, puller: Pull) -> None:
    with pytest.raises(OciPullError):
        puller(registry=secure).document()


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("plain", ["storage", "token"])
def test_encryption_is_never_left(authority: Authority, puller: Pull, plain: OriginName) -> None:
    with FakeRegistry(tls=authority.server().server_context(), plain=[plain]) as registry:
        serve(registry)
        if plain == "token":
            registry.auth = AUTH
        registry.redirects = Redirects()
        pull = puller(registry=registry, plain_http=False, credential=ADA)
        with pytest.raises(RedirectRefused, match="without encryption") as caught:
            pull.read()
        assert not registry.find(origin=plain)
        assert "X-Amz-Signature" not in str(caught.value)


# --- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("span", [WHOLE, PART])
def test_every_redirect_is_followed_with_its_range(
    registry: FakeRegistry, puller: Pull, status: int, span: object
) -> None:
    registry.redirects = Redirects(status=status)
    found = puller().read(span)  # type: ignore[arg-type]
    assert found == (CONTENT if span == WHOLE else CONTENT[PART.start : PART.end])
    (asked,) = registry.find("GET", "blob", "storage")
    assert asked.headers.get("range") == (None if span == WHOLE else PART.header)


@pytest.mark.parametrize("hops", [1, 3])
def test_no_credential_goes_to_another_origin(
    registry: FakeRegistry, puller: Pull, hops: int
) -> None:
    registry.auth = AUTH
    registry.redirects = Redirects(hops=hops, reject_authorization=hops == 1)
    assert puller(credential=ADA).read() == CONTENT
    at_storage = registry.find(origin="storage")
    assert len(at_storage) == (1 if hops == 1 else 2)
    assert not [each for each in at_storage if "authorization" in each.headers]


def test_a_redirect_within_the_registry_keeps_its_credential(
    registry: FakeRegistry, puller: Pull
) -> None:
    registry.auth = AUTH
    registry.redirects = Redirects(relative=True, reject_authorization=False)
    assert puller(credential=ADA).read() == CONTENT
    assert registry.find(origin="storage") == []
    assert "authorization" in registry.find("GET", "blob", status=200)[0].headers


def test_a_manifest_may_be_elsewhere(registry: FakeRegistry, puller: Pull) -> None:
    registry.manifest_faults = ManifestFaults(redirect=302)
    pull = puller()
    assert pull.document() == ARTIFACT.manifest
    assert str(pull.source.digest_of("v1")) in (ARTIFACT.digest, "None")


def test_a_chain_has_an_end(registry: FakeRegistry, puller: Pull) -> None:
    registry.redirects = Redirects(hops=50)
    with pytest.raises(ServerFailed, match="redirects in circles"):
        puller().read()
    assert registry.count(kind="blob") < 12


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("", RequestRefused),
        ("ftp://example.org/x", RedirectRefused),
        ("file:///etc/passwd", RedirectRefused),
        ("http://[::1", RequestRefused),
        ("http://127.0.0.1:99999999/", OciPullError),
        (f"http://exa mple/?X-Amz-Signature={SECRET}", OciPullError),
        (f"http://h:p{SECRET}/", OciPullError),
        (f"gopher://x/?X-Amz-Signature={SECRET}", RedirectRefused),
        (f"http://127.0.0.1:1/x?X-Amz-Signature={SECRET}", ConnectionFailed),
        (f"http://user:{SECRET}@127.0.0.1:1/", ConnectionFailed),
        ("http:///x", OciPullError),
    ],
)
def test_a_location_that_cannot_be(
    registry: FakeRegistry, puller: Pull, location: str, error: type[OciPullError]
) -> None:
    registry.redirects = Redirects(location=location)
    with pytest.raises(error) as caught:
        puller().read()
    assert SECRET not in f"{caught.value} {caught.value.hint}"


def test_a_location_that_is_the_same_again_ends(registry: FakeRegistry, puller: Pull) -> None:
    registry.redirects = Redirects(location=f"/v2/{REPOSITORY}/blobs/{BLOB.digest}")
    with pytest.raises(ServerFailed, match="circles"):
        puller().read()


@respx.mock
def test_a_redirect_from_https_to_http_of_the_same_host_is_refused(puller: Pull) -> None:
    location = {"Location": BLOB_URL.replace("https", "http")}
    respx.get(BLOB_URL).respond(307, headers=location)
    with pytest.raises(RedirectRefused):
        puller(plain_http=False, host="registry.example").read()
    assert respx.calls.call_count == 1


@respx.mock
def test_another_port_is_another_origin(puller: Pull) -> None:
    challenge = {"WWW-Authenticate": "Basic realm=x"}
    target = "https://registry.example:8443/x"
    respx.get(BLOB_URL, headers={"Authorization": ADA.header}).respond(
        307, headers={"Location": target}
    )
    respx.get(BLOB_URL).respond(401, headers=challenge)
    there = respx.get(target).respond(200, content=CONTENT)
    assert puller(plain_http=False, host="registry.example", credential=ADA).read() == CONTENT
    assert "authorization" not in there.calls.last.request.headers


@respx.mock
def test_who_leads_back_to_the_registry_gets_no_credential_for_that(puller: Pull) -> None:
    """It is somebody else's choice what would be asked with it."""
    challenge = {"WWW-Authenticate": "Basic realm=x"}
    elsewhere, back = "https://storage.example/x", "https://registry.example/v2/other/blobs/y"
    respx.get(BLOB_URL, headers={"Authorization": ADA.header}).respond(
        307, headers={"Location": elsewhere}
    )
    respx.get(BLOB_URL).respond(401, headers=challenge)
    respx.get(elsewhere).respond(307, headers={"Location": back})
    there = respx.get(back).respond(200, content=CONTENT)
    assert puller(plain_http=False, host="registry.example", credential=ADA).read() == CONTENT
    assert "authorization" not in there.calls.last.request.headers


@respx.mock
def test_only_what_a_storage_has_to_know_goes_along(puller: Pull) -> None:
    endpoint = puller(plain_http=False, host="registry.example").endpoint
    elsewhere = "https://storage.example/x"
    respx.get("https://registry.example/v2/").respond(302, headers={"Location": elsewhere})
    there = respx.get(elsewhere).respond(200)
    endpoint.send("GET", "/v2/", {"Range": "bytes=0-1", "Accept": "a/b", "X-Mine": SECRET})
    sent = there.calls.last.request.headers
    assert (sent["range"], sent["accept"], "x-mine" in sent) == ("bytes=0-1", "a/b", False)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["https://elsewhere.example/x", "/elsewhere", "../elsewhere"])
@respx.mock
def test_manifests_are_followed_as_well(puller: Pull, status: int, target: str) -> None:
    pull = puller(plain_http=False, host="registry.example")
    asked = httpx.URL(f"https://registry.example/v2/{REPOSITORY}/manifests/v1")
    respx.get(asked).respond(status, headers={"Location": target})
    headers = {"Content-Type": ARTIFACT.media_type}
    respx.get(asked.join(target)).respond(200, content=ARTIFACT.manifest, headers=headers)
    assert pull.document() == ARTIFACT.manifest


# --- signed URLs that expire


def test_a_signed_url_that_has_expired_is_asked_for_again(
    registry: FakeRegistry, puller: Pull
) -> None:
    registry.redirects = Redirects()
    registry.blob_faults = BlobFaults(status=403, times=1)
    assert puller().read(PART) == CONTENT[PART.start : PART.end]
    assert registry.count("GET", "blob", "registry") == 2


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_signed_url_that_never_works_is_an_error_without_it(
    registry: FakeRegistry, puller: Pull, status: int
) -> None:
    registry.redirects = Redirects(uses=0, expired_status=status)
    with pytest.raises(RequestRefused, match=f"{registry.storage.address} answered") as caught:
        puller().read()
    assert registry.count("GET", "blob", "registry") == 2
    assert "Signature" not in f"{caught.value} {caught.value.hint} {caught.value!r}"


def test_a_blob_that_the_storage_lost_is_unknown(registry: FakeRegistry, puller: Pull) -> None:
    registry.redirects = Redirects()
    registry.blob_faults = BlobFaults(status=404)
    with pytest.raises(BlobUnknown) as caught:
        puller().read()
    assert "Signature" not in str(caught.value)


def test_nothing_of_a_url_is_in_any_error(
    registry: FakeRegistry, puller: Pull, tmp_path: Path
) -> None:
    """Whatever the storage does wrong."""
    registry.auth = AUTH
    registry.redirects = Redirects()
    pull = puller(credential=ADA, network=Network(connect_timeout=5, stall_timeout=0.2))
    for faults in (
        BlobFaults(status=503),
        BlobFaults(status=429),
        BlobFaults(cut_after=10),
        BlobFaults(reset=True, cut_after=10),
        BlobFaults(stall_after=10),
        BlobFaults(gzip=True),
        BlobFaults(short_by=1, framing="sent"),
        BlobFaults(shift=1),
        BlobFaults(hold=threading.Event()),
    ):
        registry.blob_faults = faults
        with pytest.raises(OciPullError) as caught:
            pull.read(PART)
        text = f"{caught.value} {caught.value.hint} {caught.value!r}"
        for secret in (SECRET, "Signature", "X-Amz", "fake-token", "?", ADA.header):
            assert secret not in text

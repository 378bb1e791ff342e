"""What an observer hears of requests, and what it must never hear."""

from __future__ import annotations

import httpx
import pytest

from oci_pull.adapters.registry.disclosure import NOTHING, PATH, Disclosure
from oci_pull.events import Answered, Authorized, Identified, Unanswered
from oci_pull.oci.credential import Anonymous, Basic, IdentityToken
from tests.fakes.faults import ServerFaults
from tests.fakes.memory import Recorder
from tests.fakes.registry import Auth, FakeRegistry, Redirects
from tests.unit.adapters.pulling import BLOB, CONTENT, REPOSITORY, Pull

SECRET = "s3cr3t"


def _told(response: httpx.Response, *, headers: bool = True) -> Answered:
    observer = Recorder()
    Disclosure(observer, headers).tell_answer(response, 0.25)
    (event,) = observer.of(Answered)
    return event


def _reply(
    received: dict[str, str] | None = None,
    sent: dict[str, str] | None = None,
    *,
    url: str = "https://registry.example/v2/a/b/manifests/v1",
    path: str = "",
    status: int = 200,
) -> httpx.Response:
    request = httpx.Request("GET", url, headers=sent, extensions={PATH: path})
    return httpx.Response(status, headers=received, request=request)


def test_no_password_no_token_and_no_signed_url_is_told(
    registry: FakeRegistry, puller: Pull
) -> None:
    registry.redirects = Redirects()
    registry.auth = Auth(users={"ada": SECRET}, identity_tokens=[SECRET], anonymous=False)
    registry.server_faults = ServerFaults(
        headers={"Set-Cookie": "session=c00kie", "X-Amz-Signature": "s1gnature"}
    )
    observer = Recorder()
    for who in (Basic("ada", SECRET, "a file"), IdentityToken(SECRET, "another")):
        told = Disclosure.of(observer, 2)
        assert puller(credential=who, disclosure=told).read() == CONTENT
    text = repr(observer.events)
    signed = [each for each in registry.requests if each.origin == "storage"]
    assert signed
    for secret in (SECRET, "fake-token", "c00kie", "s1gnature", "Signature=", "/objects/"):
        assert secret not in text
    for each in signed:
        assert each.query not in text
    assert "'set-cookie': '***'" in text
    assert "'authorization': 'Bearer ***'" in text


def test_every_request_is_told_with_where_it_leads_and_who_asks(
    registry: FakeRegistry, puller: Pull
) -> None:
    registry.redirects = Redirects()
    registry.auth = Auth(users={"ada": SECRET}, anonymous=False)
    observer = Recorder()
    told = Disclosure.of(observer, 1)
    puller(credential=Basic("ada", SECRET, "a file"), disclosure=told).read()
    blob = f"{registry.url}/v2/{REPOSITORY}/blobs/{BLOB.digest}"
    storage, token = registry.storage.address, registry.token_server.address
    assert [(e.url, e.status, e.leads_to) for e in observer.of(Answered)] == [
        (blob, 401, ""),
        (f"http://{token}", 200, ""),
        (blob, 307, storage),
        (f"http://{storage}", 200, ""),
    ]
    (who,) = observer.of(Identified)
    assert (who.registry, who.who) == (registry.address, "user 'ada' from a file")
    (given,) = observer.of(Authorized)
    assert given == Authorized(registry.address, token, f"repository:{REPOSITORY}:pull", False)
    assert {*map(len, [e.sent for e in observer.of(Answered)])} == {0}, "headers are for -vv"


def test_a_token_that_is_there_already_is_told_as_such(
    registry: FakeRegistry, puller: Pull
) -> None:
    registry.auth = Auth()
    first = puller()
    first.document()
    observer = Recorder()
    second = puller(tokens=first.auth._tokens, disclosure=Disclosure.of(observer, 1))
    second.document()
    assert [each.is_cached for each in observer.of(Authorized)] == [True]


def test_a_request_without_a_reply_is_told_without_the_words_of_the_error(puller: Pull) -> None:
    class Broken(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError(f"no way to {request.url}?X-Amz-Signature={SECRET}")

    observer = Recorder()
    broken = puller(transport=Broken(), disclosure=Disclosure.of(observer, 2))
    with pytest.raises(Exception, match="failed"):
        broken.document()
    (event,) = observer.of(Unanswered)
    assert (event.method, event.reason) == ("GET", "ConnectError")
    assert SECRET not in repr(event)


def test_nobody_hears_where_nobody_listens(registry: FakeRegistry, puller: Pull) -> None:
    assert Disclosure.of(Recorder(), 0) == NOTHING
    assert puller(credential=Anonymous(), disclosure=NOTHING).document()


@pytest.mark.parametrize(
    ("url", "path", "told"),
    [
        ("https://registry.example/v2/x?ns=docker.io", "/v2/x", "https://registry.example/v2/x"),
        ("https://registry.example:8443/v2/x", "/v2/x", "https://registry.example:8443/v2/x"),
        ("https://ada:s3cr3t@cdn.example/s3cr3t/file?sig=s3cr3t", "", "https://cdn.example"),
        ("http://[::1]:5000/v2/", "/v2/", "http://[::1]:5000/v2/"),
    ],
)
def test_a_url_is_a_host_and_a_path_that_is_ours(url: str, path: str, told: str) -> None:
    assert _told(_reply(url=url, path=path)).url == told


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://cdn.example/blob?sig=s3cr3t", "cdn.example"),
        ("https://ada:s3cr3t@cdn.example:8443/", "cdn.example:8443"),
        ("/elsewhere", "registry.example"),
        ("https://cdn.example:port/s3cr3t", "a URL that is none"),
    ],
)
def test_of_a_redirect_the_host_is_told(location: str, told: str) -> None:
    event = _told(_reply({"Location": location}, status=307))
    assert event.leads_to == told
    assert event.received["location"] == "***"


@pytest.mark.parametrize(
    ("headers", "request_id"),
    [
        ({"X-Request-Id": "abc"}, "abc"),
        ({"X-GitHub-Request-Id": "gh"}, "gh"),
        ({"x-amz-cf-id": "cf", "x-amz-request-id": "s3"}, "s3"),
        ({"X-Trace": "abc"}, ""),
    ],
)
def test_the_number_that_the_server_finds_it_by_is_told(
    headers: dict[str, str], request_id: str
) -> None:
    assert _told(_reply(headers)).request_id == request_id


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("Content-Range", "bytes 0-1/2", "bytes 0-1/2"),
        ("Docker-Content-Digest", "sha256:0", "sha256:0"),
        ("WWW-Authenticate", 'Bearer realm="https://x/?key=s3cr3t"', "Bearer ***"),
        ("WWW-Authenticate", "s3cr3t", "***"),
        ("Set-Cookie", "a=s3cr3t", "***"),
        ("X-Amz-Signature", "s3cr3t", "***"),
        ("X-Anything-New", "s3cr3t", "***"),
        ("Server", "x" * 1000, "x" * 200),
    ],
)
def test_a_header_is_told_where_it_is_known_to_be_harmless(
    name: str, value: str, told: str
) -> None:
    assert _told(_reply({name: value})).received[name.lower()] == told


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("Range", "bytes=0-1", "bytes=0-1"),
        ("Authorization", "Bearer s3cr3t", "Bearer ***"),
        ("Authorization", "Basic czNjcjN0", "Basic ***"),
        ("Authorization", "s3cr3t", "***"),
        ("Proxy-Authorization", "Basic czNjcjN0", "Basic ***"),
        ("Cookie", "a=s3cr3t", "***"),
        ("Content-Type", "x", "***"),
    ],
)
def test_so_is_one_of_ours(name: str, value: str, told: str) -> None:
    assert _told(_reply(sent={name: value})).sent[name.lower()] == told

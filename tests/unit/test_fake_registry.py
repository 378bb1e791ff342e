"""The fake registry does what its switches say."""

from __future__ import annotations

import gzip
import hashlib
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
import trustme

from tests.fakes.registry import (
    HTML_PAGE,
    Auth,
    BlobFaults,
    FakeRegistry,
    ManifestFaults,
    Redirects,
    ServerFaults,
    TokenFaults,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
MANIFEST = b'{"schemaVersion":2}'
DATA = bytes(range(256)) * 4
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
EMPTY = f"sha256:{hashlib.sha256(b'').hexdigest()}"
BLOB = f"/v2/team/model/blobs/{DIGEST}"
TAG = "/v2/team/model/manifests/v1"
SCOPE = "repository:team/model:pull"
ADA = ("ada", "secret")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        registry.put("team/model", "v1", MANIFEST, MEDIA_TYPE, {DIGEST: DATA, EMPTY: b""})
        yield registry


@pytest.fixture
def client(registry: FakeRegistry) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=registry.url, trust_env=False, timeout=60) as client:
        yield client


def ranged(client: httpx.Client, value: str, path: str = BLOB) -> httpx.Response:
    return client.get(path, headers={"Range": value})


def token_from(client: httpx.Client, registry: FakeRegistry, **more: Any) -> httpx.Response:
    params = {"service": "fake-registry", "scope": SCOPE}
    return client.get(f"{registry.token_server.url}/token", params=params, **more)


def bearer(client: httpx.Client, registry: FakeRegistry) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_from(client, registry).json()['token']}"}


def partial_body(client: httpx.Client, path: str = BLOB) -> tuple[bytes, httpx.Response]:
    got = b""
    with client.stream("GET", path) as response:
        try:
            for piece in response.iter_raw():
                got += piece
        except httpx.TransportError:
            return got, response
    pytest.fail("the body was complete")


# --- a good registry


def test_manifest_by_tag_and_digest(registry: FakeRegistry, client: httpx.Client) -> None:
    digest = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
    for reference in ("v1", digest):
        response = client.get(f"/v2/team/model/manifests/{reference}")
        assert response.content == MANIFEST
        assert response.headers["content-type"] == MEDIA_TYPE
        assert response.headers["docker-content-digest"] == digest
        assert response.headers["docker-distribution-api-version"] == "registry/2.0"
        again = client.get(TAG, headers={"If-None-Match": response.headers["etag"]})
        assert again.status_code == 304
    other = f"sha512:{hashlib.sha512(MANIFEST).hexdigest()}"
    named = client.head(f"/v2/team/model/manifests/{other}").headers["docker-content-digest"]
    assert named == other
    head = client.head(TAG)
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(MANIFEST)))
    assert client.get("/v2/").status_code == 200


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/nobody/manifests/v1", "NAME_UNKNOWN"),
        ("/v2/team/model/manifests/v2", "MANIFEST_UNKNOWN"),
        ("/v2/team/model/blobs/sha256:0", "BLOB_UNKNOWN"),
        ("/v2/team/model/referrers/sha256:0", "NOT_FOUND"),
    ],
)
def test_unknown_things(client: httpx.Client, path: str, code: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert response.json()["errors"][0]["code"] == code


def test_tags_come_in_pages(registry: FakeRegistry, client: httpx.Client) -> None:
    registry.put("team/model", "v2", MANIFEST, MEDIA_TYPE, {})
    first = client.get("/v2/team/model/tags/list", params={"n": "1"})
    assert first.json() == {"name": "team/model", "tags": ["v1"]}
    second = client.get(first.links["next"]["url"])
    assert second.json()["tags"] == ["v2"]
    assert not second.links


@pytest.mark.parametrize("from_file", [False, True])
def test_ranges(
    registry: FakeRegistry, client: httpx.Client, tmp_path: Path, from_file: bool
) -> None:
    if from_file:
        path = tmp_path / "blob"
        path.write_bytes(DATA)
        registry.put("team/model", None, MANIFEST, MEDIA_TYPE, {DIGEST: path})
    whole = client.get(BLOB)
    assert (whole.status_code, whole.content) == (200, DATA)
    assert whole.headers["etag"] == f'"{DIGEST}"'
    assert client.head(BLOB).headers["content-length"] == "1024"
    for asked, start, stop in (("10-19", 10, 20), ("1000-5000", 1000, 1024), ("1020-", 1020, 1024)):
        part = ranged(client, f"bytes={asked}")
        assert (part.status_code, part.content) == (206, DATA[start:stop])
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/1024"
    assert ranged(client, "bytes=-4").content == DATA[-4:]
    assert ranged(client, "bytes=0-1,4-5").status_code == 200
    beyond = ranged(client, "bytes=1024-2000")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */1024")
    stale = client.get(BLOB, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert stale.status_code == 200


def test_empty_blob(registry: FakeRegistry, client: httpx.Client) -> None:
    path = f"/v2/team/model/blobs/{EMPTY}"
    assert (client.get(path).status_code, client.get(path).content) == (200, b"")
    assert ranged(client, "bytes=0-", path).status_code == 416
    registry.blob_faults = BlobFaults(status=404, only=[EMPTY])
    assert client.get(path).status_code == 404
    assert client.get(BLOB).status_code == 200


def test_everything_is_recorded(registry: FakeRegistry, client: httpx.Client) -> None:
    client.get("/v2/")
    client.head(TAG, headers=[("Accept", "a/b"), ("Accept", "c/d")])
    ranged(client, "bytes=0-99")
    client.get(f"{BLOB}?ns=docker.io")
    ping, manifest, part, blob = registry.requests
    assert (ping.kind, ping.origin, ping.status) == ("ping", "registry", 200)
    assert manifest.headers["accept"] == "a/b, c/d"
    assert (part.path, part.headers["range"], part.status, part.sent) == (
        BLOB,
        "bytes=0-99",
        206,
        100,
    )
    assert blob.params == {"ns": ["docker.io"]}
    assert registry.count("GET", "blob") == registry.count(kind="blob", origin="registry") == 2
    assert registry.count("GET", "manifest") == 0
    assert registry.bytes_served == 1124
    assert registry.registry.connections == registry.registry.peak_connections == 1


# --- the server as a whole


def test_server_faults(registry: FakeRegistry, client: httpx.Client) -> None:
    registry.server_faults = [
        ServerFaults(html=True, times=1),
        ServerFaults(status=502, times=1),
        ServerFaults(ping_status=404, headers={"Warning": '299 - "soon"'}),
    ]
    page = client.get(TAG)
    assert (page.status_code, page.content) == (200, HTML_PAGE)
    assert client.get(TAG).status_code == 502
    assert client.get("/v2/").status_code == 404
    assert client.get(TAG).headers["warning"] == '299 - "soon"'
    registry.server_faults = ()
    assert client.get("/v2/").status_code == 200


def test_connections_that_fail(registry: FakeRegistry, client: httpx.Client) -> None:
    registry.fail_next_connections(2)
    for _ in range(2):
        with pytest.raises(httpx.TransportError):
            client.get("/v2/")
    assert client.get("/v2/").status_code == 200
    assert registry.count() == 1


def test_an_error_in_the_fake_is_not_swallowed() -> None:
    def broken() -> float:
        raise ZeroDivisionError

    def use() -> None:
        with (
            FakeRegistry(clock=broken) as registry,
            httpx.Client(trust_env=False, timeout=60) as client,
            pytest.raises(httpx.TransportError),
        ):
            token_from(client, registry)

    with pytest.raises(AssertionError, match="fake registry itself"):
        use()


# --- authentication


def challenges(client: httpx.Client, path: str = TAG) -> list[str]:
    response = client.get(path)
    assert response.status_code == 401
    assert response.json()["errors"][0]["code"] == "UNAUTHORIZED"
    return response.headers.get_list("www-authenticate")


def test_challenges(registry: FakeRegistry, client: httpx.Client) -> None:
    token = registry.token_server.url
    plain = f'Bearer realm="{token}/token",service="fake-registry",scope="{SCOPE}"'
    digest = 'Digest realm="a, b", nonce="1"'
    for auth, expected in (
        (Auth(), [plain]),
        (Auth(beside="Negotiate"), ["Negotiate", plain]),
        (Auth(beside=digest, joined=True), [f"{digest}, {plain}"]),
        (Auth(challenge_name="bearer"), [plain.replace("Bearer", "bearer")]),
        (Auth(quoted=False), [plain.replace('"', "")]),
        (
            Auth(realm="/token?a=b", service=None, scope="repository:{name}:pull,push"),
            [f'Bearer realm="/token?a=b",scope="{SCOPE},push"'],
        ),
        (Auth(scope=None, service=None), [f'Bearer realm="{token}/token"']),
        (Auth(scheme="basic"), ['Basic realm="fake"']),
        (Auth(challenge_on="none"), []),
        (Auth(challenge_on="ping"), []),
    ):
        registry.auth = auth
        assert challenges(client) == expected
    assert challenges(client, "/v2/") == [plain.partition(",scope")[0]]
    assert registry.count(status=401) == 11


def test_token_opens_its_repository_only(registry: FakeRegistry, client: httpx.Client) -> None:
    registry.put("team/other", "v1", MANIFEST, MEDIA_TYPE, {})
    registry.auth = Auth()
    headers = bearer(client, registry)
    assert client.get(TAG, headers=headers).status_code == 200
    assert client.get("/v2/", headers=headers).status_code == 200
    other = client.get("/v2/team/other/manifests/v1", headers=headers)
    assert 'error="insufficient_scope"' in other.headers["www-authenticate"]
    unknown = client.get(TAG, headers={"Authorization": "Bearer x"})
    assert 'error="invalid_token"' in unknown.headers["www-authenticate"]
    assert registry.count("GET", "token", "token") == 1


def test_users_and_anonymous(registry: FakeRegistry, client: httpx.Client) -> None:
    registry.auth = Auth(users=dict([ADA]), anonymous=False)
    assert token_from(client, registry).status_code == 401
    assert token_from(client, registry, auth=("ada", "wrong")).status_code == 401
    assert token_from(client, registry, auth=ADA).status_code == 200
    wrong_service = client.get(f"{registry.token_server.url}/token", auth=ADA)
    assert wrong_service.status_code == 400
    registry.auth = Auth(users=dict([ADA]), private=["team/model"])
    assert client.get(TAG, headers=bearer(client, registry)).status_code == 401
    registry.auth = Auth(scheme="basic", users=dict([ADA]))
    assert client.get(TAG, auth=ADA).status_code == 200
    assert client.get(TAG, auth=("ada", "wrong")).status_code == 401


def test_posts(registry: FakeRegistry, client: httpx.Client) -> None:
    registry.auth = Auth(users=dict([ADA]), identity_tokens=["refresh"], anonymous=False)
    url = f"{registry.token_server.url}/token"
    refresh = {"grant_type": "refresh_token", "refresh_token": "refresh"}
    password = {"grant_type": "password", "username": ADA[0], "password": ADA[1]}
    for form, status in ((refresh, 200), (password, 200), (refresh | {"refresh_token": "x"}, 401)):
        reply = client.post(url, data=form | {"service": "fake-registry", "scope": SCOPE})
        assert reply.status_code == status
    assert registry.find("POST")[0].form["refresh_token"] == ["refresh"]
    for status in (404, 400, 401, 405):
        registry.token_faults = TokenFaults(post_status=status)
        assert client.post(url, data=refresh).status_code == status
    assert token_from(client, registry, auth=ADA).status_code == 200


def test_tokens_expire_by_the_clock_by_use_and_by_order(client: httpx.Client) -> None:
    now = [0.0]
    with FakeRegistry(clock=lambda: now[0]) as registry:
        registry.put("team/model", "v1", MANIFEST, MEDIA_TYPE, {})
        registry.auth = Auth(realm_after_expiry="{token}/token/refuses")
        url = registry.url + TAG
        for faults, lifetime in (
            (TokenFaults(expires_in=5), 5),
            (TokenFaults(expires_in=None), 60),
        ):
            registry.token_faults = faults
            headers = bearer(client, registry)
            now[0] += lifetime - 1
            assert client.get(url, headers=headers).status_code == 200
            now[0] += 1
            expired = client.get(url, headers=headers)
            assert (
                f"{registry.token_server.url}/token/refuses" in expired.headers["www-authenticate"]
            )
            assert 'error="invalid_token"' in expired.headers["www-authenticate"]
        registry.token_faults = TokenFaults(uses=2)
        headers = bearer(client, registry)
        assert [client.get(url, headers=headers).status_code for _ in range(3)] == [200, 200, 401]
        registry.token_faults = ()
        headers = bearer(client, registry)
        registry.revoke_tokens()
        assert client.get(url, headers=headers).status_code == 401
        refusing = client.get(f"{registry.token_server.url}/token/refuses")
        assert refusing.status_code == 401


def test_token_replies(registry: FakeRegistry, client: httpx.Client) -> None:
    registry.auth = Auth()
    registry.token_faults = TokenFaults(fields="access_token", expires_in=None, issued_at=None)
    assert list(token_from(client, registry).json()) == ["access_token"]
    registry.token_faults = TokenFaults(fields="token", issued_at=timedelta(days=1))
    reply = token_from(client, registry).json()
    assert set(reply) == {"token", "expires_in", "issued_at"}
    assert datetime.fromisoformat(reply["issued_at"]) > datetime.now(UTC) + timedelta(hours=23)
    registry.token_faults = TokenFaults(no_access=True)
    assert client.get(TAG, headers=bearer(client, registry)).status_code == 401
    registry.token_faults = TokenFaults(padding=10 << 20, chunked=True)
    huge = token_from(client, registry)
    assert len(huge.content) > 10 << 20
    assert "content-length" not in huge.headers
    registry.token_faults = TokenFaults(body=HTML_PAGE, content_type="text/html")
    page = token_from(client, registry)
    assert (page.status_code, page.content) == (200, HTML_PAGE)
    registry.token_faults = TokenFaults(status=429, retry_after=7, times=1, only=["team/model"])
    limited = token_from(client, registry)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    assert token_from(client, registry).status_code == 200


def test_realm_that_moves(registry: FakeRegistry, client: httpx.Client) -> None:
    reply = client.get(f"{registry.url}/token/moved", params={"scope": SCOPE})
    assert reply.status_code == 307
    assert reply.headers["location"].startswith(f"{registry.storage.url}/token?scope=")


# --- manifests


def test_manifest_headers(registry: FakeRegistry, client: httpx.Client) -> None:
    for faults, name, expected in (
        (ManifestFaults(content_type="text/plain"), "content-type", "text/plain"),
        (ManifestFaults(content_type=""), "content-type", None),
        (
            ManifestFaults(content_type_suffix="; charset=utf-8"),
            "content-type",
            f"{MEDIA_TYPE}; charset=utf-8",
        ),
        (ManifestFaults(digest_header=EMPTY), "docker-content-digest", EMPTY),
        (ManifestFaults(digest_header=""), "docker-content-digest", None),
        (ManifestFaults(gzip=True), "content-encoding", "gzip"),
        (ManifestFaults(chunked=True), "transfer-encoding", "chunked"),
    ):
        registry.manifest_faults = faults
        response = client.get(TAG)
        assert response.content == MANIFEST
        assert response.headers.get(name) == expected


def test_manifest_replies(registry: FakeRegistry, client: httpx.Client) -> None:
    registry.manifest_faults = ManifestFaults(exact_accept=True)
    assert client.get(TAG, headers={"Accept": "*/*"}).status_code == 404
    assert client.get(TAG, headers={"Accept": f"a/b, {MEDIA_TYPE}"}).status_code == 200
    registry.manifest_faults = ManifestFaults(body=b" " * (5 << 20))
    assert len(client.get(TAG).content) == 5 << 20
    registry.manifest_faults = ManifestFaults(head_status=405)
    assert [client.head(TAG).status_code, client.get(TAG).status_code] == [405, 200]
    registry.manifest_faults = ManifestFaults(status=503, times=1, only=["v1"])
    assert [client.get(TAG).status_code for _ in range(2)] == [503, 200]
    registry.manifest_faults = ManifestFaults(cut_after=3)
    assert partial_body(client, TAG)[0] == MANIFEST[:3]
    registry.manifest_faults = ManifestFaults(redirect=302)
    away = client.get(TAG)
    assert (away.status_code, away.headers["location"].startswith(registry.storage.url)) == (
        302,
        True,
    )
    assert client.get(away.headers["location"]).content == MANIFEST
    assert registry.count("GET", "manifest", "storage") == 1


# --- redirects of blobs


def test_redirects(registry: FakeRegistry, client: httpx.Client) -> None:
    registry.redirects = Redirects()
    there = client.get(BLOB)
    assert there.status_code == 307
    url = there.headers["location"]
    assert url.startswith(f"{registry.storage.url}/objects/blobs/{DIGEST}?X-Amz-Expires=1200&")
    part = ranged(client, "bytes=1-2", url)
    assert (part.status_code, part.content) == (206, DATA[1:3])
    assert "docker-content-digest" not in part.headers
    assert client.get(url, auth=ADA).status_code == 400
    assert client.head(url).status_code == 403
    assert client.get(url[:-1] + "x").status_code == 403
    assert registry.bytes_served == 2
    registry.redirects = Redirects(relative=True, status=302)
    local = client.get(BLOB)
    assert local.status_code == 302
    assert local.headers["location"].startswith("/objects/")
    assert client.get(local.headers["location"]).content == DATA
    for location in ("http://169.254.169.254/", ""):
        registry.redirects = Redirects(location=location)
        assert client.get(BLOB).headers.get("location", "") == location


def test_redirect_chain(registry: FakeRegistry, client: httpx.Client) -> None:
    registry.redirects = Redirects(hops=3)
    final = client.get(BLOB, follow_redirects=True)
    assert final.content == DATA
    ports = [urlsplit(str(one.headers["location"])).port for one in final.history]
    here, there = registry.registry.port, registry.storage.port
    assert ports == [there, here, there]


def test_signed_urls_expire() -> None:
    now = [0.0]
    with (
        FakeRegistry(clock=lambda: now[0]) as registry,
        httpx.Client(trust_env=False, timeout=60) as client,
    ):
        registry.put("team/model", "v1", MANIFEST, MEDIA_TYPE, {DIGEST: DATA})
        registry.redirects = Redirects(uses=1)
        url = client.get(registry.url + BLOB).headers["location"]
        assert [client.get(url).status_code for _ in range(2)] == [200, 403]
        registry.redirects = Redirects(expires_in=10, expired_status=400)
        url = client.get(registry.url + BLOB).headers["location"]
        assert client.get(url).status_code == 200
        now[0] += 10
        assert client.get(url).status_code == 400


def test_faults_before_and_behind_the_redirect(
    registry: FakeRegistry, client: httpx.Client
) -> None:
    registry.redirects = Redirects()
    registry.blob_faults = [
        BlobFaults(front=True, status=503, times=1),
        BlobFaults(status=500, times=1),
    ]
    replies = [client.get(BLOB, follow_redirects=True) for _ in range(3)]
    assert [one.status_code for one in replies] == [503, 500, 200]
    assert [len(one.history) for one in replies] == [0, 1, 1]


# --- blobs


def test_ranges_gone_wrong(registry: FakeRegistry, client: httpx.Client) -> None:
    for faults, asked, status, content_range, start, stop in (
        (BlobFaults(ignore_range=True), "10-19", 200, None, 0, 1024),
        (BlobFaults(no_content_range=True), "10-19", 206, None, 10, 20),
        (BlobFaults(content_range_total="*"), "10-19", 206, "bytes 10-19/*", 10, 20),
        (BlobFaults(shift=1), "10-19", 206, "bytes 11-19/1024", 11, 20),
        (BlobFaults(shorter=1), "10-19", 206, "bytes 10-18/1024", 10, 19),
        (BlobFaults(refuse_open_ended=True), "10-19", 206, "bytes 10-19/1024", 10, 20),
    ):
        registry.blob_faults = faults
        part = ranged(client, f"bytes={asked}")
        assert (part.status_code, part.content) == (status, DATA[start:stop])
        assert part.headers.get("content-range") == content_range
    assert ranged(client, "bytes=10-").status_code == 416
    registry.blob_faults = BlobFaults(refuse_ranges=True)
    assert [ranged(client, "bytes=1-2").status_code, client.get(BLOB).status_code] == [416, 200]


def test_encodings(registry: FakeRegistry, client: httpx.Client) -> None:
    registry.blob_faults = BlobFaults(gzip=True)
    with client.stream("GET", BLOB, headers={"Range": "bytes=0-1"}) as response:
        assert response.status_code == 200
        assert gzip.decompress(b"".join(response.iter_raw())) == DATA
    registry.blob_faults = BlobFaults(content_encoding="gzip")
    with client.stream("GET", BLOB) as response:
        assert response.headers["content-encoding"] == "gzip"
        assert b"".join(response.iter_raw()) == DATA


def test_wrong_lengths(registry: FakeRegistry, client: httpx.Client) -> None:
    registry.blob_faults = BlobFaults(short_by=1)
    got, response = partial_body(client)
    assert (got, response.headers["content-length"]) == (DATA[:-1], "1024")
    for faults, expected in (
        (BlobFaults(short_by=1, framing="sent"), DATA[:-1]),
        (BlobFaults(short_by=1, framing="close"), DATA[:-1]),
        (BlobFaults(short_by=1, framing="chunked"), DATA[:-1]),
        (BlobFaults(long_by=1, framing="sent"), DATA + b"!"),
        (BlobFaults(long_by=1, framing="close"), DATA + b"!"),
    ):
        registry.blob_faults = faults
        response = client.get(BLOB)
        assert response.content == expected
        promised = response.headers.get("content-length")
        assert promised == (str(len(expected)) if faults.framing == "sent" else None)
    with pytest.raises(ValueError, match="long_by"):
        BlobFaults(long_by=1)


def test_wrong_bytes(registry: FakeRegistry, client: httpx.Client) -> None:
    registry.blob_faults = BlobFaults(corrupt_at=5)
    assert client.get(BLOB).content == DATA[:5] + b"\xfa" + DATA[6:]
    assert ranged(client, "bytes=4-6").content == b"\x04\xfa\x06"
    assert ranged(client, "bytes=6-8").content == DATA[6:9]


def test_refusals(registry: FakeRegistry, client: httpx.Client) -> None:
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=30)
    registry.blob_faults = [
        BlobFaults(status=429, retry_after=3, times=1),
        BlobFaults(status=429, retry_after=later, times=1),
        BlobFaults(status=503, times=2),
        BlobFaults(head_status=401),
    ]
    first, second = client.get(BLOB), client.get(BLOB)
    assert first.headers["retry-after"] == "3"
    assert first.json()["errors"][0]["code"] == "TOOMANYREQUESTS"
    assert parsedate_to_datetime(second.headers["retry-after"]) == later
    assert [client.get(BLOB).status_code for _ in range(3)] == [503, 503, 200]
    assert client.head(BLOB).status_code == 401


@pytest.mark.parametrize("framing", ["asked", "chunked"])
def test_cuts(registry: FakeRegistry, client: httpx.Client, framing: Any) -> None:
    registry.blob_faults = BlobFaults(cut_after=100, framing=framing)
    for _ in range(2):
        assert partial_body(client)[0] == DATA[:100]
    assert registry.requests[-1].sent == 100
    assert ranged(client, "bytes=0-99").content == DATA[:100]


def test_resets(registry: FakeRegistry, client: httpx.Client) -> None:
    registry.blob_faults = BlobFaults(cut_after=100, reset=True)
    with pytest.raises(httpx.ReadError):
        client.get(BLOB)


def test_stalls_and_drips_end_with_the_registry() -> None:
    registry = FakeRegistry()
    registry.put("team/model", "v1", MANIFEST, MEDIA_TYPE, {DIGEST: DATA})
    registry.blob_faults = [
        BlobFaults(stall_after=100, times=1),
        BlobFaults(stall_after=0, times=1),
        BlobFaults(drip_after=10, drip_interval=60, times=1),
        BlobFaults(hold=threading.Event(), times=1),
    ]

    def body() -> bytes:
        got = b""
        with httpx.Client(trust_env=False, timeout=60) as client:
            try:
                with client.stream("GET", registry.url + BLOB) as response:
                    for piece in response.iter_raw():
                        got += piece
                        started.release()
            except httpx.TransportError:
                return got
        pytest.fail("the body was complete")

    started = threading.Semaphore(0)
    with ThreadPoolExecutor(4) as pool:
        bodies = [pool.submit(body) for _ in range(4)]
        for _ in range(2):
            assert started.acquire(timeout=60)
        registry.close()
        assert registry.registry.wait_until_idle(0)
        assert sorted(len(one.result(timeout=60)) for one in bodies) == [0, 0, 10, 100]


def test_closing_does_not_wait_for_a_client_that_reads_nothing() -> None:
    big = b"x" * (64 << 20)
    with (
        FakeRegistry() as registry,
        httpx.Client(trust_env=False, timeout=60) as client,
    ):
        registry.put("team/model", "v1", MANIFEST, MEDIA_TYPE, {DIGEST: big})
        with client.stream("GET", registry.url + BLOB):
            registry.close()
            assert registry.registry.wait_until_idle(0)
        assert registry.bytes_served < len(big)


def test_a_stall_lets_go_of_a_client_that_leaves(
    registry: FakeRegistry, client: httpx.Client
) -> None:
    registry.blob_faults = BlobFaults(stall_after=100, times=1)
    with client.stream("GET", BLOB) as response:
        pieces = response.iter_raw(100)  # kept: httpx hangs up when its iterator goes
        assert len(next(pieces)) == 100
        assert not registry.registry.wait_until_idle(0)
    assert registry.registry.wait_until_idle(60)
    assert client.get(BLOB).content == DATA


def test_drips(registry: FakeRegistry, client: httpx.Client) -> None:
    registry.blob_faults = BlobFaults(drip_after=1019, drip_interval=0.001)
    for _ in range(2):
        with client.stream("GET", BLOB) as response:
            assert b"".join(response.iter_raw()) == DATA
    assert registry.registry.connections == 1


def test_held_until_released(registry: FakeRegistry) -> None:
    release = threading.Event()
    registry.auth = Auth()
    registry.token_faults = TokenFaults(hold=release)
    with httpx.Client(trust_env=False, timeout=60) as client, ThreadPoolExecutor(1) as pool:
        reply = pool.submit(token_from, client, registry)
        assert not reply.done()
        release.set()
        assert reply.result(timeout=60).status_code == 200


def test_many_clients_at_once(registry: FakeRegistry) -> None:
    registry.redirects = Redirects()

    # No connection is too old to be used again, and replaced by another one.
    options: dict[str, Any] = {"timeout": 60, "limits": httpx.Limits(keepalive_expiry=None)}
    with httpx.Client(trust_env=False, **options) as client, ThreadPoolExecutor(16) as pool:

        def pull(index: int) -> bytes:
            part = {"Range": f"bytes={index}-{index}"}
            return client.get(registry.url + BLOB, headers=part, follow_redirects=True).content

        assert b"".join(pool.map(pull, range(256))) == DATA[:256]
    assert registry.count("GET", "blob", "storage", 206) == 256
    assert registry.storage.peak_connections <= 16


# --- TLS


def test_tls(registry: FakeRegistry) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with (
        FakeRegistry(tls=server, plain=["storage"]) as secure,
        httpx.Client(verify=trusting, trust_env=False, timeout=60) as client,
    ):
        secure.put("team/model", "v1", MANIFEST, MEDIA_TYPE, {DIGEST: DATA})
        assert secure.url.startswith("https://")
        assert client.get(secure.url + BLOB).content == DATA
        secure.blob_faults = [
            BlobFaults(cut_after=9, times=1),
            BlobFaults(stall_after=9, times=1),
            BlobFaults(drip_after=1020, drip_interval=0.001),
        ]
        assert partial_body(client, secure.url + BLOB)[0] == DATA[:9]
        with pytest.raises(httpx.ReadTimeout):
            client.get(secure.url + BLOB, timeout=httpx.Timeout(60, read=1))
        assert client.get(secure.url + BLOB).content == DATA
        secure.redirects = Redirects()
        assert client.get(secure.url + BLOB).headers["location"].startswith("http://")
        with pytest.raises(httpx.TransportError):
            client.get(f"http://{secure.address}/v2/")
        with pytest.raises(httpx.ConnectError, match=r"(?i)wrong.version|ssl"):
            client.get(f"https://{registry.address}/v2/")
    with (
        FakeRegistry(tls=server) as unknown,
        httpx.Client(trust_env=False, timeout=60) as client,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.get(unknown.url)

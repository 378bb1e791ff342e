"""Who is let in, with what, and what is told when nobody is."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import respx

from oci_pull.errors import (
    AccessDenied,
    AccessError,
    ConnectionFailed,
    CredentialsRejected,
    CredentialsRequired,
    OciPullError,
    RateLimited,
    RedirectRefused,
    RequestRefused,
    ServerFailed,
)
from oci_pull.oci.credential import Anonymous, Basic, Credential, IdentityToken, RegistryToken
from tests.fakes.registry import (
    Auth,
    BlobFaults,
    FakeRegistry,
    ManifestFaults,
    ServerFaults,
    TokenFaults,
)
from tests.unit.adapters.pulling import ARTIFACT, CONTENT, DIGEST, REPOSITORY, Pull

SECRET = "s3cr3t"
ADA = Basic("ada", SECRET, "/home/ada/.docker/config.json")
REFRESH = IdentityToken(SECRET, "docker-credential-acr")
USERS = {"ada": SECRET}
SCOPE = f"repository:{REPOSITORY}:pull"


def tokens(registry: FakeRegistry) -> list[Any]:
    return registry.find(kind="token")


# --- nobody has to say who they are


def test_an_open_registry_is_sent_nothing(registry: FakeRegistry, puller: Pull) -> None:
    pull = puller(credential=ADA)
    assert pull.document() == ARTIFACT.manifest
    assert pull.read() == CONTENT
    assert not [each for each in registry.requests if "authorization" in each.headers]
    assert pull.asked == 0


def test_anonymous_gets_a_token(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth()
    assert puller().document() == ARTIFACT.manifest
    (asked,) = tokens(registry)
    assert "authorization" not in asked.headers
    assert asked.params == {
        "service": ["fake-registry"],
        "scope": [SCOPE],
        "client_id": ["oci-pull"],
    }
    first, second = registry.find(kind="manifest")
    assert (first.status, second.status) == (401, 200)
    assert "authorization" not in first.headers
    assert second.headers["authorization"].startswith("Bearer fake-token-")


# --- Basic


def test_a_password_is_sent_where_it_is_asked_for(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth(scheme="basic", users=USERS)
    pull = puller(credential=ADA)
    for _ in range(2):
        assert pull.document() == ARTIFACT.manifest
    assert [each.status for each in registry.find(kind="manifest")] == [401, 200, 200]
    sent = registry.find(kind="manifest")[-1].headers["authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")).decode() == f"ada:{SECRET}"
    assert pull.asked == 1


@pytest.mark.parametrize("credential", [Anonymous(), REFRESH])
def test_without_a_password_basic_is_refused(
    registry: FakeRegistry, puller: Pull, credential: Credential
) -> None:
    registry.auth = Auth(scheme="basic", users=USERS)
    with pytest.raises(AccessError) as caught:
        puller(credential=credential).document()
    expected = CredentialsRequired if credential == Anonymous() else CredentialsRejected
    assert type(caught.value) is expected
    assert f"oci-pull login {registry.address}" in str(caught.value.hint)


def test_a_wrong_password_is_sent_once(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth(scheme="basic", users={"ada": "other"})
    with pytest.raises(CredentialsRejected, match=r"'ada' from /home/ada/") as e:
        puller(credential=ADA).document()
    assert registry.count(kind="manifest") == 2
    assert SECRET not in f"{e.value} {e.value.hint}"


# --- Bearer


def test_a_password_becomes_a_token(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth(users=USERS, anonymous=False)
    pull = puller(credential=ADA)
    assert pull.document() == ARTIFACT.manifest
    assert pull.read() == CONTENT
    (asked,) = tokens(registry)
    assert asked.method == "GET"
    assert asked.headers["authorization"] == ADA.header
    # The password goes to the token server alone.
    elsewhere = [each for each in registry.requests if each.kind != "token"]
    assert not [each for each in elsewhere if "Basic" in each.headers.get("authorization", "")]


def test_an_identity_token_is_posted(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth(identity_tokens=[SECRET], anonymous=False)
    assert puller(credential=REFRESH).document() == ARTIFACT.manifest
    (asked,) = tokens(registry)
    assert asked.method == "POST"
    assert SECRET not in asked.query
    assert asked.form == {
        "grant_type": ["refresh_token"],
        "client_id": ["oci-pull"],
        "service": ["fake-registry"],
        "scope": [SCOPE],
        "refresh_token": [SECRET],
    }


def test_a_registry_token_is_sent_as_it_is(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth()
    with pytest.raises(CredentialsRejected) as caught:
        puller(credential=RegistryToken(SECRET, "config.json")).document()
    assert tokens(registry) == []
    assert registry.find(kind="manifest")[-1].headers["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "auth",
    [
        {"service": None},
        {"scope": None},
        {"scope": "repository:{name}:pull,push"},
        {"challenge_name": "bearer"},
        {"challenge_name": "BEARER", "quoted": False},
        {"beside": "Negotiate"},
        {"beside": 'Basic realm="old, but here"'},
        {"beside": "Negotiate abc==", "joined": True},
        {"beside": 'Digest realm="x", nonce="y,z"', "joined": True},
        {"realm": "{registry}/token"},
        {"realm": "/token"},
        {"realm": "{token}/token?account=robot%20one&x=1"},
    ],
    ids=str,
)
def test_every_shape_of_a_challenge(
    registry: FakeRegistry, puller: Pull, auth: dict[str, Any]
) -> None:
    registry.auth = Auth(users=USERS, **auth)
    assert puller(credential=ADA).document() == ARTIFACT.manifest
    (asked,) = tokens(registry)
    wanted = auth.get("scope") or "repository:{name}:pull"
    assert asked.params["scope"] == wanted.replace("{name}", REPOSITORY).split()
    assert asked.params.get("service") == (
        None if auth.get("service", "") is None else ["fake-registry"]
    )
    if "?" in auth.get("realm", ""):
        assert (asked.params["account"], asked.params["x"]) == (["robot one"], ["1"])


@pytest.mark.parametrize(
    "faults",
    [
        {"fields": "token"},
        {"fields": "access_token"},
        {"expires_in": None},
        {"expires_in": 0},
        {"issued_at": None},
        {"chunked": True},
        {"content_type": "text/plain"},
        {"padding": 100_000},
    ],
    ids=str,
)
def test_every_shape_of_a_token(
    registry: FakeRegistry, puller: Pull, faults: dict[str, Any]
) -> None:
    registry.auth = Auth()
    registry.token_faults = TokenFaults(**faults)
    if faults.get("expires_in") == 0:
        registry.token_faults = TokenFaults(body=b'{"token": "none", "expires_in": 0}')
        with pytest.raises(CredentialsRequired):
            puller().document()
        return
    assert puller().document() == ARTIFACT.manifest


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!doctype html>",
        b"[]",
        b"null",
        b"{}",
        b'{"token": null}',
        b'{"token": ""}',
        b'{"token": 7}',
        b'{"token": {"a": 1}}',
        b'{"token": "s3cr3t\\r\\nX-Evil: 1"}',
        b'{"token": "s3cr3t t\xc3\xb6k\xc3\xa9n"}',
        b"[" * 100_000,
        b'"' + b"x" * (1 << 20) + b'"',
    ],
    ids=lambda body: repr(body[:40]),
)
def test_a_reply_that_is_no_token_is_a_failure_of_the_server(
    registry: FakeRegistry, puller: Pull, body: bytes
) -> None:
    registry.auth = Auth()
    registry.token_faults = TokenFaults(body=body)
    with pytest.raises(ServerFailed, match=registry.token_server.address) as caught:
        puller().document()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (TokenFaults(status=401), CredentialsRejected),
        (TokenFaults(status=403), CredentialsRejected),
        (TokenFaults(status=404), RequestRefused),
        (TokenFaults(status=429, retry_after=7), RateLimited),
        (TokenFaults(status=503, retry_after=7), ServerFailed),
        (TokenFaults(no_access=True), AccessDenied),
    ],
    ids=str,
)
def test_a_token_server_that_gives_none(
    registry: FakeRegistry, puller: Pull, faults: TokenFaults, error: type[OciPullError]
) -> None:
    registry.auth = Auth(users=USERS)
    registry.token_faults = faults
    with pytest.raises(error) as caught:
        puller(credential=ADA).document()
    assert getattr(caught.value, "retry_after", None) == faults.retry_after
    assert len(tokens(registry)) == 1
    assert SECRET not in str(caught.value)


def test_a_token_server_that_is_gone_is_named(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth()
    registry.token_server.close()
    with pytest.raises(ConnectionFailed, match=registry.token_server.address):
        puller().document()


@pytest.mark.parametrize(
    ("realm", "error"),
    [
        ("", ServerFailed),
        ("ftp://{token}/token", RedirectRefused),
        ("http://[::1", RequestRefused),
        ("http://127.0.0.1:99999999/token", OciPullError),
        ("http://exa mple/token", OciPullError),
    ],
)
def test_a_realm_that_cannot_be(
    registry: FakeRegistry, puller: Pull, realm: str, error: type[OciPullError]
) -> None:
    registry.auth = Auth(realm=realm)
    with pytest.raises(error):
        puller().document()
    assert tokens(registry) == []


@respx.mock
def test_several_scopes_are_asked_for_one_by_one(puller: Pull) -> None:
    challenge = 'Bearer realm="https://auth.example/token",scope="repository:a:pull repository:b:*"'
    route = respx.get(url__startswith="https://registry.example/v2/")
    route.side_effect = [
        httpx.Response(401, headers={"WWW-Authenticate": challenge}),
        httpx.Response(200, content=ARTIFACT.manifest),
    ]
    asked = respx.get(url__startswith="https://auth.example/token").respond(json={"token": "t"})
    puller(plain_http=False, host="registry.example").document()
    scopes = asked.calls.last.request.url.params.get_list("scope")
    assert scopes == ["repository:a:pull", "repository:b:*"]


@respx.mock
def test_a_realm_without_encryption_gets_no_password(puller: Pull) -> None:
    """Of a registry that is reached with it."""
    pull = puller(credential=ADA, plain_http=False, host="registry.example")
    challenge = {"WWW-Authenticate": 'Bearer realm="http://registry.example/token"'}
    respx.get(f"https://registry.example/v2/{REPOSITORY}/manifests/v1").respond(
        401, headers=challenge
    )
    with pytest.raises(RedirectRefused, match="without encryption"):
        pull.document()
    assert respx.calls.call_count == 1


# --- who is refused


@pytest.mark.parametrize(
    ("auth", "credential", "error"),
    [
        (Auth(anonymous=False), Anonymous(), CredentialsRequired),
        (Auth(private=[REPOSITORY]), Anonymous(), CredentialsRequired),
        (Auth(users={"ada": "other"}), ADA, CredentialsRejected),
        (Auth(identity_tokens=["other"]), REFRESH, CredentialsRejected),
        (Auth(challenge_on="none"), Anonymous(), CredentialsRequired),
        (Auth(challenge_on="none", users=USERS), ADA, CredentialsRejected),
        (Auth(realm="{token}/token/refuses"), Anonymous(), CredentialsRequired),
    ],
)
def test_who_is_not_let_in(
    registry: FakeRegistry,
    puller: Pull,
    auth: Auth,
    credential: Credential,
    error: type[AccessError],
) -> None:
    registry.auth = auth
    for ask in ("document", "read"):
        pull = puller(credential=credential)
        with pytest.raises(error) as caught:
            getattr(pull, ask)()
        assert str(credential) in str(caught.value)
        assert not caught.value.retryable
        assert SECRET not in f"{caught.value} {caught.value.hint} {caught.value!r}"
    # A second refusal is the last.
    assert registry.count(kind="manifest") <= 2


@pytest.mark.parametrize("credential", [Anonymous(), ADA])
def test_forbidden_is_told_as_such(
    registry: FakeRegistry, puller: Pull, credential: Credential
) -> None:
    pull = puller(credential=credential)
    registry.manifest_faults = ManifestFaults(status=403)
    registry.blob_faults = BlobFaults(status=403)
    for ask in (pull.document, pull.read):
        with pytest.raises(AccessDenied, match="denied"):
            ask()


def test_unexpectedly_refused_on_every_request(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth(service=None)
    registry.server_faults = ServerFaults(
        status=401,
        headers={"WWW-Authenticate": f'Bearer realm="{registry.token_server.url}/token"'},
    )
    with pytest.raises(CredentialsRequired):
        puller().document()
    assert registry.count(kind="manifest") == 2
    assert len(tokens(registry)) == 1


# --- the life of a token


def test_a_token_serves_until_it_expires(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth()
    registry.token_faults = TokenFaults(expires_in=300)
    pull = puller()
    for _ in range(3):
        pull.document()
        pull.read()
    assert len(tokens(registry)) == 1
    # It is renewed a little early, and without asking for another challenge.
    pull.clock.advance(296)
    before = registry.count(status=401)
    pull.document()
    assert len(tokens(registry)) == 2
    assert registry.count(status=401) == before


@pytest.mark.parametrize("expires_in", [None, 1])
def test_a_token_lives_a_minute_at_least(
    registry: FakeRegistry, puller: Pull, expires_in: int | None
) -> None:
    registry.auth = Auth()
    registry.token_faults = TokenFaults(expires_in=expires_in)
    pull = puller()
    pull.document()
    pull.clock.advance(50)
    pull.document()
    assert len(tokens(registry)) == 1
    pull.clock.advance(10)
    pull.document()
    assert len(tokens(registry)) == 2


def test_a_token_that_is_revoked_is_renewed_in_mid_download(
    registry: FakeRegistry, puller: Pull
) -> None:
    registry.auth = Auth()
    pull = puller()
    pull.document()
    registry.revoke_tokens()
    assert pull.read() == CONTENT
    assert pull.document(DIGEST) == ARTIFACT.manifest
    assert len(tokens(registry)) == 2


def test_a_realm_that_moves_after_expiry_is_not_followed(
    registry: FakeRegistry, puller: Pull
) -> None:
    """nvcr.io points elsewhere then, where nobody is anonymous."""
    registry.auth = Auth(realm_after_expiry="{token}/token/refuses")
    pull = puller()
    pull.document()
    registry.revoke_tokens()
    assert pull.document() == ARTIFACT.manifest


def test_many_workers_ask_for_one_token(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth()
    pull = puller()
    with ThreadPoolExecutor(8) as executor:
        assert set(executor.map(lambda _: pull.read(), range(16))) == {CONTENT}
        assert len(tokens(registry)) == 1
        registry.revoke_tokens()
        assert set(executor.map(lambda _: pull.read(), range(16))) == {CONTENT}
    assert len(tokens(registry)) == 2
    assert pull.asked == 1


def test_no_token_is_in_any_representation(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth(users=USERS, anonymous=False)
    pull = puller(credential=ADA)
    pull.document()
    texts = f"{pull.auth!r} {vars(pull.auth)!r} {pull.source!r}"
    assert SECRET not in texts
    assert "fake-token" not in texts
    assert pull.auth.header() == "Bearer fake-token-1"

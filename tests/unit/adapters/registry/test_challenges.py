"""Every challenge and every token service that was seen in the wild, beside those in test_auth."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import respx

from oci_pull.adapters.registry.auth import RegistryAuth
from oci_pull.adapters.registry.http import make_client
from oci_pull.adapters.registry.tokens import TokenCache
from oci_pull.errors import (
    AccessDenied,
    AccessError,
    CredentialsRejected,
    CredentialsRequired,
    RateLimited,
    RealmNotTrusted,
    RedirectRefused,
    RequestRefused,
    ServerFailed,
)
from oci_pull.oci.credential import Anonymous, Basic, Credential, IdentityToken
from tests.fakes.clock import FakeClock
from tests.fakes.registry import HTML_PAGE, Auth, FakeRegistry, ManifestFaults, TokenFaults
from tests.unit.adapters.pulling import ARTIFACT, CONTENT, NETWORK, REPOSITORY, Pull

SECRET = "s3cr3t"
ADA = Basic("ada", SECRET, "config.json")
REFRESH = IdentityToken(SECRET, "docker-credential-acr")
USERS = {"ada": SECRET}
REGISTRY = "registry.example"
MANIFEST = f"https://{REGISTRY}/v2/{REPOSITORY}/manifests/v1"


def asked(registry: FakeRegistry) -> list[tuple[str, int | None]]:
    return [(each.method, each.status) for each in registry.find(kind="token")]


# --- where the challenge is


@pytest.mark.parametrize("credential", [Anonymous(), ADA])
def test_a_challenge_that_only_the_root_has_is_asked_for_once(
    registry: FakeRegistry, puller: Pull, credential: Credential
) -> None:
    """As Google's registry had it."""
    registry.auth = Auth(challenge_on="ping", users=USERS)
    pull = puller(credential=credential)
    assert pull.document() == ARTIFACT.manifest
    assert pull.read() == CONTENT
    assert registry.count(kind="ping") == 1
    registry.revoke_tokens()
    assert pull.read() == CONTENT
    assert registry.count(kind="ping") == 1
    assert len(asked(registry)) == 2


def test_no_challenge_anywhere_is_told(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth(challenge_on="none")
    with pytest.raises(CredentialsRequired, match="does not say which"):
        puller().document()
    assert registry.count(kind="ping") == 1


def test_a_realm_that_redirects_is_not_followed(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth(realm="{token}/token/moved", users=USERS)
    with pytest.raises(RedirectRefused, match="is not sent on") as caught:
        puller(credential=ADA).document()
    assert registry.token_server.address in str(caught.value)
    assert registry.find(origin="storage") == []


# --- whose token service it is


def _challenging(realm: str) -> respx.Route:
    challenge = f'Bearer realm="{realm}",service="s"'
    route = respx.get(MANIFEST)
    route.side_effect = [
        httpx.Response(401, headers={"WWW-Authenticate": challenge}),
        httpx.Response(200, content=ARTIFACT.manifest),
    ]
    return route


@pytest.mark.parametrize("credential", [ADA, REFRESH])
@respx.mock
def test_no_credential_goes_to_a_stranger(puller: Pull, credential: Credential) -> None:
    _challenging("https://stranger.test:8443/token")
    with pytest.raises(RealmNotTrusted) as caught:
        puller(credential=credential, plain_http=False, host=REGISTRY).document()
    assert respx.calls.call_count == 1
    text = f"{caught.value} {caught.value.hint}"
    assert f'[registry."{REGISTRY}"]  token_hosts = ["stranger.test"]' in text
    assert SECRET not in text
    assert caught.value.exit_code == 4


@respx.mock
def test_nobody_may_ask_a_stranger(puller: Pull) -> None:
    _challenging("https://stranger.test/token")
    token = respx.get("https://stranger.test/token").respond(json={"token": "t"})
    assert puller(plain_http=False, host=REGISTRY).document() == ARTIFACT.manifest
    assert "authorization" not in token.calls.last.request.headers


@pytest.mark.parametrize(
    ("realm", "token_hosts"),
    [
        ("https://auth.registry.example/token", ()),
        ("https://stranger.test/token", ("stranger.test",)),
    ],
)
@respx.mock
def test_a_credential_goes_to_its_owner_and_to_whom_the_user_names(
    puller: Pull, realm: str, token_hosts: tuple[str, ...]
) -> None:
    _challenging(realm)
    token = respx.get(url__startswith=realm).respond(json={"token": "t"})
    options = {"plain_http": False, "host": REGISTRY, "token_hosts": token_hosts}
    assert puller(credential=ADA, **options).document() == ARTIFACT.manifest
    assert token.calls.last.request.headers["authorization"] == ADA.header


@respx.mock
def test_a_user_in_a_realm_is_nobody(puller: Pull) -> None:
    _challenging(f"https://evil:pass@{REGISTRY}/token#x")
    token = respx.get(url__startswith=f"https://{REGISTRY}/token").respond(json={"token": "t"})
    assert puller(plain_http=False, host=REGISTRY).document() == ARTIFACT.manifest
    assert "authorization" not in token.calls.last.request.headers


@respx.mock
def test_nobody_is_sent_to_the_metadata_of_a_cloud(puller: Pull) -> None:
    _challenging("https://169.254.169.254/token")
    with pytest.raises(RedirectRefused):
        puller(plain_http=False, host=REGISTRY).document()
    assert respx.calls.call_count == 1


# --- what the token service answers


@pytest.mark.parametrize("status", [404, 405])
def test_a_service_without_post_is_asked_with_get_and_without_a_password(
    registry: FakeRegistry, puller: Pull, status: int
) -> None:
    registry.auth = Auth(identity_tokens=[SECRET])
    registry.token_faults = TokenFaults(post_status=status)
    assert puller(credential=REFRESH).document() == ARTIFACT.manifest
    assert asked(registry) == [("POST", status), ("GET", 200)]
    assert "authorization" not in registry.find("GET", "token")[0].headers
    assert SECRET not in registry.find("GET", "token")[0].query


@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_identity_token_that_is_refused_is_not_nobody(
    registry: FakeRegistry, puller: Pull, status: int
) -> None:
    registry.auth = Auth(identity_tokens=[SECRET])
    registry.token_faults = TokenFaults(post_status=status)
    with pytest.raises(CredentialsRejected, match="docker-credential-acr"):
        puller(credential=REFRESH).document()
    assert asked(registry) == [("POST", status)]


@pytest.mark.parametrize(
    ("expires_in", "lifetime"),
    [
        ("300", 300),
        (300, 300),
        (300.5, 300.5),
        ('"300"', 300),
        (5, 60),
        (0, 60),
        (-300, 60),
        ("null", 60),
        ("true", 60),
        ('"soon"', 60),
        ("[1]", 60),
        ("NaN", 60),
        ("-Infinity", 60),
        ("Infinity", 86400),
        ("1e300", 86400),
        ("9" * 400, 60),
    ],
)
@pytest.mark.parametrize("issued_at", ['"1999-01-01T00:00:00Z"', '"2999-01-01T00:00:00Z"', "7"])
@respx.mock
def test_how_long_a_token_is_believed(
    puller: Pull, expires_in: object, lifetime: float, issued_at: str
) -> None:
    realm = f"https://{REGISTRY}/token"
    challenge = httpx.Response(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'})
    granted = httpx.Response(200, content=ARTIFACT.manifest)
    respx.get(MANIFEST).side_effect = [challenge, granted, granted, granted]
    body = f'{{"token": "t", "expires_in": {expires_in}, "issued_at": {issued_at}}}'
    token = respx.get(url__startswith=realm).respond(content=body.encode())
    pull = puller(plain_http=False, host=REGISTRY)
    pull.document()
    pull.clock.advance(lifetime - 6)
    pull.document()
    assert token.call_count == 1
    pull.clock.advance(1)
    pull.document()
    assert token.call_count == 2


@pytest.mark.parametrize("skew", [timedelta(days=1), timedelta(days=-1)])
def test_the_clock_of_the_token_service_does_not_matter(
    registry: FakeRegistry, puller: Pull, skew: timedelta
) -> None:
    registry.auth = Auth()
    registry.token_faults = TokenFaults(issued_at=skew)
    pull = puller()
    for _ in range(3):
        pull.document()
    assert len(asked(registry)) == 1


@pytest.mark.parametrize("chunked", [True, False])
def test_a_reply_of_ten_megabytes_is_not_read(
    registry: FakeRegistry, puller: Pull, chunked: bool
) -> None:
    registry.auth = Auth()
    registry.token_faults = TokenFaults(padding=10 * 2**20, chunked=chunked)
    with pytest.raises(ServerFailed, match="too long for a token"):
        puller().document()


def test_a_login_page_is_no_token(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth()
    registry.token_faults = TokenFaults(body=HTML_PAGE, content_type="text/html")
    with pytest.raises(ServerFailed, match="no token"):
        puller().document()


def test_a_limit_at_the_token_service_says_until_when(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth(users=USERS)
    moment = datetime.now(UTC) + timedelta(hours=2)
    registry.token_faults = TokenFaults(status=429, retry_after=moment)
    with pytest.raises(RateLimited, match="asked as: user 'ada'") as caught:
        puller(credential=ADA).document()
    assert caught.value.retry_after == pytest.approx(7200, abs=60)


@pytest.mark.parametrize(
    ("status", "error"), [(500, ServerFailed), (503, ServerFailed), (400, RequestRefused)]
)
def test_a_service_that_fails_once_is_asked_again_by_the_next_request(
    registry: FakeRegistry, puller: Pull, status: int, error: type[Exception]
) -> None:
    registry.auth = Auth()
    registry.token_faults = TokenFaults(status=status, times=1)
    pull = puller()
    with pytest.raises(error):
        pull.document()
    assert pull.document() == ARTIFACT.manifest


# --- what the registry says of the token


def test_a_scope_that_is_wanted_only_then_is_asked_for(
    registry: FakeRegistry, puller: Pull
) -> None:
    registry.auth = Auth(scope=None)
    pull = puller()
    pull.document()
    registry.auth = Auth(scope="repository:shared/base:pull")
    assert pull.document() == ARTIFACT.manifest
    first, second = registry.find(kind="token")
    assert first.params["scope"] == [f"repository:{REPOSITORY}:pull"]
    # The new one first, because some read only that.
    assert second.params["scope"] == [
        "repository:shared/base:pull",
        f"repository:{REPOSITORY}:pull",
    ]


@respx.mock
def test_a_scope_may_be_insufficient_before_any_token_was_sent(puller: Pull) -> None:
    """As Alibaba's registries say it."""
    challenge = (
        f'Bearer realm="https://{REGISTRY}/token",scope="repository:a:push,pull",'
        'error="insufficient_scope"'
    )
    respx.get(MANIFEST).side_effect = [
        httpx.Response(401, headers={"WWW-Authenticate": challenge}),
        httpx.Response(200, content=ARTIFACT.manifest),
    ]
    respx.get(url__startswith=f"https://{REGISTRY}/token").respond(json={"token": "t"})
    assert puller(plain_http=False, host=REGISTRY).document() == ARTIFACT.manifest


@respx.mock
def test_another_scope_beside_an_expired_token_is_not_asked_for(puller: Pull) -> None:
    """The first challenge counts, as with nvcr.io."""
    realm = f"https://{REGISTRY}/token"
    first = f'Bearer realm="{realm}",scope="repository:a:pull"'
    second = f'Bearer realm="{realm}",scope="repository:b:pull",error="invalid_token"'
    granted = httpx.Response(200, content=ARTIFACT.manifest)
    respx.get(MANIFEST).side_effect = [
        httpx.Response(401, headers={"WWW-Authenticate": first}),
        granted,
        httpx.Response(401, headers={"WWW-Authenticate": second}),
        granted,
    ]
    token = respx.get(url__startswith=realm)
    token.side_effect = [httpx.Response(200, json={"token": name}) for name in "tu"]
    pull = puller(plain_http=False, host=REGISTRY)
    assert pull.document() == pull.document() == ARTIFACT.manifest
    scopes = [call.request.url.params.get_list("scope") for call in token.calls]
    assert scopes == [["repository:a:pull"]] * 2


@respx.mock
def test_a_request_may_need_two_new_tokens_after_an_old_one(puller: Pull) -> None:
    realm = f"https://{REGISTRY}/token"
    bare, expired, narrow = (
        httpx.Response(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",{words}'})
        for words in (
            'scope="a"',
            'scope="a",error="invalid_token"',
            'scope="b",error="insufficient_scope"',
        )
    )
    granted = httpx.Response(200, content=ARTIFACT.manifest)
    respx.get(MANIFEST).side_effect = [bare, granted, bare, expired, narrow, granted]
    token = respx.get(url__startswith=realm)
    token.side_effect = [httpx.Response(200, json={"token": name}) for name in "tuv"]
    tokens = TokenCache()
    for _ in range(2):
        pull = puller(plain_http=False, host=REGISTRY, tokens=tokens)
        assert pull.document() == ARTIFACT.manifest
    scopes = [call.request.url.params.get_list("scope") for call in token.calls]
    assert scopes == [["a"], ["a"], ["b", "a"]]


@respx.mock
def test_a_registry_that_wants_ever_more_is_given_up(puller: Pull) -> None:
    realm = f"https://{REGISTRY}/token"
    count = iter(range(100))

    def wants_more(_: httpx.Request) -> httpx.Response:
        more = f'Bearer realm="{realm}",scope="repository:{next(count)}:pull"'
        return httpx.Response(
            401, headers={"WWW-Authenticate": f'{more},error="insufficient_scope"'}
        )

    respx.get(MANIFEST).side_effect = wants_more
    token = respx.get(url__startswith=realm)
    token.side_effect = [httpx.Response(200, json={"token": name}) for name in "abcdefghijklmnop"]
    pull = puller(plain_http=False, host=REGISTRY)
    for _ in range(5):
        with pytest.raises(AccessError):
            pull.document()
    assert token.call_count <= 8


@pytest.mark.parametrize(
    ("credential", "error"), [(ADA, AccessDenied), (Anonymous(), CredentialsRequired)]
)
def test_a_new_token_that_allows_nothing_means_no_access_and_is_asked_for_once(
    registry: FakeRegistry, puller: Pull, credential: Credential, error: type[AccessError]
) -> None:
    registry.auth = Auth(users=USERS)
    registry.token_faults = TokenFaults(no_access=True)
    pull = puller(credential=credential)

    def fails() -> type[BaseException]:
        with pytest.raises(AccessError) as caught:
            pull.read()
        return caught.type

    with ThreadPoolExecutor(8) as executor:
        kinds = {each.result() for each in [executor.submit(fails) for _ in range(16)]}
    assert kinds == {error}
    assert len(asked(registry)) == 1


@respx.mock
def test_a_registry_that_takes_no_token_of_its_own_service_is_told(puller: Pull) -> None:
    challenge = f'Bearer realm="https://{REGISTRY}/token",error="invalid_token"'
    respx.get(MANIFEST).respond(401, headers={"WWW-Authenticate": challenge})
    token = respx.get(url__startswith=f"https://{REGISTRY}/token").respond(json={"token": "t"})
    with pytest.raises(CredentialsRejected, match="its own token service") as caught:
        puller(credential=ADA, plain_http=False, host=REGISTRY).document()
    assert "the clock here" in str(caught.value.hint)
    assert token.call_count == 1


@respx.mock
def test_a_password_of_ecr_that_has_expired_is_told(puller: Pull) -> None:
    errors = [{"code": "DENIED", "message": "Your authorization token has expired. Log in again."}]
    respx.get(url__startswith=f"https://{REGISTRY}/v2/").respond(403, json={"errors": errors})
    pull = puller(credential=ADA, plain_http=False, host=REGISTRY)
    for ask in (pull.document, pull.read):
        with pytest.raises(CredentialsRejected, match="has expired") as caught:
            ask()
        assert "aws ecr get-login-password" in str(caught.value.hint)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"authorization token has expired",
        b'{"errors": []}',
        b'{"errors": [{"code": "DENIED"}]}',
        b'{"errors": [{"code": "DENIED", "message": "no"}]}',
        b'{"errors": 7}',
        b"[]",
        b'{"errors": [{"message": "authorization token has expired"}]}' + b" " * 70_000,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_any_other_403_is_a_denial(registry: FakeRegistry, puller: Pull, body: bytes) -> None:
    request = httpx.Request("GET", registry.url)
    error = puller(credential=ADA).auth.forbidden(
        httpx.Response(403, content=body, request=request), "denied"
    )
    assert type(error) is AccessDenied


# --- one run


def test_tokens_are_shared_by_the_pulls_of_a_run(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth()
    tokens = TokenCache()
    first, second = puller(tokens=tokens), puller(tokens=tokens)
    first.document()
    assert second.read() == CONTENT
    assert len(asked(registry)) == 1
    registry.revoke_tokens()
    # One that knows only from the other that there is a token, and then that it has expired.
    third = puller(tokens=tokens)
    assert third.read() == CONTENT
    assert first.read() == CONTENT
    assert len(asked(registry)) == 2


def test_nobody_gets_the_token_of_somebody_else(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth(users=USERS)
    tokens = TokenCache()
    puller(tokens=tokens, credential=ADA).document()
    puller(tokens=tokens).document()
    assert len(asked(registry)) == 2


def test_without_a_repository_no_scope_is_asked_for(registry: FakeRegistry) -> None:
    registry.auth = Auth(users=USERS, scope="repository:anything:pull")
    with make_client(NETWORK) as client:
        auth = RegistryAuth(
            host=registry.address,
            repository="",
            credential=lambda: ADA,
            client=client,
            clock=FakeClock(),
        )
        assert auth.answer(client.get(f"{registry.url}/v2/x/manifests/y"), None)
    (request,) = registry.find(kind="token")
    assert "scope" not in request.params
    assert request.headers["authorization"] == ADA.header


# --- limits


@pytest.mark.parametrize(
    ("credential", "who"), [(Anonymous(), "anonymous"), (ADA, "user 'ada' from config.json")]
)
def test_a_limit_says_as_whom_one_asked(
    registry: FakeRegistry, puller: Pull, credential: Credential, who: str
) -> None:
    registry.auth = Auth(users=USERS)
    registry.manifest_faults = ManifestFaults(status=429)
    with pytest.raises(RateLimited) as caught:
        puller(credential=credential).document()
    assert f"asked as: {who}" in str(caught.value)
    assert (f"oci-pull login {registry.address}" in str(caught.value.hint)) == (who == "anonymous")


def test_who_was_never_asked_for_a_credential_is_anonymous(
    registry: FakeRegistry, puller: Pull
) -> None:
    registry.manifest_faults = ManifestFaults(status=429)
    pull = puller(credential=ADA)
    with pytest.raises(RateLimited, match="anonymous"):
        pull.document()
    assert pull.asked == 0

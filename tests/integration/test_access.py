"""Registries that want to know who asks, and how a user says it; blobs elsewhere; TLS."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_sound, assert_tree
from tests.servers.debian import ToolUnavailable, tool
from tests.servers.distribution import Distribution, Htpasswd, Options
from tests.servers.nginx import Nginx
from tests.servers.nginx import Options as NginxOptions
from tests.servers.push import Credentials, push, reference
from tests.servers.tls import Authority
from tests.servers.token_service import REGISTRY_LEEWAY, Policy, TokenService

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.command import Command

_FILES = builders.tiny_model(shards=2)
_ADA = Credentials("ada", "pä:ss wörd%2F")
_REPOSITORY = "private/model"


def _push(registry: Distribution) -> str:
    push(registry.url, _REPOSITORY, "v1", builders.docker_v02(_FILES), credentials=_ADA)
    return reference(registry.url, _REPOSITORY, "v1")


@pytest.fixture(scope="module")
def basic(scratch: Path) -> Iterator[Distribution]:
    auth = Htpasswd({_ADA.username: _ADA.password})
    with Distribution(scratch / "basic", Options(auth=auth)) as found:
        _push(found)
        yield found


@pytest.fixture(scope="module")
def tokens(scratch: Path) -> Iterator[TokenService]:
    with TokenService(scratch / "tokens", _policy()) as found:
        yield found


def _policy(lifetime: int = 300, backdate: int = 0) -> Policy:
    users = {_ADA.username: _ADA.password}
    return Policy(users=users, anonymous_pull=False, lifetime=lifetime, backdate=backdate)


@pytest.fixture(scope="module")
def bearer(scratch: Path, tokens: TokenService) -> Iterator[Distribution]:
    with Distribution(scratch / "bearer", Options(auth=tokens)) as found:
        _push(found)
        yield found


@pytest.fixture(params=["basic", "bearer"])
def guarded(request: pytest.FixtureRequest) -> Distribution:
    found: Distribution = request.getfixturevalue(request.param)
    return found


def _write_config(oci_pull: Command, config: object, folder: str = ".docker") -> Path:
    path = oci_pull.home / folder
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    return path


def _auths(host: str, credentials: Credentials = _ADA) -> dict[str, object]:
    pair = f"{credentials.username}:{credentials.password}".encode()
    return {"auths": {host: {"auth": base64.b64encode(pair).decode()}}}


def _reference(registry: Distribution) -> str:
    return reference(registry.url, _REPOSITORY, "v1")


# Credentials


def test_a_password_with_a_colon_and_other_letters_is_the_password(
    guarded: Distribution, oci_pull: Command
) -> None:
    _write_config(oci_pull, _auths(guarded.host))
    assert_tree(oci_pull(_reference(guarded)).path, _FILES)
    assert_sound(oci_pull.cache)


def test_the_directory_of_the_configuration_can_be_named(
    guarded: Distribution, oci_pull: Command
) -> None:
    directory = _write_config(oci_pull, _auths(guarded.host), "elsewhere")
    user = oci_pull.with_env(DOCKER_CONFIG=str(directory), HOME="")
    assert_tree(user("--cache-dir", oci_pull.cache, _reference(guarded)).path, _FILES)


def test_a_pull_secret_of_kubernetes_is_a_configuration(
    guarded: Distribution, oci_pull: Command
) -> None:
    directory = _write_config(oci_pull, _auths(guarded.host), "secret")
    (directory / "config.json").rename(directory / ".dockerconfigjson")
    user = oci_pull.with_env(DOCKER_CONFIG=str(directory))
    assert_tree(user(_reference(guarded)).path, _FILES)


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        (None, "credentials_required"),
        (Credentials("ada", "wr0ng-pass"), "credentials_rejected"),
        (Credentials("nobody", _ADA.password), "credentials_rejected"),
    ],
    ids=["none", "wrong-password", "unknown-user"],
)
def test_without_the_right_credentials_it_is_4(
    credentials: Credentials | None, code: str, guarded: Distribution, oci_pull: Command
) -> None:
    if credentials:
        _write_config(oci_pull, _auths(guarded.host, credentials))
    run = oci_pull("--format", "json", _reference(guarded)).must_fail(4)
    assert run.json["error"]["code"] == code
    assert f"oci-pull login {guarded.host}" in run.stderr
    for secret in (_ADA.password, "wr0ng-pass"):
        assert secret not in run.stderr + run.stdout
    assert_sound(oci_pull.cache)
    assert not (oci_pull.cache / "blobs").exists()


def test_the_credential_of_another_registry_is_not_sent(
    basic: Distribution, oci_pull: Command
) -> None:
    _write_config(oci_pull, _auths("127.0.0.1:1"))
    oci_pull(_reference(basic)).must_fail(4)


_HELPER = """#!/bin/sh
read -r host
echo "$1 $host" >>"{log}"
echo '{reply}'
exit {code}
"""


def _install_helper(oci_pull: Command, reply: str, code: int = 0) -> tuple[Command, Path]:
    programs, log = oci_pull.home / "bin", oci_pull.home / "helper.log"
    programs.mkdir()
    helper = programs / "docker-credential-test"
    helper.write_text(_HELPER.format(log=log, reply=reply, code=code))
    helper.chmod(0o755)
    return oci_pull.with_env(PATH=f"{programs}:/usr/bin:/bin"), log


@pytest.mark.parametrize("kind", ["credHelpers", "credsStore"])
def test_a_credential_helper_is_asked_for_the_host_of_the_registry(
    kind: str, guarded: Distribution, oci_pull: Command
) -> None:
    secret = {"ServerURL": guarded.host, "Username": _ADA.username, "Secret": _ADA.password}
    user, log = _install_helper(oci_pull, json.dumps(secret))
    _write_config(oci_pull, {kind: {guarded.host: "test"} if kind == "credHelpers" else "test"})
    assert_tree(user(_reference(guarded)).path, _FILES)
    assert set(log.read_text().splitlines()) == {f"get {guarded.host}"}


@pytest.mark.parametrize(
    ("reply", "code", "warns"),
    [
        ("credentials not found in native keychain", 1, False),
        ("the keychain is locked", 1, True),
        ("this is not JSON", 0, True),
    ],
    ids=["none", "fails", "nonsense"],
)
def test_a_helper_without_a_credential_means_anonymous(
    reply: str, code: int, warns: bool, basic: Distribution, oci_pull: Command
) -> None:
    user, _ = _install_helper(oci_pull, reply, code)
    _write_config(oci_pull, {"credsStore": "test"})
    run = user(_reference(basic)).must_fail(4)
    assert "anonymous" in run.stderr
    assert ("docker-credential-test" in run.stderr) == warns


def test_a_helper_that_is_not_installed_is_named(registry: Distribution, oci_pull: Command) -> None:
    _write_config(oci_pull, {"credsStore": "absent"})
    open_model = push(registry.url, "public/model", "v1", builders.docker_v02(_FILES))
    run = oci_pull(f"{registry.host}/public/model@{open_model}")
    # What is public comes nevertheless; this registry never asked.
    assert_tree(run.path, _FILES)


def test_an_identity_token_is_exchanged(
    bearer: Distribution, tokens: TokenService, oci_pull: Command
) -> None:
    token = tokens.issue_refresh_token("ada")
    _write_config(oci_pull, {"auths": {bearer.host: {"identitytoken": token}}})
    tokens.forget_requests()
    assert_tree(oci_pull(_reference(bearer)).path, _FILES)
    assert {(each.method, each.grant) for each in tokens.requests} == {("POST", "refresh_token")}


# Tokens


def test_one_token_serves_all_connections(
    bearer: Distribution, tokens: TokenService, oci_pull: Command
) -> None:
    _write_config(oci_pull, _auths(bearer.host))
    tokens.forget_requests()
    oci_pull(_reference(bearer)).must_succeed()
    (request,) = tokens.requests
    assert request.scopes == (f"repository:{_REPOSITORY}:pull",)
    assert request.service == tokens.service
    assert request.account == "ada"


def test_a_token_that_expires_in_the_middle_is_renewed(scratch: Path, oci_pull: Command) -> None:
    try:
        tool("nginx")
    except ToolUnavailable as missing:
        pytest.skip(str(missing))
    # The first of two blobs takes eight seconds, and the token is good for at most five. It has to
    # be used once before that is over, or it would be one that was never any good.
    slow, rate = b"s" * 800_000, 100_000
    files = {
        "config.json": b"{}",
        "model.safetensors": builders.safetensors({"w": ((200_000,), slow)}),
    }
    policy = _policy(lifetime=5, backdate=REGISTRY_LEEWAY)
    with TokenService(scratch / "short", _policy()) as tokens:
        options = Options(auth=tokens)
        with Distribution(scratch / "renewed", options) as registry:
            push(registry.url, _REPOSITORY, "v1", builders.docker_v02(files), credentials=_ADA)
        with Nginx(scratch / "slow", registry.storage, NginxOptions(rate=rate)) as nginx:
            redirected = Options(auth=tokens, redirect_to=nginx.url)
            with Distribution(scratch / "renewed", redirected) as again:
                tokens.policy = policy
                tokens.forget_requests()
                _write_config(oci_pull, _auths(again.host))
                run = oci_pull("--jobs", "1", _reference(again))
                assert_tree(run.path, files)
                assert len(tokens.requests) >= 2


# Blobs elsewhere


def test_blobs_are_fetched_from_where_the_registry_points_without_its_credential(
    scratch: Path, oci_pull: Command
) -> None:
    try:
        tool("nginx")
    except ToolUnavailable as missing:
        pytest.skip(str(missing))
    auth = Htpasswd({_ADA.username: _ADA.password})
    with Distribution(scratch / "front", Options(auth=auth)) as registry:
        _push(registry)
    with Nginx(scratch / "storage", registry.storage) as nginx:
        options = Options(auth=auth, redirect_to=nginx.url)
        with Distribution(scratch / "front", options) as front:
            _write_config(oci_pull, _auths(front.host))
            assert_tree(oci_pull(_reference(front)).path, _FILES)
            sent = {each.status for each in front.blob_requests() if "oci-pull" in each.agent}
            assert sent == {307}
        served = [each for each in nginx.access_log() if "oci-pull" in each.agent]
        assert len(served) == len(_FILES) + 1
        assert {each.status for each in served} <= {200, 206}
        # The third field is the user of Basic credentials.
        lines = (scratch / "storage" / "access.log").read_text().splitlines()
        assert {line.split()[2] for line in lines if "oci-pull" in line} == {"-"}


# TLS


@pytest.fixture(scope="module")
def authority(scratch: Path) -> Authority:
    return Authority(scratch / "tls")


@pytest.fixture(scope="module")
def encrypted(scratch: Path, authority: Authority) -> Iterator[Distribution]:
    with Distribution(scratch / "encrypted", Options(tls=authority.server())) as found:
        context = authority.client_context()
        push(found.url, _REPOSITORY, "v1", builders.docker_v02(_FILES), verify=context)
        yield found


def test_a_private_authority_is_named_in_the_environment(
    encrypted: Distribution, authority: Authority, oci_pull: Command
) -> None:
    user = oci_pull.with_env(SSL_CERT_FILE=str(authority.ca_file))
    assert_tree(user(_reference(encrypted)).path, _FILES)
    by_name = _reference(encrypted).replace("127.0.0.1", "localhost")
    assert_tree(user(by_name).path, _FILES)


def test_a_certificate_of_nobody_known_is_5_and_never_plain_http(
    encrypted: Distribution, oci_pull: Command
) -> None:
    run = oci_pull("--format", "json", _reference(encrypted)).must_fail(5)
    assert run.json["error"]["code"] == "tls_failed"
    assert "SSL_CERT_FILE" in run.json["error"]["hint"]
    assert not run.json["error"]["retryable"]
    assert "an HTTP request to an HTTPS server" not in encrypted.log.read_text()


def test_a_certificate_for_another_name_is_5(
    authority: Authority, scratch: Path, oci_pull: Command
) -> None:
    certificate = authority.server("registry.example")
    user = oci_pull.with_env(SSL_CERT_FILE=str(authority.ca_file))
    with Distribution(scratch / "misnamed", Options(tls=certificate)) as registry:
        run = user("--format", "json", _reference(registry)).must_fail(5)
    assert run.json["error"]["code"] == "tls_failed"


def test_plain_http_is_what_a_flag_says(
    encrypted: Distribution, authority: Authority, oci_pull: Command, registry: Distribution
) -> None:
    user = oci_pull.with_env(SSL_CERT_FILE=str(authority.ca_file))
    user("--plain-http", "--retries", "0", _reference(encrypted)).must_fail(5)
    push(registry.url, "plain/model", "v1", builders.docker_v02(_FILES))
    assert_tree(user("--plain-http", f"{registry.host}/plain/model:v1").path, _FILES)

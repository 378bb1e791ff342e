"""`-v` and `-vv`: what was asked, and no secret, wherever it is written."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.models import model, put
from tests.fakes.registry import Auth, BlobFaults, FakeRegistry, Redirects, ServerFaults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.e2e.command import Command, Run

_SECRET = "pass-s3cr3t"
_IDENTITY = "identity-s3cr3t"
_COOKIE = "c00kie-s3cr3t"
#: Who asks, by the file that Docker keeps credentials in.
_AUTHS = {
    "password": {"auth": base64.b64encode(f"ada:{_SECRET}".encode()).decode()},
    "identity": {"identitytoken": _IDENTITY},
}


@pytest.fixture
def private(registry: FakeRegistry) -> str:
    """A model that is behind a token, and whose blobs are behind signed URLs."""
    reference = put(registry, builders.docker_v02(model()))
    registry.auth = Auth(users={"ada": _SECRET}, identity_tokens=[_IDENTITY], anonymous=False)
    registry.redirects = Redirects()
    registry.server_faults = ServerFaults(
        headers={"Set-Cookie": f"s={_COOKIE}", "X-Request-Id": "req-4711"}
    )
    return reference


def _authorized(oci_pull: Command, registry: FakeRegistry, kind: str) -> Command:
    directory = oci_pull.home / ".docker"
    directory.mkdir()
    auths = {"auths": {registry.address: _AUTHS[kind]}}
    (directory / "config.json").write_text(json.dumps(auths))
    return oci_pull


def _secrets(registry: FakeRegistry) -> list[str]:
    """Everything secret that went over the wire."""
    found = [_SECRET, _IDENTITY, _COOKIE, _AUTHS["password"]["auth"], "fake-token", "/objects/"]
    for each in registry.requests:
        found += [each.query] if each.origin == "storage" else []
        authorization = each.headers.get("authorization", "")
        found += [authorization.rpartition(" ")[2]] if authorization else []
    return found


def _discreet(run: Run, registry: FakeRegistry) -> str:
    for secret in _secrets(registry):
        assert secret not in run.stdout + run.stderr, secret
    return run.stderr


@pytest.mark.parametrize("progress", ["plain", "json", "none"])
@pytest.mark.parametrize("kind", _AUTHS)
def test_a_private_pull_tells_everything_but_secrets(
    kind: str, progress: str, private: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    run = _authorized(oci_pull, registry, kind)("-vv", "--progress", progress, private)
    told = _discreet(run.must_succeed(), registry)
    assert registry.find(kind="blob", origin="storage", status=200)
    assert (f"{registry.url}/v2/team/model/manifests/v1" in told) is (progress != "none")


@pytest.mark.parametrize(
    "faults",
    [{"status": 403}, {"cut_after": 100}, {"corrupt_at": 0}],
    ids=["refused", "cut", "corrupt"],
)
def test_a_failure_has_its_requests_before_it_and_no_secret(
    faults: dict[str, int], private: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    registry.blob_faults = BlobFaults(at="storage", **faults)  # type: ignore[arg-type]
    run = _authorized(oci_pull, registry, "password")("-vv", "--retries", "0", private)
    assert run.code
    told = _discreet(run, registry)
    assert told.index("request GET") < told.index("error: ")
    assert "id req-4711" in told


@pytest.mark.parametrize(
    "words",
    [("plan", "-vv"), ("inspect", "-vv"), ("doctor", "-vv"), ("warm", "-vv")],
    ids=" ".join,
)
def test_other_commands_tell_it_as_well(
    words: Sequence[str], private: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    run = _authorized(oci_pull, registry, "password")(*words, private).must_succeed()
    assert "request GET" in _discreet(run, registry)
    assert "authorization: Bearer ***" in run.stderr


def test_so_does_logging_in(private: str, registry: FakeRegistry, oci_pull: Command) -> None:
    del private
    words = ("login", registry.address, "-u", "ada", "--password-stdin", "-vv")
    password = oci_pull.home / "password"
    password.write_text(_SECRET)
    with password.open() as stdin:
        run = oci_pull(*words, stdin=stdin).must_succeed()
    assert f"request GET {registry.url}/v2/" in _discreet(run, registry)


def test_one_v_is_a_line_for_each_request_without_headers(
    private: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    run = _authorized(oci_pull, registry, "password")("-v", private).must_succeed()
    told = _discreet(run, registry)
    answered = [line for line in told.splitlines() if " request " in line and " ms" in line]
    # Beside those that were answered, the one that asked for TLS.
    assert len(answered) == len(registry.requests) + 1
    assert "  > " not in told
    config = oci_pull.home / ".docker" / "config.json"
    assert f"asking {registry.address} as user 'ada' from {config}" in told
    assert f"given by {registry.token_server.address}: repository:team/model:pull" in told
    assert f"  to {registry.storage.address}" in told


def test_what_the_cache_has_is_told(
    private: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    command = _authorized(oci_pull, registry, "password")
    command(private).must_succeed()
    assert "cache hit, manifest sha256:" in command("-v", private).stderr
    assert "cache hit" not in command(private).stderr


@pytest.mark.parametrize("words", [("-q", "-vv"), ("-vv", "-q")])
def test_quiet_is_quieter_than_verbose_is_loud(
    words: tuple[str, ...], private: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    run = _authorized(oci_pull, registry, "password")(*words, private).must_succeed()
    assert run.stderr == ""

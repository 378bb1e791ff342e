"""Logging in and out: what is asked, what is kept, and what is said of other places."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from oci_pull.errors import (
    AccessDenied,
    CredentialsRejected,
    InvalidReference,
    InvalidSetting,
    NotARegistry,
    OciPullError,
    ServerFailed,
)
from oci_pull.oci.credential import Basic
from oci_pull.settings import RegistrySettings, Settings
from oci_pull.verbs.login import LoggedIn, LoggedOut, login, logout, registry_host
from tests.fakes.faults import Auth, ServerFaults
from tests.fakes.memory import Recorder
from tests.fakes.registry import FakeRegistry

SECRET = "pä:ss"
ADA = Basic("ada", SECRET, "stdin")


@pytest.fixture(params=["basic", "bearer"])
def registry(request: pytest.FixtureRequest) -> Iterator[FakeRegistry]:
    with FakeRegistry() as found:
        found.auth = Auth(scheme=request.param, users={"ada": SECRET}, anonymous=False)
        yield found


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(docker_config=tmp_path / "docker")


def _in(host: str, settings: Settings, who: Basic = ADA) -> LoggedIn:
    return login(host, who, settings, pytest.fail, observer=Recorder(), user_agent="test")


def _out(host: str, settings: Settings) -> LoggedOut:
    return logout(host, settings, pytest.fail)


def _config(settings: Settings) -> Path:
    assert settings.docker_config
    return settings.docker_config / "config.json"


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("ghcr.io", "ghcr.io"),
        ("GHCR.io:443", "ghcr.io:443"),
        ("https://ghcr.io/", "ghcr.io"),
        ("http://localhost:5000/v2/", "localhost:5000"),
        ("oci://r.example", "r.example"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("localhost", "localhost"),
        ("[::1]:5000", "[::1]:5000"),
    ],
)
def test_a_registry_as_it_is_typed_and_pasted(text: str, host: str) -> None:
    assert registry_host(text) == host


@pytest.mark.parametrize(
    "text", ["", "name", "ghcr.io/a", "ghcr.io:tag", "a b.c", "https://", "ftp://r.example", "@"]
)
def test_what_is_no_registry_is_told(text: str) -> None:
    with pytest.raises(InvalidReference, match="is not a registry"):
        registry_host(text)


def test_what_was_kept_is_said_and_found(registry: FakeRegistry, settings: Settings) -> None:
    place = str(_config(settings))
    assert _in(registry.address, settings) == LoggedIn(registry.address, "ada", place, None)
    assert _out(registry.address, settings) == LoggedOut(registry.address, (place,), None)
    assert _out(registry.address, settings) == LoggedOut(registry.address, (), None)


@pytest.mark.parametrize(
    ("status", "error"), [(403, AccessDenied), (404, NotARegistry), (500, ServerFailed)]
)
def test_a_registry_that_says_anything_else_gets_nothing_kept(
    status: int, error: type[OciPullError], registry: FakeRegistry, settings: Settings
) -> None:
    registry.server_faults = ServerFaults(status=status)
    with pytest.raises(error) as failure:
        _in(registry.address, settings)
    assert SECRET not in f"{failure.value} {failure.value.hint}"
    assert not _config(settings).exists()


def test_a_wrong_password_is_not_kept(registry: FakeRegistry, settings: Settings) -> None:
    with pytest.raises(CredentialsRejected) as failure:
        _in(registry.address, settings, Basic("ada", "wr0ng", "stdin"))
    assert failure.value.facts == ("asked as: user 'ada' from stdin",)
    if registry.auth and registry.auth.scheme == "basic":
        assert failure.value.message == f"{registry.address} refused this user name and password"
    assert not _config(settings).exists()


def test_a_registry_that_asks_nobody_keeps_the_credential(settings: Settings) -> None:
    with FakeRegistry() as open_registry:
        assert _in(open_registry.address, settings).shadowed_by is None
    assert _config(settings).exists()


def test_a_mounted_pull_secret_is_where_it_is_kept(
    registry: FakeRegistry, settings: Settings
) -> None:
    secret = _config(settings).with_name(".dockerconfigjson")
    secret.parent.mkdir()
    secret.write_text("{}")
    assert _in(registry.address, settings).place == str(secret)
    assert not _config(settings).exists()


def test_without_a_home_the_way_out_is_named(registry: FakeRegistry) -> None:
    with pytest.raises(InvalidSetting, match="no HOME") as failure:
        _in(registry.address, Settings())
    assert "DOCKER_CONFIG" in str(failure.value.hint)
    assert registry.requests == []


def test_what_counts_before_it_is_said(registry: FakeRegistry, settings: Settings) -> None:
    entry = {"username": "eve", "password": "x"}
    text = json.dumps({"auths": {registry.address: entry}})
    settings = replace(settings, docker_auth=text)
    eve = Basic("eve", "x", "DOCKER_AUTH_CONFIG")
    assert _in(registry.address, settings).shadowed_by == eve
    assert _out(registry.address, settings).left == eve


def test_a_file_that_was_named_is_where_it_is_kept(
    registry: FakeRegistry, settings: Settings, tmp_path: Path
) -> None:
    named = replace(settings, authfile=tmp_path / "new" / "auth.json")
    assert _out(registry.address, named).places == ()
    assert _in(registry.address, named).place == str(named.authfile)
    assert _out(registry.address, settings).places == ()
    assert _out(registry.address, named).places == (str(named.authfile),)


def test_the_helper_of_the_configuration_keeps_it(
    registry: FakeRegistry, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, program = tmp_path / "kept", tmp_path / "docker-credential-own"
    program.write_text(
        f"#!/bin/sh\ncase $1 in\nstore) cat >{kept} ;;\nerase) rm {kept} ;;\n"
        f"get) cat {kept} 2>/dev/null || {{ echo credentials not found; exit 1; }} ;;\nesac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    tables = {registry.address: RegistrySettings(credential_helper="own")}
    settings = replace(settings, tables=tables)
    done = _in(registry.address, settings)
    assert (done.place, done.shadowed_by) == ("docker-credential-own", None)
    assert json.loads(kept.read_text())["Secret"] == SECRET
    assert not _config(settings).exists()
    assert _out(registry.address, settings).places == ("docker-credential-own",)
    assert not kept.exists()

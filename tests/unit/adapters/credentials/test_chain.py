"""The order of the places, and for whom each of them is."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from oci_pull.adapters.credentials.chain import CommandLine, Credentials, NamedHelpers
from oci_pull.adapters.credentials.docker_config import TextPlace
from oci_pull.errors import InvalidSetting
from oci_pull.oci.credential import Anonymous, Basic, Credential
from oci_pull.settings import RegistrySettings, Settings
from oci_pull.sources.credentials import make_credentials

HOST = "r.example"
ADA = Basic("ada", "s3cret", "here")


class Fixed:
    """A place that always says the same."""

    def __init__(self, who: Credential) -> None:
        self.who = who

    def find(self, host: str, repository: str) -> Credential:
        return self.who


def test_the_first_place_that_has_one_counts() -> None:
    places = Fixed(Anonymous()), Fixed(ADA), Fixed(replace(ADA, username="eve"))
    assert Credentials(places).find(HOST) == ADA
    assert Credentials(()).find(HOST) == Anonymous()


@pytest.mark.parametrize("host", ["mirror.example", "r.example:443", "x.r.example", ""])
def test_what_the_command_line_says_is_for_nobody_else(host: str) -> None:
    assert CommandLine(HOST, ADA).find(host, "a/b") == Anonymous()
    assert CommandLine(HOST, ADA).find(HOST, "a/b") == ADA
    assert CommandLine("docker.io", ADA).find("registry-1.docker.io", "") == ADA


def test_a_helper_that_the_configuration_names_is_for_its_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker-credential-h"
    program.write_text('#!/bin/sh\necho \'{"Username": "ada", "Secret": "x"}\'\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    warnings: list[str] = []
    place = NamedHelpers({HOST: "h", "b.example": "", "c.example": "none"}, warnings.append)
    assert place.find(HOST, "") == Basic("ada", "x", "docker-credential-h")
    assert place.find("b.example", "") == Anonymous()
    assert place.find("d.example", "") == Anonymous()
    assert warnings == []
    assert place.find("c.example", "") == Anonymous()
    assert "docker-credential-none is not installed" in warnings[0]


@pytest.mark.parametrize("text", ["s3cret", "{", "[" * 100_000])
def test_a_variable_that_is_no_json_is_named_and_not_shown(text: str) -> None:
    warnings: list[str] = []
    assert TextPlace(text, "VARIABLE", warnings.append).find(HOST, "") == Anonymous()
    assert warnings == ["VARIABLE cannot be read (it is not JSON); going on without it"]


def test_the_places_of_settings_in_their_order(tmp_path: Path) -> None:
    """Each has the registry under another user; the first is taken away until none is left."""

    def auths(user: str) -> str:
        return json.dumps({"auths": {HOST: {"username": user, "password": "s3cret"}}})

    def file(user: str, name: str = "") -> Path:
        path = tmp_path / (name or user)
        path.parent.mkdir(exist_ok=True)
        path.write_text(auths(user))
        return path

    settings = Settings(
        username="line",
        password="s3cret",
        docker_auth=auths("variable"),
        authfile=file("authfile"),
        registry_auth_file=file("registry_auth_file"),
        docker_config=file("docker", "docker/config.json").parent,
        auth_files=(tmp_path / "none", file("first"), file("second")),
    )

    def user() -> str:
        who = make_credentials(settings, pytest.fail, HOST).find(HOST, "a/b")
        assert "s3cret" not in f"{who} {who!r} {settings!r}"
        return who.username if isinstance(who, Basic) else ""

    # A mirror, or anybody else that the command line does not name.
    assert make_credentials(settings, pytest.fail).find(HOST) != ADA
    assert "variable" in str(make_credentials(settings, pytest.fail).find(HOST))
    assert make_credentials(settings, pytest.fail, "other").find("x") == Anonymous()
    assert user() == "line"
    settings = replace(settings, username="", password="")
    assert user() == "variable"
    settings = replace(settings, docker_auth="")
    assert user() == "authfile"
    settings = replace(settings, authfile=None)
    assert user() == "registry_auth_file"
    settings = replace(settings, registry_auth_file=None)
    assert user() == "docker"
    settings = replace(settings, docker_config=None)
    assert user() == "first"
    (tmp_path / "first").unlink()
    assert user() == "second"


def test_a_registry_of_the_configuration_has_its_helper_before_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker-credential-own"
    program.write_text('#!/bin/sh\necho \'{"Username": "own", "Secret": "x"}\'\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    text = json.dumps({"auths": {HOST: {"username": "eve", "password": "x"}}})
    tables = {HOST: RegistrySettings(credential_helper="own")}
    settings = Settings(tables=tables, docker_auth=text)
    found = make_credentials(settings, pytest.fail).find(HOST)
    assert found == Basic("own", "x", "docker-credential-own")


def test_an_authfile_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="--authfile"):
        make_credentials(Settings(authfile=tmp_path / "none"), pytest.fail)
    quiet = Settings(registry_auth_file=tmp_path / "none")
    assert make_credentials(quiet, pytest.fail).find(HOST) == Anonymous()


def test_what_is_broken_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    warnings: list[str] = []
    found = make_credentials(Settings(docker_config=tmp_path, docker_auth="{"), warnings.append)
    for host in (HOST, "mirror.example"):
        assert found.find(host) == Anonymous()
    assert [each.partition(" ")[0] for each in warnings] == [
        "DOCKER_AUTH_CONFIG",
        str(tmp_path / "config.json"),
    ]


def test_what_the_environment_says(tmp_path: Path) -> None:
    environ = {
        "HOME": "/h",
        "XDG_RUNTIME_DIR": "/r",
        "XDG_CONFIG_HOME": "/c",
        "DOCKER_AUTH_CONFIG": "s3cret",
        "REGISTRY_AUTH_FILE": "/a",
        "OCI_PULL_PASSWORD_FILE": "/p",
        "OCI_PULL_USERNAME": "ada",
    }
    found = Settings.load(environ, etc=tmp_path)
    assert found.docker_auth == "s3cret"
    assert "s3cret" not in repr(found)
    assert (found.registry_auth_file, found.password_file) == (Path("/a"), Path("/p"))
    assert found.username == "ada"
    files = [str(path) for path in found.auth_files]
    session = ["/r/containers/auth.json"] if sys.platform == "linux" else []
    assert files == [
        *session,
        "/c/containers/auth.json",
        "/h/.config/containers/auth.json",
        "/h/.dockercfg",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="only there is a directory of the session")
def test_a_session_that_nobody_named(tmp_path: Path) -> None:
    files = [str(path) for path in Settings.load({}, etc=tmp_path).auth_files]
    assert files == [f"/run/containers/{os.getuid()}/auth.json"]

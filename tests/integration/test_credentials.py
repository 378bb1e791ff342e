"""Whom a registry is asked as, beside a program that nobody here wrote: same files, same user."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from oci_pull.settings import Settings
from oci_pull.sources.credentials import make_credentials
from tests import builders
from tests.fakes.faults import Auth
from tests.fakes.registry import FakeRegistry

if TYPE_CHECKING:
    from tests.e2e.command import Command
    from tests.fakes.journal import Request
    from tests.servers.debian import Tool

_REPOSITORY = "team/ml/model"
_HUB = "https://index.docker.io/v1/"


def _entry(user: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:p:ä".encode()).decode()}


def _auths(**users: str) -> dict[str, Any]:
    """`auths` by keys in which HOST stands for the registry."""
    return {"auths": {key.replace("__", "/"): _entry(user) for user, key in users.items()}}


@dataclass(frozen=True)
class Case:
    """Files below HOME, where HOST is the registry, and who should ask."""

    files: Mapping[str, Any]
    user: str | None
    env: Mapping[str, str] = field(default_factory=dict)
    #: Given to both as --authfile.
    authfile: str = ""


_DOCKER, _PODMAN, _SESSION = ".docker/config.json", ".config/containers/auth.json", "run/containers"
_SESSION_FILE = f"{_SESSION}/auth.json"
_NEAR = {"HOST.evil": _entry("near"), "evil.HOST": _entry("near"), "evil/HOST": _entry("near")}

_CASES = {
    "nobody": Case({}, None),
    "docker": Case({_DOCKER: _auths(ada="HOST")}, "ada"),
    "docker-config": Case(
        {"x/config.json": _auths(ada="HOST")}, "ada", {"DOCKER_CONFIG": "HOME/x"}
    ),
    "podman": Case({_PODMAN: _auths(ada="HOST")}, "ada"),
    "session": Case({_SESSION_FILE: _auths(ada="HOST"), _PODMAN: _auths(eve="HOST")}, "ada"),
    "old-docker": Case({".dockercfg": {"HOST": _entry("ada")}}, "ada"),
    "authfile": Case(
        {"a": _auths(ada="HOST"), _DOCKER: _auths(eve="HOST")}, "ada", authfile="HOME/a"
    ),
    "authfile-of-the-environment": Case(
        {"a": _auths(ada="HOST"), _DOCKER: _auths(eve="HOST")},
        "ada",
        {"REGISTRY_AUTH_FILE": "HOME/a"},
    ),
    "authfile-over-the-environment": Case(
        {"a": _auths(ada="HOST"), "b": _auths(eve="HOST")},
        "ada",
        {"REGISTRY_AUTH_FILE": "HOME/b"},
        authfile="HOME/a",
    ),
    "repository": Case(
        {"a": _auths(eve="HOST", bob="HOST__team", ada="HOST__team__ml__model")},
        "ada",
        authfile="HOME/a",
    ),
    "namespace": Case(
        {"a": _auths(eve="HOST", ada="HOST__team__ml", bob="HOST__team__other")},
        "ada",
        authfile="HOME/a",
    ),
    "namespace-alone": Case({"a": _auths(ada="HOST__team")}, "ada", authfile="HOME/a"),
    "other-namespace": Case({"a": _auths(ada="HOST", eve="HOST__tea")}, "ada", authfile="HOME/a"),
    "near": Case({"a": {"auths": _NEAR}}, None, authfile="HOME/a"),
    "scheme": Case({"a": {"auths": {"http://HOST": _entry("ada")}}}, "ada", authfile="HOME/a"),
    "scheme-and-path": Case(
        {"a": {"auths": {"https://HOST/v1/": _entry("ada")}}}, "ada", authfile="HOME/a"
    ),
    "helper": Case({_DOCKER: {"credHelpers": {"HOST": "test"}, **_auths(eve="HOST")}}, "helped"),
    "helper-of-another": Case(
        {_DOCKER: {"credHelpers": {"ghcr.io": "test"}, **_auths(ada="HOST")}}, "ada"
    ),
    "helper-of-podman": Case({_PODMAN: {"credHelpers": {"HOST": "test"}}}, "helped"),
    "mark": Case({_SESSION_FILE: {"auths": {"HOST": {}}}, _PODMAN: _auths(ada="HOST")}, "ada"),
}
#: Where Docker and podman do not agree, or where what is broken would stop them: only ours.
_OURS = {
    "store": Case({_DOCKER: {"credsStore": "test", **_auths(eve="HOST")}}, "helped"),
    "docker-before-podman": Case({_DOCKER: _auths(ada="HOST"), _PODMAN: _auths(eve="HOST")}, "ada"),
    "authfile-of-others": Case(
        {"a": _auths(eve="ghcr.io"), _DOCKER: _auths(ada="HOST")}, "ada", authfile="HOME/a"
    ),
    "environment": Case(
        {"a": _auths(eve="HOST")},
        "ada",
        {"DOCKER_AUTH_CONFIG": json.dumps(_auths(ada="HOST"))},
        authfile="HOME/a",
    ),
    "missing-helper": Case(
        {_DOCKER: {"credHelpers": {"HOST": "none"}}, _PODMAN: _auths(ada="HOST")}, "ada"
    ),
    "malformed": Case({_DOCKER: "{ not json", _PODMAN: _auths(ada="HOST")}, "ada"),
    "byte-order-mark": Case({_DOCKER: "\ufeff" + json.dumps(_auths(ada="HOST"))}, "ada"),
    "pull-secret": Case(
        {"s/.dockerconfigjson": _auths(ada="HOST")}, "ada", {"DOCKER_CONFIG": "HOME/s"}
    ),
    "old-pull-secret": Case(
        {"s/.dockercfg": {"HOST": _entry("ada")}}, "ada", {"DOCKER_CONFIG": "HOME/s"}
    ),
    "configured-helper": Case(
        {
            "c.toml": '[registry."HOST"]\ncredential_helper = "test"\n',
            _DOCKER: _auths(eve="HOST"),
        },
        "helped",
        {"OCI_PULL_CONFIG": "HOME/c.toml"},
    ),
}


@dataclass(frozen=True)
class _Home:
    path: Path
    env: Mapping[str, str]
    words: tuple[str, ...]


def _furnish(case: Case, host: str, home: Path) -> _Home:
    """Everything of a case on disk."""

    def real(text: str) -> str:
        return text.replace("HOST", host).replace("HOME", str(home))

    for name, content in case.files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(real(content if isinstance(content, str) else json.dumps(content)))
    programs = home / "bin"
    programs.mkdir()
    helper = programs / "docker-credential-test"
    helper.write_text('#!/bin/sh\ncat >/dev/null\necho \'{"Username":"helped","Secret":"p"}\'\n')
    helper.chmod(0o755)
    env = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
        **{name: real(value) for name, value in case.env.items()},
    }
    words = ("--authfile", real(case.authfile)) if case.authfile else ()
    return _Home(home, env, words)


def _users(requests: Sequence[Request]) -> set[str]:
    """Whom a registry was told; skopeo says an empty name where it knows none."""
    said = [each.headers.get("authorization", "") for each in requests]
    pairs = [base64.b64decode(each.partition(" ")[2]).decode().partition(":") for each in said]
    assert {password for user, _, password in pairs if user} <= {"p:ä", "p"}
    return {user for user, _, _ in pairs if user}


@pytest.fixture
def guarded() -> Any:
    with FakeRegistry() as registry:
        users = dict.fromkeys(("ada", "bob", "eve", "near"), "p:ä") | {"helped": "p"}
        registry.auth = Auth(scheme="basic", users=users)
        artifact = builders.docker_v02(builders.tiny_model())
        registry.put(_REPOSITORY, "v1", artifact.manifest, artifact.media_type, artifact.blobs)
        yield registry


def _ask_with_ours(case: Case, registry: FakeRegistry, oci_pull: Command) -> set[str]:
    home = _furnish(case, registry.address, oci_pull.home)
    words = ("inspect", "--raw", *home.words, f"{registry.address}/{_REPOSITORY}:v1")
    run = oci_pull.with_env(**home.env)(*words)
    assert (run.code == 0) == (case.user is not None), run
    return _users(registry.requests)


@pytest.mark.parametrize("name", _CASES)
def test_skopeo_asks_as_the_same_user(
    name: str, skopeo: Tool, guarded: FakeRegistry, oci_pull: Command, tmp_path: Path
) -> None:
    case = _CASES[name]
    expected = {case.user} if case.user else set()
    assert _ask_with_ours(case, guarded, oci_pull) == expected
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    home = _furnish(case, guarded.address, theirs)
    before = len(guarded.requests)
    skopeo.run(
        "--insecure-policy",
        "inspect",
        "--raw",
        "--tls-verify=false",
        *home.words,
        f"docker://{guarded.address}/{_REPOSITORY}:v1",
        env=home.env,
        check=False,
    )
    assert len(guarded.requests) > before
    assert _users(guarded.requests[before:]) == expected


@pytest.mark.parametrize("name", _OURS)
def test_where_others_differ(name: str, guarded: FakeRegistry, oci_pull: Command) -> None:
    assert _ask_with_ours(_OURS[name], guarded, oci_pull) == {_OURS[name].user}


@pytest.mark.parametrize(
    "key", [_HUB, "docker.io", "index.docker.io", "registry-1.docker.io", "https://docker.io"]
)
def test_docker_hub_under_all_its_names(key: str, skopeo: Tool, tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"auths": {key: _entry("ada"), "ghcr.io": _entry("eve")}}))
    found = make_credentials(Settings(authfile=file), pytest.fail).find("docker.io", "ai/smollm2")
    assert f"'ada' from {file}" in str(found)
    said = skopeo.run("login", "--get-login", "--authfile", file, "docker.io").stdout
    assert said.strip() == "ada"


@pytest.mark.parametrize("kind", ["docker", "podman"])
def test_what_login_keeps_is_what_skopeo_uses(
    kind: str, skopeo: Tool, guarded: FakeRegistry, oci_pull: Command
) -> None:
    file = oci_pull.home / "auth.json"
    words = ("--authfile", file) if kind == "podman" else ()
    kept = file if kind == "podman" else oci_pull.home / ".docker/config.json"
    source, drain = os.pipe()
    os.write(drain, "p:ä\n".encode())
    os.close(drain)
    line = ("login", guarded.address, "--username", "ada", "--password-stdin", *words)
    oci_pull(*line, stdin=source).must_succeed()
    os.close(source)
    said = skopeo.run("login", "--get-login", "--authfile", kept, guarded.address).stdout
    assert said.strip() == "ada"
    skopeo.run("logout", "--authfile", kept, guarded.address)
    run = oci_pull("logout", guarded.address, *words).must_succeed()
    assert "there was no credential" in run.stderr


def test_what_skopeo_keeps_is_what_is_used(
    skopeo: Tool, guarded: FakeRegistry, oci_pull: Command
) -> None:
    file = oci_pull.home / "auth.json"
    words = ("--authfile", file, "--tls-verify=false", "-u", "ada", "--password-stdin")
    skopeo.run("login", *words, guarded.address, input="p:ä")
    reference = f"{guarded.address}/{_REPOSITORY}:v1"
    oci_pull("inspect", "--authfile", file, reference).must_succeed()
    run = oci_pull("logout", "--authfile", file, guarded.address).must_succeed()
    assert str(file) in run.stderr
    oci_pull("inspect", "--authfile", file, reference).must_fail(4)

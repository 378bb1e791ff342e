"""Credentials from the command line, and those that `login` keeps."""

from __future__ import annotations

import base64
import json
import os
import pty
import signal
import stat
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import models
from tests.e2e.command import until
from tests.fakes.faults import Auth, Redirects
from tests.fakes.registry import FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.command import Command, Run

SECRET = "pä:ss wörd"
PACKED = base64.b64encode(f"ada:{SECRET}".encode()).decode()


@pytest.fixture(params=["basic", "bearer"])
def guarded(request: pytest.FixtureRequest, registry: FakeRegistry) -> FakeRegistry:
    """A registry that lets nobody in but Ada."""
    registry.auth = Auth(scheme=request.param, users={"ada": SECRET}, anonymous=False)
    models.put(registry, models.pack([models.raw_layer("config.json", b'{"a": 1}')]))
    return registry


@pytest.fixture
def model(guarded: FakeRegistry) -> str:
    return f"{guarded.address}/{models.REPOSITORY}:{models.TAG}"


def _saying(oci_pull: Command, said: str, *words: str | Path) -> Run:
    """The command with that on its stdin."""
    source = oci_pull.home / "stdin"
    source.write_text(said)
    with source.open() as stdin:
        return oci_pull(*words, stdin=stdin)


def _config(oci_pull: Command) -> Path:
    return oci_pull.home / ".docker" / "config.json"


def _log_in(oci_pull: Command, guarded: FakeRegistry, *words: str) -> Run:
    line = ("login", guarded.address, "-u", "ada", "--password-stdin", *words)
    return _saying(oci_pull, f"{SECRET}\n", *line)


def _users(registry: FakeRegistry) -> set[str]:
    """Whom the registry and its token service were asked as, with a password."""
    found = set()
    for request in registry.requests:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            found.add(base64.b64decode(value).decode())
    return found


# --- the command line


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_password_on_stdin_is_for_this_pull(
    end: str, guarded: FakeRegistry, model: str, oci_pull: Command
) -> None:
    words = ("--username", "ada", "--password-stdin", model)
    run = _saying(oci_pull, SECRET + end, *words).must_succeed()
    assert _users(guarded) == {f"ada:{SECRET}"}
    assert SECRET not in run.stderr + run.stdout
    assert not _config(oci_pull).exists()


def test_a_password_in_a_file_and_the_user_in_the_environment(
    guarded: FakeRegistry, model: str, oci_pull: Command
) -> None:
    secret = oci_pull.home / "secret"
    secret.write_text(f"{SECRET}\n")
    user = oci_pull.with_env(OCI_PULL_USERNAME="ada", OCI_PULL_PASSWORD_FILE=str(secret))
    user(model).must_succeed()
    user("inspect", model).must_succeed()
    user("cache", "path", model).must_succeed()


@pytest.mark.parametrize(
    ("words", "env", "named"),
    [
        (["-u", "ada"], {}, "--password-stdin"),
        (["--password-stdin"], {}, "--username"),
        ([], {"OCI_PULL_PASSWORD_FILE": "/dev/null"}, "--username"),
        (["-u", "ada"], {"OCI_PULL_PASSWORD_FILE": "/dev/null"}, "OCI_PULL_PASSWORD_FILE"),
        (["-u", "ada"], {"OCI_PULL_PASSWORD_FILE": "/none"}, "/none"),
        (["-u", "ada", "--password-stdin"], {}, "--password-stdin is empty"),
        (["-u", "a:b", "--password-stdin"], {}, "empty"),
    ],
)
def test_half_a_credential_says_which_half_is_missing(
    words: list[str], env: dict[str, str], named: str, guarded: FakeRegistry, model: str,
    oci_pull: Command,
) -> None:  # fmt: skip
    run = oci_pull.with_env(**env)(*words, model).must_fail(2)
    assert named in run.stderr
    assert guarded.requests == []


def test_a_password_is_for_one_registry(
    guarded: FakeRegistry, model: str, oci_pull: Command
) -> None:
    words = ("-u", "ada", "--password-stdin", model, "ghcr.io/a/b", "oci:/layout", "not a name")
    run = _saying(oci_pull, SECRET, *words).must_fail(2)
    assert "one registry" in run.stderr
    assert guarded.address in run.stderr
    assert "ghcr.io" in run.stderr
    assert guarded.requests == []


def test_the_password_does_not_go_where_blobs_are(
    guarded: FakeRegistry, model: str, oci_pull: Command
) -> None:
    guarded.redirects = Redirects(status=307)
    _saying(oci_pull, SECRET, "-u", "ada", "--password-stdin", model).must_succeed()
    stored = guarded.find(origin="storage")
    assert stored
    assert all("authorization" not in request.headers for request in stored)


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_the_password_does_not_go_to_a_mirror(
    scheme: Any, guarded: FakeRegistry, model: str, oci_pull: Command
) -> None:
    with FakeRegistry() as mirror:
        mirror.auth = Auth(scheme=scheme, users={"ada": SECRET}, anonymous=False)
        words = ("-u", "ada", "--password-stdin", "--mirror", mirror.url, model)
        _saying(oci_pull, SECRET, *words).must_succeed()
        assert mirror.find(status=401)
        assert _users(mirror) == set()
    assert _users(guarded) == {f"ada:{SECRET}"}


def test_the_password_does_not_go_to_a_mirror_on_the_host_of_the_registry(
    guarded: FakeRegistry, model: str, oci_pull: Command
) -> None:
    """Another project of the same Harbor, say, and perhaps without TLS."""
    mirror = f"{guarded.url}/hub"
    words = ("-u", "ada", "--password-stdin", "--mirror", mirror, model)
    _saying(oci_pull, SECRET, *words).must_succeed()
    asked = [each for each in guarded.requests if "/v2/hub/" in each.path]
    assert asked
    assert all("authorization" not in each.headers for each in asked)


@pytest.mark.parametrize("progress", ["plain", "json"])
def test_a_rejected_password_is_told_with_its_source_and_without_itself(
    progress: str, guarded: FakeRegistry, model: str, oci_pull: Command
) -> None:
    words = ("-u", "ada", "--password-stdin", "--format", "json", "--progress", progress, model)
    run = _saying(oci_pull, "wr0ng", *words)
    assert run.code == 4
    assert run.json["error"]["code"] == "credentials_rejected"
    assert "--password-stdin" in " ".join(run.json["error"]["facts"])
    assert "wr0ng" not in run.stdout + run.stderr
    assert base64.b64encode(b"ada:wr0ng").decode() not in run.stdout + run.stderr


def test_the_first_place_counts(guarded: FakeRegistry, model: str, oci_pull: Command) -> None:
    """Each place is wrong and named, until the one before it is right."""

    def auths(user: str) -> str:
        packed = base64.b64encode(f"{user}:x".encode()).decode()
        return json.dumps({"auths": {guarded.address: {"auth": packed}}})

    home = oci_pull.home
    for name in ("authfile", ".docker/config.json", "run/containers/auth.json", ".dockercfg"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(auths(name))
    (home / ".dockercfg").write_text(json.dumps(json.loads(auths(".dockercfg"))["auths"]))
    user = oci_pull.with_env(XDG_RUNTIME_DIR=str(home / "run"))

    def source(user: Command, *words: str) -> str:
        run = user("--format", "json", *words, model)
        return " ".join(run.json["error"]["facts"])

    assert str(home / "authfile") in source(user, "--authfile", str(home / "authfile"))
    named = user.with_env(REGISTRY_AUTH_FILE=str(home / "authfile"))
    assert str(home / "authfile") in source(named)
    assert "DOCKER_AUTH_CONFIG" in source(named.with_env(DOCKER_AUTH_CONFIG=auths("environment")))
    for name in (".docker/config.json", "run/containers/auth.json", ".dockercfg"):
        assert str(home / name) in source(user)
        (home / name).unlink()
    assert "anonymous" in source(user)


def test_an_authfile_that_is_not_there_is_a_mistake(
    guarded: FakeRegistry, model: str, oci_pull: Command
) -> None:
    assert "/none/file" in oci_pull("--authfile", "/none/file", model).must_fail(2).stderr


def test_a_helper_that_hangs_is_left_with_ctrl_c(
    guarded: FakeRegistry, model: str, oci_pull: Command
) -> None:
    programs, asked = oci_pull.home / "bin", oci_pull.home / "asked"
    programs.mkdir()
    helper = programs / "docker-credential-h"
    helper.write_text(f"#!/bin/sh\n: >{asked}\nexec tail -f /dev/null\n")
    helper.chmod(0o755)
    _config(oci_pull).parent.mkdir()
    _config(oci_pull).write_text('{"credsStore": "h"}')
    user = oci_pull.with_env(PATH=f"{programs}:/usr/bin:/bin")
    with user.start(model) as running:
        running.until(asked.exists, "the helper runs")
        running.send(signal.SIGINT)
        # The helper may take thirty seconds; whoever wants to stop does not wait for it.
        assert running.wait(limit=25).code == 130


# --- login


def test_login_keeps_what_the_registry_took(
    guarded: FakeRegistry, model: str, oci_pull: Command
) -> None:
    run = _log_in(oci_pull, guarded).must_succeed()
    config = _config(oci_pull)
    assert str(config) in run.stderr
    assert run.stdout == ""
    assert json.loads(config.read_text()) == {"auths": {guarded.address: {"auth": PACKED}}}
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
    assert [each.name for each in config.parent.iterdir()] == ["config.json"]
    oci_pull(model).must_succeed()


def test_login_asks_for_no_repository(guarded: FakeRegistry, oci_pull: Command) -> None:
    _log_in(oci_pull, guarded).must_succeed()
    assert {request.kind for request in guarded.requests} <= {"ping", "token"}
    assert all("scope" not in request.params for request in guarded.find(kind="token"))


def test_a_wrong_password_is_not_kept(guarded: FakeRegistry, oci_pull: Command) -> None:
    words = ("login", guarded.address, "-u", "ada", "--password-stdin")
    run = _saying(oci_pull, "wr0ng", *words).must_fail(4)
    assert "wr0ng" not in run.stderr
    assert not _config(oci_pull).exists()


def test_where_there_is_no_registry_nothing_is_kept(oci_pull: Command) -> None:
    with FakeRegistry() as web:
        address = web.storage.address
        words = ("login", address, "-u", "ada", "--password-stdin")
        run = _saying(oci_pull, SECRET, *words).must_fail(5)
    assert "not an OCI registry" in run.stderr
    assert not _config(oci_pull).exists()


def test_a_configuration_that_is_no_json_is_left_alone(
    guarded: FakeRegistry, oci_pull: Command
) -> None:
    config = _config(oci_pull)
    config.parent.mkdir()
    config.write_text("{ mine")
    assert str(config) in _log_in(oci_pull, guarded).must_fail(2).stderr
    assert config.read_text() == "{ mine"


def test_without_a_terminal_there_is_nobody_to_ask(
    guarded: FakeRegistry, oci_pull: Command
) -> None:
    run = oci_pull("login", guarded.address, "-u", "ada").must_fail(2)
    assert "--password-stdin" in run.stderr
    assert guarded.requests == []


@pytest.mark.parametrize("name", ["plainname", "ghcr.io/owner", "https://", "a b", "x/y/z", ""])
def test_what_is_no_registry(name: str, oci_pull: Command) -> None:
    run = _saying(oci_pull, SECRET, "login", name, "-u", "ada", "--password-stdin").must_fail(2)
    assert "is not a registry" in run.stderr
    assert oci_pull("logout", name).code == 2


def test_login_says_what_counts_before_it(guarded: FakeRegistry, oci_pull: Command) -> None:
    config: Any = {"auths": {guarded.address: {"username": "eve", "password": "x-secret"}}}
    user = oci_pull.with_env(DOCKER_AUTH_CONFIG=json.dumps(config))
    run = _log_in(user, guarded).must_succeed()
    assert "warning: user 'eve' from DOCKER_AUTH_CONFIG" in run.stderr
    assert "x-secret" not in run.stderr


# --- logout


def test_logout_forgets(guarded: FakeRegistry, model: str, oci_pull: Command) -> None:
    _log_in(oci_pull, guarded).must_succeed()
    run = oci_pull("logout", guarded.address).must_succeed()
    assert str(_config(oci_pull)) in run.stderr
    assert json.loads(_config(oci_pull).read_text()) == {"auths": {}}
    oci_pull(model).must_fail(4)
    again = oci_pull("logout", guarded.address).must_succeed()
    assert "there was no credential" in again.stderr


def test_logout_says_what_is_left(guarded: FakeRegistry, oci_pull: Command) -> None:
    _log_in(oci_pull, guarded, "--authfile", str(oci_pull.home / "auth.json")).must_succeed()
    user = oci_pull.with_env(REGISTRY_AUTH_FILE=str(oci_pull.home / "auth.json"))
    run = user("logout", guarded.address).must_succeed()
    assert "still asked as user 'ada'" in run.stderr
    assert str(oci_pull.home / "auth.json") in run.stderr


# --- a terminal


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def _at_terminal(oci_pull: Command) -> Command:
    return replace(oci_pull, prefix=("setsid", "--ctty"))


def test_a_prompt_shows_no_password(
    terminal: tuple[int, int], guarded: FakeRegistry, oci_pull: Command
) -> None:
    person, tty = terminal
    words = ("login", guarded.address)
    with _at_terminal(oci_pull).start(*words, stdin=tty, stdout=tty, stderr=tty) as running:
        shown = _until(person, b"User of ")
        os.write(person, b"ada\n")
        shown += _until(person, b"Password of ada: ")
        os.write(person, f"{SECRET}\n".encode())
        shown += _until(person, b"Logged in")
        assert running.wait().code == 0
    assert SECRET.encode() not in shown
    assert PACKED in _config(oci_pull).read_text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_prompt_is_left_with_one_signal(
    number: signal.Signals,
    code: int,
    terminal: tuple[int, int],
    guarded: FakeRegistry,
    oci_pull: Command,
) -> None:
    person, tty = terminal
    words = ("login", guarded.address, "-u", "ada")
    with _at_terminal(oci_pull).start(*words, stdin=tty, stdout=tty, stderr=tty) as running:
        _until(person, b"Password of ada: ")
        running.send(number)
        assert running.wait().code == code
    assert not _config(oci_pull).exists()


def _until(person: int, words: bytes) -> bytes:
    """What the terminal shows, to these words."""
    shown = b""
    os.set_blocking(person, False)

    def seen() -> bool:
        nonlocal shown
        with suppress(BlockingIOError):
            shown += os.read(person, 4096)
        return words in shown

    until(seen, f"{words!r} on the terminal")
    return shown

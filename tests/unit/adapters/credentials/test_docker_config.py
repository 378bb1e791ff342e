"""Docker's config.json and the helpers that it names: what is broken is told, and stops nothing."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oci_pull.adapters.credentials.docker_config import DOCKER_FILES, FilePlace
from oci_pull.oci.credential import Anonymous, Basic, Credential, IdentityToken, RegistryToken

HOST = "registry.example:5000"
HUB = "https://index.docker.io/v1/"
SECRET = "s3cr3t-pass:word"


def packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


ADA = {"auth": packed(f"ada:{SECRET}")}


class Docker:
    """A Docker configuration directory, and helpers on the PATH."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = path / "docker"
        self.directory.mkdir()
        self.bin = path / "bin"
        self.bin.mkdir()
        self.log = path / "log"
        self.warnings: list[str] = []
        monkeypatch.setenv("PATH", f"{self.bin}:/usr/bin:/bin")

    def write(self, config: Any, name: str = "config.json") -> None:
        content = config if isinstance(config, bytes) else json.dumps(config).encode()
        (self.directory / name).write_bytes(content)

    def helper(self, name: str, script: str) -> None:
        path = self.bin / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def answering(self, name: str, reply: Any) -> None:
        """A helper that answers this, and notes what it was asked."""
        self.helper(
            name, f"printf '%s ' \"$1\" >>{self.log}; cat >>{self.log}; echo '{json.dumps(reply)}'"
        )

    def find(self, host: str = HOST, repository: str = "ml/llama") -> Credential:
        paths = tuple(self.directory / name for name in DOCKER_FILES)
        return FilePlace(paths, self.warnings.append).find(host, repository)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    return Docker(tmp_path, monkeypatch)


def source(docker: Docker, name: str = "config.json") -> str:
    return str(docker.directory / name)


# --- the file


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (ADA, Basic("ada", SECRET)),
        ({"auth": packed("ada:")}, Basic("ada", "")),
        ({"auth": packed("ada:pass\0\0")}, Basic("ada", "pass")),
        ({"auth": packed("ädä:pässwörd")}, Basic("ädä", "pässwörd")),
        ({"username": "ada", "password": "pass"}, Basic("ada", "pass")),
        ({"username": "eve", "password": "x", **ADA}, Basic("ada", SECRET)),
        ({"identitytoken": "refresh"}, IdentityToken("refresh")),
        ({"identitytoken": "refresh", **ADA}, IdentityToken("refresh")),
        ({"username": "<token>", "password": "refresh"}, IdentityToken("refresh")),
        ({"auth": packed("<token>:refresh")}, IdentityToken("refresh")),
        ({"registrytoken": "bearer", "identitytoken": "x"}, RegistryToken("bearer")),
        ({"email": "ada@example.org"}, Anonymous()),
        ({}, Anonymous()),
        ("text", Anonymous()),
        (None, Anonymous()),
    ],
)
def test_every_form_of_an_entry(docker: Docker, entry: Any, expected: Credential) -> None:
    docker.write({"auths": {HOST: entry}})
    if not isinstance(expected, Anonymous):
        expected = replace(expected, source=source(docker))
    assert docker.find() == expected
    assert docker.warnings == []


@pytest.mark.parametrize(
    "entry",
    [
        {"auth": "not base64!"},
        {"auth": packed(":no user")},
        {"auth": base64.b64encode(b"\xff\xfe:x").decode()},
        {"auth": 7},
        {"username": "half", "password": "\ud800-half"},
        {"identitytoken": "\ud800-half"},
        {"registrytoken": "two\nlines"},
        {"registrytoken": "tökén"},
    ],
)
def test_an_entry_that_is_none_is_told_without_its_secret(docker: Docker, entry: Any) -> None:
    docker.write({"auths": {HOST: entry}})
    assert docker.find() == Anonymous()
    (warning,) = docker.warnings
    assert HOST in warning
    assert source(docker) in warning
    assert not any(str(value) in warning for value in entry.values() if value != 7)


@pytest.mark.parametrize(
    "key",
    [
        HOST,
        f"https://{HOST}",
        f"http://{HOST}/",
        f"https://{HOST}/v1/",
        f"https://{HOST}/v2/",
        f"{HOST}/v1/",
    ],
)
def test_every_form_of_a_key(docker: Docker, key: str) -> None:
    docker.write({"auths": {"other.example": {"auth": packed("eve:x")}, key: ADA}})
    assert docker.find() == Basic("ada", SECRET, source(docker))


@pytest.mark.parametrize(
    "key", ["registry.example", "other.registry.example:5000", "registry.example:5001", "", "/"]
)
def test_a_credential_of_another_host_is_not_taken(docker: Docker, key: str) -> None:
    docker.write({"auths": {key: ADA}})
    assert docker.find() == Anonymous()


@pytest.mark.parametrize(
    "key", [HUB, "docker.io", "index.docker.io", "registry-1.docker.io", "https://docker.io/v2/"]
)
@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_has_many_names(docker: Docker, key: str, host: str) -> None:
    docker.write({"auths": {key: ADA}})
    assert docker.find(host) == Basic("ada", SECRET, source(docker))
    assert docker.find("docker.io.evil.example") == Anonymous()


def test_the_exact_key_comes_first(docker: Docker) -> None:
    docker.write({"auths": {f"https://{HOST}": {"auth": packed("eve:x")}, HOST: ADA}})
    assert docker.find() == Basic("ada", SECRET, source(docker))


def test_a_mounted_pull_secret_is_found_under_its_name(docker: Docker) -> None:
    docker.write({"auths": {HOST: ADA}}, ".dockerconfigjson")
    assert docker.find() == Basic("ada", SECRET, source(docker, ".dockerconfigjson"))
    docker.write({"auths": {HOST: {"auth": packed("eve:x")}}})
    assert docker.find() == Basic("eve", "x", source(docker))


def test_a_byte_order_mark_is_no_trouble(docker: Docker) -> None:
    docker.write(b"\xef\xbb\xbf" + json.dumps({"auths": {HOST: ADA}}).encode())
    assert docker.find() == Basic("ada", SECRET, source(docker))


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"\xff\xfe", b'{"auths": ', b"[" * 100_000], ids=len
)
def test_a_file_that_is_no_json_is_told(docker: Docker, content: bytes) -> None:
    docker.write(content)
    assert docker.find() == Anonymous()
    (warning,) = docker.warnings
    assert "it is not JSON" in warning
    assert source(docker) in warning


def test_a_file_that_cannot_be_read_is_told(docker: Docker) -> None:
    (docker.directory / "config.json").mkdir()
    assert docker.find() == Anonymous()
    assert "Is a directory" in docker.warnings[0]


@pytest.mark.parametrize(
    "config",
    [[], "text", 7, None, {}, {"auths": []}, {"auths": None}, {"credHelpers": 1, "credsStore": 2}],
)
def test_a_file_of_another_shape_has_no_credentials(docker: Docker, config: Any) -> None:
    docker.write(config)
    assert docker.find() == Anonymous()


def test_no_file_and_no_directory_are_anonymous(docker: Docker, tmp_path: Path) -> None:
    assert docker.find() == Anonymous()
    for paths in ((), (tmp_path / "none" / "config.json",), (Path("/dev/null/config.json"),)):
        assert FilePlace(paths, docker.warnings.append).find(HOST, "") == Anonymous()
    assert docker.warnings == []


# --- helpers


@pytest.mark.parametrize("config", [{"credHelpers": {HOST: "good"}}, {"credsStore": "good"}])
def test_a_helper_is_asked_for_the_host(docker: Docker, config: Any) -> None:
    docker.answering("good", {"ServerURL": HOST, "Username": "ada", "Secret": SECRET})
    docker.write({**config, "auths": {HOST: {"auth": packed("eve:x")}}})
    assert docker.find() == Basic("ada", SECRET, "docker-credential-good")
    assert docker.log.read_text() == f"get {HOST}"


def test_a_helper_for_the_host_comes_before_the_store(docker: Docker) -> None:
    docker.answering("own", {"Username": "ada", "Secret": SECRET})
    docker.answering("store", {"Username": "eve", "Secret": "x"})
    docker.write({"credHelpers": {HOST: "own"}, "credsStore": "store"})
    assert docker.find() == Basic("ada", SECRET, "docker-credential-own")
    assert docker.find("other.example") == Basic("eve", "x", "docker-credential-store")


@pytest.mark.parametrize("key", [HUB, "docker.io", "index.docker.io"])
def test_a_helper_is_asked_for_docker_hub_by_the_name_that_docker_uses(
    docker: Docker, key: str
) -> None:
    docker.answering("hub", {"Username": "ada", "Secret": SECRET})
    docker.write({"credHelpers": {key: "hub"}})
    assert docker.find("docker.io") == Basic("ada", SECRET, "docker-credential-hub")
    assert docker.log.read_text() == f"get {HUB}"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            {"Username": "<token>", "Secret": "refresh"},
            IdentityToken("refresh", "docker-credential-h"),
        ),
        ({"Username": "", "Secret": ""}, Anonymous()),
        ({}, Anonymous()),
    ],
)
def test_what_a_helper_may_say(docker: Docker, reply: Any, expected: Credential) -> None:
    docker.answering("h", reply)
    docker.write({"credsStore": "h"})
    assert docker.find() == expected
    assert docker.warnings == []


def test_a_helper_that_has_none_means_anonymous_as_docker_has_it(docker: Docker) -> None:
    docker.helper("h", "cat >/dev/null; echo 'credentials not found in native keychain'; exit 1")
    docker.write({"credsStore": "h", "auths": {HOST: ADA}})
    assert docker.find() == Anonymous()
    assert docker.warnings == []


@pytest.mark.parametrize(
    "script",
    [
        f"echo 'it broke with {SECRET}'; echo {SECRET} >&2; exit 1",
        "exit 0",
        f"echo '{SECRET}'",
        "echo '[1]'",
        "echo '\"text\"'",
        "echo 7",
        "echo null",
        "printf '\\377\\376'",
        "head -c 2000000 /dev/zero | tr '\\0' '['",
        "kill -9 $$",
    ],
)
def test_a_broken_helper_is_named_and_means_anonymous(docker: Docker, script: str) -> None:
    docker.helper("broken", f"cat >/dev/null; {script}")
    docker.write({"credsStore": "broken", "auths": {HOST: ADA}})
    assert docker.find() == Anonymous()
    (warning,) = docker.warnings
    assert "docker-credential-broken" in warning
    assert SECRET not in warning


def test_a_helper_that_does_not_read_works(docker: Docker) -> None:
    docker.helper("deaf", 'exec <&-; echo \'{"Username": "ada", "Secret": "x"}\'')
    docker.write({"credsStore": "deaf"})
    assert docker.find() == Basic("ada", "x", "docker-credential-deaf")


def test_a_helper_that_cannot_be_started_is_named(docker: Docker) -> None:
    docker.helper("odd", "")
    (docker.bin / "docker-credential-odd").write_bytes(b"\x7fELF garbage")
    docker.write({"credsStore": "odd"})
    assert docker.find() == Anonymous()
    assert "docker-credential-odd does not work" in docker.warnings[0]


@pytest.mark.parametrize("name", ["missing", "../bin/good", "/bin/sh", "a b", "x;id", "x" * 500])
def test_a_helper_that_is_missing_or_hostile_is_not_run(docker: Docker, name: str) -> None:
    docker.answering("good", {"Username": "eve", "Secret": "x"})
    docker.write({"credsStore": name})
    assert docker.find() == Anonymous()
    (warning,) = docker.warnings
    assert "is not installed" in warning
    assert len(warning) < 200
    assert not docker.log.exists()


def test_a_token_for_the_registry_itself_counts_though_there_is_a_helper(docker: Docker) -> None:
    # As in docker/cli, whose native store starts from what the file has (`nativeStore.Get`).
    docker.write({"credsStore": "none", "auths": {HOST: {"registrytoken": "t0ken"}}})
    assert docker.find() == RegistryToken("t0ken", source(docker))
    assert docker.warnings == []

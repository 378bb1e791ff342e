"""Where `login` keeps credentials: nothing else in the file changes, and nobody else reads it."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oci_pull.adapters.credentials.docker_config import FilePlace
from oci_pull.adapters.credentials.writer import ConfigWriter
from oci_pull.errors import Busy, HelperFailed, InvalidSetting, NotWritable
from oci_pull.oci.credential import Anonymous, Basic, Credential

HOST = "r.example:5000"
HUB = "https://index.docker.io/v1/"
SECRET = "pä:ss"
WHO = Basic("ada", SECRET, "stdin")
PACKED = {"auth": base64.b64encode(f"ada:{SECRET}".encode()).decode()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "docker" / "config.json"


def _write(path: Path, config: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(config if isinstance(config, str) else json.dumps(config))


def _find(path: Path, host: str = HOST) -> Credential:
    return FilePlace((path,), pytest.fail).find(host, "a/b")


def _helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "docker-credential-h"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def _keeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A helper that keeps one credential, in the file that is returned."""
    kept = tmp_path / "kept"
    script = f"""case $1 in
    store) cat >{kept} ;;
    get) cat >/dev/null; cat {kept} 2>/dev/null || {{ echo credentials not found; exit 1; }} ;;
    erase) cat >/dev/null; rm {kept} ;;
    esac"""
    _helper(tmp_path, monkeypatch, script)
    return kept


def test_a_file_of_ones_own(path: Path) -> None:
    assert ConfigWriter(path).store(HOST, WHO) == str(path)
    assert json.loads(path.read_text()) == {"auths": {HOST: PACKED}}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]
    assert _find(path) == Basic("ada", SECRET, str(path))


def test_everything_else_stays(path: Path) -> None:
    before = {
        "HttpHeaders": {"X": "ü"},
        "auths": {"other": {"auth": "eDp5"}, HOST: {"email": "a@b", "identitytoken": "old"}},
        "credHelpers": {"ghcr.io": "x"},
        "proxies": None,
    }
    _write(path, "\ufeff" + json.dumps(before))
    path.chmod(0o644)
    ConfigWriter(path).store(HOST, WHO)
    after = json.loads(path.read_text())
    assert after["auths"].pop(HOST) == {"email": "a@b", **PACKED}
    del before["auths"][HOST]  # type: ignore[attr-defined]
    assert after == before
    assert list(after) == list(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_docker_hub_is_written_as_docker_does(path: Path) -> None:
    _write(path, {"auths": {"docker.io": {"auth": "eDp5"}}})
    ConfigWriter(path).store("docker.io", WHO)
    assert json.loads(path.read_text())["auths"][HUB] == PACKED
    assert _find(path, "registry-1.docker.io") == Basic("ada", SECRET, str(path))


def test_a_link_to_the_file_stays_one(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "docker.json"
    real.parent.mkdir()
    real.write_text("{}")
    path.parent.mkdir()
    path.symlink_to(real)
    ConfigWriter(path).store(HOST, WHO)
    assert path.is_symlink()
    assert json.loads(real.read_text()) == {"auths": {HOST: PACKED}}


@pytest.mark.parametrize("content", ["", "{}", '{"auths": null}', '{"auths": {}}'])
def test_an_empty_file_is_filled(content: str, path: Path) -> None:
    _write(path, content)
    ConfigWriter(path).store(HOST, WHO)
    assert json.loads(path.read_text()) == {"auths": {HOST: PACKED}}


@pytest.mark.parametrize("content", ["{ mine", "[]", "7", '{"auths": ["x"]}', '{"auths": 7}', "\0"])
def test_what_is_no_configuration_is_left_alone(content: str, path: Path) -> None:
    _write(path, content)
    for work in (
        lambda: ConfigWriter(path).store(HOST, WHO),
        lambda: ConfigWriter(path).erase(HOST),
    ):
        with pytest.raises(InvalidSetting, match=r"config\.json is not"):
            work()
    assert path.read_text() == content


def test_what_cannot_be_written_is_named(path: Path, tmp_path: Path) -> None:
    path.parent.write_text("a file")
    with pytest.raises(NotWritable, match=r"config\.json cannot be"):
        ConfigWriter(path).store(HOST, WHO)
    other = tmp_path / "a directory"
    (other / "x").mkdir(parents=True)
    with pytest.raises(NotWritable, match="a directory cannot be read"):
        ConfigWriter(other).store(HOST, WHO)


@pytest.mark.parametrize("config", [{"credsStore": "h"}, {"credHelpers": {HOST: "h"}}])
def test_a_helper_keeps_the_secret_and_the_file_a_mark(
    config: dict[str, Any], path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = _keeping(tmp_path, monkeypatch)
    _write(path, {**config, "auths": {HOST: {"auth": "eDp5"}}})
    writer = ConfigWriter(path)
    assert writer.store(HOST, WHO) == "docker-credential-h"
    assert json.loads(kept.read_text())["Secret"] == SECRET
    assert json.loads(path.read_text()) == {**config, "auths": {HOST: {}}}
    assert _find(path) == Basic("ada", SECRET, "docker-credential-h")
    assert writer.erase(HOST) == ["docker-credential-h"]
    assert not kept.exists()
    assert json.loads(path.read_text()) == {**config, "auths": {}}
    assert writer.erase(HOST) == []


def test_a_helper_that_takes_nothing_leaves_the_file_as_it_is(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _helper(tmp_path, monkeypatch, "cat; exit 1")
    _write(path, {"credsStore": "h"})
    with pytest.raises(HelperFailed) as failure:
        ConfigWriter(path).store(HOST, WHO)
    assert SECRET not in str(failure.value)
    assert json.loads(path.read_text()) == {"credsStore": "h"}


def test_every_form_of_the_key_is_removed(path: Path) -> None:
    forms = {HUB: PACKED, "docker.io": PACKED, "https://registry-1.docker.io/v2/": PACKED}
    _write(path, {"auths": {**forms, "docker.io/ai": PACKED, HOST: PACKED}, "x": 1})
    assert ConfigWriter(path).erase("docker.io") == [str(path)]
    assert json.loads(path.read_text()) == {"auths": {"docker.io/ai": PACKED, HOST: PACKED}, "x": 1}
    assert _find(path, "docker.io") == Anonymous()


def test_nothing_to_remove_writes_nothing(path: Path) -> None:
    assert ConfigWriter(path).erase(HOST) == []
    assert not path.exists()
    _write(path, '{"auths": {"x": {}} }')
    assert ConfigWriter(path).erase(HOST) == []
    assert path.read_text() == '{"auths": {"x": {}} }'


# Two at once

_STORE = """
import sys
from pathlib import Path
from oci_pull.adapters.credentials.writer import ConfigWriter
from oci_pull.oci.credential import Basic

path, name = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    ConfigWriter(Path(path)).store(f"{name}-{number}.example", Basic("ada", "x", "stdin"))
"""


def test_logins_at_the_same_time_lose_nothing_of_each_other(path: Path) -> None:
    names = ("one", "two")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _STORE, str(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for each in processes:
        assert each.stdout
        assert each.stdout.readline() == "ready\n"
    for each in processes:
        assert each.stdin
        each.stdin.write("\n")
        each.stdin.flush()
    for each in processes:
        each.communicate()
        assert each.returncode == 0
    auths = json.loads(path.read_bytes())["auths"]
    assert set(auths) == {f"{name}-{number}.example" for name in names for number in range(40)}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_who_keeps_the_directory_to_himself_is_not_waited_for_for_ever(path: Path) -> None:
    path.parent.mkdir()
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(Busy, match="another process"):
            ConfigWriter(path, patience=0.0).store(HOST, WHO)
    finally:
        os.close(descriptor)
    assert not path.exists()

"""Mirrors of Docker Hub in Docker's own configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oci_pull.adapters.docker_daemon import hub_mirrors, insecure_by
from oci_pull.oci.mirror import Mirror


def _read(tmp_path: Path, *contents: str | None) -> tuple[tuple[Mirror, ...], list[str]]:
    files = []
    for number, content in enumerate(contents):
        files.append(tmp_path / f"{number}.json")
        if content is not None:
            files[-1].write_text(content)
    told: list[str] = []
    return hub_mirrors(files, told.append), told


def _daemon(*urls: object) -> str:
    return json.dumps({"debug": True, "registry-mirrors": urls})


def test_mirrors_of_all_files_in_their_order_and_once(tmp_path: Path) -> None:
    mirrors, told = _read(
        tmp_path,
        _daemon("https://one.example/", "http://two.example:5000"),
        _daemon("https://three.example", "https://one.example"),
    )
    one, three = Mirror("one.example"), Mirror("three.example")
    assert mirrors == (one, Mirror("two.example:5000", plain_http=True), three)
    assert told == []


@pytest.mark.parametrize("content", [None, "{}", '{"registry-mirrors": []}'])
def test_where_nothing_is_said_there_are_none(tmp_path: Path, content: str | None) -> None:
    assert _read(tmp_path, content) == ((), [])


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', "[" * 100_000])
def test_a_broken_file_is_told_and_not_used(tmp_path: Path, content: str) -> None:
    mirrors, told = _read(tmp_path, content, _daemon("https://one.example"))
    assert mirrors == (Mirror("one.example"),)
    assert told == [f"{tmp_path / '0.json'} is not used: it is not JSON of the daemon's"]


@pytest.mark.parametrize("url", ["ftp://x", "https://ada:secret@x", 5, None, "https://x/?q"])
def test_what_is_no_mirror_is_told_and_left_out(tmp_path: Path, url: object) -> None:
    mirrors, told = _read(tmp_path, _daemon(url, "https://one.example"))
    assert mirrors == (Mirror("one.example"),)
    (message,) = told
    assert "is no mirror" in message
    assert "secret" not in message


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    assert hub_mirrors([tmp_path], told.append) == ()
    assert told == [f"{tmp_path} is not used: Is a directory"]


# insecure-registries


@pytest.mark.parametrize(
    ("entry", "host", "is_meant"),
    [
        ("registry.corp", "registry.corp", True),
        ("Registry.Corp:5000", "registry.corp:5000", True),
        ("http://registry.corp:5000/", "registry.corp:5000", True),
        ("registry.corp", "registry.corp:5000", False),
        ("registry.corp:5000", "registry.corp", False),
        ("corp", "registry.corp", False),
        ("10.0.0.0/8", "10.1.2.3:5000", True),
        ("10.0.0.0/8", "11.1.2.3:5000", False),
        ("fd00::/8", "[fd00::1]:5000", True),
        # Whoever answers for names must not be able to take TLS away.
        ("127.0.0.0/8", "registry.corp", False),
        ("0.0.0.0/0", "localhost", False),
        (7, "registry.corp", False),
    ],
)
def test_docker_may_have_been_told_that_a_registry_need_prove_nothing(
    entry: object, host: str, is_meant: bool, tmp_path: Path
) -> None:
    file = tmp_path / "daemon.json"
    file.write_text(json.dumps({"insecure-registries": [entry]}))
    found = insecure_by(host, [tmp_path / "none", file])
    assert found == (file if is_meant else None)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"insecure-registries": 7}', "[" * 100_000])
def test_a_file_of_the_daemon_that_is_broken_makes_nothing_insecure(
    text: str, tmp_path: Path
) -> None:
    file = tmp_path / "daemon.json"
    file.write_text(text)
    assert insecure_by("registry.corp", [file]) is None

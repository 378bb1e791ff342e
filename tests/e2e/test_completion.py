"""What a Tab does, in the shells themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builders import docker_v01, tiny_model
from tests.e2e.command import Command
from tests.e2e.models import put
from tests.e2e.shells import NAMES, TAB, shell
from tests.fakes.registry import FakeRegistry

_REPOSITORY = "ml/tiny"


@pytest.fixture
def user(oci_pull: Command, registry: FakeRegistry) -> Command:
    """Somebody who has a model of a registry with a port, and a credential for another."""
    model = docker_v01(tiny_model(), annotated=True)
    oci_pull(put(registry, model, repository=_REPOSITORY, tag="v1")).must_succeed()
    docker = oci_pull.home / ".docker"
    docker.mkdir()
    (docker / "config.json").write_text(json.dumps({"auths": {"ghcr.io": {}}}))
    return oci_pull


@pytest.mark.parametrize("name", NAMES)
def test_a_tab_finishes_the_word(name: str, user: Command, registry: FakeRegistry) -> None:
    reference = f"{registry.address}/{_REPOSITORY}:v1"
    begun = reference[: reference.index(":") + 2]
    asked = len(registry.requests)
    with shell(name, user.home, user.environment()) as keys:
        for typed, meant in (
            (f"oci-pull ca{TAB}pa{TAB}", "oci-pull cache path"),
            (f"oci-pull cache path 127{TAB}", f"oci-pull cache path {reference}"),
            (f"oci-pull {begun}{TAB}--off{TAB}", f"oci-pull {reference} --offline"),
            (f"oci-pull -q plan --progress pl{TAB}", "oci-pull -q plan --progress plain"),
            (f"oci-pull --progress=pl{TAB}", "oci-pull --progress=plain"),
            (f"oci-pull cache prune --keep 127{TAB}", f"oci-pull cache prune --keep {reference}"),
            (f"oci-pull logout g{TAB}", "oci-pull logout ghcr.io"),
            (f"oci-pull doctor {reference[:-2]}{TAB}", f"oci-pull doctor {reference}"),
            (f"oci-pull -o .doc{TAB}", "oci-pull -o .docker/"),
            (f"oci-pull warm .docker/c{TAB}", "oci-pull warm .docker/config.json"),
            (f"oci-pull warm - 127{TAB}", f"oci-pull warm - {reference}"),
        ):
            # A shell may leave out the slash once the next key says that nothing follows it.
            found = " ".join(keys.typed(typed))
            assert found.rstrip("/") == meant.rstrip("/")
    assert len(registry.requests) == asked


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("oci-pull ", ("pull", "plan", "cache", "login")),
        ("oci-pull cache ", ("ls", "df", "rm", "prune", "verify", "path")),
        ("oci-pull --format ", ("path", "text", "json")),
        ("oci-pull cache ls --", ("--partial", "--cache-dir", "--format", "--help")),
        ("oci-pull --l", ("--layout", "--link-mode", "--limit-rate")),
    ],
)
def test_two_tabs_show_what_there_is(
    name: str, line: str, words: tuple[str, ...], oci_pull: Command
) -> None:
    with shell(name, oci_pull.home, oci_pull.environment()) as keys:
        keys.lists(line, words)


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_cache_and_configuration_are_not_told(name: str, oci_pull: Command) -> None:
    oci_pull.cache.parent.mkdir()
    oci_pull.cache.write_text("no directory")
    settled = oci_pull.home / ".config/oci-pull"
    settled.mkdir(parents=True)
    (settled / "config.toml").write_text("cache-dir = [[[")
    with shell(name, oci_pull.home, oci_pull.environment()) as keys:
        assert keys.typed(f"oci-pull cache path x{TAB}") == ["oci-pull", "cache", "path", "x"]


def test_what_a_shell_asks_is_never_an_error(oci_pull: Command, tmp_path: Path) -> None:
    for words in ((), ("",), ("references",), ("unknown", ""), ("logins", "--authfile", "/", "")):
        run = oci_pull("__complete", *words).must_succeed()
        assert (run.stdout, run.stderr) == ("", "")
    (tmp_path / "file").touch()
    nowhere = oci_pull.with_env(HOME=str(tmp_path / "file"))("__complete", "references", "")
    assert (nowhere.code, nowhere.stdout, nowhere.stderr) == (0, "", "")

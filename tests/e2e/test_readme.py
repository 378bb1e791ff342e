"""Every command and every program of the README, run."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import docker_v01, tiny_model
from tests.servers import debian
from tests.servers.distribution import Distribution, Htpasswd, Options
from tests.servers.push import Credentials, push, write_layout

pytestmark = pytest.mark.e2e

_CHECKOUT = Path(__file__).parent.parent.parent
_README = (_CHECKOUT / "README.md").read_text()
_COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", _README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
_PROGRAMS = re.findall(r"```python\n(.*?)```", _README, re.DOTALL)
_REPOSITORY = "aistaging/smollm2-vllm"
_PASSWORD = "s3cr3t"
#: What keeps or forgets a credential says so to the person, and has no result for a script.
_SILENT = (" login ", "oci-pull logout ")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The README's model in a registry here, and stand-ins for what is not ours to test."""
    home = tmp_path_factory.mktemp("readme")
    programs = home / "bin"
    programs.mkdir()
    for name in ("pip", "vllm"):
        (programs / name).write_text('#!/bin/sh\necho "$0 $*"\n')
        (programs / name).chmod(0o755)
    users = Options(auth=Htpasswd({"ada": _PASSWORD}))
    with (
        Distribution(home / "registry", Options()) as registry,
        Distribution(home / "private", users) as private,
    ):
        annotated = docker_v01(tiny_model(), annotated=True)
        push(
            private.url, _REPOSITORY, "latest", annotated, credentials=Credentials("ada", _PASSWORD)
        )
        digest = push(
            registry.url, _REPOSITORY, "latest", docker_v01(tiny_model(), annotated=False)
        )
        write_layout(home / "layout", annotated, "v1")
        environment = {
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "OCI_PULL_CACHE_DIR": str(home / "cache"),
            # So that a name without a host, which is Docker Hub's, is found here.
            "OCI_PULL_DEFAULT_REGISTRY": registry.host,
            "REGISTRY": registry.host,
            "PRIVATE": private.host,
            "PASSWORD": _PASSWORD,
            "DIGEST": digest,
            "LAYOUT": str(home / "layout"),
        }
        subprocess.run(
            ["oci-pull", _REPOSITORY],
            env=environment,
            check=True,
            capture_output=True,
            cwd=home,
        )
        yield environment


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_command_of_the_readme_works(command: str, environment: dict[str, str]) -> None:
    if command.startswith("skopeo"):
        try:
            tool = debian.tool("skopeo")
        except debian.ToolUnavailable as error:
            pytest.skip(str(error))
        command = f"{tool.path}{command.removeprefix('skopeo')}"
        environment = {**environment, **tool.env}
    done = subprocess.run(
        ["bash", "-euc", command],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout or any(words in command for words in _SILENT)
    assert _PASSWORD not in done.stdout + done.stderr


@pytest.mark.parametrize("program", _PROGRAMS)
def test_a_program_of_the_readme_works(program: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "models/" in done.stdout


def test_the_targets_of_the_readme_are_there() -> None:
    makefile = (_CHECKOUT / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)", _README, re.MULTILINE)
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)

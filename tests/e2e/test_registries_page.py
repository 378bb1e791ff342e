"""What docs/registries.md says: its commands are run, its file is read, its tests are there."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oci_pull.settings import Settings
from tests import builders
from tests.e2e.models import put
from tests.fakes.registry import Auth, FakeRegistry
from tests.servers.push import write_layout

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parent.parent.parent
PAGE = (CHECKOUT / "docs" / "registries.md").read_text()
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ")
    for block in BLOCKS
    for line in block.splitlines()
    if line.startswith("$ ")
]
TESTS = sorted(set(re.findall(r"`(tests/[a-z0-9_/]+\.py)::(test_\w+)`", PAGE)))
REPOSITORY = "aistaging/smollm2-vllm"
MODEL = builders.docker_v02(builders.tiny_model())
PASSWORD = "s3cr3t"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A registry for everybody, one that knows its users, a mirror, and layouts on disk."""
    home = tmp_path_factory.mktemp("page")
    layout = write_layout(home / "layout", MODEL, "v1")
    archive = home / "layout.tar"
    with tarfile.open(archive, "w") as file:
        for path in sorted(layout.rglob("*")):
            file.add(path, path.relative_to(layout).as_posix(), recursive=False)
    Path(f"{archive}.gz").write_bytes(gzip.compress(archive.read_bytes()))
    with FakeRegistry() as registry, FakeRegistry() as private, FakeRegistry() as mirror:
        for each in (registry, private, mirror):
            put(each, MODEL, repository=REPOSITORY, tag="latest")
        private.auth = Auth(users={"ada": PASSWORD}, anonymous=False)
        yield {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "REGISTRY": registry.address,
            "PRIVATE": private.address,
            "MIRROR": f"http://{mirror.address}",
            "PASSWORD": PASSWORD,
            "LAYOUT": str(layout),
            "ARCHIVE": str(archive),
        }


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_works(command: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-euc", command],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert PASSWORD not in done.stdout + done.stderr


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_test_that_the_page_names_is_there(file: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", (CHECKOUT / file).read_text(), re.MULTILINE)


def test_every_registry_has_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 12
    assert all("::test_" in row for row in rows)


def test_the_configuration_of_the_page_is_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "config.toml"
    path.write_text(example)
    settings = Settings.load({}, {"config": str(path)}, etc=tmp_path / "etc")
    written = tomllib.loads(example)
    assert settings.jobs == written["jobs"]
    assert settings.stall_timeout == 60
    assert settings.keep == tuple(written["keep"])
    mirrors = settings.registry("docker.io").mirrors
    assert [str(each) for each in mirrors] == [
        "https://mirror.corp.example/hub",
        "https://cache.example:5000",
    ]
    assert [each.tags for each in mirrors] == [True, False]
    corp = settings.registry("registry.corp.example:5000")
    assert (str(corp.ca_file), corp.credential_helper, corp.jobs) == (
        "/etc/ssl/corp.pem",
        "corp-login",
        4,
    )

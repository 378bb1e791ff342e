"""What cron, systemd and CI run of the recipes, as it is written, in the environment of each."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.e2e.disk import assert_tidy, assert_tree, blobs, bytes_kept
from tests.e2e.isolation import STRANGER
from tests.integration.recipes import ANA, LLAMA, RECIPES, docker_config, filled_in
from tests.servers.container import Container, Image, Mount, Security, image, terminate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from tests.e2e.command import Run, Running
    from tests.producers.programs import Buildah
    from tests.servers.access_log import Request
    from tests.servers.distribution import Distribution

_ROOT = Security(0)
_LIST = "ghcr.io/acme/llama:v3\n\n# and one of its own options\nai/smollm2 --include '*.gguf'\n"
_UNCOMMENTED = re.compile(r"(?m)^#(?=[A-Z]\w+=)")
_EXPRESSION = re.compile(r"\$\{\{ (\S+) \}\}")


@pytest.fixture
def etc(ghcr: Distribution, tmp_path: Path) -> Path:
    """`/etc/oci-pull`, with the list."""
    directory = tmp_path / "etc"
    directory.mkdir()
    (directory / "models.txt").write_text(filled_in(_LIST, ghcr))
    return directory


def _crontab() -> tuple[dict[str, str], list[str]]:
    """Its variables and its commands."""
    variables, commands = {}, []
    for line in (RECIPES / "crontab").read_text().splitlines():
        if not line.startswith("#"):
            name, separator, value = line.partition("=")
            if separator and name.isidentifier():
                variables[name] = value
            else:
                commands.append(line.split(maxsplit=5)[5])
    return variables, commands


@pytest.fixture
def srv(tmp_path: Path) -> Path:
    """`/srv/models`."""
    path = tmp_path / "srv"
    path.mkdir()
    return path


def _nights(tool: Image, ghcr: Distribution, etc: Path, srv: Path) -> Iterator[Run]:
    """The lines of the crontab, one after the other."""
    variables, commands = _crontab()
    mounts = [Mount(etc, "/etc/oci-pull", read_only=True), Mount(srv, "/srv/models")]
    # What cron sets itself, and what the crontab does.
    env = {"HOME": "/root", "LOGNAME": "root", "SHELL": "/bin/sh", **variables}
    cron = Container(tool, _ROOT, mounts, env, ("/bin/sh", "-c")).at(srv.parent)
    assert len(commands) == 2
    for command in commands:
        yield cron(filled_in(command, ghcr))


def test_cron_has_nothing_to_send_of_a_night_without_errors(
    tool_image: Image, ghcr: Distribution, etc: Path, srv: Path
) -> None:
    (etc / "auth.json").write_text(docker_config(ghcr))
    (etc / "config.toml").write_text('authfile = "/etc/oci-pull/auth.json"\n')
    for run in _nights(tool_image, ghcr, etc, srv):
        assert (run.code, run.stdout, run.stderr) == (0, "", "")
    assert len(blobs(srv)) > 2
    assert_tidy(srv)


def test_cron_sends_what_failed(
    tool_image: Image, ghcr: Distribution, etc: Path, srv: Path
) -> None:
    warm, _ = _nights(tool_image, ghcr, etc, srv)
    warm.must_fail(4)
    assert f"{ghcr.host} wants a user and a password for acme/llama" in warm.stderr
    assert not set("\x1b\r") & set(warm.stderr)


class _Unit:
    """The service, in what systemd makes for it: a user that exists while it runs, and no HOME."""

    def __init__(self, tool: Image, ghcr: Distribution, etc: Path) -> None:
        home = etc.parent
        text = (RECIPES / "systemd/oci-pull-warm.service").read_text()
        # With the two lines for registries that want a password.
        lines = [line.partition("=") for line in _UNCOMMENTED.sub("", text).splitlines()]
        said = [(name, value) for name, _, value in lines if not name.startswith("#")]
        values = dict(said)
        assert (values["DynamicUser"], values["ProtectSystem"]) == ("yes", "strict")
        assert values["CacheDirectory"] == "oci-pull"
        credential, _, _ = values["LoadCredential"].partition(":")
        # %C and %d.
        places = {"%C": "/var/cache", "%d": "/run/credentials/oci-pull-warm.service"}
        self._line = shlex.split(filled_in(values["ExecStart"], ghcr, places))
        given = (value.partition("=") for name, value in said if name == "Environment")
        self.cache = self._directory(home / "cache", 0o755)
        credentials = self._directory(home / "credentials", 0o500)
        self._file(credentials / credential, docker_config(ghcr))
        # Where a service with a user like this has its cache in truth.
        link = tool.root / "var/cache/oci-pull"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to("private/oci-pull")
        self._container = Container(
            tool,
            Security(STRANGER, read_only_root=True),
            [
                Mount(etc, "/etc/oci-pull", read_only=True),
                Mount(self.cache, "/var/cache/private/oci-pull"),
                Mount(credentials, places["%d"], read_only=True),
                Mount(self._directory(home / "tmp", 0o1777), "/tmp"),
            ],
            {
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
                "CACHE_DIRECTORY": "/var/cache/oci-pull",
                "CREDENTIALS_DIRECTORY": places["%d"],
                "INVOCATION_ID": "0123456789abcdef0123456789abcdef",
                "USER": "oci-pull-warm",
                **{name: filled_in(value, ghcr, places) for name, _, value in given},
            },
            self._line[:1],
        )
        self._home = home

    def _directory(self, path: Path, mode: int) -> Path:
        path.mkdir(exist_ok=True)
        os.chown(path, STRANGER, STRANGER)
        path.chmod(mode)
        return path

    def _file(self, path: Path, text: str) -> None:
        path.write_text(text)
        os.chown(path, STRANGER, STRANGER)
        path.chmod(0o400)

    def start(self, **env: str) -> AbstractContextManager[Running]:
        more = replace(self._container, env={**self._container.env, **env})
        return more.at(self._home).start(*self._line[1:])


@pytest.fixture
def unit(tool_image: Image, ghcr: Distribution, etc: Path) -> _Unit:
    return _Unit(tool_image, ghcr, etc)


def test_a_service_without_a_user_keeps_its_models_where_systemd_says(
    unit: _Unit, ghcr: Distribution
) -> None:
    with unit.start() as running:
        run = running.wait().must_succeed()
    assert not set("\x1b\r") & set(run.stderr)
    assert_tidy(unit.cache)
    assert "oci_pull_last_success" in (unit.cache / "oci-pull.prom").read_text()
    (llama,) = (unit.cache / "models" / ghcr.host.replace(":", "+") / "acme").iterdir()
    assert_tree(llama, LLAMA)

    before = len(ghcr.access_log())
    with unit.start() as running:
        running.wait().must_succeed()
    assert _blob_requests(ghcr.access_log()[before:]) == []


def test_a_service_that_is_stopped_goes_on_the_next_time(unit: _Unit) -> None:
    text = (RECIPES / "systemd/oci-pull-warm.service").read_text()
    (expected,) = re.findall(r"(?m)^SuccessExitStatus=(\d+)$", text)
    with unit.start(OCI_PULL_LIMIT_RATE="300K") as running:
        running.until(lambda: bytes_kept(unit.cache), "bytes are kept")
        assert terminate(running).code == int(expected)
    with unit.start() as running:
        running.wait().must_succeed()
    assert_tidy(unit.cache)


def _blob_requests(requests: Sequence[Request]) -> list[str]:
    return [each.path for each in requests if "/blobs/" in each.path]


def _gitlab(ghcr: Distribution) -> tuple[list[str], dict[str, str]]:
    """The lines of the job, and its variables."""
    job = yaml.safe_load((RECIPES / "ci/gitlab-ci.yml").read_text())["pull-model"]
    assert job["image"] == "python:3.12-slim"
    assert job["cache"]["paths"] == [".oci-pull"]
    variables = {
        name: value.replace("$CI_PROJECT_DIR", "/work") for name, value in job["variables"].items()
    }
    return job["script"], {**variables, "DOCKER_AUTH_CONFIG": docker_config(ghcr)}


def _github(ghcr: Distribution) -> tuple[list[str], dict[str, str]]:
    said = yaml.safe_load((RECIPES / "ci/github-actions.yml").read_text())
    job = said["jobs"]["pull"]
    values = {"github.workspace": "/work", "secrets.GITHUB_TOKEN": ANA.password}

    def filled(env: Mapping[str, str]) -> dict[str, str]:
        return {
            name: _EXPRESSION.sub(lambda found: values[found[1]], value)
            for name, value in env.items()
        }

    (cached,) = [step["with"] for step in job["steps"] if "actions/cache" in step.get("uses", "")]
    assert cached["path"] == ".oci-pull"
    env = {**filled(job["env"]), "GITHUB_ACTOR": ANA.username}
    for step in job["steps"]:
        env |= filled(step.get("env", {}))
    return [step["run"] for step in job["steps"] if "run" in step], env


@pytest.mark.parametrize("ci", [_gitlab, _github], ids=["gitlab", "github"])
def test_what_a_pipeline_caches_is_not_fetched_again(
    ci: Callable[[Distribution], tuple[list[str], dict[str, str]]],
    builder: Buildah,
    ghcr: Distribution,
    tmp_path: Path,
) -> None:
    lines, env = ci(ghcr)
    work = tmp_path / "work"
    work.mkdir()
    script = "\n".join(["set -e", "cd /work", *(filled_in(line, ghcr) for line in lines)])
    machine = image(builder, "docker.io/library/python:3.12-slim")
    env = {"HOME": "/root", "CI": "true", **env}
    runner = Container(machine, _ROOT, [Mount(work, "/work")], env, ("/bin/sh", "-c"))
    for is_first in (True, False):
        before = len(ghcr.access_log())
        run = runner.at(tmp_path)(script).must_succeed()
        assert "models/llama\n" in run.stdout
        assert not set("\x1b\r") & set(run.stderr)
        assert ANA.password not in run.stdout + run.stderr
        assert_tree(work / "models/llama", LLAMA)
        assert bool(_blob_requests(ghcr.access_log()[before:])) == is_first
        shutil.rmtree(work / "models")

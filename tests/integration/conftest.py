"""Real registries for all tests here, started once, and the models that are pushed to them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.ahead import once
from tests.e2e.command import Command
from tests.e2e.isolation import IS_ROOT
from tests.integration import recipes
from tests.integration.models import PACKAGINGS, Pulled, Pushed
from tests.producers.base_image import write_root, write_wheels
from tests.producers.bench import Bench
from tests.producers.programs import Buildah
from tests.servers import minilm
from tests.servers.container import Image, image
from tests.servers.debian import Tool, ToolUnavailable, tool
from tests.servers.distribution import Distribution, Htpasswd, Options
from tests.servers.push import push, reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TAG = "v1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.integration)


@pytest.fixture
def oci_pull(tmp_path: Path) -> Command:
    """The command of a user whose home is empty."""
    home = tmp_path / "home"
    home.mkdir()
    return Command(home)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """For what is too large to be kept after the tests, as pytest does."""
    path = tmp_path_factory.mktemp("scratch")
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def registry(scratch: Path) -> Iterator[Distribution]:
    """Open to everybody, on plain HTTP."""
    with Distribution(scratch / "registry") as found:
        yield found


@pytest.fixture(scope="session")
def pushed(registry: Distribution, scratch: Path) -> Callable[[str], Pushed]:
    """The model in a packaging, in the registry; pushed when it is first asked for."""

    # all-MiniLM-L6-v2, and a small one where that cannot be had.
    real = minilm.model_files() or builders.tiny_model()

    @once
    def find(name: str) -> Pushed:
        packaging = PACKAGINGS[name]
        files = builders.tiny_model(shards=packaging.shards) if packaging.shards else real
        artifact = packaging.build(files, scratch)
        digest = push(registry.url, f"models/{name}", _TAG, artifact)
        assert digest == artifact.digest
        return Pushed(reference(registry.url, f"models/{name}", _TAG), artifact, files)

    return find


@pytest.fixture(scope="session")
def pulled(pushed: Callable[[str], Pushed], scratch: Path) -> Callable[[str], Pulled]:
    """A user who pulled the model in a packaging; nobody may change what is theirs."""

    @once
    def find(name: str) -> Pulled:
        home = scratch / f"home-{name}"
        home.mkdir()
        oci_pull, model = Command(home), pushed(name)
        path = oci_pull(*PACKAGINGS[name].words, model.reference).path
        return Pulled(oci_pull, model, path)

    return find


@pytest.fixture(scope="session")
def tiny(registry: Distribution) -> Callable[[str, int], Pushed]:
    """A small model of that seed, as the latest in a repository of the test's own."""

    def push_it(repository: str, seed: int = 0) -> Pushed:
        files = builders.tiny_model(seed=seed)
        artifact = builders.docker_v02(files)
        push(registry.url, repository, _TAG, artifact)
        return Pushed(reference(registry.url, repository, _TAG), artifact, files)

    return push_it


@pytest.fixture(scope="session")
def builder(registry: Distribution, scratch: Path) -> Buildah:
    """What builds Dockerfiles; it has what those of the recipes are made from."""
    if not IS_ROOT:
        pytest.skip("only root may give a program another root directory")
    bench = Bench(registry, "builder", scratch / "builder")
    bench.directory.mkdir()
    program = Buildah(bench)
    wheels = bench.directory / "wheels"
    try:
        write_wheels(wheels)
    except subprocess.CalledProcessError as missing:
        pytest.skip(f"no wheels of what oci-pull depends on: {missing.stderr.decode()[-200:]}")
    container = program("from", "scratch")
    variables = write_root(Path(program("mount", container)), wheels)
    program("config", *(f"--env={name}={text}" for name, text in variables.items()), container)
    program("commit", "--quiet", container, "docker.io/library/python:3.12-slim")
    program("tag", "docker.io/library/python:3.12-slim", "docker.io/vllm/vllm-openai:latest")
    program("rm", container)
    return program


@pytest.fixture(scope="session")
def ghcr(scratch: Path) -> Iterator[Distribution]:
    """What the recipes pull, for whom it knows: stands for ghcr.io and for Docker Hub."""
    options = Options(auth=Htpasswd({recipes.ANA.username: recipes.ANA.password}))
    with Distribution(scratch / "ghcr", options) as found:
        recipes.fill(found)
        yield found


@pytest.fixture(scope="session")
def tool_image(builder: Buildah) -> Image:
    """`Dockerfile.tool`, built."""
    builder.build(recipes.RECIPES / "Dockerfile.tool", "--tag=tool")
    return image(builder, "tool")


@pytest.fixture(scope="session")
def skopeo() -> Tool:
    try:
        return tool("skopeo")
    except ToolUnavailable as missing:
        pytest.skip(str(missing))

"""Real registries for all tests here, started once, and the models that are pushed to them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.ahead import once
from tests.e2e.command import Command
from tests.integration.models import PACKAGINGS, Pulled, Pushed
from tests.servers import minilm
from tests.servers.debian import Tool, ToolUnavailable, tool
from tests.servers.distribution import Distribution
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
def skopeo() -> Tool:
    try:
        return tool("skopeo")
    except ToolUnavailable as missing:
        pytest.skip(str(missing))

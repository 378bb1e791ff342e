"""What every test here gets: a registry that does as it is told, and the command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e import pages
from tests.e2e.command import Command
from tests.fakes.registry import FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as found:
        yield found


@pytest.fixture
def oci_pull(tmp_path: Path) -> Command:
    """The command of a user whose home is empty."""
    home = tmp_path / "home"
    home.mkdir()
    return Command(home)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """What the pages of the documentation talk of."""
    with pages.world(tmp_path_factory.mktemp("world")) as found:
        yield found


@pytest.fixture
def reader(world: Mapping[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who types what a page says, in an empty home."""
    return pages.reader_of(world, tmp_path / "reader")

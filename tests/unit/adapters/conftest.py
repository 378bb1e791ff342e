"""What most tests of the adapters start from."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes.registry import FakeRegistry
from tests.unit.adapters.pulling import Pull, Puller, serve
from tests.unit.adapters.support import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that every user may look into, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    with tempfile.TemporaryDirectory(dir=shared) as path:
        yield Path(path)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "cache")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        serve(registry)
        yield registry


@pytest.fixture
def puller(registry: FakeRegistry) -> Iterator[Pull]:
    """Makes pullers, and closes their connections in the end."""
    pullers: list[Puller] = []

    def make(**options: Any) -> Puller:
        pullers.append(Puller(**{"registry": registry, **options}))
        return pullers[-1]

    yield make
    for each in pullers:
        each.client.close()

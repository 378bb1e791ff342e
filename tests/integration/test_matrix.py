"""Every packaging, from a registry and from a layout on disk: byte for byte what was packed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.ahead import ahead
from tests.e2e.command import Command
from tests.e2e.disk import assert_tidy, assert_tree
from tests.integration.matrix import CELL, ROWS
from tests.producers.bench import TAG, Bench
from tests.producers.programs import debian_tool
from tests.servers.push import write_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from tests.e2e.command import Run
    from tests.integration.matrix import Files, Row
    from tests.servers.distribution import Distribution

SOURCES = ("registry", "oci")


@dataclass(frozen=True)
class _Pulled:
    expected: Files
    runs: dict[str, Run]
    cache: Path


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, registry: Distribution, scratch: Path
) -> Iterator[Callable[[object], Future[_Pulled]]]:
    """Every row made and pulled from both places, several rows beside each other."""

    def work(name: str) -> _Pulled:
        row, directory = ROWS[name], scratch / "matrix" / name
        directory.mkdir(parents=True)
        bench = Bench(registry, f"matrix/{name}", directory)
        expected = row.make(bench, row.model())
        runs = {}
        for source, reference in (
            ("registry", bench.reference),
            ("oci", f"oci:{_layout(bench, row)}:{TAG}"),
        ):
            home = directory / f"home-{source}"
            home.mkdir()
            command = Command(home)
            runs[source] = command("--format", "json", *row.words, reference)
        return _Pulled(expected, runs, directory)

    with ahead(request, "name", work) as found:
        yield found


def _layout(bench: Bench, row: Row) -> Path:
    """What is in the registry as a layout on disk, copied by skopeo where it can be."""
    directory = bench.directory / "copied"
    if not row.is_copied:
        return write_layout(directory, bench.stored(), TAG)
    debian_tool("skopeo").run(
        "copy",
        "--all",
        "--src-tls-verify=false",
        f"docker://{bench.reference}",
        f"oci:{directory}:{TAG}",
    )
    return directory


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", ROWS)
def test_a_packaging_comes_back_byte_for_byte(
    name: str,
    source: str,
    outcomes: Callable[[object], Future[_Pulled]],
    record_property: Callable[[str, Any], None],
) -> None:
    row = ROWS[name]
    cell = [row.packaging, row.producer, source, "-"]
    record_property(CELL, cell)
    found = outcomes(name).result()
    run = found.runs[source].must_succeed()
    cell[-1] = str(len(run.json["files"]))
    assert run.json["packaging"] == row.packaging
    assert run.json["servable"] == row.servable, run.json["warnings"]
    assert_tree(Path(run.json["path"]), found.expected)
    assert_tidy(found.cache / f"home-{source}" / ".cache/oci-pull")

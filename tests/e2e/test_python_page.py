"""What docs/python.md says: its programs run, and its tables are what the library has."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import typing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import oci_pull
from oci_pull import errors, events
from oci_pull.look import Plan
from oci_pull.pull import PullResult
from tests.builders import docker_v02, tiny_model
from tests.e2e.models import put
from tests.fakes.registry import FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHECKOUT = Path(__file__).parent.parent.parent
_PAGE = (_CHECKOUT / "docs" / "python.md").read_text()
_PROGRAMS = re.findall(r"```python\n(.*?)```", _PAGE, re.DOTALL)


def _rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading line."""
    _, _, rest = _PAGE.partition(f"\n| {heading} |")
    lines = rest.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def _names(cells: list[str]) -> set[str]:
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    home = tmp_path_factory.mktemp("page")
    with FakeRegistry() as registry:
        model = docker_v02(tiny_model())
        put(registry, model, repository="aistaging/smollm2-vllm", tag="latest")
        yield {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "OCI_PULL_DEFAULT_REGISTRY": registry.address,
        }


@pytest.mark.parametrize("program", _PROGRAMS)
def test_a_program_of_the_page_works(program: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_every_event_is_there_with_its_fields() -> None:
    told = {row[0].strip("`"): re.findall(r"`(\w+)`", row[1]) for row in _rows("event")}
    assert told == {
        kind.__name__: [each.name for each in dataclasses.fields(kind)]
        for kind in typing.get_args(events.Event)
    }


def test_every_error_is_there_with_its_exit_code() -> None:
    told = {row[0].strip("`"): (int(row[1]), row[2] == "yes") for row in _rows("class")}
    assert told == {
        name: (kind.exit_code, kind.retryable)
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.OciPullError)
    }


@pytest.mark.parametrize(
    ("heading", "kind"), [("field of `PullResult`", PullResult), ("field of `Plan`", Plan)]
)
def test_every_field_is_there(heading: str, kind: type) -> None:
    public = {name for name in dir(kind) if not name.startswith("_")}
    assert _names([row[0] for row in _rows(heading)]) == public


def test_every_export_is_there() -> None:
    (line,) = re.findall(r"What is exported, and stays: (.*?)\. ", _PAGE.replace("\n", " "))
    causes = {name for name in dir(oci_pull) if isinstance(getattr(errors, name, None), type)}
    assert _names([line]) == set(dir(oci_pull)) - causes


def test_every_example_is_there() -> None:
    listed = set(re.findall(r"\(\.\./examples/(\w+\.py)\)", _PAGE))
    assert listed == {path.name for path in (_CHECKOUT / "examples").glob("*.py")}


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", _PAGE):
        assert (_CHECKOUT / "docs" / target).exists(), target
    reference = (_CHECKOUT / "docs" / "reference.md").read_text()
    assert "\n## Options\n" in reference

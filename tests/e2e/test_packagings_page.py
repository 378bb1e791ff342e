"""What docs/packagings.md says: its commands are run, its names and its exit codes are true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oci_pull import errors
from oci_pull.packaging import detect
from oci_pull.packaging.selection import PICKLES
from tests import builders, file_sets
from tests.content import IndexEntry, index
from tests.e2e.models import put
from tests.fakes.registry import FakeRegistry
from tests.producers import images

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.content import Artifact

CHECKOUT = Path(__file__).parent.parent.parent
PAGE = (CHECKOUT / "docs" / "packagings.md").read_text()
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]


def _model(seed: int) -> Artifact:
    return builders.docker_v02(builders.tiny_model(seed=seed))


def _pair() -> Artifact:
    """Two models in one artifact."""
    both = {
        f"{name}/{path}": content
        for seed, name in enumerate(("large", "small"))
        for path, content in builders.tiny_model(seed=seed).items()
    }
    return builders.modelpack(both)


def _mixed() -> Artifact:
    more = {"rows.csv": b"a,b\n", "pytorch_model.bin": b"pickle"}
    files = builders.tiny_model() | more
    return builders.modelpack(files, datasets=["rows.csv"])


def _variants() -> Artifact:
    return index(
        [
            IndexEntry(_model(seed), annotations={"quantization": name})
            for seed, name in enumerate(("Q4", "Q8"))
        ]
    )


def _platforms() -> Artifact:
    return index(
        [
            IndexEntry(_model(seed), {"os": "linux", "architecture": name})
            for seed, name in enumerate(("amd64", "arm64"))
        ]
    )


MODELS = {
    "aistaging/smollm2-vllm": builders.docker_v01(builders.tiny_model(), annotated=True),
    "models/pair": _pair(),
    "models/mixed": _mixed(),
    "models/variants": _variants(),
    "models/platforms": _platforms(),
    "models/image": images.image(builders.tiny_model()),
    "models/gguf": file_sets.ollama(("model", b"GGUF" + bytes(500))),
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A registry with the models of the page."""
    with FakeRegistry() as registry:
        for repository, artifact in MODELS.items():
            put(registry, artifact, repository=repository, tag="latest")
        yield {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path_factory.mktemp("page")),
            "REGISTRY": registry.address,
        }


def _run(command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euc", command],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_works(command: str, environment: dict[str, str]) -> None:
    done = _run(command, environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_every_model_is_in_a_command() -> None:
    assert all(any(name in command for command in COMMANDS) for name in MODELS)


@pytest.mark.parametrize(
    ("option", "repository"),
    [("--root", "pair"), ("--select", "variants")],
)
def test_the_option_is_what_the_error_without_it_offers(
    option: str, repository: str, environment: dict[str, str]
) -> None:
    done = _run(f"oci-pull $REGISTRY/models/{repository}", environment)
    assert done.returncode == 9
    assert option in done.stderr


def _rows(heading: str) -> list[list[str]]:
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_packaging_has_its_row_in_the_order_that_they_are_tried() -> None:
    names = [planner.NAME for planner in detect._PLANNERS]  # type: ignore[attr-defined]
    assert [row[0] for row in _rows("Every packaging")] == [f"`{name}`" for name in names]


@pytest.mark.parametrize("row", _rows("What is refused"), ids=lambda row: row[1])
def test_the_exit_code_of_an_error_is_its_own(row: list[str]) -> None:
    _, name, code = row
    assert getattr(errors, name.strip("`")).exit_code == int(code)


def test_the_suffixes_of_pickles_are_pickles() -> None:
    named = re.findall(r"`(\.\w+)`", next(row[0] for row in _rows("What is left out")[1:]))
    assert named
    assert set(named) <= set(PICKLES)


def test_the_options_that_take_something_in_are_told_with_it(environment: dict[str, str]) -> None:
    done = _run("oci-pull plan $REGISTRY/models/mixed", environment)
    assert "(--datasets takes it in)" in done.stdout
    assert "(--allow-pickle takes it in)" in done.stdout

"""`--layout hf`: the model is where loaders look for it by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import digest_of, names_of
from tests.e2e.models import model, put

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_FILES = model()


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(registry, builders.docker_v02(_FILES))


def test_the_path_is_a_snapshot_and_a_second_run_changes_nothing(
    reference: str, oci_pull: Command
) -> None:
    first = oci_pull("--layout", "hf", reference).path
    assert first.parents[2] == oci_pull.home / ".cache/huggingface/hub"
    assert (first.parents[1] / "refs/main").read_text() == first.name
    assert names_of(first) == set(_FILES)
    for name, expected in _FILES.items():
        # As huggingface_hub has it: a link to a blob of the model's own.
        assert (first / name).is_symlink()
        assert digest_of(first / name) == digest_of(expected)
    again = oci_pull("--layout", "hf", "--format", "json", reference).json
    assert (again["path"], again["unchanged"]) == (str(first), True)


@pytest.mark.parametrize(
    ("variable", "below"), [("HF_HUB_CACHE", ""), ("HF_HOME", "hub")], ids=["cache", "home"]
)
def test_the_variables_of_the_hub_count(
    variable: str, below: str, reference: str, oci_pull: Command, tmp_path: Path
) -> None:
    path = oci_pull.with_env(**{variable: str(tmp_path / "x")})("--layout=hf", reference).path
    assert path.parents[2] == tmp_path / "x" / below


def test_an_output_directory_beside_it_is_refused(reference: str, oci_pull: Command) -> None:
    oci_pull("--layout", "hf", "-o", "out", reference).must_fail(2)

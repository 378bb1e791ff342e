"""What was found is written down, and pulled again by that and nothing else."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_tree
from tests.e2e.models import model, put

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_FILES = model()
_NEWER = model(seed=1)


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(registry, builders.docker_v02(_FILES))


@pytest.mark.parametrize("words", [("pull",), ("plan",), ("pull", "--dry-run")])
def test_a_pin_brings_the_same_model_after_the_tag_has_moved(
    words: tuple[str, ...],
    reference: str,
    registry: FakeRegistry,
    oci_pull: Command,
    tmp_path: Path,
) -> None:
    pin = tmp_path / "llama.pin"
    oci_pull(*words, reference, "--digest-file", pin).must_succeed()
    put(registry, builders.docker_v02(_NEWER))
    through_xargs = oci_pull.__class__(oci_pull.home, program=("xargs", *oci_pull.program))
    with pin.open() as lines:
        pulled = through_xargs("--require-digest", stdin=lines)
    assert_tree(pulled.path, _FILES)
    assert_tree(oci_pull(reference).path, _NEWER)


def test_the_file_is_written_for_an_unchanged_pull_too(
    reference: str, oci_pull: Command, tmp_path: Path
) -> None:
    digest = oci_pull(reference, "--format", "json").json["digest"]
    oci_pull(reference, "--digest-file", tmp_path / "pin").must_succeed()
    assert (tmp_path / "pin").read_text() == f"{reference}@{digest}\n"


def test_several_references_are_a_line_each_and_none_where_one_fails(
    reference: str, registry: FakeRegistry, oci_pull: Command, tmp_path: Path
) -> None:
    other = put(registry, builders.docker_v02(_NEWER), repository="team/other")
    pins = tmp_path / "pins"
    oci_pull(other, reference, "--digest-file", pins).must_succeed()
    written = pins.read_text()
    assert [line.partition("@")[0] for line in written.splitlines()] == [other, reference]
    oci_pull(reference, f"{reference}-gone", "--digest-file", pins).must_fail(3)
    assert pins.read_text() == written


def test_a_file_that_cannot_be_is_told_before_anybody_is_asked(
    reference: str, registry: FakeRegistry, oci_pull: Command, tmp_path: Path
) -> None:
    run = oci_pull(reference, "--digest-file", tmp_path).must_fail(7)
    assert "--digest-file FILE" in run.stderr
    assert not registry.requests


@pytest.mark.parametrize(
    ("words", "env"),
    [("--require-digest", {}), ("plan --require-digest", {}), ("", {"REQUIRE_DIGEST": "1"})],
)
def test_a_tag_alone_is_refused_before_anybody_is_asked(
    words: str, env: dict[str, str], reference: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    strict = oci_pull.with_env(**{f"OCI_PULL_{name}": value for name, value in env.items()})
    run = strict(*shlex.split(words), reference).must_fail(10)
    assert "without a digest" in run.stderr
    assert not registry.requests


def test_a_tag_with_a_digest_is_a_digest(reference: str, oci_pull: Command) -> None:
    digest = oci_pull("inspect", "--format", "json", reference).json["digest"]
    assert_tree(oci_pull("--require-digest", f"{reference}@{digest}").path, _FILES)


def test_a_list_goes_on_past_a_tag_alone_and_a_line_may_want_what_others_do_not(
    reference: str, registry: FakeRegistry, oci_pull: Command, tmp_path: Path
) -> None:
    digest = oci_pull("inspect", "--format", "json", reference).json["digest"]
    listed = tmp_path / "models.txt"
    listed.write_text(f"{reference}\n{reference}@{digest}\n")
    run = oci_pull("warm", listed, "--require-digest").must_fail(10)
    assert len(run.stdout.splitlines()) == 1
    listed.write_text(f"{reference} --require-digest\n{reference}\n")
    run = oci_pull("warm", listed).must_fail(10)
    assert len(run.stdout.splitlines()) == 1

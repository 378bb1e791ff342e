"""What docs/packagings.md says: its names, its options and its exit codes are true."""

from __future__ import annotations

import re

import pytest

from oci_pull import errors
from oci_pull.packaging import detect
from oci_pull.packaging.selection import PICKLES
from tests.e2e import pages

PAGE = pages.text_of("docs/packagings.md")


def _rows_of(heading: str) -> list[list[str]]:
    return pages.rows(pages.section(PAGE, f"## {heading}"))


@pytest.mark.parametrize(
    ("option", "repository"),
    [("--root", "pair"), ("--select", "variants")],
)
def test_the_option_is_what_the_error_without_it_offers(
    option: str, repository: str, reader: dict[str, str]
) -> None:
    done = pages.run(f"oci-pull $REGISTRY/models/{repository}", reader)
    assert done.returncode == 9
    assert option in done.stderr


def test_every_packaging_has_its_row_in_the_order_that_they_are_tried() -> None:
    names = [planner.NAME for planner in detect._PLANNERS]  # type: ignore[attr-defined]
    assert [row[0] for row in _rows_of("Every packaging")] == [f"`{name}`" for name in names]


@pytest.mark.parametrize("row", _rows_of("What is refused"), ids=lambda row: row[1])
def test_the_exit_code_of_an_error_is_its_own(row: list[str]) -> None:
    _, name, code = row
    assert getattr(errors, name.strip("`")).exit_code == int(code)


def test_the_suffixes_of_pickles_are_pickles() -> None:
    named = re.findall(r"`(\.\w+)`", _rows_of("What is left out")[1][0])
    assert named
    assert set(named) <= set(PICKLES)


def test_the_options_that_take_something_in_are_told_with_it(reader: dict[str, str]) -> None:
    done = pages.run("oci-pull plan $REGISTRY/models/mixed", reader)
    assert "(--datasets takes it in)" in done.stdout
    assert "(--allow-pickle takes it in)" in done.stdout

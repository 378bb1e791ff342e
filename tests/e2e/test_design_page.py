"""What docs/design.md and docs/decisions say of the code is so."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.e2e import pages

PAGE = pages.text_of("docs/design.md")
LAYERS = next(
    contract["layers"]
    for contract in tomllib.loads(pages.text_of("pyproject.toml"))["tool"]["importlinter"][
        "contracts"
    ]
    if contract["type"] == "layers"
)
NAMES = [name for layer in LAYERS for name in re.findall(r"\w+", layer)]
DECISIONS = sorted((pages.CHECKOUT / "docs" / "decisions").glob("0*.md"))


def test_the_layers_are_those_that_are_held() -> None:
    told = [row[0].strip("`") for row in pages.rows(pages.section(PAGE, "## Layers"))]
    assert told == NAMES


def test_the_picture_has_every_layer() -> None:
    drawn = re.findall(r'class="name"[^>]*>([^<]+)<', pages.text_of("docs/layers.svg"))
    assert sorted(name for text in drawn for name in text.split(", ")) == sorted(NAMES)


@pytest.mark.parametrize(
    "page", ["docs/design.md", *(f"docs/decisions/{p.name}" for p in DECISIONS)]
)
def test_the_files_that_are_named_are_there(page: str) -> None:
    named = re.findall(r"`([\w/]+\.py|tests/[\w/]+)`", pages.text_of(page))
    for name in named:
        assert any((pages.CHECKOUT / top / name).exists() for top in ("", "oci_pull")), name


def test_the_targets_that_are_named_are_there() -> None:
    makefile = pages.text_of("Makefile")
    for words in re.findall(r"`make ([a-z -]+)`", PAGE):
        for target in words.split():
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_decision_is_listed_in_its_order() -> None:
    listed = re.findall(r"\]\((0[^)]+)\)", pages.text_of("docs/decisions/README.md"))
    assert listed == [path.name for path in DECISIONS]


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_what_was_rejected(path: object) -> None:
    text = pages.text_of(f"docs/decisions/{getattr(path, 'name')}")  # noqa: B009
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["The question", "Decided", "Rejected", "What it costs"]

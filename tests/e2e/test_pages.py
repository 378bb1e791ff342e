"""What the pages tell to type works, in their order; and their links lead somewhere."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e import pages
from tests.servers import debian

if TYPE_CHECKING:
    from collections.abc import Mapping

_DOCS = sorted(
    path.relative_to(pages.CHECKOUT).as_posix()
    for path in [
        pages.CHECKOUT / "README.md",
        pages.CHECKOUT / "CHANGELOG.md",
        *(pages.CHECKOUT / "docs").rglob("*.md"),
    ]
)
#: Their commands name registries that are not here; `tests/integration/test_recipes.py` reads them.
_RECIPES = ("docs/air-gapped.md", "docs/recipes/")
_TYPED = [
    page for page in _DOCS if not page.startswith(_RECIPES) and pages.examples(pages.text_of(page))
]
#: What forgets a credential says so to the person, and has no result for a script.
_SILENT = "oci-pull logout"


@pytest.mark.parametrize("page", _TYPED)
def test_the_commands_of_a_page_work_in_their_order(page: str, reader: dict[str, str]) -> None:
    missing = ""
    for example in pages.examples(pages.text_of(page)):
        command, variables = example.command, reader
        if command.startswith("skopeo"):
            try:
                tool = debian.tool("skopeo")
            except debian.ToolUnavailable as error:
                missing = str(error)
                continue
            command = f"{tool.path}{command.removeprefix('skopeo')}"
            variables = {**reader, **tool.env}
        done = pages.run(command, variables)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        if command.startswith("oci-pull") and not command.startswith(_SILENT):
            assert done.stdout, command
        assert pages.PASSWORD not in done.stdout + done.stderr, command
        if "vllm serve" in command:
            _assert_served(done.stdout)
        if example.shown:
            assert _form(done.stdout, reader) == _form(example.shown, reader), command
    if missing:
        pytest.skip(missing)


def _assert_served(output: str) -> None:
    """The stand-in of vLLM was given directories for all that it reads."""
    args = json.loads(output.splitlines()[-1])
    draft = (args["speculative_config"] or {"model": args["model"]})["model"]
    for path in (args["model"], args["tokenizer"] or args["model"], draft):
        assert (Path(path) / "config.json").exists()


def _form(output: str, reader: Mapping[str, str]) -> str:
    """What is the same on every day and every machine: neither sizes, nor times, nor widths."""
    host = reader["REGISTRY"]
    for found, shown in [
        (reader["HOME"], "/home/ana"),
        (host, "docker.io"),
        (host.replace(":", "+"), "docker.io"),
    ]:
        output = output.replace(found, shown)
    output = re.sub(r"[0-9a-f]{8,}", "HEX", output)
    output = re.sub(r"\d+(\.\d+)? (s|min|h|d) ago", "AGO", output)
    output = re.sub(r"\d+(\.\d+)? ?[kMGT]?B\b", "SIZE", output)
    return " ".join(re.sub(r"\d+(\.\d+)?", "N", output).split())


@pytest.mark.parametrize("page", _DOCS)
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    here = pages.CHECKOUT / page
    for link in re.findall(r"\]\(([^)\s]+)\)", pages.text_of(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (here.parent / path).resolve() if path else here
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


@cache
def _anchors(page: Path) -> frozenset[str]:
    """What GitHub makes of the headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings)


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[str] = set()
    ahead = ["README.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        home = (pages.CHECKOUT / page).parent
        links = re.findall(r"\]\(([^)#\s]+\.md)", pages.text_of(page))
        found = {
            (home / link).resolve().relative_to(pages.CHECKOUT).as_posix()
            for link in links
            if "://" not in link
        }
        ahead += found - reached
    assert set(_DOCS) - reached == set()


def test_the_targets_that_the_readme_names_are_there() -> None:
    targets = re.findall(r"^make ([\w-]+)", pages.text_of("README.md"), re.MULTILINE)
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", pages.text_of("Makefile"), re.MULTILINE)


def test_the_programs_of_the_readme_work(reader: dict[str, str]) -> None:
    programs = pages.blocks(pages.text_of("README.md"), "python")
    assert programs
    for program in programs:
        assert "models/" in pages.run_program(program, reader)

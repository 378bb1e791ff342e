import pytest

from oci_pull.cli.help import GROUPS
from oci_pull.cli.manual.commands import commands
from oci_pull.cli.pages import page

_COMMANDS = {each.name: each for each in commands()}


@pytest.mark.parametrize("name", [*_COMMANDS, "cache"])
def test_a_page_fits_a_terminal(name: str) -> None:
    text = page(name.split())
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith(f"Usage: oci-pull {name}")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


@pytest.mark.parametrize("name", _COMMANDS)
def test_a_page_has_everything_that_the_command_takes(name: str) -> None:
    text = page([*name.split(), "ai/x", "-h"])
    for each in _COMMANDS[name].switches:
        assert f"{each.flag} " in text, each.flag
        assert each.help.split()[0] in text
    for argument in _COMMANDS[name].arguments:
        assert f"  {argument.metavar}" in text


@pytest.mark.parametrize("name", _COMMANDS)
def test_options_are_below_the_names_of_their_groups_each_once(name: str) -> None:
    titles = [line.removesuffix(":") for line in page(name.split()).splitlines()]
    found = [title for title in titles if title in GROUPS.values()]
    assert found == [title for title in GROUPS.values() if title in found]
    assert len(set(found)) == len(found)


def test_a_page_names_the_twins_in_the_environment() -> None:
    assert "OCI_PULL_CACHE_DIR is --cache-dir" in page(["cache", "ls"])


@pytest.mark.parametrize("words", [["cache", "-h"], ["cache", "lss", "-h"], ["cache"]])
def test_a_group_lists_what_is_below_it(words: list[str]) -> None:
    text = page(words)
    for name in _COMMANDS:
        if name.startswith("cache "):
            assert f"  {name.removeprefix('cache ')}" in text

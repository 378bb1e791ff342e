"""What is generated is what the commands are, and what is in the checkout is what is generated."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oci_pull.cli.app import app
from oci_pull.cli.arguments import COMMANDS, rewrite
from oci_pull.cli.manual import man, reference
from oci_pull.cli.manual.__main__ import PAGES
from oci_pull.cli.manual.commands import Command, commands
from oci_pull.cli.manual.facts import ENVIRONMENT, EXAMPLES, causes
from oci_pull.errors import OciPullError
from oci_pull.settings import FILE_KEYS, OPTIONS, TABLE_KEYS, Settings, flag_of

_CHECKOUT = Path(__file__).parents[4]
_COMMANDS = {each.name: each for each in commands()}
_FILES = {path: render for pages in PAGES.values() for path, render in pages.items()}


@pytest.mark.parametrize("path", _FILES)
def test_what_is_in_the_checkout_is_current(path: str) -> None:
    current = (_CHECKOUT / path).read_text("utf-8")
    assert current == _FILES[path](commands()), "make completions man"


def _help(command: Command) -> str:
    run = CliRunner().invoke(app, [*command.name.split(), "-h"], env={"COLUMNS": "200"})
    assert run.exit_code == 0
    return run.output


@pytest.mark.parametrize("name", _COMMANDS)
def test_the_options_of_a_command_are_those_that_it_takes(name: str) -> None:
    command = _COMMANDS[name]
    taken = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", _help(command)))
    flags = {each.flag for each in command.switches}
    assert flags <= taken
    opposites = {f"--no-{flag[2:]}" for flag in flags} | {f"--{flag[5:]}" for flag in flags}
    assert taken - flags <= opposites | _flags_in_words(command)


def _flags_in_words(command: Command) -> set[str]:
    """Options that the help of others speaks of."""
    return set(re.findall(r"--[a-z-]+", " ".join(each.help for each in command.switches)))


@pytest.mark.parametrize("name", _COMMANDS)
def test_a_command_is_told_with_its_arguments(name: str) -> None:
    command = _COMMANDS[name]
    page = _help(command)
    assert command.summary.split()[0] in page
    assert all(each.metavar.strip("[]") in page for each in command.arguments)


def test_the_overview_has_the_commands_that_there_are() -> None:
    """`cache ls, df` are two."""
    listed: set[str] = set()
    for entry in COMMANDS:
        head, *words = [word for word in entry.replace(",", "").split() if word.islower()]
        listed |= {f"{head} {word}" for word in words} or {head}
    assert listed == set(_COMMANDS)


def test_every_setting_is_an_option_of_some_command_and_of_pull() -> None:
    assert {each.flag for each in _COMMANDS["pull"].switches} >= set(map(flag_of, OPTIONS))


@pytest.mark.parametrize("render", [man.page, reference.page])
def test_a_page_has_everything(render: Callable[[tuple[Command, ...]], str]) -> None:
    page = render(commands()).replace("\\", "")
    names = [*_COMMANDS, *map(flag_of, OPTIONS), *ENVIRONMENT, *FILE_KEYS, *TABLE_KEYS]
    names += [f"OCI_PULL_{name.upper()}" for name in OPTIONS]
    assert [name for name in names if name not in page] == []


def test_every_error_has_its_row() -> None:
    def below(kind: type[OciPullError]) -> Iterator[str]:
        for each in kind.__subclasses__():
            yield each("").code
            yield from below(each)

    assert {each.code for each in causes()} == {"oci_pull_error", *below(OciPullError)}
    heads = [each.exit_code for each in causes() if each.is_head]
    assert heads == [*range(1, 13), 130, 143]


class _Watched(dict[str, str]):
    """An environment that knows what was asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(variables)
        self.asked: set[str] = set()

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.asked.add(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)


def test_every_variable_that_is_read_is_told(tmp_path: Path) -> None:
    watched = _Watched({"HOME": str(tmp_path)})
    Settings.load(watched, etc=tmp_path)
    twins = {f"OCI_PULL_{name.upper()}" for name in OPTIONS}
    # A program that runs for a web server is nobody's to configure.
    asked = {name.upper() for name in watched.asked} - twins - {"REQUEST_METHOD"}
    assert asked <= set(ENVIRONMENT)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_command_that_there_is(example: str) -> None:
    typed = example[example.index("oci-pull ") :].removesuffix(')"')
    words = rewrite(shlex.split(typed)[1:])
    name = " ".join(words[:2]) if words[0] == "cache" else words[0]
    flags = {each for switch in _COMMANDS[name].switches for each in switch.words}
    assert {each for each in words if each.startswith("-")} <= flags


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_the_man_page_is_formatted_without_a_warning() -> None:
    page = _CHECKOUT / "docs/oci-pull.1"
    done = subprocess.run(
        ["groff", "-man", "-ww", "-z", page], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")

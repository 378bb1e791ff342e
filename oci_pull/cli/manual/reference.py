"""The page that has every command, option, variable, key and code."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from oci_pull.cli.help import GROUPS
from oci_pull.cli.manual.commands import Command
from oci_pull.cli.manual.facts import ENVIRONMENT, FILES, causes, default_of, typed, variable_of
from oci_pull.options import Option
from oci_pull.settings import FILE_KEYS, OPTIONS, TABLE_KEYS, flag_of

_HEAD = """\
<!-- `make man` makes it from the commands and their options. -->

# Reference

Every command, option, variable, key and code. The same is in the man page, `man oci-pull`.

## Commands

`oci-pull REF...` is `oci-pull pull REF...`.
"""
_OPTIONS = """
## Options

An option counts before its variable, that before the configuration, and that before the default. A
switch is taken back with `--no-` before its name. Lists are repeated, and have commas between in a
variable. Sizes are `50M`, `1.5G`, or `2GiB` where binary is meant; durations `30s`, `10m`, `7d`.
The key of the configuration is the name of the option.
"""
_ENVIRONMENT = """
## Environment

Beside the twins of the options:
"""
_CONFIGURATION = """
## Configuration

`--config FILE`, else the two files below. The keys are the names of the options, with `_` or with
`-`, and these; one that is unknown is an error with its line. A path is relative to the file.
"""
_TABLE = """
A table for each registry, `[registry."HOST"]`. Nothing of it is for anybody else.
"""
_CODES = """
## Exit codes and errors

0 is done, or unchanged. With `--format json` an error has its `code`, its `exit`, and whether it is
`retryable`: the same command may succeed later with nothing changed.
"""


def page(found: tuple[Command, ...]) -> str:
    """The whole page."""
    lines = (
        _HEAD,
        *(line for each in found for line in _command(each)),
        _OPTIONS,
        *_options(),
        _ENVIRONMENT,
        *_two_columns("variable", {f"`{name}`": what for name, what in ENVIRONMENT.items()}),
        _CONFIGURATION,
        *_keys(FILE_KEYS),
        _TABLE,
        *_keys(TABLE_KEYS),
        "\n## Files\n",
        *_two_columns("path", {f"`{path}`": what for path, what in FILES.items()}),
        _CODES,
        *_codes(),
    )
    return "\n".join(lines) + "\n"


def _command(command: Command) -> Iterator[str]:
    yield f"### `oci-pull {command.usage}`\n\n{command.summary}.\n"
    own = {f"`{_flags(each.words, each.metavar)}`": each.help for each in command.own}
    arguments = {f"`{each.metavar}`": each.help for each in command.arguments}
    yield from _two_columns("", {**arguments, **own})
    taken = [f"`{each.flag}`" for each in command.switches if each.option]
    listed = "all of them" if len(taken) == len(OPTIONS) else ", ".join(taken)
    yield f"\nOptions: {listed}.\n"


def _flags(words: Sequence[str], metavar: str) -> str:
    return ", ".join(words) + (f" {metavar}" if metavar else "")


def _options() -> Iterator[str]:
    for group, names in groupby(OPTIONS, key=lambda name: OPTIONS[name].group):
        yield f"### {GROUPS[group]}\n"
        yield from _table(("option", "variable", "default", "what"), map(_option, names))
        yield ""


def _option(name: str) -> Sequence[str]:
    option = OPTIONS[name]
    words = [each for each in (option.short, flag_of(name)) if each]
    default = f"`{default_of(name)}`" if default_of(name) else ""
    many = " (may be repeated)" if option.is_list else ""
    return (
        f"`{_flags(words, option.metavar)}`",
        f"`{variable_of(name)}`",
        default,
        f"{option.help}{many}",
    )


def _keys(keys: Mapping[str, Option]) -> Iterator[str]:
    terms = {f"`{typed(name, option)}`": option.help for name, option in keys.items()}
    yield from _two_columns("key", terms)


def _codes() -> Iterator[str]:
    rows = (
        (
            f"**{each.exit_code}**" if each.is_head else str(each.exit_code),
            f"`{each.code}`",
            "yes" if each.is_retryable else "",
            each.meaning,
        )
        for each in causes()
    )
    yield from _table(("exit", "code", "retryable", "meaning"), rows)


def _two_columns(name: str, terms: Mapping[str, str]) -> Iterator[str]:
    yield from _table((name, "what"), terms.items())


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"

"""The command line as data, read from the commands themselves: nothing is described twice."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from oci_pull.cli.app import app
from oci_pull.options import OneOf, Option
from oci_pull.places import as_path
from oci_pull.settings import OPTIONS, flag_of


class Value(enum.Enum):
    """What the value of an option or an argument is, as far as a shell can know one."""

    REFERENCE = "references"
    REGISTRY = "registries"
    #: A registry that there is a credential of.
    LOGIN = "logins"
    DIRECTORY = "directory"
    FILE = "file"
    #: Anything, of which nothing is known.
    TEXT = "text"


#: The words of a metavar that say what it stands for.
_MEANT = {
    "REF": Value.REFERENCE,
    "REF...": Value.REFERENCE,
    "REGISTRY": Value.REGISTRY,
    "HOST": Value.REGISTRY,
    "FILE": Value.FILE,
    "DIR": Value.DIRECTORY,
}


@dataclass(frozen=True, slots=True)
class Switch:
    """An option of a command, with or without a value."""

    flag: str
    short: str
    #: What stands for its value; empty for a switch.
    metavar: str
    help: str
    values: frozenset[Value]
    choices: tuple[str, ...] = ()
    is_list: bool = False
    #: The option of the table that it is; None for one of the command's own.
    option: Option | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The ways to write it, the short one first."""
        return (self.short, self.flag) if self.short else (self.flag,)


@dataclass(frozen=True, slots=True)
class Argument:
    """What follows a command, in its place or in any number."""

    metavar: str
    help: str
    values: frozenset[Value]


@dataclass(frozen=True, slots=True)
class Command:
    """One command, or one of `cache`."""

    #: `pull`, `cache ls`.
    name: str
    summary: str
    arguments: tuple[Argument, ...]
    switches: tuple[Switch, ...]

    @property
    def values(self) -> frozenset[Value]:
        """What its arguments may be."""
        return frozenset().union(*(each.values for each in self.arguments))

    @property
    def usage(self) -> str:
        """How it is typed, without its options."""
        return " ".join((self.name, *(each.metavar for each in self.arguments)))

    @property
    def own(self) -> tuple[Switch, ...]:
        """The options that are no settings."""
        return tuple(each for each in self.switches if each.option is None)


def commands() -> tuple[Command, ...]:
    """Every command, `pull` first and then in the order in which they are added."""
    found = tuple(_walked(typer.main.get_command(app), ()))
    return tuple(sorted(found, key=lambda each: each.name != "pull"))


def kinds(values: frozenset[Value]) -> str:
    """What `oci-pull __complete` is asked for such values; empty where it knows none."""
    dynamic = (Value.REFERENCE, Value.REGISTRY, Value.LOGIN)
    return ",".join(each.value for each in dynamic if each in values)


def switches(found: tuple[Command, ...]) -> tuple[Switch, ...]:
    """Each option once; twice where two commands mean different things by it."""
    return tuple(dict.fromkeys(each for command in found for each in command.switches))


def valued(found: tuple[Command, ...]) -> tuple[str, ...]:
    """Every way to write an option that the next word is the value of."""
    words = (word for each in switches(found) if each.metavar for word in each.words)
    return tuple(dict.fromkeys(words))


def groups(found: tuple[Command, ...]) -> dict[str, tuple[str, ...]]:
    """The commands that have commands below them, and those."""
    heads = dict.fromkeys(each.name.partition(" ")[0] for each in found if " " in each.name)
    return {
        head: tuple(
            each.name.partition(" ")[2] for each in found if each.name.startswith(f"{head} ")
        )
        for head in heads
    }


def _walked(node: Any, path: tuple[str, ...]) -> Iterator[Command]:
    """What Typer made of the functions; it has no type that stays from release to release."""
    below = getattr(node, "commands", None)
    if below is not None:
        for name, each in below.items():
            yield from _walked(each, (*path, name))
        return
    name = " ".join(path)
    arguments = [each for each in node.params if each.param_type_name == "argument"]
    switches = [each for each in node.params if each.param_type_name == "option"]
    yield Command(
        name,
        _sentence(node.help),
        tuple(_argument(name, each) for each in arguments),
        (*map(_switch, switches), _HELP),
    )


def _argument(command: str, found: Any) -> Argument:
    values = _named(found.metavar)
    if command == "logout" and Value.REGISTRY in values:
        values = frozenset({Value.LOGIN})
    # Click 8.5 has a help of its own for arguments, and takes away what Typer before 0.26 had set.
    return Argument(found.metavar, found.help or "", values)


def _named(metavar: str) -> frozenset[Value]:
    words = metavar.replace("[", " ").replace("]", " ").split()
    return frozenset(_MEANT[word] for word in words if word in _MEANT) or frozenset({Value.TEXT})


def _switch(found: Any) -> Switch:
    option = OPTIONS.get(found.name)
    if option is not None and flag_of(found.name) in found.opts:
        return _setting(found.name, option)
    flag = next(each for each in found.opts if each.startswith("--"))
    short = next((each for each in found.opts if not each.startswith("--")), "")
    metavar = "" if found.is_flag else found.metavar
    return Switch(flag, short, metavar, found.help, _named(metavar), is_list=found.multiple)


def _setting(name: str, option: Option) -> Switch:
    values = _named(option.metavar)
    if values & {Value.FILE, Value.DIRECTORY} and option.parse is not as_path:
        # A directory of the model, which is not here.
        values = frozenset({Value.TEXT})
    choices = option.parse.choices if isinstance(option.parse, OneOf) else ()
    return Switch(
        flag_of(name),
        option.short,
        option.metavar,
        option.help,
        values,
        choices,
        is_list=option.is_list,
        option=option,
    )


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split()).removesuffix(".")


_HELP = Switch("--help", "-h", "", "say what it does and takes", frozenset({Value.TEXT}))

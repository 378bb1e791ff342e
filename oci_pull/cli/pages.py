"""`oci-pull COMMAND -h`: what a command does and takes, in the form of the first page."""

import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from oci_pull.cli.arguments import rewrite
from oci_pull.cli.failure import report
from oci_pull.cli.help import GROUPS, TWIN
from oci_pull.cli.manual.commands import Command, Switch, commands
from oci_pull.cli.streams import show
from oci_pull.errors import UsageError

_WIDTH = 80
#: Before what an option does; a longer option has a line of its own.
_COLUMN = 31
#: How they are typed, by the command that they are for.
_EXAMPLES = {
    "pull": (
        "oci-pull aistaging/smollm2-vllm",
        "oci-pull registry.example.com/ml/llama:prod -o /models/llama",
        "oci-pull ghcr.io/acme/llama:v3 --include '*.json' --format json",
    ),
    "plan": ("oci-pull plan aistaging/smollm2-vllm --exclude '*.md'",),
    "inspect": (
        "oci-pull inspect aistaging/smollm2-vllm",
        "oci-pull inspect ghcr.io/acme/llama:v3 --raw | jq .",
    ),
    "warm": (
        "oci-pull warm models.txt --max-size 500G --metrics-file models.prom",
        "oci-pull warm ai/smollm2 ghcr.io/acme/llama:v3",
    ),
    "doctor": ("oci-pull doctor", "oci-pull doctor ghcr.io/acme/llama:v3"),
    "login": ('echo "$TOKEN" | oci-pull login ghcr.io --username ada --password-stdin',),
    "logout": ("oci-pull logout ghcr.io",),
    "cache path": ('vllm serve "$(oci-pull cache path aistaging/smollm2-vllm)"',),
    "cache verify": ("oci-pull cache verify --repair",),
    "cache rm": ("oci-pull cache rm ghcr.io/acme/llama:v2",),
    "cache prune": ("oci-pull cache prune --max-size 500G --older-than 30d --dry-run",),
}  # fmt: skip


def answer(words: Sequence[str]) -> int:
    """Show the page that a command line asks for; the exit code."""
    try:
        show(page(rewrite(words)))
    except UsageError as error:
        report(error, sys.stderr)
        return error.exit_code
    return 0


def page(words: Sequence[str]) -> str:
    """What the command that the words begin with does, or those that are below its first word."""
    found = commands()
    names = (" ".join(words[:2]), *words[:1])
    command = next((each for name in names for each in found if each.name == name), None)
    if command:
        return "\n".join(_command(command)) + "\n"
    return "\n".join(_group(words[0], found)) + "\n"


def _group(head: str, found: Iterable[Command]) -> Iterator[str]:
    yield f"Usage: oci-pull {head} COMMAND ...\n"
    yield "Commands:"
    for each in found:
        if each.name.startswith(f"{head} "):
            yield from _described(f"  {each.usage.removeprefix(f'{head} ')}", each.summary)
    yield f"\nWhat one of them takes: oci-pull {head} COMMAND -h"


def _command(command: Command) -> Iterator[str]:
    yield f"Usage: oci-pull {command.usage} [OPTIONS]\n"
    yield from textwrap.wrap(f"{command.summary}.", _WIDTH)
    yield ""
    for each in command.arguments:
        yield from _described(f"  {each.metavar}", each.help)
    if command.arguments:
        yield ""
    yield "Options:"
    yield from (line for each in command.own for line in _switch(each))
    settings = [each for each in command.switches if each.option]
    for group, title in GROUPS.items():
        below = [each for each in settings if each.option and each.option.group == group]
        if below:
            yield f"\n{title}:"
            yield from (line for each in below for line in _switch(each))
    if settings:
        yield f"\n{TWIN}"
    if examples := _EXAMPLES.get(command.name):
        yield "\nExamples:"
        yield from (f"  {line}" for line in examples)


def _switch(switch: Switch) -> Iterator[str]:
    short = f"{switch.short}, " if switch.short else "    "
    value = f" {switch.metavar}" if switch.metavar else ""
    return _described(f"  {short}{switch.flag}{value}", switch.help)


def _described(what: str, text: str) -> Iterator[str]:
    """Two columns, the second of which goes on below itself."""
    lines = textwrap.wrap(text, _WIDTH - _COLUMN)
    if not lines or len(what) > _COLUMN - 2:
        yield what
    else:
        yield f"{what:{_COLUMN}}{lines.pop(0)}"
    yield from (" " * _COLUMN + line for line in lines)

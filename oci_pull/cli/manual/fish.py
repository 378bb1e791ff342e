"""The completion of fish, from 3.4 on."""

from collections.abc import Iterator

from oci_pull.cli.manual.commands import Command, Switch, Value, groups, kinds, switches, valued

_HEAD = r"""# fish completion of oci-pull. `make completions` makes it from the commands themselves.

# What oci-pull knows of the last word: names in the cache and in configurations. No request.
function __oci_pull_known
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    set -l typed (string replace -r '^--[a-z-]+=' '' -- (commandline -ct))
    command $program __complete $argv[1] $words "$typed" 2>/dev/null
end

# Whether the command of the line is one of these; `first` is the place where it would be.
function __oci_pull_in
    set -l found first
    set -l skip
    set -l words (commandline -opc)
    set -e words[1]
    for word in $words
        if set -q skip[1]
            set -e skip
            continue
        end
        switch "$word"
            case --
                test "$found" = first; and set found pull
                break
"""
_TAIL = r"""        end
    end
    contains -- "$found" $argv
end

complete -c oci-pull -f
"""


def script(found: tuple[Command, ...]) -> str:
    """The whole script."""
    parts = (_HEAD, *_commands(found), _TAIL, *_words(found), *_options(found), *_arguments(found))
    return "".join(parts)


def _commands(found: tuple[Command, ...]) -> Iterator[str]:
    """Which command the words so far are of."""
    first = dict.fromkeys(each.name.partition(" ")[0] for each in found)
    yield f"            case {' '.join(valued(found))}\n                set skip 1\n"
    yield "            case '-*'\n            case '*'\n                switch $found\n"
    yield "                    case first\n                        set found pull\n"
    yield f"                        contains -- $word {' '.join(first)}; and set found $word\n"
    for head in groups(found):
        yield f'                    case {head}\n                        set found "{head} $word"\n'
    yield "                end\n"


def _words(found: tuple[Command, ...]) -> Iterator[str]:
    for head, below in groups(found).items():
        yield _line("first", f"-a {head} -d 'what is in the cache'")
        for each in found:
            tail = each.name.removeprefix(f"{head} ")
            if tail in below and tail != each.name:
                yield _line(head, f"-a {tail} -d {_quoted(each.summary)}")
    for each in found:
        if " " not in each.name:
            yield _line("first", f"-a {each.name} -d {_quoted(each.summary)}")


def _options(found: tuple[Command, ...]) -> Iterator[str]:
    """A line an option, for all the commands that have it."""
    yield _line("first", "-s V -l version -d 'say the version'")
    for each in switches(found):
        takers = [command.name for command in found if each in command.switches]
        if "pull" in takers:
            takers.insert(0, "first")
        if each.flag == "--help":
            takers += groups(found)
        short = f"-s {each.short[1:]} " if each.short else ""
        words = f"{short}-l {each.flag[2:]} {_value(each)}-d {_quoted(each.help)}"
        yield _line(" ".join(_word(taker) for taker in takers), words)


def _value(switch: Switch) -> str:
    if not switch.metavar:
        return ""
    if switch.choices:
        return f"-x -a '{' '.join(switch.choices)}' "
    return _action(switch.values) or "-x "


def _action(values: frozenset[Value]) -> str:
    if asked := kinds(values):
        only = "-r -F" if Value.FILE in values else "-x"
        return f"{only} -a '(__oci_pull_known {asked})' "
    if Value.DIRECTORY in values:
        return "-x -a '(__fish_complete_directories)' "
    return "-r -F " if Value.FILE in values else ""


def _arguments(found: tuple[Command, ...]) -> Iterator[str]:
    for each in found:
        words = _action(each.values).replace("-x ", "").replace("-r ", "").strip()
        if words:
            first = "first " if each.name == "pull" else ""
            yield _line(f"{first}{_word(each.name)}", words)


def _word(name: str) -> str:
    return f'"{name}"' if " " in name else name


def _line(takers: str, rest: str) -> str:
    return f"complete -c oci-pull -n '__oci_pull_in {takers}' {rest}\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

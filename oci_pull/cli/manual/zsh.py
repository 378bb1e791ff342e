"""The completion of zsh."""

from collections.abc import Iterator

from oci_pull.cli.manual.commands import Command, Switch, Value, groups, kinds, valued

_HEAD = r"""#compdef oci-pull
# zsh completion of oci-pull. `make completions` makes it from the commands themselves.

# What oci-pull knows of the last word: names in the cache and in configurations. No request.
_oci_pull_known() {
    local -a found expl
    found=(${(f)"$(${(Q)~words[1]} __complete $1 "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" \
        2>/dev/null)"})
    _wanted names expl "$2" compadd -a found
}

"""
_BODY = r"""_oci-pull() {
    local command= skip= word
    local -a positions
    local -i i
    for ((i = 2; i < CURRENT; i++)); do
        word=$words[i]
        if [[ -n $skip ]]; then
            skip=
            continue
        fi
        case $command,$word in
            (*,--) command=${command:-pull}; break ;;
"""
_MIDDLE = """        esac
    done

    case $command in
"""
_TAIL = """    esac
}

_oci-pull "$@"
"""
_INDENT = " " * 12


def script(found: tuple[Command, ...]) -> str:
    """The whole script."""
    parts = (_HEAD, *_lists(found), _BODY, *_commands(found), _MIDDLE, *_cases(found), _TAIL)
    return "".join(parts)


def _summaries(found: tuple[Command, ...]) -> dict[str, dict[str, str]]:
    """The words of the first place, and of each group, with what they do."""
    lists: dict[str, dict[str, str]] = {"": {}}
    for each in found:
        head, _, tail = each.name.partition(" ")
        if tail:
            lists[""].setdefault(head, "what is in the cache")
            lists.setdefault(head, {})[tail] = each.summary
        else:
            lists[""][head] = each.summary
    return lists


def _lists(found: tuple[Command, ...]) -> Iterator[str]:
    for head, words in _summaries(found).items():
        yield f"_oci_pull_{head or 'first'}() {{\n    local -a commands=(\n"
        for word, summary in words.items():
            yield f"        {_quoted(word + ':' + summary)}\n"
        yield "    )\n    _describe -t commands command commands\n"
        if not head:
            yield "    _oci_pull_known references REF\n"
        yield "}\n\n"


def _commands(found: tuple[Command, ...]) -> Iterator[str]:
    first = dict.fromkeys(each.name.partition(" ")[0] for each in found)
    yield f"            (*,({'|'.join(valued(found))})) skip=1 ;;\n"
    yield "            (*,-*) ;;\n"
    yield f"            (,({'|'.join(first)})) command=$word positions=('1: :') ;;\n"
    for head in groups(found):
        yield f"            ({head},*) command=\"{head} $word\" positions+=('2: :') ;;\n"
    yield "            (,*) command=pull ;;\n"


def _cases(found: tuple[Command, ...]) -> Iterator[str]:
    for each in found:
        if each.name == "pull":
            version = "'(- *)'{-V,--version}'[say the version]'"
            yield _case("", [*map(_spec, each.switches), version, "'1: :_oci_pull_first'"])
    for head in groups(found):
        yield _case(head, ["'(- *)'{-h,--help}'[say what it does and takes]'",
                           f"'2: :_oci_pull_{head}'"])  # fmt: skip
    for each in found:
        arguments = [
            _quoted(f"*:{_plain(argument.metavar)}:{_action(argument.values, argument.metavar)}")
            for argument in each.arguments
        ]
        yield _case(each.name, [*map(_spec, each.switches), *arguments])


def _case(name: str, specs: list[str]) -> str:
    lines = f" \\\n{_INDENT}    ".join(["_arguments -s -S $positions", *specs])
    return f"        ('{name}')\n{_INDENT}{lines} ;;\n"


def _spec(switch: Switch) -> str:
    """What `_arguments` wants to know of an option."""
    help_ = switch.help.translate({ord(each): f"\\{each}" for each in "[]:"})
    stop = "(- *)" if switch.flag == "--help" else ""
    only = (
        "*" if switch.is_list else stop or (f"({' '.join(switch.words)})" if switch.short else "")
    )
    value = ""
    if switch.metavar:
        values = f"({' '.join(switch.choices)})" if switch.choices else _valued(switch)
        value = f":{_plain(switch.metavar)}:{values}"
    flag = f"{switch.flag}=" if switch.metavar else switch.flag
    if switch.short:
        return f"{_quoted(only)}{{{switch.short},{flag}}}{_quoted(f'[{help_}]{value}')}"
    return _quoted(f"{only}{flag}[{help_}]{value}")


def _valued(switch: Switch) -> str:
    return _action(switch.values, switch.metavar)


def _action(values: frozenset[Value], metavar: str) -> str:
    if asked := kinds(values):
        known = f"_oci_pull_known {asked} {_plain(metavar).split()[0]}"
        return f"{{{known}; _files}}" if Value.FILE in values else f" {known}"
    if Value.DIRECTORY in values:
        return "_files -/"
    return "_files" if Value.FILE in values else " "


def _plain(metavar: str) -> str:
    return "".join(each for each in metavar if each not in "[]:=").removesuffix("...")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"

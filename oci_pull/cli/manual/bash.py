"""The completion of bash, from 3.2 on, with nothing of the package bash-completion."""

from collections.abc import Iterator

from oci_pull.cli.manual.commands import (
    Command,
    Switch,
    Value,
    groups,
    kinds,
    switches,
    valued,
)

_HEAD = r"""# bash completion of oci-pull. `make completions` makes it from the commands themselves.

# What oci-pull knows of the last word: names in the cache and in configurations. No request.
_oci_pull_known() {
    _oci_pull_offer "$("${words[0]/#\~\//$HOME/}" __complete "$1" \
        "${words[@]:1:count-1}" "${current#"$lead"}" 2>/dev/null)"
}

# Of some lines those that go on with what was typed. Bash replaces no more than what follows the
# last character that it breaks words at.
_oci_pull_offer() {
    local breaks=${COMP_WORDBREAKS//[^:=@]/} broken= each
    [[ -n $breaks ]] && broken=${current%"${current##*["$breaks"]}"}
    while IFS= read -r each; do
        if [[ -n $each && $lead$each == "$current"* ]]; then
            each=$lead$each
            COMPREPLY+=("${each#"$broken"}")
        fi
    done <<<"$1"
}

_oci_pull_files() {
    compopt -o filenames 2>/dev/null
    _oci_pull_offer "$(compgen "$1" -- "${current#"$lead"}")"
}

_oci_pull() {
    # References hold characters that bash breaks words at: what no space stands before goes on.
    local line=${COMP_LINE:0:COMP_POINT} before count=-1 i
    local -a words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        before=${line%%[![:space:]]*}
        line=${line#"$before"}
        if ((i == 0)) || [[ -n $before ]]; then
            words[++count]=
        fi
        if ((i == COMP_CWORD)); then
            words[count]+=$line
        else
            words[count]+=${COMP_WORDS[i]}
            line=${line#"${COMP_WORDS[i]}"}
        fi
    done

    local current=${words[count]} command= option= ended= lead=
    for ((i = 1; i < count; i++)); do
        if [[ -n $option ]]; then
            option=
        elif [[ -z $ended ]]; then
            case $command,${words[i]} in
                *,--) ended=1 command=${command:-pull} ;;
"""
_FOUND = r"""                *,-*) ;;
"""
_MIDDLE = r"""            esac
        fi
    done
    COMPREPLY=()
    if [[ -z $option && -z $ended && $current == --*=* ]]; then
        option=${current%%=*}
        lead=$option=
    fi
"""
_OPTIONS = r"""
    if [[ -z $ended && $current == -* ]]; then
        case $command in
"""
_WORDS = r"""        esac
        return
    fi
    case $command in
"""
_TAIL = """    esac
}

complete -F _oci_pull oci-pull
"""


def script(found: tuple[Command, ...]) -> str:
    """The whole script."""
    parts = (
        _HEAD,
        f"                *,{' | *,'.join(valued(found))}) option=${{words[i]}} ;;\n",
        _FOUND,
        *_commands(found),
        _MIDDLE,
        "    case $option in\n",
        *_values(switches(found)),
        "        ?*) return ;;\n    esac\n",
        _OPTIONS,
        *_flags(found),
        _WORDS,
        *_arguments(found),
        _TAIL,
    )
    return "".join(parts)


def _commands(found: tuple[Command, ...]) -> Iterator[str]:
    """Which command the words so far are of."""
    heads = " | ".join(f",{each}" for each in _first_words(found))
    yield f"                {heads}) command=${{words[i]}} ;;\n"
    for head in groups(found):
        yield f'                {head},*) command="{head} ${{words[i]}}" ;;\n'
    yield "                ,*) command=pull ;;\n"


def _first_words(found: tuple[Command, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.name.partition(" ")[0] for each in found))


def _values(options: tuple[Switch, ...]) -> Iterator[str]:
    for each in options:
        if each.metavar and (action := _action(each)):
            yield f"        {' | '.join(each.words)}) {action}; return ;;\n"


def _action(switch: Switch) -> str:
    if switch.choices:
        return _offer(switch.choices)
    return _complete(switch.values)


def _complete(values: frozenset[Value]) -> str:
    actions = []
    if asked := kinds(values):
        actions.append(f"_oci_pull_known {asked}")
    if Value.DIRECTORY in values:
        actions.append("_oci_pull_files -d")
    if Value.FILE in values:
        actions.append("_oci_pull_files -f")
    return "; ".join(actions)


def _offer(words: tuple[str, ...]) -> str:
    return "_oci_pull_offer $'" + r"\n".join(words) + "'"


def _flags(found: tuple[Command, ...]) -> Iterator[str]:
    for each in found:
        words = tuple(word for switch in each.switches for word in switch.words)
        name = f'"{each.name}"' if " " in each.name else each.name
        if each.name == "pull":
            yield f"            '') {_offer((*words, '-V', '--version'))} ;;\n"
        yield f"            {name}) {_offer(words)} ;;\n"
    for head in groups(found):
        yield f"            {head}) {_offer(('-h', '--help'))} ;;\n"


def _arguments(found: tuple[Command, ...]) -> Iterator[str]:
    pull = next(each for each in found if each.name == "pull")
    yield f"        '') {_offer(_first_words(found))}; {_complete(pull.values)} ;;\n"
    for head, below in groups(found).items():
        yield f"        {head}) {_offer(below)} ;;\n"
    for each in found:
        if action := _complete(each.values):
            name = f'"{each.name}"' if " " in each.name else each.name
            yield f"        {name}) {action} ;;\n"

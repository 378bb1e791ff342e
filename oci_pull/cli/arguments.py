"""The words of the command line before Typer sees them: `oci-pull REF` is `oci-pull pull REF`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oci_pull.errors import UsageError
from oci_pull.settings import OPTIONS, flag_of

#: Every command, and what it does.
COMMANDS = {
    "pull REF...": "fetch, verify, lay out; print the directory",
    "plan REF": "say what a pull would do; nothing is written",
    "inspect REF": "say what is at a reference (--raw: its bytes)",
    "warm [FILE] [REF...]": "fetch many models into the cache",
    "doctor [REF]": "what a pull would use, and how far it comes",
    "cache path REF": "print the directory of a model that is cached",
    "cache ls, df": "what is in the cache, and what it takes",
    "cache verify [REF]": "read everything again (--repair: mend it)",
    "cache rm REF...": "remove models, and what nothing else needs",
    "cache prune": "remove what was not used for the longest",
    "login REGISTRY": "keep a credential, once the registry has taken it",
    "logout REGISTRY": "forget it",
}
_FIRST_WORDS = {name.partition(" ")[0] for name in COMMANDS}
#: What asks for a page or the version, wherever it stands.
_QUESTIONS = {"-h": "-h", "--help": "-h", "-V": "-V", "--version": "-V"}
#: What others have as commands, and the option that it is here.
_NO_COMMANDS = {"help": "-h", "version": "-V"}
_CLOSE = 0.75


def opposite_of(name: str) -> str:
    """The command line's word for the reverse of a switch."""
    return flag_of(name.removeprefix("no_") if name.startswith("no_") else f"no_{name}")


#: Every way to write an option that the next word is the value of, and its setting.
_VALUED = {
    flag: name
    for name, option in OPTIONS.items()
    for flag in (flag_of(name), option.short)
    if flag and not option.is_switch
}
#: Every way to write a switch, and what it says; one that is counted says more each time.
_SWITCHES = {
    flag: (name, is_on)
    for name, option in OPTIONS.items()
    for flag, is_on in ((flag_of(name), True), (option.short, True), (opposite_of(name), False))
    if flag and option.is_switch and not option.is_counted
}


def rewrite(words: Sequence[str]) -> list[str]:
    """The same words with the command first, and `pull` as the command where none is said.

    Raises:
        UsageError: the first word is one slip away from a command, and another word follows; or
            it is a command of others.
    """
    given = list(words)
    position = _first_word(given)
    if position is None:
        return ["pull", *given] if given else given
    word = given[position]
    if word in _FIRST_WORDS:
        before, after = given[:position], given[position + 1 :]
        end = after.index("--") if "--" in after else len(after)
        return [word, *after[:end], *before, *after[end:]]
    _refuse_a_slip(word, given[position + 1 :])
    return ["pull", *given]


def question_in(words: Sequence[str]) -> str | None:
    """`-h` or `-V` where one of them is among the options, also as in `-qh`; None without."""
    switches = "".join(option.short[1:] for option in OPTIONS.values() if option.is_switch)
    among = re.compile(rf"-[{switches}y]*(?P<letter>[hV])")
    for word in _options(words):
        if word in _QUESTIONS:
            return _QUESTIONS[word]
        if found := among.fullmatch(word):
            return f"-{found['letter']}"
    return None


def _options(words: Sequence[str]) -> Iterator[str]:
    """The words that are options, without what is the value of one."""
    skip = False
    for word in words:
        if word == "--":
            return
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = word in _VALUED
            yield word


def plain_pull(words: Sequence[str]) -> tuple[list[str], Mapping[str, object]] | None:
    """The references and the settings of a pull of which nothing has to be explained, else None.

    Typer would understand the same, and takes longer to import than a model that is there takes to
    be found. What is unknown, incomplete, counted or run together (`-qj4`) is left to it.
    """
    if words[:1] != ["pull"]:
        return None
    references: list[str] = []
    given: dict[str, Any] = {}
    rest = iter(words[1:])
    for word in rest:
        flag, joined, value = word.partition("=")
        if word == "--":
            references += rest
        elif not word.startswith("-"):
            references.append(word)
        elif word in _SWITCHES:
            name, given[name] = _SWITCHES[word]
        elif name := _VALUED.get(flag if flag.startswith("--") else word, ""):
            taken = value if joined else next(rest, None)
            if taken is None:
                return None
            given[name] = [*given.get(name, ()), taken] if OPTIONS[name].is_list else taken
        else:
            return None
    return (references, given) if references else None


def _first_word(words: Sequence[str]) -> int | None:
    """The position of the first word that is neither an option nor the value of one."""
    skip = False
    for position, word in enumerate(words):
        if word == "--":
            return None
        if skip or word.startswith("-"):
            skip = not skip and word in _VALUED
            continue
        return position
    return None


def _refuse_a_slip(word: str, following: Sequence[str]) -> None:
    words = [each for each in following if not each.startswith("-")]
    if word in _NO_COMMANDS:
        option = _NO_COMMANDS[word]
        about = f"{words[0]} {option}" if words and option == "-h" else option
        raise UsageError(
            f"there is no command {word!r}",
            hint=f"oci-pull {about}\noci-pull pull {word}  for a model of that name",
        )
    if not (words and re.fullmatch(r"[a-z]+", word)):
        return
    import difflib

    near = difflib.get_close_matches(word, _FIRST_WORDS, n=1, cutoff=_CLOSE)
    if near:
        raise UsageError(
            f"there is no command {word!r}",
            hint=f"oci-pull {near[0]} {words[0]}\noci-pull pull {word}  for a model of that name",
        )

"""The words of the command line before Typer sees them: `oci-pull REF` is `oci-pull pull REF`."""

import difflib
import re
from collections.abc import Sequence

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
_ANSWERED_AT_THE_TOP = ("-h", "--help", "-V", "--version")
_CLOSE = 0.75


def rewrite(words: Sequence[str]) -> list[str]:
    """The same words with the command first, and `pull` as the command where none is said.

    Raises:
        UsageError: the first word is one slip away from a command, and another word follows.
    """
    given = list(words)
    position = _first_word(given)
    if position is None:
        is_answer = not given or given[0] in _ANSWERED_AT_THE_TOP
        return given if is_answer else ["pull", *given]
    word = given[position]
    if word in _FIRST_WORDS:
        before, after = given[:position], given[position + 1 :]
        end = after.index("--") if "--" in after else len(after)
        return [word, *after[:end], *before, *after[end:]]
    _refuse_a_slip(word, given[position + 1 :])
    return ["pull", *given]


def _first_word(words: Sequence[str]) -> int | None:
    """The position of the first word that is neither an option nor the value of one."""
    takes_value = {flag_of(name) for name, option in OPTIONS.items() if not option.is_switch}
    takes_value |= {each.short for each in OPTIONS.values() if each.short and not each.is_switch}
    skip = False
    for position, word in enumerate(words):
        if word == "--":
            return None
        if skip or word.startswith("-"):
            skip = not skip and word in takes_value
            continue
        return position
    return None


def _refuse_a_slip(word: str, following: Sequence[str]) -> None:
    words = [each for each in following if not each.startswith("-")]
    if not (words and re.fullmatch(r"[a-z]+", word)):
        return
    near = difflib.get_close_matches(word, _FIRST_WORDS, n=1, cutoff=_CLOSE)
    if near:
        raise UsageError(
            f"there is no command {word!r}",
            hint=f"oci-pull {near[0]} {words[0]}\noci-pull pull {word}  for a model of that name",
        )

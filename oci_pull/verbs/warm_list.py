"""The list of what to keep warm: a reference a line, options behind it, comments after `#`."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from oci_pull.errors import InvalidSetting, UsageError
from oci_pull.settings import OPTIONS, flag_of

#: What may be said of one line: which files, of which variant, and what of it is trusted. The rest
#: is for all of them.
LINE_OPTIONS = (
    "include", "exclude", "allow_pickle", "datasets", "platform", "select", "root",
    "require_digest",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """A line of the list."""

    reference: str
    #: As typed, by the name of the field of `Settings`.
    options: Mapping[str, object] = field(default_factory=dict)


def parse_list(text: str, name: str, check: Callable[[Wanted], object]) -> tuple[Wanted, ...]:
    """The lines in their order, each once.

    Raises:
        InvalidSetting: one of them cannot be, or `check` refuses it, with the file and the line.
    """
    found: list[Wanted] = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
            if words:
                wanted = _wanted(words)
                check(wanted)
                found += [] if wanted in found else [wanted]
        except (ValueError, UsageError) as error:
            hint = error.hint if isinstance(error, UsageError) else None
            raise InvalidSetting(f"{name} line {number}: {error}", hint=hint) from error
    return tuple(found)


def _wanted(words: Sequence[str]) -> Wanted:
    """A reference and its options, in any order; raises `ValueError`."""
    references: list[str] = []
    options: dict[str, object] = {}
    rest = iter(words)
    for word in rest:
        if word.startswith("-"):
            _take_option(word, rest, options)
        else:
            references.append(word)
    if len(references) != 1:
        raise ValueError(f"it has {len(references)} references, and needs one")
    return Wanted(references[0], options)


def _take_option(word: str, rest: Iterator[str], options: dict[str, object]) -> None:
    flag, equals, value = word.partition("=")
    name = next((each for each in LINE_OPTIONS if flag_of(each) == flag), None)
    if name is None:
        known = ", ".join(flag_of(each) for each in LINE_OPTIONS)
        raise ValueError(f"{flag} is not an option of one line; those are {known}")
    if OPTIONS[name].is_switch:
        if equals:
            raise ValueError(f"{flag} takes no value")
        options[name] = True
        return
    if not equals:
        value = next(rest, "")
    if not value:
        raise ValueError(f"{flag} needs a value")
    if OPTIONS[name].is_list:
        before = options.get(name, ())
        options[name] = (*(before if isinstance(before, tuple) else ()), value)
    else:
        options[name] = value

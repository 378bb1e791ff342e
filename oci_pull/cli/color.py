"""Whether what people read is coloured, and the few words that are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TextIO

from oci_pull.settings import Settings

_FORCING = ("FORCE_COLOR", "CLICOLOR_FORCE")
_NOT_FORCING = ("", "0")
#: The words that a line may begin with, and how they look (ECMA-48, SGR).
_SHADES = {
    "error:": "1;31",
    "warning:": "33",
    "warning": "33",
    "Warning": "33",
    "Ready": "32",
    "Up to date": "32",
}


def is_colored(color: str, variables: Mapping[str, str], *, is_terminal: bool) -> bool:
    """Whether to use colours; `color` is what was asked for: auto, always or never.

    Where nothing was, `NO_COLOR` counts before what forces colours, and that before the terminal.
    """
    if color != "auto":
        return color == "always"
    if variables.get("NO_COLOR"):
        return False
    if any(variables.get(name, "") not in _NOT_FORCING for name in _FORCING):
        return True
    return is_terminal and variables.get("TERM") != "dumb"


@dataclass(frozen=True, slots=True)
class Ink:
    """What lines are written with."""

    is_colored: bool = False

    @classmethod
    def of(cls, settings: Settings, stream: TextIO) -> Self:
        """What the settings, the environment and the stream call for."""
        is_plain = settings.is_logged or settings.progress == "plain"
        is_terminal = stream.isatty() and not is_plain
        return cls(is_colored(settings.color, settings.color_variables, is_terminal=is_terminal))

    def line(self, text: str) -> str:
        """The line, whose first word is coloured where it says how it went."""
        if self.is_colored:
            for word, shade in _SHADES.items():
                if text.startswith(word):
                    return f"\x1b[{shade}m{word}\x1b[0m{text[len(word) :]}"
        return text


#: For whoever does not know yet what is wanted.
PLAIN = Ink()

"""How options are typed: numbers, sizes, durations, paths, and what else a word can stand for."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oci_pull.oci.descriptor import Platform
from oci_pull.oci.mirror import Mirror
from oci_pull.oci.reference import canonical_host

_UNITS = {
    "": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
    "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40,
}  # fmt: skip
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
#: The units that bytes are told in, each so many times the one before.
AMOUNTS = ("B", "kB", "MB", "GB", "TB")
STEP = 1000.0
_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off")
_MAX_JOBS = 256
#: Whatever stands before a host.
_USER = re.compile(r"(^|//|=)[^/=]*@")


@dataclass(frozen=True, slots=True)
class Option:
    """One option as people see it."""

    parse: Callable[[str], Any]
    #: What stands for its value in help; empty for a switch.
    metavar: str
    group: str
    help: str
    short: str = ""
    #: May be given several times; separated by commas in the environment.
    is_list: bool = False
    #: A switch that may be given several times, each of which adds to it.
    is_counted: bool = False

    @property
    def is_switch(self) -> bool:
        """Whether it has no value."""
        return not self.metavar


def as_boolean(text: str) -> bool:
    """Parse yes or no, in the words that people use; raises `ValueError`."""
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise ValueError("it is yes or no")


def as_level(text: str) -> int:
    """Parse a number from 0 on, or yes or no; raises `ValueError`."""
    return int(text) if text.isdigit() else int(as_boolean(text))


def seconds(text: str) -> float:
    """Parse a duration such as `30s`, `10m` or `7d`; raises `ValueError`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", text.strip().lower())
    if not match:
        raise ValueError("a duration looks like 30s, 10m or 7d")
    return float(match[1]) * _SECONDS[match[2] or "s"]


def duration(time: float) -> str:
    """Seconds as one would type them: `90s`, `10m`, `7d`."""
    unit = next((each for each in ("d", "h", "m") if time % _SECONDS[each] == 0), "s")
    return f"{time / _SECONDS[unit]:g}{unit}"


def amount(count: float) -> str:
    """Bytes for people: `0 B`, `1.2 kB`, `60.1 GB`; decimal, as disks are sold."""
    value = float(count)
    unit = 0
    while value >= STEP - 0.05 and unit < len(AMOUNTS) - 1:
        value /= STEP
        unit += 1
    return f"{value:.0f} B" if not unit else f"{value:.1f} {AMOUNTS[unit]}"


def as_time(text: str) -> float:
    """Parse a duration above 0; raises `ValueError`."""
    if not (time := seconds(text)):
        raise ValueError("it has to be more than 0")
    return time


def size(text: str) -> int:
    """Parse a number of bytes such as `50M`, `1.5G` or `2GiB`, above 0; raises `ValueError`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*((?:[kmgt]i?)?)b?", text.strip().lower())
    if not match:
        raise ValueError("a size looks like 50M, 1.5G or 2GiB")
    if not (count := int(float(match[1]) * _UNITS[match[2]])):
        raise ValueError("it has to be more than 0")
    return count


def as_rate(text: str) -> int:
    """Parse bytes a second, such as `50M` or `50M/s`; raises `ValueError`."""
    return size(text.strip().removesuffix("/s"))


def as_count(text: str) -> int:
    """Parse a number of connections; raises `ValueError`."""
    if not text.isdigit() or not 1 <= int(text) <= _MAX_JOBS:
        raise ValueError(f"it is a number from 1 to {_MAX_JOBS}")
    return int(text)


def as_number(text: str) -> int:
    """Parse a number from 0 on; raises `ValueError`."""
    if not text.isdigit():
        raise ValueError("it is a number")
    return int(text)


def as_platform(text: str) -> Platform:
    """Parse `OS/ARCH[/VARIANT]`; raises `ValueError`."""
    platform = Platform.parse(text)
    if platform is None:
        raise ValueError("a platform looks like linux/amd64 or linux/arm64/v8")
    return platform


def as_pair(text: str) -> tuple[str, str]:
    """Parse `KEY=VALUE`; raises `ValueError`."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError("it looks like KEY=VALUE")
    return key, value


def as_text(text: str) -> str:
    """Take any text."""
    return text


def as_mirror(text: str) -> tuple[str, Mirror]:
    """Parse `[HOST=]URL`: a registry, empty for the one that is asked, and a mirror of it."""
    host, equals, url = text.partition("=")
    return (canonical_host(host), Mirror.parse(url)) if equals else ("", Mirror.parse(text))


@dataclass(frozen=True, slots=True)
class OneOf:
    """A parser of these words and no others."""

    choices: tuple[str, ...]

    def __call__(self, text: str) -> str:
        """Take one of the words; raises `ValueError`."""
        if text not in self.choices:
            raise ValueError(f"it is one of {', '.join(self.choices)}")
        return text


def one_of(*choices: str) -> OneOf:
    """Make a parser of these words and no others."""
    return OneOf(choices)


def shown(value: object) -> str:
    """A value for people, without the user and the password of a URL."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(_USER.sub(r"\1***@", str(value))[:80])

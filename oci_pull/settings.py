"""Every option, once: its name, its type, its environment twin, its default, and what it does.

This is the only module that knows the environment, and it is handed to it.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from oci_pull.errors import InvalidSetting
from oci_pull.oci.descriptor import Platform
from oci_pull.oci.reference import DOCKER_HUB

T = TypeVar("T")

PREFIX = "OCI_PULL_"
_UNITS = {
    "": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
    "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40,
}  # fmt: skip
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off")
_MAX_JOBS = 256


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

    @property
    def is_switch(self) -> bool:
        """Whether it has no value."""
        return not self.metavar


def _boolean(text: str) -> bool:
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise ValueError("it is yes or no")


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


def _time(text: str) -> float:
    if not (time := seconds(text)):
        raise ValueError("it is more than 0")
    return time


def size(text: str) -> int:
    """Parse a number of bytes such as `50M`, `1.5G` or `2GiB`, above 0; raises `ValueError`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*((?:[kmgt]i?)?)b?", text.strip().lower())
    if not match:
        raise ValueError("a size looks like 50M, 1.5G or 2GiB")
    if not (count := int(float(match[1]) * _UNITS[match[2]])):
        raise ValueError("it is more than 0")
    return count


def _rate(text: str) -> int:
    return size(text.strip().removesuffix("/s"))


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= _MAX_JOBS:
        raise ValueError(f"it is a number from 1 to {_MAX_JOBS}")
    return int(text)


def _number(text: str) -> int:
    if not text.isdigit():
        raise ValueError("it is a number")
    return int(text)


def _platform(text: str) -> Platform:
    platform = Platform.parse(text)
    if platform is None:
        raise ValueError("a platform looks like linux/amd64 or linux/arm64/v8")
    return platform


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError("it looks like KEY=VALUE")
    return key, value


def _text(text: str) -> str:
    return text


def _directory(text: str) -> Path:
    return Path(text).expanduser() if text.startswith("~/") else Path(text)


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"it is one of {', '.join(choices)}")
        return text

    return parse


FORMATS = ("path", "text", "json")
PROGRESSES = ("auto", "bar", "plain", "json", "none")


def _option(default: T, option: Option) -> T:
    """A field with its option; typed as its value, so that a wrong default is seen."""
    return field(default=default, metadata={"option": option})


@dataclass(frozen=True, slots=True)
class Settings:
    """What was decided before anything is done."""

    output: Path | None = _option(
        None, Option(_directory, "DIR", "where", "lay the model out here", short="-o")
    )
    cache_dir: Path | None = _option(None, Option(_directory, "DIR", "where", "the cache"))
    keep_archives: bool = _option(
        default=False,
        option=Option(_boolean, "", "where", "keep large archives beside the files in them"),
    )
    include: tuple[str, ...] = _option(
        (), Option(_text, "GLOB", "what", "only files whose path matches", is_list=True)
    )
    exclude: tuple[str, ...] = _option(
        (), Option(_text, "GLOB", "what", "no file whose path matches", is_list=True)
    )
    allow_pickle: bool = _option(
        default=False, option=Option(_boolean, "", "what", "take pickles, which can run code")
    )
    datasets: bool = _option(
        default=False, option=Option(_boolean, "", "what", "take datasets as well")
    )
    platform: Platform | None = _option(
        None, Option(_platform, "OS/ARCH", "what", "of an index, the manifest for this platform")
    )
    select: tuple[tuple[str, str], ...] = _option(
        (), Option(_pair, "KEY=VALUE", "what", "of an index, the variant so marked", is_list=True)
    )
    root: str = _option("", Option(_text, "DIR", "what", "the directory that is the model"))
    jobs: int = _option(8, Option(_count, "N", "how", "connections in all", short="-j"))
    limit_rate: int | None = _option(
        None, Option(_rate, "RATE", "how", "bytes a second over all connections, as 50M")
    )
    retries: int = _option(8, Option(_number, "N", "how", "tries without progress"))
    stall_timeout: float = _option(
        30.0, Option(seconds, "TIME", "how", "the longest silence of a server")
    )
    connect_timeout: float = _option(
        10.0, Option(seconds, "TIME", "how", "the longest wait for a connection")
    )
    max_wait: float = _option(
        300.0, Option(seconds, "TIME", "how", "the longest that a rate limit is waited out")
    )
    lock_timeout: float = _option(
        1800.0, Option(seconds, "TIME", "how", "the longest wait for another oci-pull")
    )
    timeout: float | None = _option(
        None, Option(_time, "TIME", "how", "the longest that the whole pull may take")
    )
    max_bytes: int | None = _option(
        None, Option(size, "SIZE", "how", "write no more than this, as under a quota")
    )
    no_space_check: bool = _option(
        default=False, option=Option(_boolean, "", "how", "do not ask whether there is room")
    )
    offline: bool = _option(
        default=False, option=Option(_boolean, "", "how", "use what is cached, ask nobody")
    )
    plain_http: bool = _option(
        default=False, option=Option(_boolean, "", "registry", "speak http, not https")
    )
    default_registry: str = _option(
        DOCKER_HUB, Option(_text, "HOST", "registry", "where a name without a host is")
    )
    format: str = _option(
        "path", Option(_one_of(*FORMATS), "FORMAT", "output", "stdout: path, text or json")
    )
    progress: str = _option(
        "auto",
        Option(_one_of(*PROGRESSES), "HOW", "output", "stderr: auto, bar, plain, json or none"),
    )
    quiet: bool = _option(
        default=False, option=Option(_boolean, "", "output", "nothing but errors", short="-q")
    )

    #: Not options: what the environment says of this machine and its user.
    home: Path | None = None
    docker_config: Path | None = None
    default_cache: Path | None = None
    #: Something writes our lines down (CI, a journal), even if it looks like a terminal.
    is_logged: bool = False

    @classmethod
    def load(cls, environ: Mapping[str, str], given: Mapping[str, object] | None = None) -> Self:
        """What was given, else what the environment says, else the default.

        `given` has values by field name: text as typed, or values of the right type.

        Raises:
            InvalidSetting: a value that cannot be, naming the option or the variable.
            TypeError: there is no such option.
        """
        values: dict[str, Any] = {}
        for name, option in OPTIONS.items():
            variable = PREFIX + name.upper()
            if text := environ.get(variable):
                parts = [part.strip() for part in text.split(",")] if option.is_list else text
                values[name] = _given(variable, option, parts)
        home = Path(environ["HOME"]) if environ.get("HOME") else None
        docker = environ.get("DOCKER_CONFIG")
        found = cls(
            **values,
            home=home,
            docker_config=Path(docker) if docker else home and home / ".docker",
            default_cache=_default_cache(environ, home),
            is_logged=any(environ.get(name) for name in ("CI", "JOURNAL_STREAM")),
        )
        return found.with_options(given or {})

    def with_options(self, given: Mapping[str, object]) -> Self:
        """The same settings where nothing else is given; None and an empty list are nothing.

        Raises:
            InvalidSetting: a value that cannot be.
            TypeError: there is no such option.
        """
        if unknown := given.keys() - OPTIONS.keys():
            raise TypeError(f"there is no option {', '.join(sorted(unknown))}")
        values = {
            name: _given(flag_of(name), OPTIONS[name], value)
            for name, value in given.items()
            if value is not None and value not in ([], ())
        }
        return replace(self, **cast("Any", values))

    @property
    def cache(self) -> Path:
        """The cache directory; raises `InvalidSetting` where nothing names one."""
        chosen = self.cache_dir or self.default_cache
        if chosen is None:
            raise InvalidSetting(
                "there is no HOME and so no place for a cache",
                hint="--cache-dir DIR  or OCI_PULL_CACHE_DIR",
            )
        return chosen.absolute()


def flag_of(name: str) -> str:
    """The command line's word for a field."""
    return "--" + name.replace("_", "-")


def _given(origin: str, option: Option, value: object) -> object:
    """A value as its field wants it; text is parsed, anything else is believed to be right."""
    try:
        if option.is_list and isinstance(value, list | tuple):
            return tuple(option.parse(v) if isinstance(v, str) else v for v in value)
        parsed = option.parse(value) if isinstance(value, str) else value
    except ValueError as error:
        raise InvalidSetting(f"{origin}: {str(value)[:80]!r} is not right: {error}") from error
    return (parsed,) if option.is_list and isinstance(value, str) else parsed


def _default_cache(environ: Mapping[str, str], home: Path | None) -> Path | None:
    if environ.get("XDG_CACHE_HOME"):
        return Path(environ["XDG_CACHE_HOME"]) / "oci-pull"
    if home is None:
        return None
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "oci-pull"


#: The options by field name, in the order in which help lists them.
OPTIONS: Mapping[str, Option] = {
    each.name: each.metadata["option"] for each in fields(Settings) if "option" in each.metadata
}

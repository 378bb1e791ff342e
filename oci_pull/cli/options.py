"""The options of `Settings` as parameters of commands, so that each is described once."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeVar

import typer

from oci_pull.cli.arguments import opposite_of
from oci_pull.errors import InvalidSetting
from oci_pull.options import Option
from oci_pull.settings import OPTIONS, flag_of

T = TypeVar("T")

#: What every command that talks to a registry takes.
NETWORK = (
    "jobs", "limit_rate", "retries", "stall_timeout", "connect_timeout", "max_wait", "timeout",
    "authfile", "username", "password_stdin", "mirror", "ca_file", "client_cert", "client_key",
    "plain_http", "insecure", "proxy", "default_registry", "config",
)  # fmt: skip
#: Which of several models, and which of its files.
SELECTION = ("include", "exclude", "allow_pickle", "datasets", "platform", "select", "root")
#: What is said on which stream.
OUTPUT = ("format", "progress", "quiet", "verbose", "color")
#: The same where nothing takes long, and nobody is asked.
AT_ONCE = ("format", "quiet", "color")
#: Everything.
ALL = tuple(OPTIONS)

Given = Mapping[str, object]


def takes(names: Iterable[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of these settings; it gets them as one mapping, `given`."""
    chosen = tuple(names)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def with_options(**words: Any) -> None:
            given = {name: words.pop(name) for name in chosen}
            command(given=given, **words)

        own = [p for p in inspect.signature(command).parameters.values() if p.name != "given"]
        added = [_parameter(name, OPTIONS[name]) for name in chosen]
        parameters = [*own, *added]
        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {each.name: each.annotation for each in parameters}
        with_options.__doc__ = command.__doc__
        with_options.__name__ = command.__name__
        return with_options

    return decorate


def _parameter(name: str, option: Option) -> inspect.Parameter:
    flags = [flag_of(name)]
    if option.is_switch and not option.is_counted:
        flags[0] += f"/{opposite_of(name)}"
    if option.short:
        flags.append(option.short)
    kind: Any = str | None
    if option.is_counted:
        kind = int | None
    elif option.is_switch:
        kind = bool | None
    elif option.is_list:
        kind = list[str] | None
    annotation = Annotated[
        kind,
        typer.Option(
            *flags,
            metavar=option.metavar or None,
            help=option.help,
            show_default=False,
            count=option.is_counted,
        ),
    ]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def parsed(flag: str, parse: Callable[[str], T], text: str | None) -> T | None:
    """The value of an option that is no setting; raises `InvalidSetting`."""
    try:
        return None if text is None else parse(text)
    except ValueError as error:
        raise InvalidSetting(f"{flag}: {text!r} is not right: {error}") from error

"""The password of the command line: from stdin or a prompt, once, and never from argv."""

import getpass
import signal
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from oci_pull.adapters.credentials.given import MAX_BYTES, given_credential, password_of
from oci_pull.errors import Cancelled, InvalidReference, InvalidSetting, Terminated
from oci_pull.oci.credential import Basic
from oci_pull.oci.reference import LayoutReference, parse_locator
from oci_pull.settings import Settings

_FLAG = "--password-stdin"


def with_password(settings: Settings, references: Iterable[str]) -> Settings:
    """The same settings with the password that they say is on stdin.

    Raises:
        InvalidSetting: it is for several registries, there is a user without a password or the
            reverse, or what is on stdin is none.
    """
    return with_password_for(settings, _hosts(references, settings.default_registry))


def with_password_for(settings: Settings, hosts: Collection[str]) -> Settings:
    """The same for registries; raises as `with_password` does."""
    if not (settings.username or settings.password_stdin or settings.password_file):
        return settings
    if len(hosts) > 1:
        raise InvalidSetting(
            f"--username is for one registry, and these are {len(hosts)}: "
            f"{', '.join(sorted(hosts))}",
            hint="one command for each registry, or oci-pull login REGISTRY",
        )
    if settings.password_stdin:
        _need_user(settings)
        settings = replace(settings, password=_read())
    # What is wrong with it is known before anybody is asked.
    given_credential(settings.username, settings.password, settings.password_file)
    return settings


def asked_credential(settings: Settings, registry: str) -> Basic:
    """Who logs in: from the options, and what they leave open from whoever sits at the terminal.

    Raises:
        InvalidSetting: there is no terminal and something is missing.
        Cancelled: whoever sits there stopped it.
    """
    if settings.password_stdin:
        _need_user(settings)
        settings = replace(settings, password=_read())
    elif not settings.password_file:
        settings = _prompted(settings, registry)
    who = given_credential(settings.username, settings.password, settings.password_file)
    if who is None:
        raise InvalidSetting("nobody says who logs in", hint=f"--username USER {_FLAG}")
    return who


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C and SIGTERM stop what is in here at once, also where it waits for a person.

    Raises:
        Cancelled, Terminated: one of them came.
    """

    def stop(number: int, _: FrameType | None) -> None:
        kind = Cancelled if number == signal.SIGINT else Terminated
        raise kind("interrupted; nothing is changed")

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _prompted(settings: Settings, registry: str) -> Settings:
    """The same settings with the user and the password that somebody typed."""
    if not (sys.stdin and sys.stdin.isatty()):
        raise InvalidSetting(
            "there is no terminal to ask for a password at",
            hint=f"oci-pull login {registry} --username USER {_FLAG} <FILE",
        )
    try:
        username = settings.username or _line(f"User of {registry}: ")
        password = getpass.getpass(f"Password of {username}: ", stream=sys.stderr)
    except EOFError as error:
        raise InvalidSetting("no password was typed", hint=f"{_FLAG}  reads one") from error
    return replace(settings, username=username, password=password)


def _line(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.strip()


def _need_user(settings: Settings) -> None:
    """Say so before anything waits for stdin."""
    if not settings.username:
        raise InvalidSetting(
            f"{_FLAG} reads a password, and nobody says whose",
            hint="--username USER  or OCI_PULL_USERNAME",
        )


def _read() -> str:
    """The password on stdin; a terminal does not show it."""
    if sys.stdin is None:
        raise InvalidSetting(f"{_FLAG}: stdin is closed")
    if sys.stdin.isatty():
        with interruptible():
            return getpass.getpass("Password: ", stream=sys.stderr)
    return password_of(sys.stdin.buffer.read(MAX_BYTES + 1), _FLAG)


def _hosts(references: Iterable[str], default_registry: str) -> set[str]:
    """The registries of those references that are any; the others are told when they are pulled."""
    hosts = set()
    for reference in references:
        try:
            locator = parse_locator(reference, default_registry=default_registry)
        except InvalidReference:
            continue
        if not isinstance(locator, LayoutReference):
            hosts.add(locator.host)
    return hosts

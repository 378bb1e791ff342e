"""`oci-pull login` and `oci-pull logout`."""

import sys
import time
from functools import partial
from typing import Annotated

import typer

from oci_pull import __version__
from oci_pull.cli import output
from oci_pull.cli.color import Ink
from oci_pull.cli.options import Given, takes
from oci_pull.cli.password import asked_credential, interruptible
from oci_pull.cli.progress.form import NoProgress, Progress
from oci_pull.cli.progress.plain import PlainProgress
from oci_pull.cli.pull import load
from oci_pull.settings import Settings

_USER_AGENT = f"oci-pull/{__version__}"
#: What it takes to reach a registry and ask it one question.
_REACH = (
    "stall_timeout", "connect_timeout", "ca_file", "client_cert", "client_key", "plain_http",
    "insecure", "proxy",
)  # fmt: skip

Registry = Annotated[str, typer.Argument(metavar="REGISTRY", help="docker.io, ghcr.io, HOST:PORT")]


@takes(("username", "password_stdin", "authfile", *_REACH, "config", "quiet", "verbose", "color"))
def login(registry: Registry, *, given: Given) -> None:
    """Keep a credential for a registry, once the registry has taken it."""
    from oci_pull.verbs import login as verb

    settings = load(given)
    warn = partial(_warn, Ink.of(settings, sys.stderr))
    verb.registry_host(registry)
    with interruptible():
        who = asked_credential(settings, registry)
        done = verb.login(
            registry, who, settings, warn, observer=_observer(settings), user_agent=_USER_AGENT
        )
    if not settings.quiet:
        output.tell(f"Logged in   {done.registry} as {done.username!r}, kept in {done.place}")
    if done.shadowed_by:
        warn(f"{done.shadowed_by} counts before it for {done.registry}")


@takes(("authfile", "config", "quiet", "color"))
def logout(registry: Registry, *, given: Given) -> None:
    """Forget the credential of a registry."""
    from oci_pull.verbs import login as verb

    settings = load(given)
    warn = partial(_warn, Ink.of(settings, sys.stderr))
    with interruptible():
        done = verb.logout(registry, settings, warn)
    if not settings.quiet:
        where = ", ".join(done.places)
        words = f"removed from {where}" if where else "there was no credential"
        output.tell(f"Logged out  {done.registry}: {words}")
    if done.left:
        warn(f"{done.registry} is still asked as {done.left}")


def _observer(settings: Settings) -> Progress:
    """Who hears of requests, where that is wanted; there are no bytes to draw a bar of."""
    if settings.quiet:
        return NoProgress(sys.stderr)
    return PlainProgress(sys.stderr, clock=time.monotonic, stamps=False)


def _warn(ink: Ink, message: str) -> None:
    output.tell(f"warning: {message}", ink)

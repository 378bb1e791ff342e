"""What `-v` tells beside everything else, a line each; with `-vv` the headers are below it."""

from collections.abc import Callable, Mapping
from typing import Any

from oci_pull import events
from oci_pull.cli.units import size


def _answered(event: events.Answered) -> str:
    facts = [f"{event.method} {event.url}", str(event.status), _milliseconds(event.seconds)]
    facts += [size(event.size)] if event.size is not None else []
    facts += [f"to {event.leads_to}"] if event.leads_to else []
    facts += [f"id {event.request_id}"] if event.request_id else []
    lines = ["  ".join(facts)]
    lines += [f"  > {name}: {value}" for name, value in event.sent.items()]
    lines += [f"  < {name}: {value}" for name, value in event.received.items()]
    return "\n".join(lines)


def _unanswered(event: events.Unanswered) -> str:
    after = _milliseconds(event.seconds)
    return f"{event.method} {event.url}  no answer ({event.reason})  {after}"


def _authorized(event: events.Authorized) -> str:
    whence = "given before" if event.is_cached else "given"
    allows = f": {event.scope}" if event.scope else ""
    return f"for {event.registry}, {whence} by {event.service}{allows}"


def _looked_up(event: events.LookedUp) -> str:
    state = "hit" if event.is_here else "miss"
    return f"{state}, manifest {event.digest.algorithm}:{event.digest.short}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


#: Each as a word and the facts.
REQUESTS: Mapping[type, Callable[[Any], tuple[str, str]]] = {
    events.LookedUp: lambda e: ("cache", _looked_up(e)),
    events.Identified: lambda e: ("asking", f"{e.registry} as {e.who}"),
    events.Authorized: lambda e: ("token", _authorized(e)),
    events.Answered: lambda e: ("request", _answered(e)),
    events.Unanswered: lambda e: ("request", _unanswered(e)),
}

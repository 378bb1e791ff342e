"""The connections and the tokens of one run, whose pulls may be of the same registries."""

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oci_pull.adapters.registry.tokens import TokenCache

if TYPE_CHECKING:
    from oci_pull.adapters.registry.disclosure import Disclosure
    from oci_pull.adapters.registry.discretion import DiscreetClient
    from oci_pull.adapters.registry.guard import Guard
    from oci_pull.adapters.registry.http import Network


@dataclass(frozen=True, slots=True)
class Line:
    """The client of one registry, and the guard that sees where it is."""

    network: "Network"
    told: "Disclosure"
    client: "DiscreetClient"
    guard: "Guard"


class Connections:
    """What outlives a pull, so that the next one neither connects nor asks for a token again.

    A line is for one `Network`, with all that is shown to its registry, and for who is told of its
    requests: where anything of that is another, so is the line. A token is for one identity, see
    `TokenKey`. Imports are where things are used, because a hit needs no HTTP.
    """

    def __init__(self) -> None:
        self.tokens = TokenCache()
        self._lines: list[Line] = []
        self._lock = threading.Lock()

    def line(self, network: "Network", told: "Disclosure") -> Line:
        """The line to a registry that its user named, or a mirror; made when first asked for.

        Raises:
            InvalidSetting: see `make_client`.
        """
        from oci_pull.adapters.registry.guard import Guard
        from oci_pull.adapters.registry.http import make_client

        with self._lock:
            for line in self._lines:
                if line.network == network and line.told == told:
                    return line
            guard = Guard(network.trust)
            line = Line(network, told, make_client(network, guard, told), guard)
            self._lines.append(line)
            return line

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for line in self._lines:
                line.client.close()
            self._lines.clear()

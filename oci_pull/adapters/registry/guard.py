"""Where a registry may lead to, by the addresses that are really connected to."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from oci_pull.adapters.registry.origin import host_text
from oci_pull.adapters.registry.trust import Trust
from oci_pull.errors import RedirectRefused
from oci_pull.oci.address import Reach, literal, may_lead, reach_of

_WORDS = {
    Reach.LOOPBACK: "this machine",
    Reach.PRIVATE: "a private network",
    Reach.NOBODY: "an address that no registry may lead to",
}


class Guard:
    """Knows where the registry of a client is, and what that may not lead to; for all threads.

    `allow` is called with every address of the registry itself, and with its origin, where it was
    not its user who named it: it raises where whoever did may not lead there.
    """

    def __init__(self, trust: Trust, allow: Callable[[str, str], None] | None = None) -> None:
        self._trust = trust
        self._allow = allow
        self._lock = threading.Lock()
        self._registry = ""
        self._origins: set[str] = set()
        self._reach: Reach | None = None

    def meet(self, origin: str) -> None:
        """From now on this origin is the registry's own; it has two where it left https."""
        with self._lock:
            self._registry = self._registry or origin
            self._origins.add(origin)

    def judge_host(self, host: str, origin: str) -> None:
        """As `judge`, for a host that needs no look-up; others are judged once connected to."""
        if address := literal(host):
            self.judge(address, origin)

    def judge(self, address: str, origin: str) -> None:
        """Remember where the registry is; refuse an address further in than that.

        A registry that a proxy looks up is taken for a public one: only the proxy knows better.

        Raises:
            RedirectRefused: the registry may not lead there.
        """
        reach = reach_of(address)
        with self._lock:
            is_own = origin in self._origins
        if is_own and self._allow:
            self._allow(address, origin)
        with self._lock:
            if is_own:
                # The widest that was seen: a name must not move its registry further in.
                self._reach = max(self._reach or reach, min(reach, Reach.PUBLIC))
                return
            registry, source = self._registry, self._reach or Reach.PUBLIC
        access = self._trust.registry(registry)
        is_allowed = bool(access and access.private_redirects)
        if registry and not may_lead(source, reach, private=is_allowed):
            raise self._refusal(address, reach, origin)

    @property
    def is_placed(self) -> bool:
        """Whether it is known where the registry is."""
        with self._lock:
            return self._reach is not None

    def _refusal(self, address: str, reach: Reach, origin: str) -> RedirectRefused:
        access = self._trust.registry(self._registry)
        name = (access and access.name) or host_text(self._registry)
        at = "" if origin.startswith(f"{address}:") else f" ({address})"
        hint = None
        if reach is not Reach.NOBODY:
            hint = f'[registry."{name}"]  private_redirects = true  in the configuration file'
        message = f"{self._registry} leads to {origin}{at}, which is {_WORDS[reach]}"
        return RedirectRefused(message, facts=["nothing was sent there"], hint=hint)


class Watch:
    """Sees the connection for one request being made (httpcore's `trace` extension)."""

    def __init__(self, guard: Guard | None, origin: str) -> None:
        self._guard = guard
        self._origin = origin
        #: Whom the socket was connected to; None for one that was there before.
        self.peer: tuple[str, int] | None = None
        #: Whether the first machine on the way, a proxy or the server itself, was not reached.
        self.is_unreached = False

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Judge an address before TLS and before a byte of the request; raises as `Guard.judge`."""
        # TLS with a server behind a proxy has another name there (`proxy.start_tls`).
        if event.endswith(".connect_tcp.failed") or event == "connection.start_tls.failed":
            self.is_unreached = True
        elif event.endswith(".connect_tcp.complete"):
            stream = info["return_value"]
            try:
                host, port = stream.get_extra_info("server_addr")[:2]
                self.peer = (host, port)
                if self._guard:
                    self._guard.judge(host, self._origin)
            except BaseException:
                # httpcore does not know of it yet.
                stream.close()
                raise

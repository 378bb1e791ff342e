"""Where a registry may lead to by naming what an artifact is built on: wherever it may redirect to.

Nobody asked for the host that a stranger's artifact names, and it is asked with the credentials
that this machine has for it.
"""

from contextlib import suppress

import httpx

from oci_pull.adapters.registry.guard import Guard
from oci_pull.adapters.registry.site import Site
from oci_pull.adapters.registry.trust import Trust
from oci_pull.errors import OciPullError
from oci_pull.oci.address import Reach, reach_of
from oci_pull.oci.reference import Locator, Reference
from oci_pull.ports import Source


class Lead:
    """The registry of a reference as the one that leads to others."""

    def __init__(self, locator: Locator, source: Source) -> None:
        self._locator = locator
        self._source = source
        self._guard: Guard | None = None
        self._is_asked = False

    def follow(self, guard: Guard) -> None:
        """From now on the guard of the registry's own client says where that is."""
        self._guard = guard

    def allow(self, address: str, origin: str) -> None:
        """Return if it may lead to an address, which is that of `origin`.

        A registry that was not reached yet is asked for what it has; where that does not help it
        is taken for a public one. A layout is on this machine.

        Raises:
            RedirectRefused: it may not.
        """
        if reach_of(address) is Reach.PUBLIC:
            return
        if not isinstance(self._locator, Reference):
            guard, name = Guard(Trust()), str(self._locator)
            guard.meet(name)
            guard.judge("127.0.0.1", name)
        else:
            guard = self._placed(self._locator)
        guard.judge(address, origin)

    def _placed(self, reference: Reference) -> Guard:
        if not self._is_asked and not (self._guard and self._guard.is_placed):
            self._is_asked = True
            with suppress(OciPullError):
                self._source.digest_of(str(reference.digest or reference.tag))
        guard = self._guard or Guard(Trust())
        origin = Site.of(reference).origin
        guard.meet(origin)
        guard.judge_host(httpx.URL(f"https://{reference.host}").host, origin)
        return guard

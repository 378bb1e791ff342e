"""Where the blobs of a registry are, once it has told: shared by everybody who fetches them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from oci_pull.adapters.registry.origin import origin_of
from oci_pull.adapters.registry.signed_url import expires_at
from oci_pull.oci.digest import Digest

#: How much of its lifetime a URL is used for: a request may be long under way.
_USED = 0.8
#: More blobs than are ever fetched at once.
_MOST = 256


@dataclass(frozen=True, slots=True)
class _Location:
    #: Whoever has it may fetch the blob: it is shown nowhere.
    url: httpx.URL = field(repr=False)
    usable_until: float


class Locations:
    """The URL behind the last redirect of each blob, as long as it works; safe in threads.

    `now` is the time of day in seconds since 1970, which is what signed URLs go by.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._known: dict[Digest, _Location] = {}

    def find(self, blob: Digest, *, avoid: frozenset[str] = frozenset()) -> httpx.URL | None:
        """Where the blob is; None where the registry has to be asked.

        A URL that is old, or that leads to one of the origins in `avoid`, is forgotten.
        """
        with self._lock:
            known = self._known.get(blob)
            if known is None:
                return None
            if self._now() < known.usable_until and origin_of(known.url) not in avoid:
                return known.url
            del self._known[blob]
            return None

    def learn(self, blob: Digest, url: httpx.URL) -> None:
        """Remember where the blob was found just now; a URL that is known gets no older for it."""
        with self._lock:
            known = self._known.pop(blob, None)
            if known is None or known.url != url:
                known = _Location(url, self._usable_until(url))
            self._known[blob] = known
            if len(self._known) > _MOST:
                del self._known[next(iter(self._known))]

    def forget(self, blob: Digest, url: httpx.URL) -> None:
        """Never give this URL again; a newer one of the blob stays."""
        with self._lock:
            known = self._known.get(blob)
            if known is not None and known.url == url:
                del self._known[blob]

    def _usable_until(self, url: httpx.URL) -> float:
        now = self._now()
        end = expires_at(url, now)
        return float("inf") if end is None else now + _USED * (end - now)

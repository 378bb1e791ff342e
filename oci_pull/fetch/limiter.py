"""One rate for all connections together."""

import threading

from oci_pull.ports import Cancel, Clock

#: Unused time that may be made up for, in seconds.
_BURST = 0.2
_LEAST = 64
#: Reads a second and connection, at least, so that a low rate still flows.
_READS = 16


class Limiter:
    """A token bucket; without a rate it costs nothing."""

    def __init__(self, rate: int | None, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        #: When everything that came so far is paid for.
        self._paid = 0.0

    def most(self, size: int) -> int:
        """How much of `size` bytes should be read at once."""
        return size if self._rate is None else min(size, max(_LEAST, self._rate // _READS))

    def pay(self, count: int, cancel: Cancel) -> None:
        """Return when `count` bytes may have come; raises `Cancelled`."""
        if self._rate is None:
            return
        with self._lock:
            now = self._clock.now()
            self._paid = max(self._paid, now - _BURST) + count / self._rate
            wait = self._paid - now
        if wait > 0:
            self._clock.wait(wait, cancel)

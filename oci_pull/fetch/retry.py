"""Whether to try again, and when. Decisions only: nobody waits here."""

from collections.abc import Callable
from dataclasses import dataclass

from oci_pull.errors import ConnectionFailed, RateLimited, ServerFailed, TransferError

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a pull bears what. Times in seconds."""

    #: Tries after the first, without a byte of progress between them.
    retries: int = 8
    #: The same where nothing listens, or where the count of requests is used up and nobody says
    #: until when: that is told within ten seconds.
    hopeless_retries: int = 4
    #: The longest that a server may ask to be left alone for.
    max_wait: float = 300.0
    #: The longest that a connection may bring next to nothing.
    stall_timeout: float = 30.0
    #: The longest wait for another process that fetches the same blob.
    lock_timeout: float = 1800.0


class Budget:
    """What is left of the patience; progress refills it."""

    def __init__(self, patience: Patience, random: Callable[[], float]) -> None:
        self._patience = patience
        self._random = random
        self._has_progressed = False
        self.failures = 0

    @property
    def attempts(self) -> int:
        """How many retries there are before giving up."""
        return self._patience.retries

    def refill(self) -> None:
        """Something was received."""
        self.failures = 0
        self._has_progressed = True

    def delay_after(self, error: TransferError) -> float | None:
        """Seconds to wait before the next try, None to give up.

        A connection that broke after it brought something is replaced at once: proxies cut them as
        a matter of course. Otherwise exponential with jitter; a server that names a time is taken
        at its word, up to the limit, beyond which waiting would look like hanging.
        """
        self.failures += 1
        if not error.retryable or self.failures > self._limit(error):
            return None
        if error.retry_after:
            return error.retry_after if error.retry_after <= self._patience.max_wait else None
        power = self.failures - 1
        if self._has_progressed and not is_overload(error):
            power -= 1
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0**power) if power >= 0 else 0.0
        return delay * (0.5 + self._random() / 2)

    def _limit(self, error: TransferError) -> int:
        is_hopeless = isinstance(error, RateLimited) or _is_refused(error)
        if is_hopeless and error.retry_after is None:
            return min(self._patience.retries, self._patience.hopeless_retries)
        return self._patience.retries


def is_overload(error: TransferError) -> bool:
    """Whether the host as a whole wants to be left alone, and not just this connection broke."""
    return isinstance(error, RateLimited | ServerFailed) or _is_refused(error)


def _is_refused(error: TransferError) -> bool:
    return isinstance(error, ConnectionFailed) and error.is_refused

"""Whether to try again, and when. Decisions only: nobody waits here."""

from collections.abc import Callable
from dataclasses import dataclass

from oci_pull.errors import ConnectionFailed, RateLimited, TransferError

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient a pull is."""

    #: Tries after the first, without a byte of progress between them.
    retries: int = 8
    #: The same where nothing listens: a registry that is down is told within ten seconds.
    refused_retries: int = 4
    #: The longest that a server may ask to be left alone for, in seconds.
    max_wait: float = 300.0


class Budget:
    """What is left of the patience; progress refills it."""

    def __init__(self, policy: RetryPolicy, random: Callable[[], float]) -> None:
        self._policy = policy
        self._random = random
        self.failures = 0

    @property
    def attempts(self) -> int:
        """How many retries there are before giving up."""
        return self._policy.retries

    def refill(self) -> None:
        """Something was received."""
        self.failures = 0

    def delay_after(self, error: TransferError) -> float | None:
        """Seconds to wait before the next try, None to give up.

        Exponential with full jitter; a server that names a time is taken at its word, up to the
        limit, beyond which waiting would look like hanging.
        """
        self.failures += 1
        if not error.retryable or self.failures > self._limit(error):
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= self._policy.max_wait else None
        if isinstance(error, RateLimited) and self.failures > 1:
            return None
        exponential = _FIRST_DELAY * 2.0 ** (self.failures - 1)
        return float(min(_LONGEST_DELAY, exponential)) * (0.5 + self._random() / 2)

    def _limit(self, error: TransferError) -> int:
        if isinstance(error, ConnectionFailed) and error.is_refused:
            return min(self._policy.retries, self._policy.refused_retries)
        return self._policy.retries

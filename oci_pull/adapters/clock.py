"""The real clock."""

import time
from dataclasses import dataclass

from oci_pull.errors import Cancelled
from oci_pull.ports import Cancel, Clock

#: The longest that a cancel goes unnoticed, in seconds.
_STEP = 0.1


class SystemClock:
    """Monotonic time, and waits that a cancel ends."""

    def now(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()

    def wait(self, seconds: float, cancel: Cancel) -> None:
        """Return after so many seconds; raises `Cancelled` as soon as `cancel` is set."""
        end = time.monotonic() + seconds
        while True:
            if cancel.is_set():
                raise Cancelled("stopped while waiting")
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(_STEP, left))  # noqa: TID251 - this is the clock that is passed in


class _Never:
    def is_set(self) -> bool:
        return False


#: The cancel of those who wait to the end.
NEVER = _Never()


@dataclass(frozen=True, slots=True)
class Deadline:
    """A cancel that is set when another one is, or as soon as its time has come."""

    cancel: Cancel
    clock: Clock
    #: On the clock, in seconds.
    end: float

    def is_set(self) -> bool:
        """Whether to stop."""
        return self.cancel.is_set() or self.clock.now() >= self.end

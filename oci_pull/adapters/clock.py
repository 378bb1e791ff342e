"""The real clock."""

import time

from oci_pull.errors import Cancelled
from oci_pull.ports import Cancel

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

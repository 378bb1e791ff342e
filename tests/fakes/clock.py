"""A clock that stands still until somebody waits."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from oci_pull.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from oci_pull.ports import Cancel


class FakeClock:
    def __init__(self, now: float = 1000.0) -> None:
        self.waits: list[float] = []
        #: Called in every wait, with how many there were; that is where the world changes.
        self.on_wait: Callable[[int], None] | None = None
        self._now = now
        self._lock = threading.Lock()

    def now(self) -> float:
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds

    def wait(self, seconds: float, cancel: Cancel) -> None:
        with self._lock:
            self.waits.append(seconds)
            count = len(self.waits)
        if self.on_wait:
            self.on_wait(count)
        if cancel.is_set():
            raise Cancelled("stopped while waiting")
        self.advance(seconds)

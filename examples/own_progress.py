"""A progress of one's own: a line a second, from counters that are read and never pushed.

    python examples/own_progress.py REF

Events come from several threads and must not block. Bytes are no events: `Started` has a counter
for its blob, `Tick` says that it is time to look, always in the thread that called `pull`.
"""

import sys
import time

from oci_pull import events, pull


class Progress:
    """Percent of the bytes that the model is made of."""

    def __init__(self) -> None:
        self._size = 0
        self._here = 0
        self._started: list[events.Started] = []
        self._next = 0.0

    def on(self, event: events.Event) -> None:
        """Take an event."""
        match event:
            case events.Planned(size=size, reused=reused, resumed=resumed):
                self._size, self._here = size, reused + resumed
                self._started.clear()  # what had to be fetched in order to plan is counted as here
            case events.Started():
                self._started.append(event)
            case events.Tick() if time.monotonic() >= self._next:
                self._next = time.monotonic() + 1
                self._show()
            case events.LayingOut():
                self._show()
            case events.Retrying(name=name, reason=reason, wait=wait):
                self._tell(f"{name}: {reason}, again in {wait:.0f} s")
            case events.Warned(message=message):
                self._tell(message)
            case _:
                pass

    def _show(self) -> None:
        # A counter begins with what an earlier run has left of its blob.
        done = self._here + sum(each.counter.value - each.resumed for each in list(self._started))
        if self._size:
            self._tell(f"{100 * done // self._size:3} % of {self._size:,} bytes")

    def _tell(self, line: str) -> None:
        print(line, file=sys.stderr)


if __name__ == "__main__":
    print(pull(sys.argv[1], observer=Progress()).path)

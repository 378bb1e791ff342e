"""Work that may hang, left behind when its time is over or its user has enough of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from oci_pull.adapters.clock import Deadline, SystemClock
from oci_pull.errors import Cancelled
from oci_pull.fetch.crew import Crew
from oci_pull.fetch.flows import Flows
from oci_pull.ports import Cancel, Observer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Watch:
    """Who waits, and who may stop it."""

    observer: Observer
    cancel: Cancel

    def run(self, work: Callable[[], T], seconds: float = float("inf")) -> T:
        """What comes of `work`, done in a thread: a look-up of a name knows no time limit.

        Raises:
            TimeoutError: nothing came in time.
            Cancelled: stopped meanwhile.
        """
        clock = SystemClock()
        end = Deadline(self.cancel, clock, clock.now() + seconds)
        results: list[T] = []
        crew = Crew(end, self.observer, clock, Flows(self.observer, clock, stall_timeout=seconds))
        try:
            crew.run([lambda: results.append(work())], lambda: None)
        except Cancelled as error:
            if self.cancel.is_set():
                raise
            raise TimeoutError from error
        return results[0]

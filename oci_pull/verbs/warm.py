"""Several models one after the other, each over all connections: one that fails stops none."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from oci_pull.errors import Cancelled, OciPullError
from oci_pull.pull import PullResult
from oci_pull.verbs.warm_list import Wanted


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one line: a result or an error."""

    reference: str
    result: PullResult | None
    error: OciPullError | None
    seconds: float
    #: In seconds since 1970.
    ended: float


def warm(wanted: Sequence[Wanted], pull: Callable[[Wanted], PullResult]) -> Iterator[Outcome]:
    """What becomes of each line, in their order; a cancel is the last of them."""
    for each in wanted:
        begun = time.monotonic()
        result, error = None, None
        try:
            result = pull(each)
        except OciPullError as caught:
            error = caught
        seconds = time.monotonic() - begun
        yield Outcome(each.reference, result, error, seconds, time.time())
        if isinstance(error, Cancelled):
            return

"""A storage initializer for KServe: each source is in its directory before the server starts.

    python kserve_storage_initializer.py SRC DEST [SRC DEST]...

The arguments are those that KServe gives to the container of a ClusterStorageContainer. Options
come from OCI_PULL_ variables, credentials from a mounted `.dockerconfigjson` (DOCKER_CONFIG). The
log is on stderr and stdout stays empty. The exit code is that of the command: 5, 6 and 11 are worth
the restart that the kubelet makes of any failure, the others need somebody to look.
"""

import signal
import sys
import threading
from collections.abc import Sequence

from oci_pull import OciPullError, Terminated, events, pull

#: KServe keeps oci:// for its own modelcars.
SCHEME = "oci-artifact://"


class Log:
    """A line for what matters in `kubectl logs`."""

    def on(self, event: events.Event) -> None:
        """Take an event; called from several threads."""
        match event:
            case events.Planned(to_fetch=to_fetch, size=size):
                log(f"{to_fetch} of {size} bytes to fetch")
            case events.Retrying(name=name, reason=reason, wait=wait):
                log(f"{name}: {reason}, again in {wait:.0f} s")
            case events.Committed(name=name, size=size):
                log(f"{name}: {size} bytes, verified")
            case events.Warned(message=message):
                log(message)
            case _:
                pass


def log(line: str) -> None:
    """Tell the pod's log."""
    print(line, file=sys.stderr, flush=True)


def main(words: Sequence[str]) -> int:
    """Pull one after the other; the first failure ends it."""
    if not words or len(words) % 2:
        log("SRC DEST [SRC DEST]... is wanted")
        return 2
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    for source, target in zip(words[::2], words[1::2], strict=True):
        reference = source.removeprefix(SCHEME)
        try:
            # One copy on the volume of the pod, and no cache beside it.
            result = pull(reference, output=target, no_cache=True, observer=Log(), cancel=stop)
        except OciPullError as error:
            log(f"{reference}: {error.message}" + (f"; try: {error.hint}" if error.hint else ""))
            return Terminated.exit_code if stop.is_set() else error.exit_code
        log(f"{reference} is {result.digest}, in {result.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What vLLM's log has of a pull: the lines of the command, at most ten seconds apart."""

import io
import logging
import time
from collections.abc import Callable

from oci_pull import events
from oci_pull.cli.progress.plain import PlainProgress
from oci_pull.oci.digest import Digest

_log = logging.getLogger("vllm.oci_pull")


class Lines:
    """An observer; `tell` gets the digest as soon as it is known."""

    def __init__(self, tell: Callable[[Digest], None] | None = None) -> None:
        self._plain = PlainProgress(_Log(), clock=time.monotonic, stamps=False)
        self._tell = tell
        self._is_laid_out = False

    def on(self, event: events.Event) -> None:
        """Take an event."""
        if isinstance(event, events.Resolved) and self._tell:
            self._tell(event.digest)
        self._is_laid_out |= isinstance(event, events.LayingOut)
        if not isinstance(event, events.Warned):
            self._plain.on(event)
        elif not self._is_laid_out:
            # Afterwards it is the verdict on the tree, and that is in the result.
            _log.warning("oci-pull: %s", event.message)


class _Log(io.StringIO):
    """A stream into the log, by whole lines."""

    def write(self, text: str) -> int:
        """Take a line."""
        _log.info("oci-pull: %s", text.rstrip("\n"))
        return len(text)

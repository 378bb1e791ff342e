"""Ctrl-C and SIGTERM as a cancel that everything polls."""

import os
import signal
import sys
from types import FrameType

from oci_pull.errors import Cancelled, Terminated


class SignalCancel:
    """Set by the first signal; the second one ends the process at once."""

    def __init__(self) -> None:
        self._received: int | None = None

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._received is not None

    def install(self) -> None:
        """Take over the signals that ask a process to stop."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._receive)

    def error(self, message: str) -> Cancelled:
        """What the signal that came means for the exit code."""
        kind = Cancelled if self._received == signal.SIGINT else Terminated
        return kind(message)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self._received is not None:
            os._exit(128 + number)
        self._received = number


class Stops:
    """Counts how often the process was stopped (Ctrl-Z) and went on."""

    def __init__(self) -> None:
        self.count = 0

    def install(self) -> None:
        """Take notice of it."""
        signal.signal(signal.SIGCONT, self._go_on)

    def _go_on(self, _: int, __: FrameType | None) -> None:
        self.count += 1


#: Of this process; installed when a command line is run.
CANCEL = SignalCancel()
STOPS = Stops()


def leave(code: int) -> None:
    """End the process without waiting for threads that are still in the network."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # Whoever read it is gone.
            code = code or 1
    os._exit(code)

"""Whose terminal it is: a shell takes it away (Ctrl-Z, `bg`, `&`) and gives it back (`fg`)."""

import os
from collections.abc import Callable
from typing import TextIO


class Seat:
    """A terminal as the job that this process is in has it."""

    def __init__(self, stream: TextIO, stops: Callable[[], int]) -> None:
        self._stream = stream
        self._stops = stops
        self._seen = stops()

    def is_ours(self) -> bool:
        """Whether what is typed there is typed for us; also where no shell hands it out."""
        try:
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        except (OSError, ValueError):
            return True

    def was_left(self) -> bool:
        """Whether others may have written there since this was asked last."""
        before, self._seen = self._seen, self._stops()
        return self._seen != before or not self.is_ours()

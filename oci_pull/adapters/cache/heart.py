"""Signs of life for those who cannot see this process: files that are never old while it works."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oci_pull.ports import Cancel

#: Between two of them (seconds).
_BEAT = 10.0


class Heart:
    """A cancel. Whatever works or waits asks it all the time, and so it beats."""

    def __init__(self, cancel: Cancel) -> None:
        self._cancel = cancel
        self._beating: frozenset[Path] = frozenset()
        self._next = time.monotonic() + _BEAT

    def is_set(self) -> bool:
        """Whether to stop."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _BEAT
            for path in self._beating:
                with suppress(OSError):
                    os.utime(path)
        return self._cancel.is_set()

    @contextmanager
    def beats(self, path: Path) -> Iterator[None]:
        """While this lasts, a file or directory is young."""
        self._beating |= {path}
        try:
            yield
        finally:
            self._beating -= {path}

"""A file system that fails once: at one of the places from which our code calls it."""

from __future__ import annotations

import builtins
import errno
import io
import os
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import oci_pull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    import pytest

#: A function of the operating system, and the lines of our code that lead to it.
Site = tuple[str, ...]

_OURS = str(Path(oci_pull.__file__).parent)
_LINES = 2
_CALLS = (
    *(
        "chmod",
        "fchmod",
        "fstat",
        "fsync",
        "ftruncate",
        "link",
        "listdir",
        "lstat",
        "mkdir",
        "open",
    ),
    *("preadv", "pwrite", "readlink", "rename", "replace", "rmdir", "scandir", "stat", "statvfs"),
    *("symlink", "truncate", "unlink", "utime"),
)


class FailingDisk:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        """All calls about what is below `root` are noted from now on."""
        #: From where it was called.
        self.sites: set[Site] = set()
        self._root = root
        self._fails_at: Site | None = None
        self._lock = threading.Lock()
        for module, name in ((io, "open"), (builtins, "open"), *((os, name) for name in _CALLS)):
            monkeypatch.setattr(module, name, self._watched(name, getattr(module, name)))

    @contextmanager
    def failing(self, site: Site) -> Iterator[None]:
        """The next call from there is answered with an input/output error."""
        self._fails_at = site
        try:
            yield
        finally:
            self._fails_at = None

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **more: Any) -> Any:
            if self._is_asked(args) and (lines := _our_lines()):
                with self._lock:
                    self.sites.add((name, *lines))
                    fails = self._fails_at == (name, *lines)
                    if fails:
                        self._fails_at = None
                if fails:
                    raise OSError(errno.EIO, os.strerror(errno.EIO), str(args[0]))
            return call(*args, **more)

        return watched

    def _is_asked(self, args: tuple[Any, ...]) -> bool:
        return any(self._is_below(each) for each in args)

    def _is_below(self, named: object) -> bool:
        if isinstance(named, int) and not isinstance(named, bool):
            try:
                return Path(f"/proc/self/fd/{named}").readlink().is_relative_to(self._root)
            except OSError:
                return False
        return isinstance(named, str | Path) and Path(named).is_relative_to(self._root)


def _our_lines() -> list[str]:
    frame: FrameType | None = sys._getframe(2)
    lines: list[str] = []
    while frame and len(lines) < _LINES:
        if frame.f_code.co_filename.startswith(_OURS):
            lines.append(f"{frame.f_code.co_filename.removeprefix(_OURS)}:{frame.f_lineno}")
        frame = frame.f_back
    return lines

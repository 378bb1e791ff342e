"""Whether what is to come will fit, and may be written at all."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from oci_pull.errors import NoSpace, NotWritable

#: Kept free beside what is written, so that a full pull does not leave a full disk (bytes).
_RESERVE = 32 * 1000 * 1000


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """The file systems of the cache and of the output."""

    cache: Path
    output: Path | None = None

    def check(self, incoming: int, tree: int) -> int:
        """The free bytes beside the cache.

        Raises:
            NoSpace: `incoming` bytes do not fit beside the cache, or the `tree` into an output on
                another file system, where it has to be copied.
            NotWritable: no permission, or a read-only file system.
        """
        cache = _nearest(self.cache)
        free = shutil.disk_usage(cache).free
        if incoming or not self.output:
            hint = "--cache-dir DIR  or OCI_PULL_CACHE_DIR on another disk"
            _require(cache, incoming, free, hint)
        if self.output:
            output = _nearest(self.output)
            is_elsewhere = output.stat().st_dev != cache.stat().st_dev
            there = shutil.disk_usage(output).free
            _require(output, tree if is_elsewhere else 0, there, "-o DIR on another disk")
        return free


def _nearest(path: Path) -> Path:
    """The path, or the nearest directory above it that exists."""
    return next(each for each in (path, *path.absolute().parents) if each.exists())


def _require(path: Path, needed: int, free: int, hint: str) -> None:
    if not os.access(path, os.W_OK | os.X_OK):
        raise NotWritable(f"cannot write below {path}: no permission, or read-only", hint=hint)
    if needed and needed + _RESERVE > free:
        raise NoSpace(
            f"not enough space: needs {_size(needed)}, {_size(free)} free at {path}",
            hint=hint,
            needed=needed,
            free=free,
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"  # noqa: PLR2004

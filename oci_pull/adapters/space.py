"""Whether what is to come will fit, and may be written at all."""

import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.disk import nearest, writing
from oci_pull.errors import NoSpace, NotWritable
from oci_pull.options import amount

#: Kept free beside what is written, or as much again where that is less (bytes): for the copies of
#: small files, receipts, journals, and what the file system itself writes down.
_RESERVE = 32 * 1000 * 1000
_IF_WRONG = "--no-space-check  if that figure is wrong"


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """The file systems of the cache and of the output."""

    cache: Path
    output: Path | None = None
    #: Whether what the file systems say is believed; permissions are looked at in any case.
    is_checked: bool = True
    #: The most that may be written in all (bytes), however much is free.
    quota: int | None = None

    def check(self, incoming: int, added: int) -> int:
        """The free bytes beside the cache.

        Raises:
            NoSpace: `incoming` bytes do not fit beside the cache, or what the tree adds into the
                output, or both together where that is one file system; or they are more than the
                quota.
            NotWritable: no permission, or a read-only file system.
            DiskError: nobody can tell.
        """
        with writing(self.cache):
            cache = nearest(self.cache)
            free = shutil.disk_usage(cache).free
            device = cache.stat().st_dev
        output, there, is_one = None, 0, False
        if self.output is not None:
            with writing(self.output):
                output = nearest(self.output)
                there = shutil.disk_usage(output).free
                is_one = output.stat().st_dev == device
        if incoming or output is None:
            hint = "OCI_PULL_CACHE_DIR=DIR  or --cache-dir DIR on another disk"
            self._require(cache, incoming + (added if is_one else 0), free, hint)
        if output is not None:
            is_counted = is_one and incoming
            self._require(output, 0 if is_counted else added, there, "-o DIR on another disk")
        self._keep_to_the_quota(incoming + added)
        return free

    def _require(self, path: Path, needed: int, free: int, hint: str) -> None:
        if not os.access(path, os.W_OK | os.X_OK):
            raise NotWritable(f"cannot write below {path}: no permission, or read-only", hint=hint)
        wanted = needed + min(needed, _RESERVE)
        if self.is_checked and wanted > free:
            raise NoSpace(
                f"not enough space: needs {amount(wanted)}, {amount(free)} free at {path}",
                hint=f"{hint}\n{_IF_WRONG}",
                needed=wanted,
                free=free,
                place=str(path),
            )

    def _keep_to_the_quota(self, needed: int) -> None:
        if self.quota is not None and needed > self.quota:
            raise NoSpace(
                f"not enough space: needs {amount(needed)}, --max-bytes allows "
                f"{amount(self.quota)}",
                hint=f"--max-bytes {math.ceil(needed / 1e6)}M\n"
                "--include GLOB  or --exclude GLOB, for fewer files",
                needed=needed,
                free=self.quota,
            )

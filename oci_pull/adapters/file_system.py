"""What the file system of a directory is, and which links it has: looked up, and tried."""

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.disk import nearest, reflink

#: Linux's list of what is mounted where (proc_pid_mountinfo(5)).
_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The file system that a directory is on, or will be made on. Sizes in bytes."""

    #: The directory, or the nearest one above it that exists.
    path: Path
    #: `ext4`, `tmpfs`, `nfs4`; None where the system does not say.
    kind: str | None
    free: int
    size: int
    is_writable: bool

    @classmethod
    def of(cls, directory: Path, mounts: Path = _MOUNTS) -> "FileSystem":
        """As it is now; raises `OSError`."""
        path = nearest(directory)
        found = os.statvfs(path)
        return cls(
            path,
            _kind(path.resolve(), mounts),
            found.f_bavail * found.f_frsize,
            found.f_blocks * found.f_frsize,
            os.access(
                path, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids
            ),
        )


def _kind(path: Path, mounts: Path) -> str | None:
    """The type of the last mount on the longest path above this one."""
    best, kind = -1, None
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, described = before.split(" "), after.split(" ")
        if len(fields) <= 4 or not described[0]:  # noqa: PLR2004 - the fifth is where it is
            continue
        point = Path(_ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), fields[4]))
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), described[0]
    return kind


def links(directory: Path) -> Mapping[str, bool]:
    """Which ways of linking a file work here, tried in a directory that is gone afterwards.

    Raises `OSError` where nothing can be written.
    """
    with tempfile.TemporaryDirectory(dir=directory, prefix=".oci-pull-") as name:
        source = Path(name) / "source"
        source.write_bytes(b"tried by oci-pull doctor")
        ways: Mapping[str, Callable[[Path], object]] = {
            "reflink": lambda target: reflink(source, target),
            "hardlink": lambda target: os.link(source, target),
            "symlink": lambda target: target.symlink_to(source),
            "copy": lambda target: target.write_bytes(source.read_bytes()),
        }
        return {way: _works(make, source.with_name(way), source) for way, make in ways.items()}


def _works(make: Callable[[Path], object], target: Path, source: Path) -> bool:
    with suppress(OSError):
        make(target)
        return target.read_bytes() == source.read_bytes()
    return False

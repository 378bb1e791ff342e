"""Who owns an unfinished blob: a process, named so that others can tell whether it lives.

Locks are not asked, because on some network file systems they do nothing. A name is enough: it says
which process on which machine, and a rename has one winner.
"""

import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

from oci_pull.adapters.disk import remove
from oci_pull.oci.digest import Digest

_NAME = r"(?P<host>[A-Za-z0-9_.+]+)-(?P<pid>\d+)-(?P<start>\d+)-(?P<nonce>[0-9a-f]+)"
#: What is half-made is `KIND-OWNER` or `.OWNER`, or has such a name in that of a moment.
_HALF_MADE = rf"\.?(?:[a-z]+-)?{_NAME}(?:\.[0-9a-z]+)?"
#: An owner elsewhere that gives signs of life is dead without one for so long (seconds).
_SILENCE = 60.0
#: One of which only its work can be seen: downloads that it unpacks may pause for long, what it
#: copies never does (seconds).
_PAUSING = 2 * 3600.0
COPYING = 10 * 60.0
#: How a file in `locks` begins that says what a process relies on, and the first line of one that
#: is kept young while its process lives. Earlier releases did not do that.
LEASE = "pull-"
BEATS = "beats"


@dataclass(frozen=True, slots=True)
class Owner:
    """One claim of one process."""

    host: str
    pid: int
    #: When the process started, in whatever unit its machine counts; pids are used again.
    start: int
    nonce: str

    @classmethod
    def new(cls) -> Self:
        """A name that nobody else has."""
        pid = os.getpid()
        return cls(this_host(), pid, _start_of(pid), secrets.token_hex(4))

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Parse the name of a directory; None for a foreign one."""
        return cls._parse(_NAME, name)

    @classmethod
    def of(cls, half_made: str) -> Self | None:
        """Whose something half-made is, by its name; None for anything else."""
        return cls._parse(_HALF_MADE, half_made)

    @classmethod
    def _parse(cls, pattern: str, name: str) -> Self | None:
        match = re.fullmatch(pattern, name)
        if not match:
            return None
        return cls(match["host"], int(match["pid"]), int(match["start"]), match["nonce"])

    @property
    def is_here(self) -> bool:
        """Whether its process would be seen from here."""
        return self.host == this_host()

    def runs(self) -> bool:
        """Whether its process runs, on this machine."""
        return _start_of(self.pid) == self.start

    def __str__(self) -> str:
        return f"{self.host}-{self.pid}-{self.start}-{self.nonce}"

    def describe(self) -> str:
        """For people."""
        return f"pid {self.pid} on {self.host.partition('+')[0]}"


def is_alive(owner: Owner, directory: Path) -> bool:
    """Whether the owner of a directory still runs: seen from here, or heard of lately elsewhere.

    Silence is measured by the clock of the file system, which is the same for both sides.
    """
    if owner.is_here and owner.start:
        return owner.runs()
    try:
        return _now(directory.parent.parent) - max(_times(directory)) < _SILENCE
    except OSError:
        return True


def is_dead(half_made: Path, silence: float = _PAUSING, locks: Path | None = None) -> bool:
    """Whether something has an owner in its name who will not go on with it.

    One that cannot be seen from here is heard of: by its lease in `locks`, or else only by its
    work. After `silence` seconds without any it is dead, or a volume would fill with what pods had
    begun that were killed. Ages are by the clock of the file system. Raises `OSError`.
    """
    owner = Owner.of(half_made.name)
    if owner is None:
        return False
    if owner.is_here and owner.start:
        return not owner.runs()
    beats = list(_beats(owner, locks)) if locks else []
    heard = max(*_times(half_made), *beats, 0.0)
    return _now(half_made.parent) - heard > (_SILENCE if beats else silence)


def remove_dead(directory: Path, silence: float = _PAUSING, locks: Path | None = None) -> None:
    """Remove what runs that were killed were building there; see `is_dead`."""
    with suppress(OSError):
        for entry in directory.iterdir():
            with suppress(OSError):
                if is_dead(entry, silence, locks):
                    remove(entry)


def _beats(owner: Owner, locks: Path) -> Iterator[float]:
    """When a process was heard of last that is heard of all the time; nothing for any other."""
    for lease in locks.glob(f"{LEASE}{owner.host}-{owner.pid}-{owner.start}-*"):
        with suppress(OSError), lease.open() as file:
            if file.readline().strip() == BEATS:
                yield lease.stat().st_mtime


def _now(directory: Path) -> float:
    """The time by the clock of a file system; by our own where nothing can be written."""
    # Whoever is killed here leaves it under a name that is swept.
    probe = directory / f".{Owner.new()}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def _times(path: Path) -> Iterator[float]:
    """When something, and everything in it, was last changed; raises `OSError` if it is gone."""
    yield path.lstat().st_mtime
    for parent, directories, files in os.walk(path):
        for name in (*directories, *files):
            with suppress(OSError):
                yield Path(parent, name).lstat().st_mtime


@cache
def this_host() -> str:
    """A name for the set of processes that can see each other.

    Containers share names like `localhost` and have pids of their own, so the boot and the pid
    name space are part of it.
    """
    parts = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            is_link = Path(path).is_symlink()
            parts.append(str(Path(path).readlink()) if is_link else Path(path).read_text().strip())
        except OSError:
            parts.append("")
    name = re.sub(r"[^A-Za-z0-9_.]", "_", parts[0])[:40] or "host"
    return f"{name}+{Digest.of(' '.join(parts).encode()).hex[:8]}"


def _start_of(pid: int) -> int:
    """When a process started, 0 if it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return 0 if Path("/proc/self/stat").exists() else _start_by_ps(pid)
    except OSError:
        return 0
    # The name of the program is in parentheses and may hold anything, even a parenthesis.
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


def _start_by_ps(pid: int) -> int:
    """The same where there is no /proc (macOS)."""
    import subprocess

    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    try:
        reply = subprocess.run(command, capture_output=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    text = reply.stdout.strip()
    return int(Digest.of(text).hex[:12], 16) if text else 0

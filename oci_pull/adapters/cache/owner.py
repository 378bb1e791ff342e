"""Who owns an unfinished blob: a process, named so that others can tell whether it lives.

Locks are not asked, because on some network file systems they do nothing. A name is enough: it says
which process on which machine, and a rename has one winner.
"""

import os
import re
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

from oci_pull.adapters.disk import remove_tree
from oci_pull.oci.digest import Digest

_NAME = re.compile(r"(?P<host>[A-Za-z0-9_.+]+)-(?P<pid>\d+)-(?P<start>\d+)-(?P<nonce>[0-9a-f]+)")


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
        match = _NAME.fullmatch(name)
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


def remove_dead(directory: Path) -> None:
    """Remove what runs that were killed were building there; its name is `KIND-OWNER`."""
    with suppress(OSError):
        for entry in directory.iterdir():
            owner = Owner.parse(entry.name.partition("-")[2].removesuffix(".old"))
            # What another machine is doing here cannot be known; it is left alone.
            if owner and owner.is_here and not owner.runs():
                remove_tree(entry)


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

"""This machine: what it is, whether others use it, and its memory before a run."""

from __future__ import annotations

import mmap
import os
import platform
import re
import resource
import threading
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_IDLE, _IOWAIT, _STEAL = 3, 4, 7
CORES = os.cpu_count() or 1


def busy() -> float:
    """Seconds of all processors together that were spent on something, since it was started."""
    line = Path("/proc/stat").read_text().partition("\n")[0]
    counts = [int(count) for count in line.split()[1 : _STEAL + 2]]
    return (sum(counts) - counts[_IDLE] - counts[_IOWAIT]) / _TICKS


def own() -> float:
    """The same for this process and all that it started, the servers among them."""
    used = sum(
        usage.ru_utime + usage.ru_stime
        for usage in (
            resource.getrusage(resource.RUSAGE_SELF),
            resource.getrusage(resource.RUSAGE_CHILDREN),
        )
    )
    times, parents = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        pid = int(path.parent.name)
        parents[pid] = int(fields[1])
        times[pid] = sum(map(int, fields[11:15])) / _TICKS
    return used + sum(times[pid] for pid in parents if _descends(pid, parents))


def _descends(pid: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == os.getpid():
            return True
    return False


def wait_for_quiet(share: float = 0.1, window: float = 0.5, limit: float = 20.0) -> bool:
    """Until others use less than the share of the machine; False where they never did."""
    deadline = time.monotonic() + limit
    pause = threading.Event()
    while True:
        before, begun = busy(), time.monotonic()
        pause.wait(window)
        if busy() - before < share * CORES * (time.monotonic() - begun):
            return True
        if time.monotonic() > deadline:
            return False


def warm(size: int) -> None:
    """Touch as much memory and give it back.

    The first touch of a page is dear in a virtual machine: its host has to find it. Whoever ran
    first would pay for those who run after it.
    """
    size = min(size, _memory("MemAvailable") // 2)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    mmap.mmap(-1, size, flags=flags).close()


def describe(directory: Path) -> dict[str, str]:
    cpu = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpu, re.MULTILINE)
    virtual = re.search(r"^flags\s*:.*\bhypervisor\b", cpu, re.MULTILINE)
    return {
        "Processor": f"{CORES} cores, {model[1].strip() if model else platform.machine()}"
        + (", in a virtual machine" if virtual else ""),
        "Memory": f"{_memory('MemTotal') / (1 << 30):.0f} GiB",
        "Kernel": f"Linux {'.'.join(platform.release().split('.')[:2])}",
        "File system": _file_system(directory),
        "Python": platform.python_version(),
    }


def _memory(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def _file_system(directory: Path) -> str:
    device = directory.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = line.partition(" - ")
        if mount.split()[2] == number:
            return kind.split()[0]
    return "unknown"

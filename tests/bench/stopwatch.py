"""Runs a line of bash and writes what it took to a file descriptor.

A process of its own, and a small one: Linux counts the memory of whoever starts a process towards
that process's peak. Processor time and peak are those of the whole tree, as wait4 has them: a
pipeline's time is the sum of its programs, its peak that of the largest of them.

    python -I -S stopwatch.py DESCRIPTOR LINE
"""

import os
import sys
import time


def main() -> int:
    report, line = int(sys.argv[1]), sys.argv[2]
    os.set_inheritable(report, False)
    begun = time.monotonic()
    child = os.posix_spawn("/bin/bash", ["bash", "-o", "pipefail", "-c", line], os.environ)
    _, status, usage = os.wait4(child, 0)
    wall = time.monotonic() - begun
    cpu = usage.ru_utime + usage.ru_stime
    code = os.waitstatus_to_exitcode(status)
    os.write(report, f"{wall} {cpu} {usage.ru_maxrss * 1024} {code}".encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""In a program with an event loop: several models at once, and a cancel that reaches the download.

    python examples/with_asyncio.py SECONDS REF...

The library is threads, not coroutines: `asyncio.to_thread` runs a pull beside the loop. A task that
is cancelled does not end its thread, so that the pull has to be told.
"""

import asyncio
import sys
import threading

from oci_pull import PullResult, pull


async def pulled(reference: str) -> PullResult:
    """As `pull`; a task that is cancelled stops it, and what was fetched is kept."""
    cancel = threading.Event()
    try:
        return await asyncio.to_thread(pull, reference, cancel=cancel)
    finally:
        cancel.set()  # too late for a pull that is done, in time for one that is not


async def main(seconds: float, references: list[str]) -> int:
    """Pull all of them within a time; what comes too late goes on in the next run."""
    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            tasks = [group.create_task(pulled(reference)) for reference in references]
    except TimeoutError:
        print("not in time; the next run goes on with what is there", file=sys.stderr)
        return 1
    for task in tasks:
        print(task.result().path)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(float(sys.argv[1]), sys.argv[2:])))

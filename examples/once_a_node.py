"""A launcher of processes: however many workers a node has, it downloads once.

    python examples/once_a_node.py REF [WORKERS]

The launcher asks what the tag is now; its workers pull that digest, so that a tag which moves
meanwhile cannot give two of them two models. The first of a node downloads, the others wait for it
and take what it has, and one that comes later asks nobody at all. With several nodes each has a
launcher, or gets `pinned` from one, as in ray_once_a_node.py; nothing else has to be shared.
"""

import multiprocessing
import sys
from dataclasses import replace

from oci_pull import plan, pull


def work(rank: int, pinned: str) -> None:
    """What a worker does first."""
    result = pull(pinned)
    print(f"worker {rank}: {result.path}, {result.fetched_bytes} bytes fetched", flush=True)


def main(reference: str, workers: int = 4) -> int:
    """Start the workers; the exit code is not 0 where one of them failed."""
    found = plan(reference)
    pinned = str(replace(found.reference, digest=found.digest))
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(rank, pinned)) for rank in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return max(process.exitcode or 0 for process in processes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))

"""Ray: the model is on every node of a cluster, the same one everywhere, downloaded once each.

    python examples/ray_once_a_node.py REF

The driver asks what the tag is now, and a task on each node pulls that digest: the path that a task
returns is one of its own node. Credentials are those of the nodes; `runtime_env` may set OCI_PULL_
variables for all of them.
"""

import sys
from dataclasses import replace

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from oci_pull import plan, pull


@ray.remote(num_cpus=0)
def pull_here(pinned: str) -> str:
    """Pull on the node where this runs."""
    return str(pull(pinned).path)


def main(reference: str) -> None:
    """Pull everywhere at once, and say where it is."""
    found = plan(reference)
    pinned = str(replace(found.reference, digest=found.digest))
    ray.init()
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    there = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
    paths = ray.get([pull_here.options(scheduling_strategy=each).remote(pinned) for each in there])
    for node, path in zip(nodes, paths, strict=True):
        print(node, path)


if __name__ == "__main__":
    main(sys.argv[1])

"""As much of Ray as sends a task to each of two nodes, which are both this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


class RemoteFunction:
    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def options(self, *, scheduling_strategy: NodeAffinitySchedulingStrategy) -> RemoteFunction:
        assert scheduling_strategy.node_id in {node["NodeID"] for node in nodes()}
        return self

    def remote(self, *words: Any) -> Any:
        return self._function(*words)


def remote(*, num_cpus: int) -> Callable[[Callable[..., Any]], RemoteFunction]:
    return RemoteFunction


def init() -> None:
    """Connect to a cluster."""


def nodes() -> list[dict[str, Any]]:
    return [{"NodeID": name, "Alive": name != "gone"} for name in ("head", "gone", "worker")]


def get(results: Sequence[Any]) -> list[Any]:
    return list(results)

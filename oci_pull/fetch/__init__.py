"""The engine: the only place that starts threads, that retries, and that waits."""

from oci_pull.fetch.engine import Engine

__all__ = ["Engine"]

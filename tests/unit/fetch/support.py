"""An engine over memory, with a clock that nobody has to wait for."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from oci_pull.fetch import Engine
from oci_pull.fetch.retry import RetryPolicy
from oci_pull.ports import Consumer, Job
from tests.fakes.clock import FakeClock
from tests.fakes.memory import MemorySource, MemoryStore, Recorder, blob_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from oci_pull.fetch.engine import Session
    from oci_pull.oci.descriptor import Descriptor


def content_of(size: int, seed: int = 1) -> bytes:
    """Bytes without a period that could hide a shift; the same ones every day."""
    return random.Random(seed).randbytes(size)


class World:
    def __init__(self, directory: Path, *contents: bytes, piece: int = 1 << 16) -> None:
        self.contents = contents
        self.blobs = [blob_of(content) for content in contents]
        self.source = MemorySource(dict(zip(self.blobs, contents, strict=True)), piece=piece)
        self.store = MemoryStore(directory)
        self.observer = Recorder()
        self.clock = FakeClock()
        self.cancel = threading.Event()

    @property
    def blob(self) -> Descriptor:
        return self.blobs[0]

    def jobs(self, unpack: Consumer | None = None) -> Sequence[Job]:
        return [Job(f"blob {n}", blob, unpack) for n, blob in enumerate(self.blobs)]

    def session(
        self,
        *,
        jobs: int = 4,
        policy: RetryPolicy = RetryPolicy(),
        lock_timeout: float = 60.0,
    ) -> Session:
        engine = Engine(
            jobs=jobs,
            clock=self.clock,
            random=lambda: 1.0,
            policy=policy,
            lock_timeout=lock_timeout,
        )
        return engine.session(self.source, self.store, self.observer, self.cancel)

    def fetched(self, blob: Descriptor) -> bytes | None:
        """What the store has under the final name."""
        found = self.store.find(blob)
        return found.path.read_bytes() if found else None

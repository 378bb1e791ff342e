"""An engine over memory, with a clock that nobody has to wait for."""

from __future__ import annotations

import random
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from oci_pull.fetch import Engine
from oci_pull.fetch.assembly import BUFFER, Assembly, Stretch
from oci_pull.fetch.retry import Patience
from oci_pull.ports import Consumer, Job
from tests.fakes.clock import FakeClock
from tests.fakes.memory import (
    MemoryPartial,
    MemorySource,
    MemoryStore,
    Recorder,
    Reply,
    Throttle,
    blob_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from oci_pull.fetch.engine import Session
    from oci_pull.oci.descriptor import Descriptor

T = TypeVar("T")

PATIENCE = Patience(lock_timeout=60)


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

    def engine(
        self,
        *,
        jobs: int = 4,
        patience: Patience = PATIENCE,
        cores: int = 2,
        limit_rate: int | None = None,
    ) -> Engine:
        return Engine(
            jobs=jobs,
            cores=cores,
            clock=self.clock,
            random=lambda: 1.0,
            patience=patience,
            limit_rate=limit_rate,
        )

    def session(
        self,
        *,
        jobs: int = 4,
        patience: Patience = PATIENCE,
        cores: int = 2,
        limit_rate: int | None = None,
    ) -> Session:
        return self.session_of(
            self.engine(jobs=jobs, patience=patience, cores=cores, limit_rate=limit_rate)
        )

    def session_of(self, engine: Engine) -> Session:
        return engine.session(self.source, self.store, self.observer, self.cancel)

    def throttled(self, reads: float, *, seconds: float = 1.0) -> Throttle:
        """Every connection reads so often in these seconds, which pass at every tick."""
        throttle = Throttle()
        self.source.usual = Reply(throttle=throttle)

        def step() -> None:
            self.clock.advance(seconds)
            throttle.step(reads)

        self.observer.on_tick = step
        return throttle

    def fetched(self, blob: Descriptor) -> bytes | None:
        """What the store has under the final name."""
        found = self.store.find(blob)
        return found.path.read_bytes() if found else None

    def assembly(self, number: int = 0, *, inline: bool = False) -> Assembly:
        """A blob in the making, claimed from the store."""
        job = self.jobs()[number]
        partial = self.store.claim(job.blob)
        assert isinstance(partial, MemoryPartial)
        return Assembly(job, partial, self.observer, self.cancel, inline=inline)


def write(
    stretch: Stretch, content: bytes, *, until: int | None = None, piece: int = BUFFER
) -> None:
    """Bring the bytes of a stretch, as a connection does."""
    while stretch.position < (stretch.end if until is None else until):
        end = min(stretch.position + piece, stretch.end if until is None else until)
        stretch.assembly.write(stretch, memoryview(content)[stretch.position : end])


def in_background(work: Callable[[], T]) -> Future[T]:
    """Do it in a thread that a test which fails does not wait for."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever asks
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future

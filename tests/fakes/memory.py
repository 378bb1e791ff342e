"""The ports of the engine without a network: what is asked is noted, what fails is scripted.

source = MemorySource({blob: content})
source.script(blob, Reply(cut_after=100), Reply())
store = MemoryStore(tmp_path)
store.taken_by[blob.digest] = "pid 7 on nas"
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from oci_pull.errors import (
    Busy,
    ConnectionFailed,
    DiskError,
    OciPullError,
    RateLimited,
    TransferError,
)
from oci_pull.events import Tick
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Bytes, Digest
from oci_pull.oci.ranges import Span, merge
from oci_pull.oci.verify import Verified, verify
from oci_pull.ports import StoredBlob, Taken, Unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from oci_pull.events import Event
    from oci_pull.oci.manifest import Document
    from oci_pull.ports import Cancel

E = TypeVar("E")

ORIGIN = "memory:1"
MEDIA_TYPE = "application/octet-stream"
#: Nothing here may wait longer than this for another thread (seconds).
PATIENCE = 60.0
#: What each byte becomes on a connection that damages it.
_WRONG = bytes(each ^ 0xFF for each in range(256))


def blob_of(content: bytes, media_type: str = MEDIA_TYPE) -> Descriptor:
    return Descriptor(media_type, Digest.of(content), len(content))


class Recorder:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        #: Called whenever the thread that waits says that a moment has passed.
        self.on_tick: Callable[[], None] | None = None
        self._changed = threading.Condition(threading.RLock())

    def on(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()
        if isinstance(event, Tick) and self.on_tick:
            self.on_tick()

    def of(self, kind: type[E]) -> list[E]:
        with self._changed:
            return self._of(kind)

    def wait_for(
        self, kind: type[E], count: int = 1, *, unless: Future[Any] | None = None
    ) -> list[E]:
        """The events of a kind, once there are so many or something has ended."""

        def is_there() -> bool:
            return len(self._of(kind)) >= count or bool(unless and unless.done())

        with self._changed:
            if unless:
                unless.add_done_callback(lambda _: self._wake())
            assert self._changed.wait_for(is_there, PATIENCE)
            return self._of(kind)

    def has(self, kind: type[E], *, within: float) -> bool:
        """Whether there is an event of a kind after so many seconds at most."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._of(kind)), within)

    def await_next(self, kind: type[E]) -> None:
        """Return with the next event of a kind, or when none will come any more."""
        with self._changed:
            count = len(self._of(kind))
            self._changed.wait_for(lambda: len(self._of(kind)) > count, PATIENCE)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


class Throttle:
    """Lets every stream read as often as there were steps, until it is opened."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._steps = 0.0

    def step(self, count: float = 1) -> None:
        with self._changed:
            self._steps += count
            self._changed.notify_all()

    def open(self) -> None:
        self.step(float("inf"))

    def is_passed(self, reads: int) -> bool:
        """Whether a stream that has read so often may read again; waits a moment for that."""
        with self._changed:
            return self._changed.wait_for(lambda: self._steps > reads, 0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How one connection goes; the default is well."""

    #: Raised in place of a reply, or after `cut_after` bytes.
    error: OciPullError | None = None
    #: The connection breaks after so many bytes.
    cut_after: int | None = None
    #: The body ends after so many bytes, as if that were all.
    ends_after: int | None = None
    #: Everything from the first byte on, whatever was asked for.
    no_ranges: bool = False
    corrupt: bool = False
    origin: str = ORIGIN
    #: Bytes come only after this is set.
    hold: threading.Event | None = None
    #: Bytes behind so many come only after `hold` is set; those before it at once.
    hold_after: int = 0
    #: No reply at all comes before this is set, and nothing ends that wait.
    connects: threading.Event | None = None
    #: A read takes a step of it.
    throttle: Throttle | None = None


class MemoryStream:
    def __init__(self, content: bytes, span: Span, reply: Reply, piece: int) -> None:
        self.start = 0 if reply.no_ranges else span.start
        self.origin = reply.origin
        body = memoryview(content)[self.start : None if reply.no_ranges else span.end]
        self._body = memoryview(bytes(body).translate(_WRONG)) if reply.corrupt else body
        self._reply = reply
        self._piece = piece
        self._sent = 0
        self._reads = 0
        self.waiting = threading.Event()
        self.aborted = threading.Event()
        self.closed = threading.Event()

    def readinto(self, view: memoryview) -> int:
        reply = self._reply
        ends = [each for each in (reply.cut_after, reply.ends_after) if each is not None]
        if reply.hold and not reply.hold.is_set() and self._sent < reply.hold_after:
            ends.append(reply.hold_after)
        else:
            self._wait()
        end = min(len(self._body), *ends) if ends else len(self._body)
        piece = self._body[self._sent : min(end, self._sent + self._piece, self._sent + len(view))]
        if not piece and self._sent == reply.cut_after:
            raise reply.error or ConnectionFailed("it was cut", origin=self.origin)
        view[: len(piece)] = piece
        self._sent += len(piece)
        self._reads += 1
        return len(piece)

    def _wait(self) -> None:
        hold, throttle = self._reply.hold, self._reply.throttle
        while hold and not hold.wait(0.01):
            self._check()
        while throttle and not throttle.is_passed(self._reads):
            self._check()
        if self.aborted.is_set():
            raise ConnectionFailed("it was aborted", origin=self.origin)

    def _check(self) -> None:
        self.waiting.set()
        if self.aborted.is_set():
            raise ConnectionFailed("it was aborted", origin=self.origin)

    def abort(self) -> None:
        self.aborted.set()

    def close(self) -> None:
        self.closed.set()


class MemorySource:
    def __init__(self, contents: Mapping[Descriptor, bytes], *, piece: int = 1 << 16) -> None:
        self._contents = {blob.digest: content for blob, content in contents.items()}
        self._piece = piece
        self._scripts: dict[Digest, deque[Reply]] = defaultdict(deque)
        self.opened: list[tuple[Digest, Span]] = []
        self.streams: list[MemoryStream] = []
        #: What each connection was to avoid.
        self.avoided: list[frozenset[str]] = []
        #: What connections are like that no script says anything of.
        self.usual = Reply()
        #: So many connections are served at once; those beyond are refused with `refusal`.
        self.most: int | None = None
        self.refusal: TransferError = RateLimited("429: too many connections")
        self.refused = 0
        #: Called before every reply.
        self.on_open: Callable[[], object] = bool
        self.changed = threading.Condition()

    def script(self, blob: Descriptor, *replies: Reply) -> None:
        """What the next connections for a blob are like; good ones follow."""
        self._scripts[blob.digest].extend(replies)

    def spans(self, blob: Descriptor) -> list[Span]:
        return [span for digest, span in self.opened if digest == blob.digest]

    def digest_of(self, tag: str) -> Digest | None:
        raise NotImplementedError

    def document(self, selector: str | Digest) -> Document:
        raise NotImplementedError

    def size_of(self, blob: Descriptor) -> int:
        return len(self._contents[blob.digest])

    def open(
        self,
        blob: Descriptor,
        span: Span,
        *,
        cancel: Cancel,
        avoid: frozenset[str] = frozenset(),
    ) -> MemoryStream:
        self.on_open()
        with self.changed:
            script = self._scripts[blob.digest]
            reply = script.popleft() if script else self.usual
            stream = MemoryStream(self._contents[blob.digest], span, reply, self._piece)
            self.opened.append((blob.digest, span))
            self.avoided.append(avoid)
            if self.most is not None and len(self.serving) >= self.most:
                self.refused += 1
                raise self.refusal
            if not reply.error or reply.cut_after is not None:
                self.streams.append(stream)
            self.changed.notify_all()
        if reply.connects:
            assert reply.connects.wait(PATIENCE)
        if reply.error and reply.cut_after is None:
            raise reply.error
        return stream

    @property
    def serving(self) -> list[MemoryStream]:
        """The streams that are open."""
        return [stream for stream in self.streams if not stream.closed.is_set()]

    def wait_for_requests(self, count: int) -> None:
        """Return once so many connections were asked for."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.opened) >= count, PATIENCE)

    def wait_for_streams(self, count: int) -> list[MemoryStream]:
        """The first streams, once there are so many and all of them wait for their bytes."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.streams) >= count, PATIENCE)
            streams = self.streams[:count]
        assert all(stream.waiting.wait(PATIENCE) for stream in streams)
        return streams


class MemoryPartial:
    def __init__(self, store: MemoryStore, blob: Descriptor) -> None:
        self._store = store
        self._blob = blob
        self.data = bytearray(blob.size)
        self.present: tuple[Span, ...] = ()
        self.is_held = False
        self.beaten = threading.Event()
        self.discards = 0
        self.releases = 0
        self.syncs = 0

    def put(self, *pieces: tuple[int, bytes]) -> None:
        """What an earlier run has left."""
        for offset, content in pieces:
            self.write_at(offset, content)
            self.record(Span(offset, offset + len(content)))

    def write_at(self, offset: int, data: Bytes) -> None:
        if self._store.disk_error:
            raise self._store.disk_error
        assert offset + len(data) <= self._blob.size
        self.data[offset : offset + len(data)] = data

    def record(self, span: Span) -> None:
        self.present = merge((*self.present, span))

    def pread(self, view: memoryview, offset: int) -> int:
        piece = self.data[offset : offset + len(view)]
        view[: len(piece)] = piece
        return len(piece)

    def sync(self) -> None:
        self.syncs += 1

    def keep_alive(self) -> None:
        self.beaten.set()

    def commit(self, proof: Verified) -> StoredBlob:
        if self._store.steals:
            self._store.taken_by[self._blob.digest] = self._store.steals.popleft()
            raise Busy("it was taken over")
        # Not checked, as on disk: the proof is all there is.
        stored = self._store.write(proof.descriptor, bytes(self.data))
        self._store.partials.pop(self._blob.digest)
        return stored

    def discard(self) -> None:
        self.discards += 1
        self.present = ()

    def release(self) -> None:
        self.releases += 1
        self.is_held = False


class MemoryStore:
    """Partials in memory; blobs in a directory, because they are read by their path."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self.partials: dict[Digest, MemoryPartial] = {}
        #: Blobs that somebody else fetches, and who.
        self.taken_by: dict[Digest, str] = {}
        #: Owners that take a partial over just before its next commits.
        self.steals: deque[str] = deque()
        self.disk_error: DiskError | None = None

    def put(self, blob: Descriptor, content: bytes) -> StoredBlob:
        return self.write(verify(blob, content).descriptor, content)

    def write(self, blob: Descriptor, content: bytes) -> StoredBlob:
        path = self._directory / blob.digest.hex
        new = path.with_suffix(".new")
        new.write_bytes(content)
        new.replace(path)
        return StoredBlob(blob, path)

    def partial(self, blob: Descriptor) -> MemoryPartial:
        with self._lock:
            return self.partials.setdefault(blob.digest, MemoryPartial(self, blob))

    def find(self, blob: Descriptor) -> StoredBlob | None:
        path = self._directory / blob.digest.hex
        return StoredBlob(blob, path) if path.exists() else None

    def add(self, blob: Descriptor, content: bytes) -> StoredBlob:
        return self.put(blob, content)

    def claim(self, blob: Descriptor) -> StoredBlob | MemoryPartial | Taken:
        if found := self.find(blob):
            return found
        if owner := self.taken_by.get(blob.digest):
            return Taken(owner)
        partial = self.partial(blob)
        with self._lock:
            if partial.is_held:
                return Taken("this process")
            partial.is_held = True
        if found := self.find(blob):
            partial.is_held = False
            return found
        return partial

    def unfinished(self, blob: Descriptor) -> Unfinished:
        return Unfinished(sum(span.size for span in self.partial(blob).present))

    def abandoned(
        self, needed: Collection[Digest], *, by_any: bool = False
    ) -> Sequence[Unfinished]:
        return ()

    def drop(self, blob: Descriptor) -> None:
        (self._directory / blob.digest.hex).unlink(missing_ok=True)

    @property
    def held(self) -> Iterator[MemoryPartial]:
        return (partial for partial in self.partials.values() if partial.is_held)

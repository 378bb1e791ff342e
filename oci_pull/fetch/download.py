"""One blob, from whatever is there of it to its final name."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from oci_pull.errors import (
    Busy,
    Cancelled,
    ConnectionFailed,
    DigestMismatch,
    IntegrityError,
    SizeMismatch,
    TransferError,
)
from oci_pull.events import Counter, Fetched, Restarted, Retrying, Started, Unpacking, Waiting
from oci_pull.fetch.retry import Budget
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.ranges import Span, missing
from oci_pull.oci.verify import Verified, Verifier
from oci_pull.ports import (
    BlobStore,
    BodyStream,
    Cancel,
    Clock,
    Job,
    Observer,
    PartialBlob,
    StoredBlob,
    Taken,
)

#: Read, written and hashed while it is in the processor's cache (bytes).
_BUFFER = 128 * 1024
#: How much may be fetched again after a kill (bytes): what was written since the last record.
_RECORD_EVERY = 1024 * 1024
#: How often a blob that somebody else fetches is looked at, in seconds.
_POLL = 0.5


@dataclass(frozen=True, slots=True)
class Line:
    """What a download needs of the session that it is part of."""

    store: BlobStore
    observer: Observer
    clock: Clock
    stop: Cancel
    lock_timeout: float
    #: The bytes that came over the network.
    received: Counter
    budget: Callable[[], Budget]
    open: Callable[[Descriptor, Span], AbstractContextManager[BodyStream]]
    hold: Callable[[PartialBlob], AbstractContextManager[PartialBlob]]


def obtain(job: Job, line: Line) -> StoredBlob:
    """The blob of a job under its final name, and its files where it is an archive."""
    while True:
        claim = _claim(job, line)
        if isinstance(claim, StoredBlob):
            blob = claim
            break
        with line.hold(claim) as partial:
            proof = _complete(job, partial, line)
            try:
                blob = partial.commit(proof)
            except Busy:
                # Another host took us for dead and has it now: wait for that, and reuse it.
                continue
        line.observer.on(Fetched(job.name, job.blob.digest, job.blob.size))
        break
    if job.unpack:
        line.observer.on(Unpacking(job.name, job.blob.size))
        with blob.path.open("rb") as reader:
            staged = job.unpack.consume(reader)
        try:
            staged.publish(blob)
        finally:
            staged.discard()
    return blob


def read_part(blob: Descriptor, span: Span, line: Line) -> bytes:
    """Some bytes of a blob, kept for the rest of its download where nobody else has it."""
    claim = line.store.claim(blob)
    if isinstance(claim, StoredBlob):
        with claim.path.open("rb") as file:
            file.seek(span.start)
            return file.read(span.size)
    content = bytearray(span.size)
    if isinstance(claim, Taken):
        _receive(blob, span, line, _Memory(content, span.start))
        return bytes(content)
    with line.hold(claim) as partial:
        if any(have.start <= span.start and span.end <= have.end for have in partial.present):
            partial.pread(memoryview(content), span.start)
        else:
            _receive(blob, span, line, _Memory(content, span.start))
            partial.write_at(span.start, content)
            partial.record(span)
    return bytes(content)


def wait_out(error: TransferError, budget: Budget, name: str, line: Line) -> None:
    """Return when it is time to try again; raises the error where the budget does not last."""
    wait = budget.delay_after(error)
    if wait is None:
        raise error
    line.observer.on(Retrying(name, budget.failures, budget.attempts, wait, error.message))
    line.clock.wait(wait, line.stop)


def _claim(job: Job, line: Line) -> StoredBlob | PartialBlob:
    """The blob, or what is there of it once nobody else has it."""
    deadline = line.clock.now() + line.lock_timeout
    told = ""
    while isinstance(claim := line.store.claim(job.blob), Taken):
        if claim.owner != told:
            told = claim.owner
            line.observer.on(Waiting(job.name, claim.owner))
        if line.clock.now() >= deadline:
            raise Busy(
                f"{job.name} is being fetched by {claim.owner} and was not finished in time",
                hint="wait for it, or stop it",
            )
        line.clock.wait(_POLL, line.stop)
    return claim


def _complete(job: Job, partial: PartialBlob, line: Line) -> Verified:
    """Fetch what is missing, and prove the whole.

    Nothing but the final digest is trusted: a mismatch with bytes of an earlier run starts over
    once, a mismatch of a fresh download is tried once more.
    """
    resumed = sum(span.size for span in partial.present)
    counter = Counter(resumed)
    line.observer.on(Started(job.name, job.blob.digest, job.blob.size, resumed, counter))
    tries = 3 if resumed else 2
    while True:
        tries -= 1
        writer = _Writer(job, partial, counter)
        try:
            return _fill(job, partial, writer, line)
        except IntegrityError as error:
            # Another size is the server's word, and no fault of the bytes that are here.
            if not isinstance(error, SizeMismatch):
                partial.discard()
            if not tries:
                where = f" from {writer.origin}" if writer.origin else ""
                message = f"{job.name}{where}: {error.message}"
                raise type(error)(message, hint=error.hint) from error
            line.observer.on(Restarted(job.name, error.message))


def _fill(job: Job, partial: PartialBlob, writer: "_Writer", line: Line) -> Verified:
    """Go through the blob once, front to back, fetching the gaps and hashing everything."""
    for gap in missing(job.blob.size, partial.present):
        writer.hash_present(gap.start, line.stop)
        try:
            _receive(job.blob, gap, line, writer, job.name)
        finally:
            writer.record()
    writer.hash_present(job.blob.size, line.stop)
    return writer.verifier.finish()


class _Memory:
    """Takes the bytes of a small span."""

    origin = ""

    def __init__(self, content: bytearray, start: int) -> None:
        self._content = content
        self._start = start

    def write(self, offset: int, data: memoryview) -> None:
        at = offset - self._start
        self._content[at : at + len(data)] = data


class _Writer:
    """Takes the bytes of a blob in order: to the disk, to the hash, to the counter."""

    def __init__(self, job: Job, partial: PartialBlob, counter: Counter) -> None:
        self.verifier = Verifier(job.blob)
        #: Who sent the last of it.
        self.origin = ""
        self._partial = partial
        self._counter = counter
        self._have = sum(span.size for span in partial.present)
        self._recorded = 0
        self._buffer = memoryview(bytearray(_BUFFER))

    def write(self, offset: int, data: memoryview) -> None:
        if self.verifier.size == self._recorded:
            self._recorded = offset
        self._partial.write_at(offset, data)
        self.verifier.update(data)
        self._have += len(data)
        # Never backwards: after a fresh start the bar stays where it was until that is passed.
        self._counter.value = max(self._counter.value, self._have)
        if self.verifier.size - self._recorded >= _RECORD_EVERY:
            self.record()

    def record(self) -> None:
        """Note what was written since the last time."""
        if self._recorded < self.verifier.size:
            self._partial.record(Span(self._recorded, self.verifier.size))
            self._recorded = self.verifier.size

    def hash_present(self, end: int, stop: Cancel) -> None:
        """Hash what an earlier run left, from where the hash is to `end`."""
        while (position := self.verifier.size) < end:
            if stop.is_set():
                raise Cancelled("stopped")
            count = self._partial.pread(self._buffer[: min(_BUFFER, end - position)], position)
            if not count:
                raise DigestMismatch("what an earlier run left is shorter than its journal says")
            self.verifier.update(self._buffer[:count])
        self._recorded = end


def _receive(
    blob: Descriptor, span: Span, line: Line, sink: _Memory | _Writer, name: str = ""
) -> None:
    """Fetch a span, over as many connections as it takes."""
    buffer = memoryview(bytearray(min(_BUFFER, span.size)))
    budget = line.budget()
    position = span.start
    while position < span.end:
        try:
            with line.open(blob, Span(position, span.end)) as stream:
                sink.origin = stream.origin
                _skip(stream, position - stream.start, buffer, line)
                while position < span.end:
                    count = _read(stream, buffer[: min(len(buffer), span.end - position)])
                    if line.stop.is_set():
                        raise Cancelled("stopped")
                    sink.write(position, buffer[:count])
                    position += count
                    line.received.value += count
                    budget.refill()
        except TransferError as error:
            if line.stop.is_set():
                raise Cancelled("stopped") from error
            wait_out(error, budget, name or str(blob.digest), line)


def _skip(stream: BodyStream, count: int, buffer: memoryview, line: Line) -> None:
    """Read over what is here already, from a server that has no ranges."""
    while count > 0:
        if line.stop.is_set():
            raise Cancelled("stopped")
        skipped = _read(stream, buffer[: min(len(buffer), count)])
        line.received.value += skipped
        count -= skipped


def _read(stream: BodyStream, view: memoryview) -> int:
    """Fill the view as far as the stream goes; raises `ConnectionFailed` if it is at its end."""
    filled = 0
    while filled < len(view):
        try:
            count = stream.readinto(view[filled:])
        except TransferError:
            # What came before it counts; a stream that broke says so again.
            if not filled:
                raise
            break
        if not count:
            break
        filled += count
    if not filled:
        raise ConnectionFailed("the connection ended too early", origin=stream.origin)
    return filled

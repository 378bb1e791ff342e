"""The work of the threads: from a blob that is missing to its final name."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import RawIOBase

from oci_pull.errors import Busy, Cancelled, Vanished
from oci_pull.events import Counter, Reused, Unpacking
from oci_pull.fetch.assembly import BUFFER, Assembly, Stretch
from oci_pull.fetch.board import Board
from oci_pull.fetch.crew import Crew
from oci_pull.fetch.in_order import InOrder
from oci_pull.fetch.receive import Line, receive
from oci_pull.fetch.schedule import SMALL
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Bytes
from oci_pull.oci.ranges import Span
from oci_pull.oci.verify import Verified
from oci_pull.ports import BlobStore, Cancel, Consumer, Job, PartialBlob, StoredBlob, Taken


@dataclass(frozen=True, slots=True)
class Download:
    """Fetching some blobs into a store."""

    store: BlobStore
    board: Board
    crew: Crew

    def work(self, line: Line) -> None:
        """Do what is to be done, until nothing is left."""
        while (task := self.board.take(line.stop)) is not None:
            if isinstance(task, Stretch):
                self._bring(task, line)
            else:
                self._begin(task, line)

    def _begin(self, job: Job, line: Line) -> None:
        claim = self.store.claim(job.blob)
        if isinstance(claim, Taken):
            self.board.postpone(job, claim.owner)
        elif isinstance(claim, StoredBlob):
            if job.unpack is None or self.board.was_postponed(job):
                line.observer.on(Reused(job.name, job.blob.digest, job.blob.size))
            if job.unpack:
                read = Counter()
                line.observer.on(Unpacking(job.name, job.blob.size, read))
                unpack(job.unpack, claim, line.stop, read)
            self.board.done(job, claim)
        else:
            is_inline = job.blob.size <= SMALL or self.board.is_busy
            assembly = _begun(job, claim, line, inline=is_inline)
            self.crew.hold(assembly)
            assembly.announce()
            if job.blob.size <= SMALL:
                self._bring_small(assembly, line)
            else:
                self.board.run(assembly)
                self.crew.start(partial(self._finish, assembly))

    def _bring(self, stretch: Stretch, line: Line) -> None:
        """A stretch of a large blob; what is not brought is left for others."""
        try:
            receive(stretch, line)
        finally:
            stretch.assembly.leave(stretch)
        self.board.wake()

    def _bring_small(self, assembly: Assembly, line: Line) -> None:
        """All of a small blob, in this thread."""
        while True:
            while gaps := assembly.gaps:
                stretch = assembly.take(gaps[0])
                try:
                    receive(stretch, line)
                finally:
                    assembly.leave(stretch)
                if not stretch.is_done:
                    self.crew.release(assembly)
                    self.board.put_back(assembly.job)
                    return
            if self._is_finished(assembly):
                return

    def _finish(self, assembly: Assembly) -> None:
        """A large blob from its first byte to its final name, in a thread of its own."""
        while not self._is_finished(assembly):
            self.board.wake()

    def _is_finished(self, assembly: Assembly) -> bool:
        """Whether the blob is this process's concern no longer; if not, its bytes were wrong."""
        try:
            blob = assembly.finish()
        except Busy:
            # Another host took us for dead and has it now: wait for that, and reuse it.
            self.crew.release(assembly)
            self.board.put_back(assembly.job, assembly)
            return True
        if blob is None:
            return False
        self.crew.release(assembly)
        self.board.done(assembly.job, blob, assembly)
        return True


def unpack(consumer: Consumer, blob: StoredBlob, stop: Cancel, read: Counter) -> None:
    """The files of an archive that is complete are in their place; `read` grows as it is."""
    with opened(blob) as file:
        reader = InOrder(_pieces(file, stop, read), is_small=blob.descriptor.size <= SMALL)
        try:
            staged = consumer.consume(reader)
        finally:
            reader.stop()
    try:
        staged.publish(blob)
    finally:
        staged.discard()


@contextmanager
def opened(blob: StoredBlob) -> Iterator[RawIOBase]:
    """A blob that is complete, to be read; raises `Vanished` where that fails."""
    try:
        with blob.path.open("rb", buffering=0) as file:
            yield file
    except OSError as error:
        raise Vanished(
            f"{blob.descriptor.digest} is in the cache and cannot be read: {error.strerror}",
            hint="run the same command again",
        ) from error


def _pieces(file: RawIOBase, stop: Cancel, read: Counter) -> Iterator[memoryview]:
    """A file, as long as it is wanted; raises `Cancelled`."""
    buffer = memoryview(bytearray(BUFFER))
    while count := file.readinto(buffer):
        if stop.is_set():
            raise Cancelled("stopped")
        yield buffer[:count]
        read.value += count


def read_part(want: tuple[Descriptor, Span], store: BlobStore, crew: Crew, line: Line) -> bytes:
    """Some bytes of a blob, kept for the rest of its download where nobody else has it."""
    blob, span = want
    claim = store.claim(blob)
    if isinstance(claim, StoredBlob):
        with opened(claim) as file:
            file.seek(span.start)
            return file.read(span.size) or b""
    kept = _Memory(span) if isinstance(claim, Taken) else claim
    job = Job(str(blob.digest), blob)
    with crew.held(_begun(job, kept, line, inline=False)) as assembly:
        while (content := assembly.read(span)) is None:
            stretch = assembly.take(span, is_fixed=True)
            try:
                receive(stretch, line)
            finally:
                assembly.leave(stretch)
        return content


def _begun(job: Job, partial: PartialBlob, line: Line, *, inline: bool) -> Assembly:
    """A blob in the making; where it cannot be made the claim is given up.

    Raises:
        UnsupportedDigest: it could never be checked.
    """
    try:
        return Assembly(job, partial, line.observer, line.stop, inline=inline)
    except BaseException:
        partial.release()
        raise


class _Memory:
    """A span of a blob that somebody else keeps on disk, for as long as it is needed here."""

    present: tuple[Span, ...] = ()

    def __init__(self, span: Span) -> None:
        self._start = span.start
        self._content = bytearray(span.size)

    def write_at(self, offset: int, data: Bytes) -> None:
        """Keep bytes."""
        at = offset - self._start
        self._content[at : at + len(data)] = data

    def pread(self, view: memoryview, offset: int) -> int:
        """Read back what was kept."""
        at = offset - self._start
        piece = self._content[at : at + len(view)]
        view[: len(piece)] = piece
        return len(piece)

    def record(self, span: Span) -> None:
        """Nothing lasts."""

    def sync(self) -> None:
        """Nothing lasts."""

    def keep_alive(self) -> None:
        """Nobody else knows of it."""

    def commit(self, proof: Verified) -> StoredBlob:
        """It is a part, and never the whole."""
        raise NotImplementedError

    def discard(self) -> None:
        """It is overwritten anyway."""

    def release(self) -> None:
        """Nothing is held."""

"""One blob in the making: several connections write it, one hash follows from front to back."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from oci_pull.errors import (
    Cancelled,
    DamagedArchive,
    DigestMismatch,
    DiskError,
    OciPullError,
    RefusedError,
)
from oci_pull.events import Committed, Counter, Restarted, Started, Unpacking, Verified
from oci_pull.fetch.blame import Blame
from oci_pull.fetch.in_order import InOrder
from oci_pull.fetch.schedule import SMALL, Stream, Transfer
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Bytes
from oci_pull.oci.ranges import Span, merge, missing
from oci_pull.oci.verify import Verifier
from oci_pull.ports import Cancel, Job, Observer, PartialBlob, Staged, StoredBlob

#: Read, written and hashed while it is in the processor's cache (bytes).
BUFFER = 128 * 1024
#: How much of a connection's work a kill may cost (bytes): what was written since the last record.
_RECORD_EVERY = 512 * 1024
#: Written to the disk while there is nothing to hash, once there is so much of it (bytes).
_SYNC_EVERY = 64 * 1024 * 1024
_KEPT = (
    "its size is right: likely a damaged cache, proxy or storage on the way",
    "the wrong copy is gone, all other files are kept",
)
#: How often who waits for bytes looks whether to stop, in seconds.
_TICK = 0.1


class Stretch:
    """The bytes of a blob that one connection is to bring, and how far it is."""

    def __init__(self, assembly: "Assembly", span: Span, *, is_fixed: bool) -> None:
        self.assembly = assembly
        #: Whether nothing else of the blob is wanted.
        self.is_fixed = is_fixed
        self.start = self.position = span.start
        #: Where to stop; moved to the front when others join.
        self.end = span.end
        #: What the server was asked for goes up to here.
        self.asked = span.end
        #: How often its connection was replaced by a faster one.
        self.replaced = 0
        self.recorded = span.start
        #: Bytes a second, None until something came; and whether the line is what it waits for.
        self.rate: float | None = None
        self.is_waiting = False

    @property
    def is_done(self) -> bool:
        """Whether all of it is here."""
        return self.position >= self.end


class Assembly:
    """What is there of a blob, who brings the rest, and how far its hash is.

    Nothing but the final digest is trusted: a mismatch with bytes of an earlier run starts over
    once, a mismatch of a fresh download is tried once more.
    """

    def __init__(
        self, job: Job, partial: PartialBlob, observer: Observer, stop: Cancel, *, inline: bool
    ) -> None:
        self.job = job
        self.has_ranges = True
        self._partial = partial
        self._observer = observer
        self._stop = stop
        #: The same lock twice: a condition's own costs more, and every buffer takes it.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._present = partial.present
        self._stretches: list[Stretch] = []
        self._verifier = Verifier(job.blob)
        self._hashing = threading.Lock()
        resumed = sum(span.size for span in self._present)
        #: Hashed by whoever writes at its front; where bytes are behind that, by a follower.
        self._inline = inline and not resumed and job.unpack is None
        self.blame = Blame(tries=3 if resumed else 2)
        #: All of it was wrong, and is about to be forgotten: nobody may bring more of it now.
        self._is_wrong = False
        #: How many threads are using the file, which must not be closed under them.
        self._inside = 0
        self._is_closed = self._is_released = False
        self._resumed = resumed
        self._counter = Counter(resumed)
        self._hashed = Counter()

    @property
    def blob(self) -> Descriptor:
        """What it will be."""
        return self.job.blob

    def announce(self) -> None:
        """Tell the observer that it is being fetched."""
        job, blob = self.job, self.job.blob
        self._observer.on(
            Started(job.name, blob.digest, blob.size, self._resumed, self._counter, self._hashed)
        )

    # --- who brings what

    @property
    def transfer(self) -> Transfer:
        """The state as the schedule sees it."""
        with self._changed:
            streams = tuple(
                Stream(
                    Span(each.position, max(each.end, each.position + 1)),
                    each.rate,
                    each.is_waiting,
                )
                for each in self._stretches
            )
            return Transfer(self.blob.size, self._gaps(), streams, self.has_ranges)

    @property
    def gaps(self) -> tuple[Span, ...]:
        """What is neither here nor on its way."""
        with self._changed:
            return self._gaps()

    def _gaps(self) -> tuple[Span, ...]:
        if self._is_wrong:
            return ()
        taken = (Span(each.start, each.end) for each in self._stretches if each.end > each.start)
        return missing(self.blob.size, (*self._present, *taken))

    def offer(self, span: Span) -> Stretch | None:
        """The span is on its way from now on, unless all has to come over one connection by now."""
        with self._changed:
            if self._stretches and not self.has_ranges:
                return None
            return self.take(span)

    def take(self, span: Span, *, is_fixed: bool = False) -> Stretch:
        """The span is on its way from now on."""
        stretch = Stretch(self, span, is_fixed=is_fixed)
        with self._hashing:
            # Bytes that come before their turn are hashed later, by somebody who follows.
            self._inline = self._inline and span.start == self._verifier.size
        with self._changed:
            if not self.has_ranges and not is_fixed:
                # Everything behind comes again: it cannot be skipped to.
                self._present = tuple(each for each in self._present if each.end <= span.start)
            self._stretches.append(stretch)
        return stretch

    def leave(self, stretch: Stretch) -> None:
        """Nobody brings the rest of it any more; what came is here."""
        with self._changed:
            self._stretches.remove(stretch)
            if stretch.position > stretch.start:
                self._present = merge((*self._present, Span(stretch.start, stretch.position)))
            self._count()
            self._changed.notify_all()
            self._record(stretch)

    def divide(self, index: int, at: int) -> None:
        """A stream ends earlier, so that others can bring what is behind."""
        with self._changed:
            if index < len(self._stretches):
                stretch = self._stretches[index]
                # Whoever reads is at most one buffer further than it has said.
                if stretch.position + 2 * BUFFER <= at < stretch.end:
                    stretch.end = at

    def ask(self, stretch: Stretch) -> Span:
        """What to ask the server for so that the rest of a stretch comes."""
        with self._changed:
            if not self.has_ranges:
                stretch.asked = self.blob.size
                return Span(0, self.blob.size)
            stretch.asked = stretch.end
            return Span(stretch.position, stretch.end)

    def without_ranges(self, stretch: Stretch) -> bool:
        """Note that the server sends everything or nothing; whether the stretch should go on.

        Everything comes over one connection then: that which gets it already, or the only one. It
        must be at the first gap, or what it brings would have to come again after that.
        """
        with self._changed:
            self.has_ranges = False
            others = [each for each in self._stretches if each is not stretch]
            for each in others:
                if each.asked == self.blob.size:
                    each.end = each.asked
            if stretch.is_fixed:
                return True
            if others or any(gap.start < stretch.start for gap in self._gaps()):
                return False
            # What is here behind it comes again on the way.
            self._present = tuple(each for each in self._present if each.end <= stretch.start)
            stretch.end = self.blob.size
            return True

    # --- bytes

    def write(self, stretch: Stretch, data: memoryview) -> None:
        """The next bytes of a stretch are on disk, and in the hash if they are next there."""
        self._enter()
        try:
            self._partial.write_at(stretch.position, data)
            if self._inline:
                self._hash(stretch.position, data)
        finally:
            self._exit()
        # Nobody else writes it, and who reads it may be a buffer behind.
        stretch.position += len(data)
        if stretch.position - stretch.recorded >= _RECORD_EVERY:
            # Not for every buffer: to wake who follows costs more than the hash of it.
            self.save(stretch)

    def save(self, stretch: Stretch) -> None:
        """What was written of a stretch is not fetched again, and those who follow may read it."""
        with self._changed:
            self._record(stretch)
            self._count()
            if not self._inline:
                self._changed.notify_all()

    def _count(self) -> None:
        """Never backwards: after a fresh start the bar stays until that point is passed."""
        have = sum(span.size for span in self._present)
        have += sum(each.position - each.start for each in self._stretches)
        self._counter.value = max(self._counter.value, min(have, self.blob.size))

    def _record(self, stretch: Stretch) -> None:
        if stretch.recorded < stretch.position and not self._is_closed:
            self._partial.record(Span(stretch.recorded, stretch.position))
            stretch.recorded = stretch.position

    def _hash(self, offset: int, data: Bytes) -> None:
        with self._hashing:
            if self._inline and self._verifier.size == offset:
                self._verifier.update(data)
                if (size := offset + len(data)) > self._hashed.value:
                    self._hashed.value = size

    def read(self, span: Span) -> bytes | None:
        """Bytes that are here, None if not all of them are."""
        with self._changed:
            if not any(have.start <= span.start and span.end <= have.end for have in self._present):
                return None
        content = bytearray(span.size)
        with self._in_use():
            self._partial.pread(memoryview(content), span.start)
        return bytes(content)

    # --- the end

    def finish(self) -> StoredBlob | None:
        """Hash to the end as the bytes come, give the blob its final name, and unpack it.

        None if the bytes are wrong, and all of it has to be fetched again.

        Raises:
            DigestMismatch: they are wrong again and again.
            Busy: another host has taken it over.
            Cancelled, DiskError, DamagedArchive, UnsafeArchive.
        """
        try:
            return self._finish()
        except DigestMismatch as error:
            self._start_over(error)
            return None

    def _finish(self) -> StoredBlob:
        reader = InOrder(self._front(), is_small=self.blob.size <= SMALL)
        staged: Staged | None = None
        try:
            staged, broken = self._unpack(reader)
            reader.drain()
            proof = self._verifier.finish()
            self._observer.on(Verified(self.job.name, self.blob.digest, self.blob.size))
            self._settle()
            with self._in_use():
                stored = self._partial.commit(proof)
            self._observer.on(Committed(self.job.name, self.blob.digest, self.blob.size))
            if broken:
                raise broken
            if staged:
                staged.publish(stored)
            return stored
        finally:
            reader.leave()
            if staged:
                staged.discard()

    def _unpack(self, reader: InOrder) -> tuple[Staged | None, OciPullError | None]:
        """Feed the archive's consumer; that it is damaged counts only once its digest holds."""
        if self.job.unpack is None:
            return None, None
        self._observer.on(Unpacking(self.job.name, self.blob.size, self._hashed))
        try:
            return self.job.unpack.consume(reader), None
        except (DamagedArchive, RefusedError) as error:
            error.explain(f"archive: {self.job.name}, {self.blob.digest}")
            return None, error

    def _front(self) -> Iterator[memoryview]:
        """The bytes that are not hashed yet, in order, as they come; raises `Cancelled`."""
        buffer = memoryview(bytearray(BUFFER))
        synced = 0
        while (position := self._verifier.size) < self.blob.size:
            end = position if self._inline else self._reach(position)
            if end > position:
                yield from self._hashed_up_to(end, buffer)
            elif position - synced >= _SYNC_EVERY:
                # Nothing to hash: a good moment for what would keep everybody waiting in the end.
                with self._in_use():
                    self._partial.sync()
                synced = position
            else:
                self._check()
                with self._changed:
                    is_behind = not self._inline and self._reach(position) > position
                    if self._verifier.size == position and not is_behind:
                        self._changed.wait(_TICK)

    def _hashed_up_to(self, end: int, buffer: memoryview) -> Iterator[memoryview]:
        while (position := self._verifier.size) < end:
            self._check()
            with self._in_use():
                count = self._partial.pread(buffer[: min(BUFFER, end - position)], position)
            if not count:
                raise DigestMismatch("what is on disk is shorter than its journal says")
            self._verifier.update(buffer[:count])
            self._hashed.value = max(self._hashed.value, position + count)
            yield buffer[:count]

    def _reach(self, position: int) -> int:
        """How far the bytes go on from `position`, and will not be written again."""
        with self._changed:
            spans = merge((*self._present, *self._written()))
            fronts = [each.position for each in self._stretches if each.position >= position]
        end = next((each.end for each in spans if each.start <= position < each.end), position)
        return min([end, *fronts])

    def _check(self) -> None:
        if self._stop.is_set():
            raise Cancelled("stopped")

    def _written(self) -> Iterator[Span]:
        for each in self._stretches:
            if each.position > each.start:
                yield Span(each.start, each.position)

    def _settle(self) -> None:
        """Return when nobody writes any more; raises `Cancelled`."""
        with self._changed:
            while self._stretches:
                self._check()
                self._changed.wait(_TICK)

    def _start_over(self, error: DigestMismatch) -> None:
        """Forget every byte; raises the error where that was tried often enough."""
        with self._changed:
            self._is_wrong = True
        self._settle()
        with self._in_use():
            self._partial.discard()
        if not self.blame.is_wrong():
            where = f" from {', '.join(origins)}" if (origins := sorted(self.blame.origins)) else ""
            raise DigestMismatch(
                f"{self.job.name}{where}: {error.message}, {self.blame.count} times in a row",
                facts=(*error.facts, *_KEPT),
                hint=error.hint,
            )
        with self._changed:
            self.blame.origins = set()
            self._present = ()
            self._verifier = Verifier(self.blob)
            self._inline = self._is_wrong = False
        self._observer.on(Restarted(self.job.name, error.message))

    # --- the file

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        self._enter()
        try:
            yield
        finally:
            self._exit()

    def _enter(self) -> None:
        with self._lock:
            if self._is_closed:
                raise Cancelled("stopped")
            self._inside += 1

    def _exit(self) -> None:
        with self._lock:
            self._inside -= 1
        if self._is_closed:
            self._release_if_closed()

    def keep_alive(self) -> None:
        """Tell other hosts that the owner lives."""
        self._partial.keep_alive()

    def close(self) -> None:
        """Give it up, and keep what is here; whoever still uses the file closes it later."""
        with self._changed:
            if self._is_closed:
                return
            for stretch in self._stretches:
                with suppress(DiskError):
                    self._record(stretch)
            self._is_closed = True
        self._release_if_closed()

    def _release_if_closed(self) -> None:
        with self._changed:
            if self._inside or self._is_released or not self._is_closed:
                return
            self._is_released = True
        self._partial.release()

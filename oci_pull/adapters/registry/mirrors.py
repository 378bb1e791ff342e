"""A registry with mirrors in front of it: whoever has a blob may send it, and nobody is believed.

How others fall through: containerd's hosts.toml, containers' registries.conf.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from oci_pull.errors import BlobUnknown, Cancelled, NotFoundError, OciPullError, TransferError
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import Document
from oci_pull.oci.ranges import Span
from oci_pull.ports import BodyStream, Cancel, Source

T = TypeVar("T")

#: After so many failures in a row a mirror is left alone,
_FAILURES = 2
#: for so long, in seconds.
_REST = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """One of those who are asked: the host as people write it, and its `host:port`."""

    host: str
    origin: str
    source: Source
    #: Whether it is asked what a tag is.
    tags: bool = True


class MirroredSource:
    """A repository of a registry, from its mirrors as long as they have it.

    Mirrors are asked in their order and once each, the registry after them. Whatever comes of a
    mirror that is of no use leads to the next one, and is told once. A mirror that goes on failing
    is asked only where the registry fails too.

    What is raised in the end is the registry's error; but where the registry is out of reach for
    good, that of a mirror which may answer later.

    `now` is a time in seconds that never runs backwards.
    """

    def __init__(
        self,
        mirrors: Sequence[Place],
        registry: Place,
        warn: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mirrors = [_Mirror(place, warn, now) for place in mirrors]
        self._registry = registry

    def digest_of(self, tag: str) -> Digest | None:
        """See `Source`; mirrors that are not believed about tags are passed over."""
        mirrors = self._believed(tag)
        answers = self._answers(lambda place: place.source.digest_of(tag), mirrors)
        return next((digest for digest in answers if digest), None)

    def document(self, selector: str | Digest) -> Document:
        """See `Source`; mirrors that are not believed about tags are not asked for one."""
        mirrors = self._believed(selector)
        return next(self._answers(lambda place: place.source.document(selector), mirrors))

    def size_of(self, blob: Descriptor) -> int:
        """See `Source`; what a mirror says is not believed until the digest is checked."""
        mirrors = self._having(blob)
        answers = self._answers(lambda place: place.source.size_of(blob), mirrors, blob=blob.digest)
        return next(answers)

    def open(
        self,
        blob: Descriptor,
        span: Span,
        *,
        cancel: Cancel,
        avoid: frozenset[str] = frozenset(),
    ) -> BodyStream:
        """See `Source`; whoever is to be avoided is asked after everybody else."""

        def ask(place: Place) -> BodyStream:
            body = place.source.open(blob, span, cancel=cancel, avoid=avoid)
            mirror = next((each for each in self._mirrors if each.place is place), None)
            return _Watched(body, mirror) if mirror else body

        mirrors = self._having(blob)
        blamed: BodyStream | None = None
        try:
            for body in self._answers(ask, mirrors, avoid=avoid, blob=blob.digest):
                if body.origin not in avoid:
                    if blamed:
                        blamed.close()
                    return body
                # Its storage is blamed, which only this answer tells.
                if blamed:
                    body.close()
                blamed = blamed or body
        except OciPullError as error:
            if blamed is None or isinstance(error, Cancelled):
                raise
        assert blamed is not None  # whoever has nothing raises
        return blamed

    def _having(self, blob: Descriptor) -> "list[_Mirror]":
        """Those who did not say that they have no such blob."""
        return [mirror for mirror in self._mirrors if not mirror.lacks(blob.digest)]

    def _believed(self, selector: str | Digest) -> "list[_Mirror]":
        """Those who are asked for a tag, or for a digest, which proves itself."""
        return [each for each in self._mirrors if each.place.tags or isinstance(selector, Digest)]

    def _answers(
        self,
        ask: Callable[[Place], T],
        mirrors: "list[_Mirror]",
        *,
        avoid: frozenset[str] = frozenset(),
        blob: Digest | None = None,
    ) -> Iterator[T]:
        """What each of them answers that answers, best first.

        Raises:
            OciPullError: at the end, where the registry had no answer.
        """
        resting = [mirror for mirror in mirrors if mirror.is_resting()]
        awake = [mirror for mirror in mirrors if mirror not in resting]
        order: list[_Mirror | None] = [*awake, None, *resting]
        order.sort(key=lambda each: (each.place if each else self._registry).origin in avoid)
        own: OciPullError | None = None
        others: list[OciPullError] = []
        for mirror in order:
            try:
                answer = mirror.ask(ask, blob) if mirror else ask(self._registry)
            except Cancelled:
                raise
            except OciPullError as error:
                if mirror is None:
                    own = error
                else:
                    others.append(error)
                continue
            yield answer
        if own:
            raise _verdict(own, others)


def _verdict(own: OciPullError, others: Sequence[OciPullError]) -> OciPullError:
    """The error to be raised, and so whether it is worth another try."""
    if isinstance(own, TransferError) and not own.retryable:
        return next((error for error in others if error.retryable), own)
    return own


class _Mirror:
    """How a mirror has done so far; safe in threads."""

    def __init__(self, place: Place, warn: Callable[[str], None], now: Callable[[], float]) -> None:
        self.place = place
        self._warn = warn
        self._now = now
        self._lock = threading.Lock()
        self._is_told = False
        self._failures = 0
        self._rests_until = 0.0
        self._lacking: set[Digest] = set()

    def is_resting(self) -> bool:
        """Whether it failed so often that others are asked before it."""
        with self._lock:
            return self._failures >= _FAILURES and self._now() < self._rests_until

    def lacks(self, blob: Digest) -> bool:
        """Whether it said that it has no such blob."""
        with self._lock:
            return blob in self._lacking

    def ask(self, ask: Callable[[Place], T], blob: Digest | None) -> T:
        """Its answer; raises whatever it failed with, which is remembered and told."""
        try:
            answer = ask(self.place)
        except Cancelled:
            raise
        except OciPullError as error:
            self._failed(error, blob)
            raise
        if blob is None:
            self.worked()
        return answer

    def worked(self) -> None:
        """Something of use came from it."""
        with self._lock:
            self._failures = 0

    def broke(self) -> None:
        """It failed in the way that makes it rest."""
        with self._lock:
            self._failures += 1
            self._rests_until = self._now() + _REST

    def _failed(self, error: OciPullError, blob: Digest | None) -> None:
        if isinstance(error, BlobUnknown) and blob:
            with self._lock:
                self._lacking.add(blob)
        elif not isinstance(error, NotFoundError):
            self.broke()
        with self._lock:
            is_new = not self._is_told
            self._is_told = True
        if is_new:
            self._warn(f"mirror {self.place.host}: {error.message}; asking the next")


class _Watched:
    """A body of a mirror's, that is told of."""

    def __init__(self, body: BodyStream, mirror: _Mirror) -> None:
        self._body = body
        self._mirror = mirror
        self._is_used = False

    @property
    def start(self) -> int:
        """See `BodyStream`."""
        return self._body.start

    @property
    def origin(self) -> str:
        """See `BodyStream`."""
        return self._body.origin

    def readinto(self, view: memoryview) -> int:
        """See `BodyStream`."""
        try:
            count = self._body.readinto(view)
        except OciPullError:
            if not self._is_used:
                self._is_used = True
                self._mirror.broke()
            raise
        if not self._is_used:
            self._is_used = True
            self._mirror.worked()
        return count

    def abort(self) -> None:
        """See `BodyStream`."""
        self._body.abort()

    def close(self) -> None:
        """See `BodyStream`."""
        self._body.close()

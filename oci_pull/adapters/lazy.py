"""A source that is built when it is first asked, so that a hit pays for no network."""

import threading
from collections.abc import Callable

from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import Document
from oci_pull.oci.ranges import Span
from oci_pull.ports import BodyStream, Cancel, Source


class LazySource:
    """Whatever `build` makes, made once."""

    def __init__(self, build: Callable[[], Source]) -> None:
        self._build = build
        self._built: Source | None = None
        self._lock = threading.Lock()

    @property
    def _source(self) -> Source:
        with self._lock:
            if self._built is None:
                self._built = self._build()
            return self._built

    def digest_of(self, tag: str) -> Digest | None:
        """See `Source`."""
        return self._source.digest_of(tag)

    def document(self, selector: str | Digest) -> Document:
        """See `Source`."""
        return self._source.document(selector)

    def size_of(self, blob: Descriptor) -> int:
        """See `Source`."""
        return self._source.size_of(blob)

    def open(
        self,
        blob: Descriptor,
        span: Span,
        *,
        cancel: Cancel,
        avoid: frozenset[str] = frozenset(),
    ) -> BodyStream:
        """See `Source`."""
        return self._source.open(blob, span, cancel=cancel, avoid=avoid)

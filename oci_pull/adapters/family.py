"""An artifact and what it is built on as one source: each blob from where its manifest was."""

from collections.abc import Callable

from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import Document, Manifest
from oci_pull.oci.ranges import Span
from oci_pull.oci.reference import Locator, Reference
from oci_pull.ports import BodyStream, Cancel, Source


class FamilySource:
    """The source of an artifact, which knows those of its parents as well.

    A blob that several manifests name comes from where the first of them was, and one that none
    does from where the artifact itself is. Parents are adopted before anything is fetched.
    """

    def __init__(
        self, locator: Locator, source: Source, open_parent: Callable[[Reference], Source]
    ) -> None:
        self._own = source
        self._open_parent = open_parent
        self._sources: dict[Locator, Source] = {locator: source}
        self._homes: dict[Digest, Source] = {}
        #: In the order in which they were adopted.
        self._manifests: list[Manifest] = []

    def source(self, reference: Locator) -> Source:
        """See `Family`; each is opened once."""
        if reference not in self._sources and isinstance(reference, Reference):
            self._sources[reference] = self._open_parent(reference)
        return self._sources[reference]

    def adopt(self, reference: Locator, manifest: Manifest) -> None:
        """See `Family`."""
        source = self.source(reference)
        self._manifests.append(manifest)
        for blob in manifest.blobs:
            self._homes.setdefault(blob.digest, source)

    @property
    def digests(self) -> tuple[Digest, ...]:
        """See `Family`."""
        named = (
            digest
            for manifest in self._manifests
            for digest in (manifest.descriptor.digest, *(blob.digest for blob in manifest.blobs))
        )
        return tuple(dict.fromkeys(named))

    def digest_of(self, tag: str) -> Digest | None:
        """See `Source`."""
        return self._own.digest_of(tag)

    def document(self, selector: str | Digest) -> Document:
        """See `Source`."""
        return self._own.document(selector)

    def size_of(self, blob: Descriptor) -> int:
        """See `Source`."""
        return self._home(blob).size_of(blob)

    def open(
        self,
        blob: Descriptor,
        span: Span,
        *,
        cancel: Cancel,
        avoid: frozenset[str] = frozenset(),
    ) -> BodyStream:
        """See `Source`."""
        return self._home(blob).open(blob, span, cancel=cancel, avoid=avoid)

    def _home(self, blob: Descriptor) -> Source:
        return self._homes.get(blob.digest, self._own)

"""The source that there is without a network: none."""

from dataclasses import dataclass
from typing import NoReturn

from oci_pull.errors import NotCached
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.ranges import Span
from oci_pull.oci.reference import Locator
from oci_pull.options import amount
from oci_pull.ports import Cancel


@dataclass(frozen=True, slots=True)
class OfflineSource:
    """Refuses everything: what is asked of it is what the cache does not have."""

    reference: Locator

    def digest_of(self, tag: str) -> Digest | None:
        """Nobody can tell."""
        return None

    def document(self, selector: str | Digest) -> NoReturn:
        """Raises `NotCached`."""
        raise NotCached(
            f"offline, and the manifest of {self.reference} is not in the cache",
            hint=f"oci-pull {self.reference}  while online",
        )

    def size_of(self, blob: Descriptor) -> NoReturn:
        """Raises `NotCached`."""
        raise self._incomplete(blob)

    def open(
        self,
        blob: Descriptor,
        span: Span,
        *,
        cancel: Cancel,
        avoid: frozenset[str] = frozenset(),
    ) -> NoReturn:
        """Raises `NotCached`."""
        raise self._incomplete(blob)

    def _incomplete(self, blob: Descriptor) -> NotCached:
        return NotCached(
            f"offline, and {self.reference} is not complete in the cache",
            facts=[f"missing: {blob.digest.short}, {amount(blob.size)}"],
            hint=f"oci-pull {self.reference}  while online",
        )

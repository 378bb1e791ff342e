"""Documents that tell whether they were there."""

from dataclasses import dataclass

from oci_pull.events import LookedUp
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import Document
from oci_pull.ports import Documents, Observer


@dataclass(frozen=True, slots=True)
class ToldDocuments:
    """The documents of somebody else, whose observer hears what was looked up."""

    documents: Documents
    observer: Observer

    def recall(self, digest: Digest) -> bytes | None:
        """See `Documents`."""
        found = self.documents.recall(digest)
        self.observer.on(LookedUp(digest, found is not None))
        return found

    def keep(self, document: Document) -> None:
        """See `Documents`."""
        self.documents.keep(document)

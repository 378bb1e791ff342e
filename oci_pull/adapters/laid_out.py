"""The files of a directory that was laid out before, as the blobs that they were.

Where nothing is kept in a cache, this is what an update need not fetch again.
"""

import threading
from dataclasses import dataclass, field
from pathlib import Path

from oci_pull.adapters.cache.store import Behind
from oci_pull.adapters.cache.trees import read_receipt
from oci_pull.errors import Cancelled, IntegrityError
from oci_pull.events import Rereading
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.verify import Verifier
from oci_pull.ports import Cancel, Observer, StoredBlob, Unfinished

_CHUNK = 1024 * 1024
#: Reading this much goes without saying (bytes).
_SMALL = 10_000_000


@dataclass(frozen=True, slots=True)
class LaidOut:
    """What the receipt of a directory names; nothing is written there."""

    path: Path
    observer: Observer
    cancel: Cancel
    behind: Behind | None = None
    #: What was read: the files that are still what they were.
    _intact: dict[Digest, Path | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, blob: Descriptor) -> StoredBlob | None:
        """The blob, if a file of the directory is it.

        It is read, once: whoever owns the directory may have changed it. Raises `Cancelled`.
        """
        with self._lock:
            if blob.digest not in self._intact:
                self._intact[blob.digest] = self._look(blob)
            path = self._intact[blob.digest]
        if path and path.is_file():
            return StoredBlob(blob, path)
        return self.behind.find(blob) if self.behind else None

    def has(self, digest: Digest) -> bool:
        """No file of the directory has the name of a blob."""
        return bool(self.behind and self.behind.has(digest))

    def unfinished(self, blob: Descriptor) -> Unfinished:
        """Nothing in the directory is."""
        return self.behind.unfinished(blob) if self.behind else Unfinished()

    def recall(self, digest: Digest) -> bytes | None:
        """No file of a model is a manifest."""
        return self.behind.recall(digest) if self.behind else None

    def _look(self, blob: Descriptor) -> Path | None:
        receipt = read_receipt(self.path)
        for file in receipt.files if receipt else ():
            path = self.path.joinpath(*file.path.parts)
            if file.digest == blob.digest and self._is(blob, path):
                return path
        return None

    def _is(self, blob: Descriptor, path: Path) -> bool:
        verifier = Verifier(blob)
        try:
            if path.stat().st_size != blob.size:
                return False
            if blob.size >= _SMALL:
                self.observer.on(Rereading(path.name, blob.size))
            with path.open("rb") as reader:
                while chunk := reader.read(_CHUNK):
                    if self.cancel.is_set():
                        raise Cancelled("stopped while reading what is there")
                    verifier.update(chunk)
            verifier.finish()
        except (OSError, IntegrityError):
            return False
        return True

"""Verified blobs by digest."""

import errno
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from oci_pull.adapters.cache import partial
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.disk import translated, write_file, writing
from oci_pull.errors import IntegrityError
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import MAX_BYTES, Document
from oci_pull.oci.verify import verify
from oci_pull.ports import PartialBlob, StoredBlob, Taken, Unfinished

_READ_ONLY = 0o444


class Behind(Protocol):
    """What a store looks into and never writes."""

    def find(self, blob: Descriptor) -> StoredBlob | None:
        """See `DirectoryStore`."""

    def has(self, digest: Digest) -> bool:
        """See `DirectoryStore`."""

    def unfinished(self, blob: Descriptor) -> Unfinished:
        """See `DirectoryStore`."""

    def recall(self, digest: Digest) -> bytes | None:
        """See `DirectoryStore`."""


@dataclass(frozen=True, slots=True)
class DirectoryStore:
    """The blobs of a cache, and what is known of documents."""

    cache: Cache
    #: A cache of others, what a dry run does not add to, or a directory that was laid out.
    behind: Behind | None = None
    #: What is being pulled, as text: unfinished blobs are marked with it.
    reference: str = ""

    def find(self, blob: Descriptor) -> StoredBlob | None:
        """The blob if it is complete.

        Its size is compared and its content trusted: it was verified before it got this name.
        """
        path = self.cache.blob(blob.digest)
        try:
            if path.stat().st_size == blob.size:
                return StoredBlob(blob, path)
        except OSError:
            pass
        return self.behind.find(blob) if self.behind else None

    def has(self, digest: Digest) -> bool:
        """Whether there is a file under the name of a blob of any size."""
        return self.cache.blob(digest).exists() or bool(self.behind and self.behind.has(digest))

    def add(self, blob: Descriptor, content: bytes) -> StoredBlob:
        """Store content that is in memory.

        Raises:
            DigestMismatch, SizeMismatch: it is not the blob.
            DiskError: it cannot be written.
        """
        proof = verify(blob, content)
        if found := self.find(blob):
            return found
        path = self.cache.blob(blob.digest)
        self.cache.prepare()
        write_file(path, content, _READ_ONLY)
        return StoredBlob(proof.descriptor, path)

    def claim(self, blob: Descriptor) -> StoredBlob | PartialBlob | Taken:
        """The blob if it is complete, else the ownership of what is there of it, if it is free."""
        if found := self.find(blob):
            return found
        if blob.data is not None:
            return self.add(blob, blob.data)
        self.cache.prepare()
        claimed = partial.claim(self.cache, blob, self.reference)
        # Whoever had it may have finished between the look and the claim.
        if not isinstance(claimed, Taken) and (found := self.find(blob)):
            claimed.discard()
            claimed.release()
            return found
        return claimed

    def unfinished(self, blob: Descriptor) -> Unfinished:
        """How much of a blob an earlier run has left."""
        here = partial.unfinished(self.cache, blob)
        return self.behind.unfinished(blob) if self.behind and not here.present else here

    def abandoned(
        self, needed: Collection[Digest], *, by_any: bool = False
    ) -> Sequence[Unfinished]:
        """What earlier pulls, of the same reference or of any, have left of other blobs."""
        return partial.abandoned(self.cache, None if by_any else self.reference, needed)

    def drop(self, blob: Descriptor) -> None:
        """Remove a blob that is no longer needed."""
        with writing(self.cache.blob(blob.digest)):
            self.cache.blob(blob.digest).unlink(missing_ok=True)

    def recall(self, digest: Digest) -> bytes | None:
        """The bytes of a manifest or an index, unparsed; None if they are not here, or damaged.

        Raises:
            DiskError: nobody can tell.
        """
        try:
            with self.cache.blob(digest).open("rb") as file:
                if os.fstat(file.fileno()).st_size <= MAX_BYTES:
                    content = file.read()
                    verify(Descriptor("", digest, len(content)), content)
                    return content
        except IntegrityError:
            # Damaged: who asks has it from somewhere else, or not at all.
            pass
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES):
                raise translated(error, self.cache.blob(digest)) from error
        return self.behind.recall(digest) if self.behind else None

    def keep(self, document: Document) -> None:
        """Store the bytes of a document; raises `DiskError`."""
        digest = document.descriptor.digest
        if self.recall(digest) is None:
            self.cache.prepare()
            write_file(self.cache.blob(digest), document.raw, _READ_ONLY)

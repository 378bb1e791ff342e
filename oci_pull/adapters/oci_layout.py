"""An OCI image layout on disk as a source: a directory, or a tar archive of one."""

import json
import os
import stat
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.layout_archive import Scratch, Stretch, open_archive
from oci_pull.errors import (
    BlobUnknown,
    ConnectionFailed,
    InvalidManifest,
    ManifestUnknown,
    SizeMismatch,
    Unsupported,
)
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import MAX_BYTES, Document, Index, parse_document
from oci_pull.oci.ranges import Span
from oci_pull.oci.reference import LayoutReference
from oci_pull.ports import Cancel

_NAME = "org.opencontainers.image.ref.name"
#: The first digit of `imageLayoutVersion`; the others say what was added.
_VERSION = "1."
_MAX_LISTED = 12


@dataclass(frozen=True, slots=True)
class LayoutSource:
    """Manifests and blobs of a layout; `find` opens one of its files by name."""

    reference: LayoutReference
    #: Raises `OSError` where there is no such file.
    find: Callable[[str], Stretch]

    @classmethod
    def at(cls, reference: LayoutReference, scratch: Scratch, stack: ExitStack) -> "LayoutSource":
        """The layout that a reference names; what it takes is given back when `stack` is closed.

        Raises:
            ManifestUnknown: there is nothing of the kind.
            DamagedArchive: the archive is none, or grows beyond what it may.
            NoSpace, NotWritable: it is compressed, and there is no room for what is in it.
        """
        path = Path(reference.path)
        if not path.exists():
            raise ManifestUnknown(f"there is no {path}")
        if reference.is_archive:
            return cls(reference, open_archive(path, scratch, stack).find)
        return cls(reference, lambda name: _open(path / name))

    def digest_of(self, tag: str) -> Digest | None:
        """What the tag is."""
        return self.document(tag).descriptor.digest

    def document(self, selector: str | Digest) -> Document:
        """The manifest of a tag or a digest; without a tag, everything that is in the layout.

        Raises:
            ManifestUnknown: there is none.
            InvalidManifest, DigestMismatch: it is damaged.
        """
        if isinstance(selector, Digest):
            return parse_document(self._read(_blob(selector)), digest=selector)
        self._check_version()
        index = parse_document(self._read("index.json"))
        if not selector:
            return index
        entries = index.manifests if isinstance(index, Index) else ()
        for entry in entries:
            if entry.annotations.get(_NAME) == selector:
                return self.document(entry.digest)
        names = [entry.annotations.get(_NAME, f"(no name) {entry.digest}") for entry in entries]
        raise ManifestUnknown(
            f"{self.reference.path} has no {selector!r}",
            facts=[f"it has: {', '.join(names[:_MAX_LISTED]) or 'nothing'}"],
        )

    def size_of(self, blob: Descriptor) -> int:
        """How many bytes the blob's file has; raises `BlobUnknown`."""
        found = self._found(blob)
        os.close(found.descriptor)
        return found.size

    def open(
        self,
        blob: Descriptor,
        span: Span,
        *,
        cancel: Cancel,
        avoid: frozenset[str] = frozenset(),
    ) -> "_FileBody":
        """The bytes of a span of a blob; raises `BlobUnknown`, `SizeMismatch`.

        There is nobody else to ask than the layout, whatever is to be avoided.
        """
        found = self._found(blob)
        if found.size != blob.size:
            os.close(found.descriptor)
            raise SizeMismatch(f"{blob.digest} has {found.size} bytes, not {blob.size}")
        return _FileBody(found, span, origin=self.reference.path)

    def _found(self, blob: Descriptor) -> Stretch:
        try:
            return self.find(_blob(blob.digest))
        except OSError as error:
            raise BlobUnknown(
                f"{self.reference.path} has no blob {blob.digest}: {error.strerror}"
            ) from error
        except ValueError as error:
            raise ConnectionFailed(f"{self.reference.path} was closed meanwhile") from error

    def _check_version(self) -> None:
        """Refuse a layout of another kind; one that does not say is read as what it looks like."""
        try:
            content = self._read("oci-layout")
        except ManifestUnknown:
            return
        try:
            version = str(json.loads(content)["imageLayoutVersion"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InvalidManifest(
                f"the file oci-layout in {self.reference.path} is damaged"
            ) from error
        if not version.startswith(_VERSION):
            raise Unsupported(
                f"{self.reference.path} is an image layout of version {version[:20]}, "
                "and 1.0.0 is what is known"
            )

    def _read(self, name: str) -> bytes:
        try:
            found = self.find(name)
            with os.fdopen(found.descriptor, "rb", buffering=0) as file:
                return os.pread(file.fileno(), min(found.size, MAX_BYTES + 1), found.start)
        except OSError as error:
            raise ManifestUnknown(
                f"{self.reference.path} is no image layout, or lacks {name}"
            ) from error


def _blob(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def _open(path: Path) -> Stretch:
    """A regular file as a whole; raises `OSError` for anything else, a pipe among it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise FileNotFoundError(2, "it is not a regular file")
    return Stretch(descriptor, 0, found.st_size)


class _FileBody:
    """A span of a file, read like the body of a reply."""

    def __init__(self, found: Stretch, span: Span, *, origin: str) -> None:
        self.origin = origin
        self.start = span.start
        self._position = found.start + span.start
        self._end = found.start + span.end
        # A file object, so that nothing is ever read from a descriptor that became another's.
        self._file = os.fdopen(found.descriptor, "rb", buffering=0)

    def readinto(self, view: memoryview) -> int:
        """Fill some of `view`, 0 at the end."""
        try:
            size = min(len(view), self._end - self._position)
            # Others read from the same file, so that its own position is nobody's.
            count = os.preadv(self._file.fileno(), [view[:size]], self._position)
        except (OSError, ValueError) as error:
            raise ConnectionFailed(f"{self.origin} cannot be read: {error}") from error
        self._position += count
        return count

    def abort(self) -> None:
        """Nothing waits long for a file."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

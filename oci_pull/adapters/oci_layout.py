"""An OCI image layout on disk as a source: a directory, or a tar archive of one."""

import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from oci_pull.errors import (
    BlobUnknown,
    ConnectionFailed,
    DamagedArchive,
    ManifestUnknown,
    SizeMismatch,
)
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import MAX_BYTES, Document, Index, parse_document
from oci_pull.oci.ranges import Span
from oci_pull.oci.reference import LayoutReference
from oci_pull.ports import Cancel

_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True)
class LayoutSource:
    """Manifests and blobs of a layout; `find` opens one of its files by name."""

    reference: LayoutReference
    find: "Callable[[str], _File]"

    @classmethod
    def at(cls, reference: LayoutReference) -> "LayoutSource":
        """The layout that a reference names.

        Raises:
            ManifestUnknown: there is nothing of the kind.
            DamagedArchive: the archive is none, or is compressed.
        """
        path = Path(reference.path)
        if not path.exists():
            raise ManifestUnknown(f"there is no {path}")
        if reference.is_archive:
            return cls(reference, _archive(path))
        return cls(reference, lambda name: _File(path / name))

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
        index = parse_document(self._read("index.json"))
        if not selector:
            return index
        entries = index.manifests if isinstance(index, Index) else ()
        for entry in entries:
            if entry.annotations.get(_NAME) == selector:
                return self.document(entry.digest)
        names = [entry.annotations.get(_NAME, "(no name)") for entry in entries]
        raise ManifestUnknown(
            f"{self.reference.path} has no {selector!r}", hint=f"it has {', '.join(names[:12])}"
        )

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
        found = self.find(_blob(blob.digest))
        try:
            body = _FileBody(found, span, origin=self.reference.path)
        except OSError as error:
            raise BlobUnknown(
                f"{self.reference.path} has no blob {blob.digest}: {error.strerror}"
            ) from error
        if body.size != blob.size:
            body.close()
            raise SizeMismatch(f"{blob.digest} has {body.size} bytes, not {blob.size}")
        return body

    def _read(self, name: str) -> bytes:
        try:
            found = self.find(name)
            with found.open() as file:
                return file.read(min(found.size, MAX_BYTES + 1))
        except OSError as error:
            raise ManifestUnknown(
                f"{self.reference.path} is no image layout, or lacks {name}"
            ) from error


def _blob(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


@dataclass(frozen=True, slots=True)
class _File:
    """A file, or a stretch of one."""

    path: Path
    start: int = 0
    length: int | None = None

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.path.stat().st_size if self.length is None else self.length

    def open(self) -> IO[bytes]:
        """The file at the beginning of the stretch."""
        file = self.path.open("rb")
        file.seek(self.start)
        return file


def _archive(path: Path) -> Callable[[str], _File]:
    """Where each file of an archive begins, so that blobs are read in place."""
    try:
        with tarfile.open(path, "r:") as archive:
            members = {
                each.name.removeprefix("./"): _File(path, each.offset_data, each.size)
                for each in archive
                if each.isfile()
            }
    except (tarfile.TarError, OSError, ValueError, RecursionError) as error:
        raise DamagedArchive(
            f"{path} is no uncompressed tar archive",
            hint=f"unpack it, and name the directory: oci:{path.stem}",
        ) from error
    return lambda name: members.get(name, _File(path / name))


class _FileBody:
    """A span of a file, read like the body of a reply."""

    def __init__(self, found: _File, span: Span, *, origin: str) -> None:
        self.origin = origin
        self.start = span.start
        self._left = span.size
        self._file = found.open()
        self._file.seek(found.start + span.start)
        self.size = found.size

    def readinto(self, view: memoryview) -> int:
        """Fill some of `view`, 0 at the end."""
        try:
            content = self._file.read(min(len(view), self._left))
        except (OSError, ValueError) as error:
            raise ConnectionFailed(f"{self.origin} cannot be read: {error}") from error
        view[: len(content)] = content
        self._left -= len(content)
        return len(content)

    def abort(self) -> None:
        """Nothing waits long for a file."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

"""The file sets of archives, unpacked once: `layers/<digest>/members.json` and `files/<digest>`.

A compressed file that is no archive has a directory of its own kind: what it is was said
by a manifest, and another manifest may say that the same blob is an archive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.cache import archive
from oci_pull.adapters.cache.file_set import FILES, StagedFiles, complete_members
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.tar_stream import Decompressed, Limits
from oci_pull.adapters.disk import writing
from oci_pull.errors import DamagedArchive
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest, Hasher
from oci_pull.oci.verify import Verified
from oci_pull.packaging.layout import Member
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import UnpackArchive
from oci_pull.ports import Consumer, Reader, StoredBlob

#: The name of what is no archive, until it is laid out under the one that the manifest gives it.
_BARE = RelPath.parse("content")


@dataclass(frozen=True, slots=True)
class DirectoryLayers:
    """The `layers` directory of a cache."""

    cache: Cache
    #: See `DirectoryStore.behind`.
    behind: "DirectoryLayers | None" = None
    #: Whether what the file system says of its free space is believed.
    is_space_checked: bool = True

    def members(self, operation: UnpackArchive) -> Sequence[Member] | None:
        """The files of an archive that was unpacked in this way, None if it was not."""
        found = complete_members(_directory(self.cache, operation))
        if found is None and self.behind:
            return self.behind.members(operation)
        return found

    def unpacker(self, operation: UnpackArchive) -> Consumer:
        """Whoever unpacks the archive."""
        return _Unpacker(self.cache, operation, is_space_checked=self.is_space_checked)

    def member(self, blob: StoredBlob, name: RelPath, limit: int) -> bytes | None:
        """One file of an uncompressed archive without unpacking it, None if it is not in it.

        Raises:
            DiskError, DamagedArchive: it cannot be read.
        """
        with writing(blob.path), blob.path.open("rb") as reader:
            return archive.member(reader, name, blob.descriptor.size, limit)

    def path(self, archive: Descriptor, content: Digest) -> Path:
        """Where the content of a member is, whichever way the archive was unpacked."""
        tar, bare = (
            self.cache.layer(archive.digest, is_bare=is_bare) / FILES / content.hex
            for is_bare in (False, True)
        )
        found = bare if bare.exists() else tar
        if self.behind and not found.exists():
            return self.behind.path(archive, content)
        return found


def _directory(cache: Cache, operation: UnpackArchive) -> Path:
    return cache.layer(operation.blob.digest, is_bare=operation.is_bare)


@dataclass(frozen=True, slots=True)
class _Unpacker:
    cache: Cache
    operation: UnpackArchive
    is_space_checked: bool

    def consume(self, reader: Reader) -> "_StagedLayer":
        """Unpack to the end; raises `DamagedArchive`, `DiskError`, `RefusedError`."""
        final = _directory(self.cache, self.operation)
        staged = StagedFiles(self.cache, final, is_space_checked=self.is_space_checked)
        try:
            self._unpack(reader, staged)
            staged.finish()
        except BaseException:
            staged.discard()
            raise
        return _StagedLayer(self.operation.blob, staged)

    def _unpack(self, reader: Reader, staged: StagedFiles) -> None:
        operation = self.operation
        limits = Limits.of(operation.blob.size)
        content = operation.content
        hasher = Hasher(content.algorithm) if content else None
        stream = Decompressed(reader, operation.compression, limits, hasher)
        if operation.is_bare:
            staged.write(_BARE, None, stream.chunks())
        else:
            for file in archive.files(stream, limits):
                staged.write(file.path, file.size, file.chunks())
        if hasher:
            for _ in stream.chunks():
                pass
            if (found := hasher.digest()) != content:
                raise DamagedArchive(
                    f"the archive expands to other content than its publisher says: "
                    f"expected {content}, got {found}",
                    hint="the model was pushed damaged; tell its publisher these digests",
                )


@dataclass(frozen=True, slots=True)
class _StagedLayer:
    """A file set that is not known yet to come from the right archive."""

    archive: Descriptor
    files: StagedFiles

    def publish(self, proof: Verified) -> None:
        """Give the file set its final name; whoever comes second finds it there."""
        assert proof.descriptor.digest == self.archive.digest
        self.files.publish()

    def discard(self) -> None:
        """Remove it, unless it was published."""
        self.files.discard()

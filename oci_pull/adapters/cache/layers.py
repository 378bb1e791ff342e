"""The file sets of archives, unpacked once: `layers/<digest>/members.json` and `files/<digest>`.

Files lie there under the digest of their content, so that no name from an archive is ever a name in
the cache.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.cache import archive
from oci_pull.adapters.cache.owner import Owner, remove_dead
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.disk import remove_tree, rename_tree, sync_directory, write_file, writing
from oci_pull.errors import OciPullError
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest, Hasher
from oci_pull.oci.verify import Verified
from oci_pull.packaging.layout import Member
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import Compression
from oci_pull.ports import Consumer, Reader, StoredBlob

_MEMBERS = "members.json"
_FILES = "files"
_READ_ONLY = 0o444


@dataclass(frozen=True, slots=True)
class DirectoryLayers:
    """The `layers` directory of a cache."""

    cache: Cache
    #: See `DirectoryStore.behind`.
    behind: "DirectoryLayers | None" = None

    def members(self, archive: Descriptor) -> Sequence[Member] | None:
        """The files of an archive that was unpacked, None if it was not."""
        found = _read_members(self.cache.layer(archive.digest) / _MEMBERS)
        if found is None and self.behind:
            return self.behind.members(archive)
        return found

    def unpacker(self, archive: Descriptor, compression: Compression) -> Consumer:
        """Whoever unpacks the archive."""
        return _Unpacker(self.cache, archive, compression)

    def member(self, blob: StoredBlob, name: RelPath, limit: int) -> bytes | None:
        """One file of an uncompressed archive without unpacking it, None if it is not in it."""
        with blob.path.open("rb") as reader:
            return archive.member(reader, name, blob.descriptor.size, limit)

    def path(self, archive: Descriptor, content: Digest) -> Path:
        """Where the content of a member is."""
        return self.cache.layer(archive.digest) / _FILES / content.hex


def _read_members(path: Path) -> tuple[Member, ...] | None:
    """The members of a published layer; None for what is not there or was not written by us."""
    try:
        entries = json.loads(path.read_bytes())["members"]
        return tuple(
            Member(RelPath.parse(each["path"]), int(each["size"]), Digest.parse(each["digest"]))
            for each in entries
        )
    except (OSError, ValueError, KeyError, TypeError, OciPullError):
        return None


@dataclass(frozen=True, slots=True)
class _Unpacker:
    cache: Cache
    archive: Descriptor
    compression: Compression

    def consume(self, reader: Reader) -> "_StagedLayer":
        """Unpack to the end; raises `DamagedArchive`, `UnsafeArchive`, `DiskError`."""
        staged = _StagedLayer(self.cache, self.archive)
        try:
            for entry in archive.entries(reader, self.compression, self.archive.size):
                staged.write(entry)
            staged.finish()
        except BaseException:
            staged.discard()
            raise
        return staged


class _StagedLayer:
    """A file set that is not known yet to come from the right archive."""

    def __init__(self, cache: Cache, blob: Descriptor) -> None:
        self._archive = blob
        self._final = cache.layer(blob.digest)
        self._directory = cache.incomplete / f"layer-{Owner.new()}"
        self._members: list[Member] = []
        remove_dead(cache.incomplete)
        with writing(self._directory):
            (self._directory / _FILES).mkdir(parents=True)

    def write(self, entry: archive.Entry) -> None:
        """Store the content of a file under its digest."""
        new = self._directory / "new"
        hasher = Hasher()
        with writing(new):
            new.unlink(missing_ok=True)
            with new.open("xb") as file:
                for chunk in entry.chunks():
                    hasher.update(chunk)
                    file.write(chunk)
                os.fchmod(file.fileno(), _READ_ONLY)
                file.flush()
                os.fsync(file.fileno())
            new.rename(self._directory / _FILES / hasher.digest().hex)
        self._members.append(Member(entry.path, hasher.size, hasher.digest()))

    def finish(self) -> None:
        """Write down what there is."""
        members = [
            {"path": str(each.path), "size": each.size, "digest": str(each.digest)}
            for each in self._members
        ]
        content = json.dumps({"schema": 1, "members": members}, indent=1).encode()
        write_file(self._directory / _MEMBERS, content)

    def publish(self, proof: Verified) -> None:
        """Give the file set its final name; whoever comes second finds it there."""
        assert proof.descriptor.digest == self._archive.digest
        with writing(self._final):
            self._final.parent.mkdir(parents=True, exist_ok=True)
            sync_directory(self._directory / _FILES)
            listing = self._final / _MEMBERS
            rename_tree(self._directory, self._final, lambda: _read_members(listing) is not None)
            sync_directory(self._final.parent)

    def discard(self) -> None:
        """Remove it, unless it was published."""
        remove_tree(self._directory)

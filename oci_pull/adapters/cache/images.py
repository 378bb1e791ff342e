"""Container images: the headers of their layers, and the one directory of them that is a model.

A layer is read twice. While it comes, its headers are written down; once those of all layers tell
which files win, the winners are read again from the blobs, and nothing else is ever written.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oci_pull.adapters.cache.file_set import (
    FILES,
    StagedFiles,
    are_there,
    members_of,
    read_listing,
)
from oci_pull.adapters.cache.owner import Owner
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.tar_header import Kind
from oci_pull.adapters.cache.tar_stream import FORMAT_FILES, Entry, Limits, entries
from oci_pull.adapters.disk import remove_tree, rename_tree, sync_directory, writing
from oci_pull.errors import Cancelled, DamagedArchive, Vanished
from oci_pull.events import Counter
from oci_pull.oci.digest import Bytes, Digest
from oci_pull.oci.verify import Verified
from oci_pull.packaging.layout import Member, Merged
from oci_pull.packaging.overlay import EntryKind, LayerEntry
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import ApplyLayers, ImageLayer, LeftOut
from oci_pull.ports import Cancel, Consumer, ImageModel, Reader, StoredBlob

#: More than any base image has in one layer.
MAX_ENTRIES = 500_000
#: What has to be read of a layer to find the model: which snapshot a Hugging Face cache means.
_KEPT = "/refs/main"
_KEPT_SIZE = 64
_ENTRIES = "entries"
_KINDS = {
    Kind.FILE: EntryKind.FILE,
    Kind.DIRECTORY: EntryKind.DIRECTORY,
    Kind.SYMLINK: EntryKind.SYMLINK,
    Kind.HARDLINK: EntryKind.HARDLINK,
    Kind.OTHER: EntryKind.OTHER,
}


@dataclass(frozen=True, slots=True)
class DirectoryImages:
    """What the `layers` directory of a cache has of images."""

    cache: Cache
    cancel: Cancel
    #: See `DirectoryStore.behind`.
    behind: "DirectoryImages | None" = None
    #: Whether what the file system says of its free space is believed.
    is_space_checked: bool = True

    def reader(self, layer: ImageLayer) -> Consumer:
        """Whoever notes the headers of a layer."""
        return _HeaderReader(self.cache, layer)

    def entries(self, layer: ImageLayer) -> Sequence[LayerEntry] | None:
        """The entries of a layer whose headers were noted, None where they were not."""
        found = _read_headers(self.cache.headers(layer.blob.digest))
        if found is None and self.behind:
            return self.behind.entries(layer)
        return found

    def merged(self, image: Digest, root: str) -> Merged | None:
        """The model of an image that was written out, None where it was not."""
        directory = self.cache.merged(image, root)
        listing = read_listing(directory)
        members = members_of(listing)
        if members is None or not are_there(directory, members):
            return self.behind.merged(image, root) if self.behind else None
        outside = listing.get("outside")
        left_out = LeftOut(**outside) if isinstance(outside, dict) else None
        return Merged(root, members, left_out)

    def path(self, image: Digest, root: str, content: Digest) -> Path:
        """Where the content of a file of an image's model is."""
        found = self.cache.merged(image, root) / FILES / content.hex
        if self.behind and not found.exists():
            return self.behind.path(image, root, content)
        return found

    def write(
        self,
        image: ApplyLayers,
        model: ImageModel,
        blobs: Mapping[Digest, StoredBlob],
        written: Counter,
    ) -> None:
        """The files of the model are in the cache, read from the layers that have them.

        Raises:
            DamagedArchive: a layer is not what its headers were.
            DiskError: they cannot be written.
            Vanished: a layer is not there any more.
        """
        final = self.cache.merged(image.image, model.wanted_root)
        staged = StagedFiles(self.cache, final, is_space_checked=self.is_space_checked)
        try:
            for number, layer in enumerate(image.layers):
                if wanted := model.of_layer(number):
                    self._write_layer(blobs[layer.blob.digest], layer, wanted, staged, written)
            outside = model.outside
            staged.finish(
                outside={"name": outside.name, "size": outside.size, "reason": outside.reason}
                if outside
                else None
            )
            staged.publish()
        finally:
            staged.discard()

    def _write_layer(
        self,
        blob: StoredBlob,
        layer: ImageLayer,
        wanted: Mapping[int, tuple[RelPath, ...]],
        staged: StagedFiles,
        written: Counter,
    ) -> None:
        left = dict(wanted)
        try:
            file = blob.path.open("rb")
        except OSError as error:
            raise Vanished(
                f"a layer of the image is not in the cache any more, or cannot be read there:"
                f" {layer.blob.digest.short}",
                hint="run the same command again",
            ) from error
        with file:
            for entry in _entries(_Stoppable(file, self.cancel), layer):
                paths = left.pop(entry.ordinal, ())
                if paths:
                    chunks = _counted(entry.chunks(), written)
                    first = staged.write(paths[0], entry.size, chunks)
                    for path in paths[1:]:
                        staged.name(Member(path, first.size, first.digest))
                if not left:
                    return
        raise DamagedArchive(f"layer {layer.blob.digest.short} of the image has changed")


def _counted(chunks: Iterable[Bytes], written: Counter) -> Iterator[Bytes]:
    for chunk in chunks:
        yield chunk
        written.value += len(chunk)


@dataclass(frozen=True, slots=True)
class _Stoppable:
    """The bytes of a layer on disk, most of which may be of no file that is wanted."""

    reader: Reader
    cancel: Cancel

    def read(self, size: int) -> bytes:
        """At most `size` bytes, empty at the end; raises `Cancelled`."""
        if self.cancel.is_set():
            raise Cancelled("stopped; what was fetched is kept")
        return self.reader.read(size)


def _entries(reader: Reader, layer: ImageLayer) -> Iterator[Entry]:
    limits = Limits.of(layer.blob.size, MAX_ENTRIES)
    return entries(reader, layer.compression, limits)


@dataclass(frozen=True, slots=True)
class _HeaderReader:
    cache: Cache
    layer: ImageLayer

    def consume(self, reader: Reader) -> "_StagedHeaders":
        """Read to the end; raises `DamagedArchive`, `DiskError`."""
        staged = _StagedHeaders(self.cache, self.layer)
        try:
            staged.write(_lines(reader, self.layer))
        except BaseException:
            staged.discard()
            raise
        return staged


def _lines(reader: Reader, layer: ImageLayer) -> Iterator[str]:
    """The entries of a layer, one a line, in their order; in the end their number."""
    count = 0
    for entry in _entries(reader, layer):
        count += 1
        kind = EntryKind.OTHER if _is_format(entry.name) else _KINDS[entry.kind]
        content = ""
        if kind is EntryKind.FILE and entry.size <= _KEPT_SIZE and entry.name.endswith(_KEPT):
            content = b"".join(entry.chunks()).decode("ascii", "replace")
        yield json.dumps([kind.value, entry.name, entry.target, entry.size, content]) + "\n"
    yield f"{count}\n"


def _is_format(name: str) -> bool:
    return name.removeprefix("./").lstrip("/") in FORMAT_FILES


def _read_headers(directory: Path) -> Sequence[LayerEntry] | None:
    """What `_lines` wrote; None where that is not there, or is something else."""
    try:
        with (directory / _ENTRIES).open(encoding="ascii") as lines:
            *entries, count = (json.loads(line) for line in lines)
        # Without its end it may have lost any number of entries, in a crash for instance.
        return [_entry(each) for each in entries] if count == len(entries) else None
    except (OSError, ValueError, TypeError):
        return None


def _entry(value: Sequence[Any]) -> LayerEntry:
    kind, name, target, size, content = value
    return LayerEntry(EntryKind(kind), name, target, size, content)


class _StagedHeaders:
    """Headers of a layer that is not known yet to be the right one."""

    def __init__(self, cache: Cache, layer: ImageLayer) -> None:
        self._layer = layer.blob
        self._final = cache.headers(layer.blob.digest)
        self._directory = cache.incomplete / f"headers-{Owner.new()}"
        with writing(self._directory):
            self._directory.mkdir(parents=True)

    def write(self, lines: Iterable[str]) -> None:
        """Write them down."""
        path = self._directory / _ENTRIES
        with writing(path), path.open("x", encoding="ascii") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())

    def publish(self, proof: Verified) -> None:
        """Give them their final name; they are the same whoever noted them."""
        assert proof.descriptor.digest == self._layer.digest
        with writing(self._final):
            self._final.parent.mkdir(parents=True, exist_ok=True)
            final = self._final
            rename_tree(self._directory, final, lambda: _read_headers(final) is not None)
            sync_directory(self._final.parent)

    def discard(self) -> None:
        """Remove them, unless they were published."""
        remove_tree(self._directory)

"""Tar archives of file sets: nothing but files, under names that stay where they are unpacked."""

from collections.abc import Iterator
from dataclasses import dataclass

from oci_pull.adapters.cache.tar_header import Kind
from oci_pull.adapters.cache.tar_stream import (
    FORMAT_FILES,
    Decompressed,
    Entry,
    Limits,
    stream_entries,
)
from oci_pull.errors import DamagedArchive, UnsafeArchive, UnsafePath
from oci_pull.oci.digest import Bytes
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import Compression
from oci_pull.ports import Reader


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A regular file of an archive, to be read before the next one."""

    path: RelPath
    #: With the zeros of a sparse file (bytes).
    size: int
    entry: Entry

    def chunks(self) -> Iterator[Bytes]:
        """The content, in pieces that are valid until the next; raises `DamagedArchive`."""
        return self.entry.chunks()


def files(stream: Decompressed, limits: Limits) -> Iterator[ArchivedFile]:
    """Every regular file of an archive, in order.

    Raises:
        DamagedArchive: it is no archive, ends early, or grows beyond the limits.
        UnsafeArchive, UnsafePath: it holds a link, a device, or a name that leaves the directory.
    """
    for entry in stream_entries(stream, limits):
        if entry.kind is Kind.FILE:
            path = RelPath.parse(entry.name)
            if str(path) not in FORMAT_FILES:
                yield ArchivedFile(path, entry.size, entry)
        elif entry.kind is Kind.DIRECTORY:
            _refuse_unsafe_directory(entry.name)
        else:
            raise UnsafeArchive(
                f"the archive holds a {entry.kind.value}: {entry.name[:200]!r}",
                facts=["in an archive of files only files and directories are unpacked"],
                hint="tar --dereference --hard-dereference  where its publisher packs it",
            )


def _refuse_unsafe_directory(name: str) -> None:
    # The directory that everything is in has no name.
    if set(name.split("/")) - {"", "."}:
        RelPath.parse(name)


def member(reader: Reader, name: RelPath, size: int, limit: int) -> bytes | None:
    """One file of an uncompressed archive, None if it is not in it; raises `DamagedArchive`."""
    limits = Limits.of(size)
    try:
        for file in files(Decompressed(reader, Compression.NONE, limits), limits):
            if file.path == name:
                if file.size > limit:
                    raise DamagedArchive(f"{name} has {file.size} bytes, at most {limit} are read")
                return b"".join(file.chunks())
    except (UnsafeArchive, UnsafePath):
        # The archive will be refused when it is unpacked, with its own words.
        return None
    return None

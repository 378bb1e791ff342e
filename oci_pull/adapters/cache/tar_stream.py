"""Tar archives as a stream of entries, read without trusting a word of them.

Not tarfile: that remembers every entry, reads a header of any length into memory, takes a damaged
header for the end, and follows chains of extended headers by recursion.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from oci_pull.adapters import compressed
from oci_pull.adapters.cache.sparse import Sparse, old_sparse, pax_sparse
from oci_pull.adapters.cache.tar_header import (
    BLOCK,
    Header,
    Kind,
    decimal,
    is_header,
    parse_header,
    pax_records,
    text,
)
from oci_pull.errors import DamagedArchive
from oci_pull.oci.digest import Bytes, Hasher
from oci_pull.packaging.plan import Compression
from oci_pull.ports import Reader

#: More files than any model has.
MAX_ENTRIES = 100_000
#: How much more than the compressed archive its files may be, and how much is let pass anyway:
#: weights shrink by a third at most, tables of a tokenizer by ten, and a bomb by a thousand.
_MAX_RATIO = 100
_SLACK = 64 * 1024 * 1024
#: The longest headers that one entry may have in all (bytes); they are held in memory.
_MAX_HEADERS = 1024 * 1024
#: Read at once (bytes).
_CHUNK = 256 * 1024
_ZEROS = memoryview(bytes(_CHUNK))

#: What an archive in the eStargz format holds for those who read it in parts: no part of the image.
FORMAT_FILES = frozenset({"stargz.index.json", ".prefetch.landmark", ".no.prefetch.landmark"})

_PAX, _GLOBAL = (b"x", b"X"), b"g"
_LONG = {b"L": "path", b"K": "linkpath"}
#: The label of a tape.
_LABEL = b"V"
_OLD_SPARSE = b"S"
#: The types of blocks that are no entry themselves.
_ABOUT_OTHERS = (*_PAX, _GLOBAL, *_LONG, _LABEL)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may hold at most."""

    #: Bytes that come out of it, the zeros of sparse files among them.
    expanded: int
    entries: int = MAX_ENTRIES

    @classmethod
    def of(cls, size: int, entries: int = MAX_ENTRIES) -> "Limits":
        """Of an archive that has so many bytes as it is stored."""
        return cls(size * _MAX_RATIO + _SLACK, entries)


class Entry:
    """One entry of an archive; its content has to be read before the next one is asked for."""

    def __init__(
        self, header: Header, name: str, target: str, ordinal: int, content: "Content"
    ) -> None:
        self.name = name
        #: Where a link leads.
        self.target = target
        #: Its place among the entries; the first is 0.
        self.ordinal = ordinal
        self.size = content.size
        self.content = content
        # As BSD tar writes directories, and GNU tar reads them.
        is_directory = header.kind is Kind.FILE and name.endswith("/")
        self.kind = Kind.DIRECTORY if is_directory else header.kind

    def chunks(self) -> Iterator[Bytes]:
        """The content, in pieces that are valid until the next; raises `DamagedArchive`."""
        return self.content.chunks()


def entries(reader: Reader, compression: Compression, limits: Limits) -> Iterator[Entry]:
    """Every entry of an archive, in order, up to the blocks of zeros at its end.

    Names and targets are text exactly as it was recorded. Where the reader is a file that can seek
    and the archive is not compressed, content that is not asked for is not read either.

    Raises:
        DamagedArchive: it is no archive of this type, ends early, or grows beyond the limits.
    """
    return stream_entries(Decompressed(reader, compression, limits), limits)


def stream_entries(stream: "Decompressed", limits: Limits) -> Iterator[Entry]:
    """As `entries`, of a stream that is open, and that goes on after them; raises the same."""
    archive = _Archive(stream)
    for ordinal in itertools.count():
        if (entry := archive.next(ordinal)) is None:
            return
        if ordinal >= limits.entries:
            raise DamagedArchive(f"the archive has more than {limits.entries} entries")
        yield entry
        entry.content.pass_over()


class Decompressed:
    """The bytes of an archive, decompressed and counted, with what was read ahead.

    What came out is in `hasher`, too, if there is one.
    """

    def __init__(
        self,
        reader: Reader,
        compression: Compression,
        limits: Limits,
        hasher: Hasher | None = None,
    ) -> None:
        content = compressed.decompressed(reader, compression)
        self._reader = content
        self._hasher = hasher
        #: Set where what nobody wants need not be read.
        self._seekable = None
        if isinstance(content, compressed.Seekable) and hasher is None:
            self._seekable = content
        self._limit = limits.expanded
        #: Bytes that came out so far, and that are not there but are written all the same.
        self._expanded = 0
        self._ahead = memoryview(b"")

    def chunk(self, most: int) -> memoryview:
        """Some of the next bytes, at most that many, empty at the end; raises `DamagedArchive`."""
        if not self._ahead:
            with compressed.reading():
                self._ahead = memoryview(self._reader.read(_CHUNK))
            self.count(len(self._ahead))
            if self._hasher:
                self._hasher.update(self._ahead)
        piece, self._ahead = self._ahead[:most], self._ahead[most:]
        return piece

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes; raises `DamagedArchive` if it ends before."""
        content = self.at_most(size)
        if len(content) < size:
            raise DamagedArchive("the archive ends early")
        return content

    def at_most(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end; raises `DamagedArchive`."""
        content = bytes(self.chunk(size))
        while len(content) < size and (more := self.chunk(size - len(content))):
            content += more
        return content

    def skip(self, size: int) -> None:
        """Pass over `size` bytes; raises `DamagedArchive` if it ends before."""
        if self._seekable and size > len(self._ahead):
            left = size - len(self._ahead)
            self._ahead = memoryview(b"")
            # A file lets itself be sought beyond its end; to read the last byte tells.
            self._seekable.seek(left - 1, 1)
            size = 1
        while size:
            if not (piece := self.chunk(size)):
                raise DamagedArchive("the archive ends early")
            size -= len(piece)

    def chunks(self) -> Iterator[Bytes]:
        """Everything up to the end, in pieces; raises `DamagedArchive`."""
        while piece := self.chunk(_CHUNK):
            yield piece

    def count(self, size: int) -> None:
        """Note that so much is written; raises `DamagedArchive` if that is too much by now."""
        self._expanded += size
        if self._expanded > self._limit:
            raise DamagedArchive(
                f"the archive expands to more than {self._limit} bytes, which no model does"
            )


class Content:
    """The data of an entry, and the padding behind them."""

    def __init__(self, stream: Decompressed, recorded: int, sparse: Sparse | None) -> None:
        self._stream = stream
        self._sparse = sparse
        self._left = recorded
        self._padding = -recorded % BLOCK
        self.size = sparse.size if sparse else recorded
        if sparse:
            if sparse.recorded != recorded:
                raise DamagedArchive("the archive is damaged: a sparse file is not as its map")
            stream.count(sparse.size - recorded)

    def chunks(self) -> Iterator[Bytes]:
        """All of it; raises `DamagedArchive`."""
        if self._sparse is None:
            yield from self._recorded(self._left)
            return
        position = 0
        for start, length in self._sparse.stretches:
            yield from _zeros(start - position)
            yield from self._recorded(length)
            position = start + length
        yield from _zeros(self._sparse.size - position)

    def _recorded(self, length: int) -> Iterator[Bytes]:
        while length:
            if not (piece := self._stream.chunk(length)):
                raise DamagedArchive("the archive ends early")
            length -= len(piece)
            self._left -= len(piece)
            yield piece

    def pass_over(self) -> None:
        """The stream is behind it; raises `DamagedArchive` if it ends in the middle."""
        self._stream.skip(self._left)
        # Some programs leave the padding of the last entry out.
        self._stream.at_most(self._padding)
        self._left = self._padding = 0


def _zeros(length: int) -> Iterator[Bytes]:
    while length:
        piece = _ZEROS[:length]
        length -= len(piece)
        yield piece


class _Archive:
    """The headers of an archive."""

    def __init__(self, stream: Decompressed) -> None:
        self._stream = stream
        #: What global headers have said.
        self._defaults: dict[str, str] = {}

    def next(self, ordinal: int) -> Entry | None:
        """The entry that is next, None at the end; raises `DamagedArchive`."""
        records: dict[str, str] = {}
        long: dict[str, str] = {}
        budget = _MAX_HEADERS
        while header := self._header():
            if header.type not in _ABOUT_OTHERS:
                return self._entry(header, {**self._defaults, **long, **records}, ordinal)
            budget -= BLOCK + header.size
            if budget < 0:
                raise DamagedArchive(
                    f"the headers of an entry of the archive have more than {_MAX_HEADERS} bytes"
                )
            content = self._stream.take(header.size)
            self._stream.take(-header.size % BLOCK)
            if header.type in _LONG:
                long[_LONG[header.type]] = text(content)
            elif header.type in _PAX:
                records = _known(content)
            elif header.type == _GLOBAL:
                self._defaults.update(_for_all(_known(content)))
        if records or long:
            raise DamagedArchive("the archive ends early: an entry has only half of its headers")
        return None

    def _header(self) -> Header | None:
        block = self._stream.at_most(BLOCK)
        if not block:
            return None
        if len(block) < BLOCK:
            raise DamagedArchive("the archive ends early, or is none")
        if not block.strip(b"\0"):
            # One block of zeros is the end too, unless that would hide files.
            if is_header(self._stream.at_most(BLOCK)):
                raise DamagedArchive("the archive is damaged: a header in the middle is zeros")
            return None
        return parse_header(block)

    def _entry(self, header: Header, records: Mapping[str, str], ordinal: int) -> Entry:
        size = header.size
        if header.has_data and records.get("size"):
            size = decimal(records["size"])
        sparse = None
        if header.type == _OLD_SPARSE:
            sparse = old_sparse(header, self._stream.take)
        elif header.kind is Kind.FILE and (found := pax_sparse(records, self._stream.take)):
            sparse, used = found
            size -= used
        name = records.get("GNU.sparse.name") or records.get("path") or header.name
        target = records.get("linkpath") or header.target
        return Entry(header, name, target, ordinal, Content(self._stream, size, sparse))


def _known(content: bytes) -> dict[str, str]:
    """What an extended header says that matters here; owners, times and attributes do not."""
    records = {}
    stretches = []
    for key, value in pax_records(content):
        if key in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
            # Version 0.0 repeats them, one pair a stretch.
            stretches.append(value)
        elif key in ("path", "linkpath", "size") or key.startswith("GNU.sparse."):
            records[key] = value
    if stretches:
        records["GNU.sparse.map"] = ",".join(stretches)
    return records


def _for_all(records: Mapping[str, str]) -> Mapping[str, str]:
    """Of a global header: that every file is sparse makes no sense."""
    return {key: value for key, value in records.items() if not key.startswith("GNU.sparse.")}

"""Which ranges of an unfinished blob are on disk: records that a crash or a mix-up cannot fool."""

import errno
import os
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.disk import write_file
from oci_pull.errors import DiskError
from oci_pull.oci.ranges import Span

#: Start and end, and a check sum of both and of the blob that they are of.
_RECORD = struct.Struct("<QQI")
_SPAN = struct.Struct("<QQ")
#: A journal with more records than this is written anew when it is opened.
_MANY = 4096
#: Less what the umask takes: another of the group may go on.
_WRITABLE = 0o666


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a journal holds up to its first damaged record."""

    #: Merged and in order.
    spans: tuple[Span, ...] = ()
    #: How many records that took.
    records: int = 0

    @property
    def size(self) -> int:
        """The bytes that are on disk."""
        return sum(span.size for span in self.spans)


def read(path: Path, blob: str, size: int) -> Recorded:
    """The ranges of the blob with these hex digits and this size that are on disk.

    Everything behind the first record that is torn, damaged or of another blob is forgotten; a
    journal that is not there is an empty one. Records of the first release, whose check sums are
    of no blob, count as well: nothing is trusted but the digest of the whole.

    Raises `OSError`: it is there and cannot be read, which does not mean that nothing is on disk.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Recorded()
    found: list[tuple[int, int]] = []
    seed = _seed(blob)
    whole = len(content) - len(content) % _RECORD.size
    records = _RECORD.iter_unpack(memoryview(content)[:whole])
    for at, (start, end, checksum) in zip(range(0, whole, _RECORD.size), records, strict=True):
        span = content[at : at + _SPAN.size]
        is_sound = checksum in (zlib.crc32(span, seed), zlib.crc32(span))
        if not is_sound or not start < end <= size:
            break
        found.append((start, end))
    return Recorded(_merged(found), len(found))


def _merged(found: list[tuple[int, int]]) -> tuple[Span, ...]:
    """As `oci.ranges.merge`, which takes too long for a hundred thousand records."""
    merged: list[list[int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return tuple(Span(start, end) for start, end in merged)


def _seed(blob: str) -> int:
    return zlib.crc32(blob.encode())


def _record(span: Span, seed: int) -> bytes:
    checksum = zlib.crc32(_SPAN.pack(span.start, span.end), seed)
    return _RECORD.pack(span.start, span.end, checksum)


class Journal:
    """The journal of a blob that this process owns. One caller at a time; raises `OSError`."""

    def __init__(self, path: Path, blob: str, size: int) -> None:
        self._seed = _seed(blob)
        found = read(path, blob, size)
        if found.records > _MANY:
            with suppress(DiskError):
                # The long one is as good where there is no room for a short one.
                write_file(path, b"".join(_record(span, self._seed) for span in found.spans))
                found = Recorded(found.spans, len(found.spans))
        #: What was on disk when it was opened, merged and in order.
        self.present = found.spans
        self._end = found.records * _RECORD.size
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _WRITABLE)
        try:
            # What is recorded from now on must not come behind damage.
            os.ftruncate(self._descriptor, self._end)
        except BaseException:
            self.close()
            raise

    @property
    def is_empty(self) -> bool:
        """Whether nothing is on disk."""
        return not self._end

    def add(self, span: Span) -> None:
        """Note that a range is on disk."""
        record = _record(span, self._seed)
        if os.pwrite(self._descriptor, record, self._end) < len(record):
            # The next one goes over it, and not behind it.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._end += len(record)

    def clear(self) -> None:
        """Note that nothing is on disk."""
        os.ftruncate(self._descriptor, 0)
        self.present = ()
        self._end = 0

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

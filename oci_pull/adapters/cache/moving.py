"""An unfinished blob gets files of its own, and takes its room once meanwhile.

A writer that was only slow still has the old ones open, and a rename does not stop it. They are
set aside as `data.<nonce>` and `journal.<nonce>` and moved piece by piece from the back: cutting
the old one off makes the room for the next piece. A piece is in the new journal before it is gone
from the old file. Whoever finds a move that was cut short goes on with it, and nothing is lost.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from oci_pull.adapters.cache import journal
from oci_pull.adapters.disk import preallocate
from oci_pull.oci.ranges import Span, merge, missing

DATA = "data"
JOURNAL = "journal"
#: Moved at a time (bytes): so much more than the blob is on disk meanwhile.
_PIECE = 16 * 1024 * 1024
_CHUNK = 1024 * 1024
#: Less what the umask takes: another of the group may go on.
_WRITABLE = 0o666


def recorded(directory: Path, blob: str, size: int) -> tuple[Span, ...]:
    """The ranges that are on disk, also in what is still to be moved; raises `OSError`."""
    found = [journal.read(each, blob, size) for each in _both(directory, JOURNAL)]
    return merge(span for each in found for span in each.spans)


def allocated(directory: Path) -> int:
    """The bytes that the data takes on disk, also what is still to be moved."""
    total = 0
    for path in _both(directory, DATA):
        with suppress(OSError):
            total += path.stat().st_blocks * 512
    return total


def set_aside(directory: Path, nonce: str) -> None:
    """What is there will be moved; raises `OSError`."""
    # The journal first: without one, data is what the journal aside is of.
    for name in (JOURNAL, DATA):
        with suppress(FileNotFoundError):
            (directory / name).rename(directory / f"{name}.{nonce}")


def finish(directory: Path, blob: str, size: int) -> None:
    """All that was set aside is in new files.

    Raises `OSError`: of all that was recorded nothing is lost, and the next call goes on;
    `FileNotFoundError`: somebody else has taken the directory.
    """
    asides = _aside(directory, JOURNAL)
    if not asides:
        return
    data = directory / DATA
    for aside in asides:
        if not _data_of(aside).exists() and data.exists() and not (directory / JOURNAL).exists():
            data.rename(_data_of(aside))
    new = journal.Journal(directory / JOURNAL, blob, size)
    try:
        descriptor = os.open(data, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _WRITABLE)
        try:
            os.ftruncate(descriptor, size)
            present = new.present
            for aside in asides:
                present = merge((*present, *_moved(aside, descriptor, new, present, blob, size)))
                _data_of(aside).unlink(missing_ok=True)
                aside.unlink()
            preallocate(descriptor, size)
        finally:
            os.close(descriptor)
    finally:
        new.close()


def _both(directory: Path, name: str) -> list[Path]:
    return [directory / name, *_aside(directory, name)]


def _aside(directory: Path, name: str) -> list[Path]:
    return sorted(directory.glob(f"{name}.*"))


def _data_of(aside: Path) -> Path:
    return aside.with_name(f"{DATA}{aside.suffix}")


def _moved(
    aside: Path, target: int, new: journal.Journal, present: tuple[Span, ...], blob: str, size: int
) -> Iterator[Span]:
    """What of one journal was not there yet and is now, in pieces, the last first."""
    data = _data_of(aside)
    length = data.stat().st_size if data.exists() else 0
    left = missing(size, journal.read(aside, blob, size).spans)
    for span in reversed(missing(length, (*present, *left))):
        for start in reversed(range(span.start, span.end, _PIECE)):
            piece = Span(start, min(start + _PIECE, span.end))
            _copy(data, target, piece)
            new.add(piece)
            with suppress(PermissionError):
                # One of another of the group stays whole until the end.
                os.truncate(data, start)
            yield piece


def _copy(data: Path, target: int, piece: Span) -> None:
    """A piece is on the disk in the new file as well."""
    position = piece.start
    with data.open("rb", buffering=0) as source:
        while position < piece.end:
            chunk = os.pread(source.fileno(), min(_CHUNK, piece.end - position), position)
            if not chunk:
                raise FileNotFoundError(data)
            position += os.pwrite(target, chunk, position)
    os.fsync(target)

"""The blocks in front of the entries of a tar archive, in all the dialects that are about.

POSIX (ustar and pax), GNU, star and what was before them; see pax(1) and tar(5) of libarchive.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from oci_pull.errors import DamagedArchive

#: Everything in an archive comes in multiples of this (bytes).
BLOCK = 512
#: A length of 2^63 bytes or more is a lie, and no file system takes it.
_MAX_SIZE = 1 << 63
_POSIX = b"ustar\0"
#: Of star, at the end of the block: two times stand where POSIX has the end of the prefix.
_STAR = b"tar\0"
_NUMBER = re.compile(rb"[ \0]*([0-7]*)[ \0]*.*", re.DOTALL)
_LENGTH = re.compile(rb"([0-9]{1,10}) ")
#: With these the size is that of something else, and no data follow.
_WITHOUT_DATA = frozenset(b"123456")


class Kind(Enum):
    """What an entry of an archive is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symbolic link"
    HARDLINK = "hard link"
    #: A device, a pipe, or what nobody knows.
    OTHER = "device"


_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"S": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"5": Kind.DIRECTORY,
    # GNU tar --incremental: a directory, with the names in it as its data.
    b"D": Kind.DIRECTORY,
}


@dataclass(frozen=True, slots=True)
class Header:
    """One header block: of an entry, or of what is to be known about the next one."""

    type: bytes
    name: str
    target: str
    #: Of the data that follow, without padding (bytes).
    size: int
    block: bytes

    @property
    def kind(self) -> Kind:
        """What the entry is, as far as the block alone tells."""
        return _KINDS.get(self.type, Kind.OTHER)

    @property
    def has_data(self) -> bool:
        """Whether the size is that of data that follow."""
        return self.type[0] not in _WITHOUT_DATA


def parse_header(block: bytes) -> Header:
    """Parse a block of 512 bytes that are not all zero.

    Raises:
        DamagedArchive: its checksum does not hold, or a number in it is none.
    """
    _check(block)
    kind = block[156:157]
    size = number(block[124:136])
    header = Header(kind, _name(block), text(block[157:257]), size, block)
    return header if header.has_data else Header(kind, header.name, header.target, 0, block)


def is_header(block: bytes) -> bool:
    """Whether the block has the length and the checksum of a header."""
    if len(block) < BLOCK:
        return False
    try:
        _check(block)
    except DamagedArchive:
        return False
    return True


def _check(block: bytes) -> None:
    said = number(block[148:156])
    # The field itself counts as blanks.
    rest = block[:148] + b" " * 8 + block[156:]
    # Some old programs added up signed characters.
    if said != sum(rest) and said != sum(memoryview(rest).cast("b")):
        raise DamagedArchive("the archive is damaged: a header has the wrong checksum")


def _name(block: bytes) -> str:
    name = text(block[:100])
    if block[257:263] == _POSIX:
        end = 476 if block[508:] == _STAR else 500
        if prefix := text(block[345:end]):
            return f"{prefix}/{name}"
    return name


def text(field: bytes) -> str:
    """A name as it was recorded; bytes that are no UTF-8 become surrogates."""
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def number(field: bytes) -> int:
    """A number in octal digits, or in base 256 where those do not suffice.

    Raises `DamagedArchive`.
    """
    if field[0] == 0x80:  # noqa: PLR2004
        return _sane(int.from_bytes(field[1:], "big"))
    found = _NUMBER.fullmatch(field)
    # What follows the digits, behind a blank or a zero, has never meant anything.
    if found is None or (not found[1] and field.strip(b" \0")):
        raise DamagedArchive("the archive is damaged: a header has a number that is none")
    return int(found[1] or b"0", 8)


def decimal(digits: bytes | str) -> int:
    """A number as extended headers have it; raises `DamagedArchive`."""
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 20:  # noqa: PLR2004
        raise DamagedArchive("the archive is damaged: a header has a number that is none")
    return _sane(int(digits))


def _sane(value: int) -> int:
    if value >= _MAX_SIZE:
        raise DamagedArchive(f"the archive is damaged: a header claims {value} bytes")
    return value


def pax_records(content: bytes) -> Iterator[tuple[str, str]]:
    """The keys and values of an extended header, in order; raises `DamagedArchive`."""
    position = 0
    while position < len(content):
        found = _LENGTH.match(content, position)
        end = position + int(found[1]) if found else 0
        if not found or not found.end() < end <= len(content) or content[end - 1 : end] != b"\n":
            if not content[position:].strip(b"\0"):
                # Some programs count the padding as part of the header.
                return
            raise DamagedArchive("the archive is damaged: an extended header cannot be read")
        key, separator, value = content[found.end() : end - 1].partition(b"=")
        if not separator:
            raise DamagedArchive("the archive is damaged: an extended header has no value")
        yield (
            key.decode("utf-8", "surrogateescape"),
            value.decode("utf-8", "surrogateescape"),
        )
        position = end

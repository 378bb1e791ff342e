"""Sparse files in tar archives: which stretches of a file are recorded, the rest being zeros.

All four ways of GNU tar (its manual, appendix D.3): the old one in the header block, and versions
0.0, 0.1 and 1.0 in extended headers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from oci_pull.adapters.cache.tar_header import BLOCK, Header, decimal, number
from oci_pull.errors import DamagedArchive

#: More stretches than a file of weights has, which has none (and a map of that many is 24 MB).
_MAX_STRETCHES = 250_000
_OLD_AT, _OLD_COUNT, _OLD_MORE, _OLD_SIZE = 386, 4, 482, 483
_NEXT_COUNT, _NEXT_MORE = 21, 504
_PAIR = 24
_DAMAGED = "the archive is damaged: the map of a sparse file cannot be"

#: Reads exactly that many bytes of the archive.
Take = Callable[[int], bytes]
Stretches = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Sparse:
    """A file of `size` bytes, of which the archive has some stretches: offset and length of each.

    In order, none overlapping another, all inside the file.
    """

    size: int
    stretches: Stretches

    def __post_init__(self) -> None:
        position = 0
        for start, length in self.stretches:
            if start < position or start + length > self.size:
                raise DamagedArchive(_DAMAGED)
            position = start + length

    @property
    def recorded(self) -> int:
        """How many bytes of it are in the archive."""
        return sum(length for _, length in self.stretches)


def old_sparse(header: Header, take: Take) -> Sparse:
    """From the header block, and those after it that go on with the map."""
    stretches = _pairs(header.block[_OLD_AT:], _OLD_COUNT)
    more = header.block[_OLD_MORE]
    while more:
        block = take(BLOCK)
        stretches += _pairs(block, _NEXT_COUNT)
        _limit(len(stretches))
        more = block[_NEXT_MORE]
    return Sparse(number(header.block[_OLD_SIZE : _OLD_SIZE + 12]), stretches)


def _pairs(field: bytes, count: int) -> list[tuple[int, int]]:
    pairs = []
    for at in range(0, count * _PAIR, _PAIR):
        if not field[at : at + _PAIR].strip(b"\0 "):
            break
        pairs.append((number(field[at : at + 12]), number(field[at + 12 : at + _PAIR])))
    return pairs


def pax_sparse(records: Mapping[str, str], take: Take) -> tuple[Sparse, int] | None:
    """From an extended header, and how many bytes the map took of the data; None if not sparse."""
    if records.get("GNU.sparse.major") == "1":
        stretches, used = _leading_map(take)
        size = records.get("GNU.sparse.realsize", "")
        return Sparse(decimal(size), stretches), used
    if "GNU.sparse.map" not in records:
        return None
    listed = records["GNU.sparse.map"]
    numbers = [decimal(each) for each in listed.split(",")] if listed else []
    size = records.get("GNU.sparse.size") or records.get("GNU.sparse.realsize", "")
    return Sparse(decimal(size), _paired(numbers)), 0


def _leading_map(take: Take) -> tuple[Stretches, int]:
    """Version 1.0: numbers, one a line, in blocks of their own in front of the data."""
    used = 0
    rest = b""

    def next_number() -> int:
        nonlocal rest, used
        while b"\n" not in rest:
            if len(rest) > BLOCK:
                raise DamagedArchive(_DAMAGED)
            rest += take(BLOCK)
            used += BLOCK
        line, _, rest = rest.partition(b"\n")
        return decimal(line)

    count = next_number()
    _limit(count)
    return _paired([next_number() for _ in range(2 * count)]), used


def _paired(numbers: Sequence[int]) -> Stretches:
    if len(numbers) % 2:
        raise DamagedArchive(_DAMAGED)
    _limit(len(numbers) // 2)
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _limit(count: int) -> None:
    if count > _MAX_STRETCHES:
        raise DamagedArchive(f"a sparse file of the archive has more than {_MAX_STRETCHES} parts")

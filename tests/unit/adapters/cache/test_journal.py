"""The journal of an unfinished blob: what it says was really recorded, whatever happened to it."""

from __future__ import annotations

import random
import struct
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.adapters.cache.journal import Journal, Recorded, read
from oci_pull.oci.digest import Digest
from oci_pull.oci.ranges import Span, merge
from tests.unit.adapters.support import no_file_beyond

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 1 << 40
BLOB = Digest.of(b"blob").hex
OTHER = Digest.of(b"other").hex
RECORD = 20
#: More than this and it is written anew.
MANY = 4096


@contextmanager
def opened(path: Path, blob: str = BLOB, size: int = SIZE) -> Iterator[Journal]:
    journal = Journal(path, blob, size)
    try:
        yield journal
    finally:
        journal.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


spans = st.tuples(st.integers(0, SIZE - 1), st.integers(1, 1 << 30)).map(
    lambda pair: Span(pair[0], min(SIZE, pair[0] + pair[1]))
)
damages = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, 1 << 16), st.just(b"")),
    st.tuples(
        st.just("flip"), st.integers(0, 1 << 16), st.integers(1, 255).map(lambda n: bytes([n]))
    ),
    st.tuples(st.just("append"), st.just(0), st.binary(max_size=100)),
    st.tuples(st.just("zero"), st.integers(0, 1 << 16), st.just(b"")),
    st.tuples(st.just("insert"), st.integers(0, 1 << 16), st.binary(min_size=1, max_size=30)),
)


def damaged(content: bytes, how: str, where: int, what: bytes) -> bytes:
    at = where % (len(content) + 1)
    match how:
        case "cut":
            return content[:at]
        case "zero":
            return content[:at] + bytes(len(content) - at)
        case "flip" if at < len(content):
            return content[:at] + bytes([content[at] ^ what[0]]) + content[at + 1 :]
        case "insert":
            return content[:at] + what + content[at:]
        case _:
            return content + what


def covered(span: Span, by: tuple[Span, ...]) -> bool:
    return any(each.start <= span.start and span.end <= each.end for each in by)


@given(st.lists(spans, max_size=20), st.lists(damages, max_size=3))
def test_whatever_happens_to_a_journal_it_says_nothing_that_was_not_recorded(
    recorded: list[Span], damage: list[tuple[str, int, bytes]]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "journal")
        with opened(path) as journal:
            for span in recorded:
                journal.add(span)
        content = path.read_bytes()
        assert len(content) == RECORD * len(recorded)
        for each in damage:
            content = damaged(content, *each)
        path.write_bytes(content)
        found = read(path, BLOB, SIZE)
        assert all(covered(span, merge(recorded)) for span in found.spans)
        if not damage:
            assert found.spans == merge(recorded)
        with opened(path) as journal:
            assert journal.present == found.spans
            journal.add(Span(5, 6))
        assert read(path, BLOB, SIZE).spans == merge([*found.spans, Span(5, 6)])


def test_a_journal_of_another_blob_says_nothing(path: Path) -> None:
    with opened(path) as journal:
        journal.add(Span(0, 1000))
    assert read(path, OTHER, SIZE) == Recorded()


def test_what_is_beyond_the_end_of_the_blob_says_nothing(path: Path) -> None:
    with opened(path) as journal:
        journal.add(Span(0, 1000))
        journal.add(Span(0, 1001))
        journal.add(Span(0, 10))
    assert read(path, BLOB, 1000) == Recorded((Span(0, 1000),), 1)


def test_a_journal_is_empty_until_something_is_noted_and_after_it_was_cleared(path: Path) -> None:
    with opened(path) as journal:
        seen = [journal.is_empty]
        journal.add(Span(0, 1000))
        seen.append(journal.is_empty)
        journal.clear()
        seen.append(journal.is_empty)
        journal.add(Span(7, 9))
    assert seen == [True, False, True]
    with opened(path) as journal:
        present = [journal.present]
        journal.clear()
        present.append(journal.present)
    assert present == [(Span(7, 9),), ()]
    assert path.stat().st_size == 0


def test_a_record_for_which_there_was_no_room_is_not_in_the_way_of_the_next(path: Path) -> None:
    with opened(path) as journal:
        journal.add(Span(0, 10))
        with no_file_beyond(RECORD + 7), pytest.raises(OSError, match="space"):
            journal.add(Span(10, 20))
        journal.add(Span(20, 30))
    assert read(path, BLOB, SIZE) == Recorded((Span(0, 10), Span(20, 30)), 2)


# --- long ones


def fill(path: Path, count: int) -> tuple[Span, ...]:
    """As several workers write it, each in its own part of the blob; the parts do not meet."""
    step = 512 * 1024
    parts = [
        [Span(part + n * step, part + (n + 1) * step) for n in range(count // 4)]
        for part in (0, 1 << 36, 1 << 37, 1 << 38)
    ]
    everything = [span for part in parts for span in part]
    random.Random(0).shuffle(everything)
    with opened(path) as journal:
        for span in everything:
            journal.add(span)
    return tuple(Span(part[0].start, part[-1].end) for part in parts)


@pytest.mark.parametrize("count", [MANY, MANY + 4])
def test_a_long_journal_is_written_anew_when_it_is_opened(path: Path, count: int) -> None:
    left = fill(path, count)
    assert read(path, BLOB, SIZE) == Recorded(left, count)
    with opened(path) as journal:
        assert journal.present == left
        journal.add(Span(1 << 39, (1 << 39) + 5))
    kept = count if count <= MANY else 4
    assert read(path, BLOB, SIZE) == Recorded((*left, Span(1 << 39, (1 << 39) + 5)), kept + 1)
    assert [each.name for each in path.parent.iterdir()] == ["journal"]


def test_a_long_journal_that_cannot_be_written_anew_stays_as_it_is(path: Path) -> None:
    left = fill(path, MANY + 4)
    with no_file_beyond(10):
        journal = Journal(path, BLOB, SIZE)
    journal.add(Span(1 << 39, (1 << 39) + 5))
    journal.close()
    assert read(path, BLOB, SIZE).records == MANY + 5
    assert read(path, BLOB, SIZE).spans[:-1] == left


def test_records_of_the_first_release_count_and_are_followed_by_others(path: Path) -> None:
    spans = (struct.pack("<QQ", start, start + 8) for start in (0, 8))
    path.write_bytes(b"".join(span + struct.pack("<I", zlib.crc32(span)) for span in spans))
    with opened(path) as journal:
        assert journal.present == (Span(0, 16),)
        journal.add(Span(16, 24))
    assert read(path, BLOB, SIZE) == Recorded((Span(0, 24),), 3)

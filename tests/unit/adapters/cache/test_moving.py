"""Unfinished blobs that get new files: whatever a kill left of a move is gone on with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oci_pull.adapters.cache import moving
from oci_pull.adapters.cache.journal import Journal, read
from oci_pull.oci.ranges import Span
from tests.fakes.memory import blob_of

MIB = 1 << 20
CONTENT = os.urandom(MIB) * 40
BLOB = blob_of(CONTENT)
HEX = BLOB.digest.hex
#: More than one piece, with a gap.
SPANS = (Span(0, 20 * MIB), Span(30 * MIB, 35 * MIB))


def fill(directory: Path, *spans: Span, nonce: str = "") -> None:
    """Data and journal as of a run that fetched so much, and reserved room for all."""
    with (directory / f"data{nonce}").open("wb") as file:
        for span in spans:
            file.seek(span.start)
            file.write(CONTENT[span.start : span.end])
        file.truncate(BLOB.size)
    journal = Journal(directory / f"journal{nonce}", HEX, BLOB.size)
    for span in spans:
        journal.add(span)
    journal.close()


def assert_moved(directory: Path) -> None:
    assert {path.name for path in directory.iterdir()} == {"data", "journal"}
    assert read(directory / "journal", HEX, BLOB.size).spans == SPANS
    content = (directory / "data").read_bytes()
    assert len(content) == BLOB.size
    for span in SPANS:
        assert content[span.start : span.end] == CONTENT[span.start : span.end]


def test_what_is_recorded_is_in_new_files(tmp_path: Path) -> None:
    fill(tmp_path, *SPANS)
    inodes = {path.stat().st_ino for path in tmp_path.iterdir()}
    with (tmp_path / "data").open("r+b") as asleep, (tmp_path / "journal").open("r+b") as other:
        moving.set_aside(tmp_path, "ab")
        moving.finish(tmp_path, HEX, BLOB.size)
        for file in (asleep, other):
            file.write(b"it wakes up")
    assert_moved(tmp_path)
    assert not inodes & {path.stat().st_ino for path in tmp_path.iterdir()}


def test_it_never_takes_its_room_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, *SPANS)
    before = moving.allocated(tmp_path)
    most = []
    cut = os.truncate

    def measured(path: Path, size: int) -> None:
        most.append(moving.allocated(tmp_path))
        cut(path, size)

    monkeypatch.setattr(os, "truncate", measured)
    moving.set_aside(tmp_path, "ab")
    moving.finish(tmp_path, HEX, BLOB.size)
    assert len(most) > 2
    assert max(most) <= before + 16 * MIB


@pytest.mark.parametrize("is_data_aside", [True, False])
def test_a_kill_before_anything_was_moved_costs_nothing(
    tmp_path: Path, *, is_data_aside: bool
) -> None:
    fill(tmp_path, *SPANS)
    for name in ("journal", *(["data"] if is_data_aside else [])):
        (tmp_path / name).rename(tmp_path / f"{name}.ab")
    assert moving.recorded(tmp_path, HEX, BLOB.size) == SPANS
    moving.finish(tmp_path, HEX, BLOB.size)
    assert_moved(tmp_path)


def test_a_kill_in_the_middle_of_a_move_costs_nothing(tmp_path: Path) -> None:
    fill(tmp_path, *SPANS, nonce=".ab")
    fill(tmp_path, Span(4 * MIB, 20 * MIB), SPANS[1])
    os.truncate(tmp_path / "data.ab", 4 * MIB)
    assert moving.recorded(tmp_path, HEX, BLOB.size) == SPANS
    moving.finish(tmp_path, HEX, BLOB.size)
    assert_moved(tmp_path)


def test_what_is_moved_may_be_taken_over_once_more(tmp_path: Path) -> None:
    fill(tmp_path, *SPANS, nonce=".ab")
    fill(tmp_path, Span(4 * MIB, 20 * MIB), SPANS[1])
    os.truncate(tmp_path / "data.ab", 4 * MIB)
    moving.set_aside(tmp_path, "cd")
    moving.finish(tmp_path, HEX, BLOB.size)
    assert_moved(tmp_path)


@pytest.mark.parametrize("name", ["journal.ab", "data.ab"])
def test_a_kill_before_the_old_files_were_removed_costs_nothing(tmp_path: Path, name: str) -> None:
    fill(tmp_path, *SPANS)
    fill(tmp_path, *SPANS, nonce=".ab")
    os.truncate(tmp_path / "data.ab", 0)
    if name == "journal.ab":
        (tmp_path / "data.ab").unlink()
    moving.finish(tmp_path, HEX, BLOB.size)
    assert_moved(tmp_path)


def test_what_the_old_file_lacks_is_not_recorded(tmp_path: Path) -> None:
    fill(tmp_path, *SPANS, nonce=".ab")
    os.truncate(tmp_path / "data.ab", 16 * MIB)
    moving.finish(tmp_path, HEX, BLOB.size)
    assert read(tmp_path / "journal", HEX, BLOB.size).spans == (Span(0, 16 * MIB),)

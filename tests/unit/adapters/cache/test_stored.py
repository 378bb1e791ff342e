"""Files of a cache whose content is known: found, looked at, and read."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oci_pull.adapters.cache import stored
from oci_pull.adapters.cache.stored import Part, Reading, Stored
from oci_pull.errors import Cancelled
from oci_pull.events import Counter
from oci_pull.oci.digest import Digest
from tests.fakes.memory import blob_of
from tests.unit.adapters.support import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = b"content"
DIGEST = Digest.of(CONTENT)


def blob(shelf: Shelf) -> Stored:
    shelf.store.add(blob_of(CONTENT), CONTENT)
    (found,) = stored.blobs(shelf.cache)
    return found


def problem(file: Stored, counter: Counter | None = None) -> str:
    return Reading(threading.Event(), counter or Counter()).problem(file)


def test_what_is_right_is_read_to_its_end(shelf: Shelf) -> None:
    file, counter = blob(shelf), Counter()
    assert (file.part, file.digest, file.whole) == (Part.BLOB, DIGEST, file.path)
    assert stored.look(file).size == len(CONTENT)
    assert problem(file, counter) == ""
    assert counter.value == len(CONTENT)


def test_only_names_that_can_be_checked_are_blobs(shelf: Shelf) -> None:
    file = blob(shelf)
    for name in (".new", "nonsense", "ab" * 31):
        (file.path.parent / name).touch()
    other = shelf.root / "blobs" / "sha384"
    other.mkdir()
    (other / ("ab" * 48)).touch()
    assert list(stored.blobs(shelf.cache)) == [file]


def _spoil(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"CONTENT")


def test_other_content_is_told_by_its_digest(shelf: Shelf) -> None:
    file = blob(shelf)
    _spoil(file.path)
    assert not stored.look(file).problem
    assert problem(file) == f"its content is sha256:{Digest.of(b'CONTENT').short}"


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


@pytest.mark.parametrize(
    ("harm", "expected"),
    [(Path.unlink, stored.MISSING), (_directory, "no file"), (_link, "no file")],
)
def test_what_is_no_file_is_seen_at_once(
    shelf: Shelf, harm: Callable[[Path], object], expected: str
) -> None:
    file = blob(shelf)
    harm(file.path)
    assert stored.look(file).problem == expected


def test_in_a_tree_a_link_is_a_file_and_its_size_is_known(shelf: Shelf, tmp_path: Path) -> None:
    source = blob(shelf).path
    link = tmp_path / "link"
    link.symlink_to(source)
    file = Stored(Part.TREE, link, DIGEST, tmp_path, len(CONTENT))
    assert stored.look(file).inode == (source.stat().st_dev, source.stat().st_ino)
    longer = Stored(Part.TREE, link, DIGEST, tmp_path, 9)
    assert stored.look(longer).problem == "7 bytes instead of 9"


def test_what_goes_while_it_is_read_is_missing(shelf: Shelf) -> None:
    file = blob(shelf)
    file.path.unlink()
    assert problem(file) == stored.MISSING


def test_reading_stops_when_it_is_told_to(shelf: Shelf) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        Reading(cancel, Counter()).problem(blob(shelf))

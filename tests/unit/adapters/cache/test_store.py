"""Verified blobs by digest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from oci_pull.adapters.cache.partial import OwnedPartial
from oci_pull.adapters.cache.store import DirectoryStore
from oci_pull.errors import DigestMismatch, NotWritable, SizeMismatch
from oci_pull.oci.manifest import MAX_BYTES, parse_document
from oci_pull.oci.ranges import Span
from oci_pull.oci.verify import verify
from oci_pull.ports import StoredBlob, Taken, Unfinished
from tests.builders import docker_v02
from tests.fakes.memory import blob_of
from tests.unit.adapters.support import Shelf, mode_of, names_below

CONTENT = b"content of a blob"
BLOB = blob_of(CONTENT)


def own(store: DirectoryStore) -> OwnedPartial:
    claimed = store.claim(BLOB)
    assert isinstance(claimed, OwnedPartial)
    return claimed


def test_what_was_added_is_found(shelf: Shelf) -> None:
    assert shelf.store.find(BLOB) is None
    added = shelf.store.add(BLOB, CONTENT)
    assert shelf.store.find(BLOB) == added == StoredBlob(BLOB, shelf.cache.blob(BLOB.digest))
    assert (added.path.read_bytes(), mode_of(added.path)) == (CONTENT, 0o444)


def test_what_is_not_the_blob_is_not_added(shelf: Shelf) -> None:
    with pytest.raises(DigestMismatch):
        shelf.store.add(BLOB, CONTENT[::-1])
    with pytest.raises(SizeMismatch):
        shelf.store.add(BLOB, CONTENT + b"!")
    assert not shelf.root.exists()


def test_a_file_of_another_size_is_not_the_blob(shelf: Shelf) -> None:
    path = shelf.store.add(BLOB, CONTENT).path
    path.chmod(0o644)
    path.write_bytes(CONTENT[:-1])
    assert shelf.store.find(BLOB) is None
    assert shelf.store.add(BLOB, CONTENT).path.read_bytes() == CONTENT


def test_adding_twice_writes_once(shelf: Shelf) -> None:
    first = shelf.store.add(BLOB, CONTENT).path.stat()
    assert shelf.store.add(BLOB, CONTENT).path.stat() == first


def test_a_claim_is_a_blob_or_its_ownership_or_neither(shelf: Shelf) -> None:
    mine = own(shelf.store)
    assert isinstance(shelf.store.claim(BLOB), Taken)
    mine.write_at(0, CONTENT)
    stored = mine.commit(verify(BLOB, CONTENT))
    assert shelf.store.claim(BLOB) == stored


def test_inline_data_needs_no_claim(shelf: Shelf) -> None:
    found = shelf.store.claim(replace(BLOB, data=CONTENT))
    assert isinstance(found, StoredBlob)
    assert found.path.read_bytes() == CONTENT


def test_a_blob_that_was_finished_between_the_look_and_the_claim_is_found(shelf: Shelf) -> None:
    """The store behind answers the second look only."""

    class Slow(DirectoryStore):
        looks = 0

        def find(self, blob: object) -> StoredBlob | None:
            type(self).looks += 1
            return StoredBlob(BLOB, Path("/elsewhere")) if self.looks > 1 else None

    store = DirectoryStore(shelf.cache, Slow(shelf.cache))
    assert store.claim(BLOB) == StoredBlob(BLOB, Path("/elsewhere"))
    assert not shelf.cache.partial(BLOB.digest).exists()


def test_what_an_earlier_run_left_is_counted(shelf: Shelf) -> None:
    assert shelf.store.unfinished(BLOB) == Unfinished()
    mine = own(shelf.store)
    mine.write_at(3, CONTENT[3:9])
    mine.record(Span(3, 9))
    mine.release()
    assert shelf.store.unfinished(BLOB) == Unfinished(6, BLOB.size)


def test_what_is_dropped_is_gone(shelf: Shelf) -> None:
    shelf.store.add(BLOB, CONTENT)
    shelf.store.drop(BLOB)
    shelf.store.drop(BLOB)
    assert shelf.store.find(BLOB) is None


def test_documents_are_kept_and_recalled(shelf: Shelf) -> None:
    document = parse_document(docker_v02({"config.json": b"{}"}).manifest)
    assert shelf.store.recall(document.descriptor.digest) is None
    shelf.store.keep(document)
    assert shelf.store.recall(document.descriptor.digest) == document.raw


def test_a_document_that_is_damaged_is_not_recalled_and_makes_room(shelf: Shelf) -> None:
    document = parse_document(docker_v02({"config.json": b"{}"}).manifest)
    digest = document.descriptor.digest
    shelf.store.keep(document)
    path = shelf.cache.blob(digest)
    path.chmod(0o644)
    path.write_bytes(b"x" * len(document.raw))
    assert shelf.store.recall(digest) is None
    shelf.store.keep(document)
    assert shelf.store.recall(digest) == document.raw


def test_a_blob_that_is_too_long_for_a_document_is_none(shelf: Shelf) -> None:
    content = bytes(MAX_BYTES + 1)
    shelf.store.add(blob_of(content), content)
    assert shelf.store.recall(blob_of(content).digest) is None


def test_what_cannot_be_read_is_no_surprise(shelf: Shelf) -> None:
    path = shelf.cache.blob(BLOB.digest)
    path.mkdir(parents=True)
    assert shelf.store.recall(BLOB.digest) is None
    path.rmdir()
    path.parent.rmdir()
    path.parent.touch()
    assert shelf.store.recall(BLOB.digest) is None
    assert shelf.store.find(BLOB) is None


def test_a_cache_that_cannot_be_written_is_told() -> None:
    with pytest.raises(NotWritable):
        Shelf(Path("/sys/cache")).store.add(BLOB, CONTENT)


# --- a store behind, for a dry run


@pytest.fixture
def dry(shelf: Shelf, tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(Shelf(tmp_path / "scratch").cache, shelf.store)


def test_a_dry_run_finds_what_is_behind_it(dry: DirectoryStore, shelf: Shelf) -> None:
    assert dry.find(BLOB) is None
    assert dry.unfinished(BLOB) == Unfinished()
    stored = shelf.store.add(BLOB, CONTENT)
    assert dry.find(BLOB) == dry.claim(BLOB) == stored
    assert dry.recall(BLOB.digest) == CONTENT


def test_a_dry_run_sees_partials_behind_it_unless_it_has_more(
    dry: DirectoryStore, shelf: Shelf
) -> None:
    mine = own(shelf.store)
    mine.record(Span(0, 5))
    assert dry.unfinished(BLOB).present == 5
    scratch = own(dry)
    scratch.record(Span(0, 7))
    assert dry.unfinished(BLOB).present == 7


def test_a_dry_run_writes_nothing_behind_it(dry: DirectoryStore, shelf: Shelf) -> None:
    assert dry.add(BLOB, CONTENT).path.read_bytes() == CONTENT
    assert not shelf.root.exists()


def test_what_a_dry_run_adds_is_where_it_says(dry: DirectoryStore, shelf: Shelf) -> None:
    shelf.store.add(BLOB, CONTENT)
    before = names_below(shelf.root)
    assert dry.add(BLOB, CONTENT).path.read_bytes() == CONTENT
    assert names_below(shelf.root) == before

"""The files of a directory that was laid out, as blobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oci_pull.adapters.laid_out import LaidOut
from oci_pull.adapters.output import OutputDirectory
from oci_pull.errors import Cancelled
from oci_pull.events import Counter, Rereading
from oci_pull.oci.digest import Digest
from tests.fakes.memory import blob_of
from tests.unit.adapters.support import REFERENCE, Shelf, published, receipt_of

if TYPE_CHECKING:
    from pathlib import Path

_BIG, _SMALL = b"big" * 4_000_000, b"{}"


@pytest.fixture
def laid_out(shelf: Shelf, tmp_path: Path) -> LaidOut:
    """A directory with a large and a small file, and an empty cache behind it."""
    path = tmp_path / "model"
    output = OutputDirectory(path, shelf.contents, shelf.observer, shelf.cancel, "copy")
    layout, manifest = shelf.layout({"a/big.json": _BIG, "small.json": _SMALL}), blob_of(b"m")
    staged = output.stage(REFERENCE, manifest.digest, "", layout, Counter())
    published(staged, receipt_of(layout, manifest))
    return LaidOut(path, shelf.observer, shelf.cancel, Shelf(tmp_path / "behind").store)


def test_a_file_that_is_intact_is_the_blob_and_is_read_once(
    laid_out: LaidOut, shelf: Shelf
) -> None:
    for content, name in ((_BIG, "a/big.json"), (_SMALL, "small.json")):
        for _ in range(2):
            found = laid_out.find(blob_of(content))
            assert found
            assert found.path == laid_out.path / name
    # That of a small one is not worth a word.
    assert shelf.observer.of(Rereading) == [Rereading("big.json", len(_BIG))]


@pytest.mark.parametrize("content", [b"gib" * 4_000_000, b"short"], ids=["other", "shorter"])
def test_a_file_that_was_changed_is_nobodys_blob(laid_out: LaidOut, content: bytes) -> None:
    path = laid_out.path / "a/big.json"
    path.unlink()
    path.write_bytes(content)
    assert laid_out.find(blob_of(_BIG)) is None
    # Nor is what it is now, which no receipt names.
    assert laid_out.find(blob_of(content)) is None


def test_what_the_directory_does_not_have_may_be_behind_it(
    laid_out: LaidOut, tmp_path: Path
) -> None:
    store, blob = Shelf(tmp_path / "behind").store, blob_of(b"behind")
    store.add(blob, b"behind")
    assert laid_out.find(blob) == store.find(blob)
    assert laid_out.recall(blob.digest) == b"behind"
    assert laid_out.has(blob.digest)
    assert not laid_out.has(Digest.of(_SMALL))
    assert laid_out.recall(Digest.of(_SMALL)) is None
    assert laid_out.unfinished(blob).present == 0


def test_reading_can_be_stopped(laid_out: LaidOut, shelf: Shelf) -> None:
    shelf.cancel.set()
    with pytest.raises(Cancelled):
        laid_out.find(blob_of(_BIG))


def test_a_directory_without_a_receipt_has_no_blobs(shelf: Shelf, tmp_path: Path) -> None:
    assert LaidOut(tmp_path, shelf.observer, shelf.cancel).find(blob_of(_BIG)) is None

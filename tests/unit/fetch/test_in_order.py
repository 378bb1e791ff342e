"""Reading ahead: the same bytes, the same errors, and a thread that ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from oci_pull.errors import Cancelled, DamagedArchive
from oci_pull.fetch.in_order import InOrder
from oci_pull.ports import Pipelined, Reader
from tests.fakes.memory import PATIENCE
from tests.unit.fetch.support import in_background

PIECES = [bytes([number]) * 100_000 for number in range(50)]
CONTENT = b"".join(PIECES)


class Blob:
    """Pieces that come, and who asked for them."""

    def __init__(self, *, fails_at: int = -1, error: BaseException | None = None) -> None:
        self.asked = 0
        self.threads: set[threading.Thread] = set()
        self.has_failed = threading.Event()
        self._fails_at = fails_at
        self._error = error

    def pieces(self) -> Iterator[memoryview]:
        for number, piece in enumerate(PIECES):
            if number == self._fails_at and self._error:
                self.has_failed.set()
                raise self._error
            self.asked += 1
            self.threads.add(threading.current_thread())
            yield memoryview(piece)

    def has_ended(self) -> bool:
        """Whether nobody but this thread is left of those who asked."""
        others = self.threads - {threading.current_thread()}
        for each in others:
            each.join(PATIENCE)
        return not any(each.is_alive() for each in others)


class Shouting:
    """What is read from another reader, changed."""

    def __init__(self, reader: Reader, *, fails_after: int = 1000) -> None:
        self._reader = reader
        self._left = fails_after

    def read(self, size: int) -> bytes:
        if not self._left:
            raise DamagedArchive("it is none")
        self._left -= 1
        return bytes(each ^ 0xFF for each in self._reader.read(min(size, 1000)))


def exhaust(reader: Reader) -> None:
    while reader.read(1 << 20):
        pass


def test_a_blob_can_be_read_ahead() -> None:
    assert isinstance(InOrder(Blob().pieces()), Pipelined)


@pytest.mark.parametrize("size", [7_000, 100_000, 1 << 20])
def test_ahead_the_same_bytes_come(size: int) -> None:
    blob = Blob()
    reader = InOrder(blob.pieces())
    content = reader.ahead(reader)
    read = b""
    while piece := content.read(size):
        assert len(piece) <= size
        read += piece
    assert read == CONTENT
    assert content.read(size) == b""
    reader.drain()
    assert threading.current_thread() not in blob.threads
    assert blob.has_ended()


def test_what_is_made_of_them_is_made_by_another_thread() -> None:
    blob = Blob()
    reader = InOrder(blob.pieces())
    content = reader.ahead(Shouting(reader))
    assert content.read(5) == b"\xff" * 5
    reader.drain()
    assert blob.asked == len(PIECES)
    assert blob.has_ended()


def test_a_small_blob_is_not_worth_a_thread() -> None:
    blob = Blob()
    reader = InOrder(blob.pieces(), is_small=True)
    exhaust(reader.ahead(reader))
    assert blob.threads == {threading.current_thread()}


def test_nobody_is_further_ahead_than_a_few_pieces() -> None:
    blob = Blob()
    reader = InOrder(blob.pieces())
    content = reader.ahead(reader)
    assert content.read(1) == b"\0"
    assert blob.asked < len(PIECES) // 2
    reader.stop()
    assert blob.asked < len(PIECES) // 2


@pytest.mark.parametrize("error", [Cancelled("stopped"), RuntimeError("unexpected")])
def test_what_the_blob_raises_is_raised_where_it_is_read(error: Exception) -> None:
    blob = Blob(fails_at=3, error=error)
    reader = InOrder(blob.pieces())
    content = reader.ahead(reader)
    with pytest.raises(type(error)) as caught:
        exhaust(content)
    assert caught.value is error
    with pytest.raises(type(error)):
        content.read(1)
    with pytest.raises(type(error)):
        reader.drain()
    assert blob.has_ended()


def test_what_the_blob_raises_is_raised_even_if_nobody_reads_so_far() -> None:
    """Else bytes that never came would be taken for the end of the blob."""
    error = Cancelled("stopped")
    blob = Blob(fails_at=3, error=error)
    reader = InOrder(blob.pieces())
    content = reader.ahead(reader)
    content.read(1)
    assert blob.has_failed.wait(PATIENCE)
    with pytest.raises(Cancelled):
        reader.drain()


def test_content_that_cannot_be_made_is_told_and_the_rest_of_the_blob_is_read() -> None:
    blob = Blob()
    reader = InOrder(blob.pieces())
    content = reader.ahead(Shouting(reader, fails_after=3))
    with pytest.raises(DamagedArchive):
        exhaust(content)
    reader.drain()
    assert blob.asked == len(PIECES)


def test_content_that_cannot_be_kept_is_told_to_whoever_waits_for_it() -> None:
    class Unkept(bytes):
        """A piece that there is no room for."""

        def __bool__(self) -> bool:
            raise MemoryError

    class Content:
        def read(self, size: int) -> bytes:
            return Unkept(size)

    content = InOrder(Blob().pieces()).ahead(Content())
    reading = in_background(lambda: content.read(1))
    assert isinstance(reading.exception(PATIENCE), MemoryError)


def test_who_leaves_does_not_wait_and_nobody_is_left() -> None:
    blob = Blob()
    reader = InOrder(blob.pieces())
    reader.ahead(reader).read(1)
    reader.leave()
    assert blob.has_ended()
    assert blob.asked < len(PIECES)

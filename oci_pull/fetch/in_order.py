"""The bytes of a blob as a file that can only be read on."""

import threading
from collections import deque
from collections.abc import Iterator

from oci_pull.ports import Reader

#: Read at once, and held at most by who is ahead (bytes, and pieces of so many).
_PIECE = 256 * 1024
_DEPTH = 8


class InOrder:
    """What an archive's consumer reads from while the blob still comes."""

    def __init__(self, pieces: Iterator[memoryview], *, is_small: bool = False) -> None:
        self._pieces = pieces
        self._is_small = is_small
        self._rest = memoryview(b"")
        self._ahead: _Ahead | None = None
        #: What getting the pieces has raised.
        self._failure: BaseException | None = None

    def read(self, size: int) -> bytes:
        """At most `size` bytes, empty at the end."""
        if not self._rest:
            try:
                self._rest = next(self._pieces, memoryview(b""))
            except BaseException as error:
                self._failure = error
                raise
        piece = bytes(self._rest[:size])
        self._rest = self._rest[len(piece) :]
        return piece

    def ahead(self, content: Reader) -> Reader:
        """What `content` makes of these bytes, made in a thread of its own before it is asked for.

        To hash and to decompress on one side, to hash again and to write on the other, takes about
        the same time; one thread for both would fall behind a fast network.
        """
        if self._is_small:
            return content
        try:
            self._ahead = _Ahead(content)
        except RuntimeError:
            # No more threads: this one does it alone.
            return content
        return self._ahead

    def leave(self) -> None:
        """What was made ahead is not wanted, and whoever makes it ends soon."""
        if self._ahead:
            self._ahead.leave()

    def stop(self) -> None:
        """Nobody else reads these bytes any more."""
        if self._ahead:
            self._ahead.leave()
            self._ahead.join()

    def drain(self) -> None:
        """Read to the end; raises what getting the bytes raised, whoever was to see it."""
        self.stop()
        if self._failure:
            raise self._failure
        for _ in self._pieces:
            pass


class _Ahead:
    """A reader of what another thread has read."""

    def __init__(self, content: Reader) -> None:
        self._content = content
        self._changed = threading.Condition()
        self._read: deque[bytes] = deque()
        #: How it ended: with nothing more, or with what reading has raised.
        self._end: BaseException | bool = False
        self._is_stopped = False
        # A daemon: who gives up does not wait for it, and it ends as soon as the blob is closed.
        self._thread = threading.Thread(target=self._work, daemon=True)  # noqa: TID251
        self._thread.start()

    def _work(self) -> None:
        end: BaseException | bool = True
        try:
            while self._keep(self._content.read(_PIECE)):
                pass
        except BaseException as error:  # noqa: BLE001 - raised again where it is read
            end = error
        with self._changed:
            self._end = end
            self._changed.notify_all()

    def _keep(self, piece: bytes) -> bool:
        """Let it be read, once there is room for it; whether to go on."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._read) < _DEPTH or self._is_stopped)
            if piece and not self._is_stopped:
                self._read.append(piece)
                self._changed.notify_all()
            return bool(piece) and not self._is_stopped

    def read(self, size: int) -> bytes:
        """At most `size` bytes, empty at the end; raises what reading the content raised."""
        with self._changed:
            self._changed.wait_for(lambda: self._read or self._end)
            if not self._read:
                if isinstance(self._end, BaseException):
                    raise self._end
                return b""
            piece = self._read.popleft()
            if len(piece) > size:
                self._read.appendleft(piece[size:])
            self._changed.notify_all()
        return piece[:size]

    def leave(self) -> None:
        """Nobody reads what it makes any more."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def join(self) -> None:
        """Its thread has ended."""
        self._thread.join()

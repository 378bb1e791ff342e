"""The bytes of a blob as a file that can only be read on."""

from collections.abc import Iterator


class InOrder:
    """What an archive's consumer reads from while the blob still comes."""

    def __init__(self, pieces: Iterator[memoryview]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """At most `size` bytes, empty at the end."""
        if not self._rest:
            self._rest = next(self._pieces, memoryview(b""))
        piece = bytes(self._rest[:size])
        self._rest = self._rest[len(piece) :]
        return piece

    def drain(self) -> None:
        """Read to the end."""
        for _ in self._pieces:
            pass

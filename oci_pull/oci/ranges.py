"""Byte ranges: what is asked for, what was served, what is still missing."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

_CONTENT_RANGE = re.compile(r"\s*bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The bytes from `start` up to but not including `end`; never empty."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"no bytes between {self.start} and {self.end}")

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.end - self.start

    @property
    def header(self) -> str:
        """The value of a Range header.

        Always closed: some registries answer 416 to an open range, none that was probed to a
        closed one.
        """
        return f"bytes={self.start}-{self.end - 1}"


@dataclass(frozen=True, slots=True)
class ContentRange:
    """What a 206 says that it serves; `total` is None where the server does not tell."""

    span: Span
    total: int | None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse a Content-Range header; None for anything that names no bytes (RFC 9110, 14.4)."""
        match = _CONTENT_RANGE.fullmatch(text)
        if not match or int(match[1]) > int(match[2]):
            return None
        total = None if match[3] == "*" else int(match[3])
        if total is not None and int(match[2]) >= total:
            return None
        return cls(Span(int(match[1]), int(match[2]) + 1), total)


def merge(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same bytes as the fewest spans, in order."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return tuple(merged)


def missing(size: int, present: Iterable[Span]) -> tuple[Span, ...]:
    """What of `size` bytes is not in `present`, in order."""
    return tuple(_gaps(size, merge(present)))


def _gaps(size: int, present: tuple[Span, ...]) -> Iterator[Span]:
    position = 0
    for span in present:
        if position >= size:
            return
        if position < span.start:
            yield Span(position, min(span.start, size))
        position = max(position, span.end)
    if position < size:
        yield Span(position, size)

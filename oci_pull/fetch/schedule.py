"""What to fetch next. Decisions only: nobody waits here, and nothing is known of threads.

Blobs first, the largest first, one stream each. Only where connections are left over, and only
where that pays, a blob is fetched by several at once, in ranges from front to back, so that its
hash follows while the bytes are in the page cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from oci_pull.oci.ranges import Span

_MIB = 1024 * 1024
#: Up to this size (bytes) a blob is small: fetched over a connection that is kept for the next.
SMALL = 8 * _MIB
#: What one connection is asked for at a time where several fetch one blob (bytes). With less, the
#: start of each would cost more than it brings (measured at 50 ms).
_LEAST_RANGE = 32 * _MIB
_MOST_RANGE = 64 * _MIB
#: The least that is worth a connection of its own (bytes).
_LEAST = _MIB
#: A transfer that ends within so many seconds is not divided any more.
_SOON = 1.5


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be done at once."""

    #: Connections that fetch large blobs.
    streams: int
    #: Connections in all, with those that fetch small blobs.
    connections: int
    cores: int


@dataclass(frozen=True, slots=True)
class Stream:
    """A connection, what it still has to bring, and how fast it does (bytes a second).

    The rate is None until something came.
    """

    left: Span
    rate: float | None = None
    #: Whether it is the line that keeps it from being faster.
    is_waiting: bool = True


@dataclass(frozen=True, slots=True)
class Transfer:
    """A large blob that is being fetched."""

    size: int
    #: What nobody fetches yet.
    gaps: tuple[Span, ...]
    streams: tuple[Stream, ...]
    #: Whether its server knows ranges, as far as anybody knows.
    has_ranges: bool = True

    @property
    def left(self) -> int:
        """The bytes that have to come."""
        return sum(gap.size for gap in self.gaps) + sum(each.left.size for each in self.streams)


@dataclass(frozen=True, slots=True)
class Begin:
    """Start on the largest blob that waits."""


@dataclass(frozen=True, slots=True)
class Small:
    """Fetch the next small blob."""


@dataclass(frozen=True, slots=True)
class Fill:
    """Fetch a span of a transfer."""

    transfer: int
    span: Span


@dataclass(frozen=True, slots=True)
class Divide:
    """Let a stream end at an offset, and leave the rest of what it was to bring to others."""

    transfer: int
    stream: int
    at: int


Step = Begin | Small | Fill | Divide


def next_step(
    transfers: Sequence[Transfer],
    *,
    large: bool,
    small: bool,
    beginning: int,
    small_running: int,
    limits: Limits,
) -> Step | None:
    """What a thread without work should do; None to look again later.

    `large` and `small` say whether blobs wait, `beginning` how many large ones are just being
    begun, `small_running` how many small ones are being fetched.
    """
    streams = beginning + sum(len(each.streams) for each in transfers)
    if streams < limits.streams and streams + small_running < limits.connections:
        for number, transfer in enumerate(transfers):
            if transfer.gaps and not transfer.streams:
                return Fill(number, _first_span(transfer))
    used = beginning + sum(max(1, len(each.streams)) for each in transfers if each.left)
    has_room = used + small_running < limits.connections
    is_free = has_room and used < limits.streams
    if large and is_free and len(transfers) < limits.streams + limits.cores:
        return Begin()
    if small and has_room:
        return Small()
    return _join(transfers, limits) if is_free else None


def _first_span(transfer: Transfer) -> Span:
    """What the first connection is asked for: all that is missing up to what is here.

    It is cut short when others join. Without ranges everything comes again, from the start.
    """
    gap = transfer.gaps[0]
    return gap if transfer.has_ranges else Span(gap.start, transfer.size)


def _join(transfers: Sequence[Transfer], limits: Limits) -> Step | None:
    """Help the transfer that would take longest, if that pays."""
    moving = [each for transfer in transfers for each in transfer.streams if each.rate]
    rates = [each.rate or 0.0 for each in moving]
    if 2 * sum(each.is_waiting for each in moving) <= len(moving):
        # The disk, the processor, or a limit: more connections would only be in its way.
        return None
    mean = sum(rates) / len(rates)
    helpable = [
        (transfer.left / _speed(transfer, mean), number)
        for number, transfer in enumerate(transfers)
        if transfer.has_ranges and any(each.rate for each in transfer.streams)
    ]
    for seconds, number in sorted(helpable, reverse=True):
        if seconds < _SOON:
            return None
        if step := _help(number, transfers[number], mean, limits):
            return step
    return None


def _speed(transfer: Transfer, mean: float) -> float:
    return sum(each.rate or mean for each in transfer.streams)


def _help(number: int, transfer: Transfer, mean: float, limits: Limits) -> Step | None:
    size = _range_size(transfer, limits)
    if transfer.gaps:
        gap = transfer.gaps[0]
        return Fill(number, gap if gap.size <= size + _LEAST else Span(gap.start, gap.start + size))
    seconds, index = max(
        (each.left.size / (each.rate or mean), index) for index, each in enumerate(transfer.streams)
    )
    left = transfer.streams[index].left
    if left.size > 2 * size:
        return Divide(number, index, _boundary(left.start, size))
    if seconds < _SOON or left.size < 2 * _LEAST:
        return None
    return Divide(number, index, left.start + left.size // 2)


def _boundary(position: int, size: int) -> int:
    """Where the range ends that a position is in, or the next one where that is near."""
    return ((position + size // 2) // size + 1) * size


def _range_size(transfer: Transfer, limits: Limits) -> int:
    """The bytes to ask one of several connections for: if that is enough, one range for each."""
    share = -(-transfer.size // limits.streams // _MIB) * _MIB
    return max(_LEAST_RANGE, min(_MOST_RANGE, share))

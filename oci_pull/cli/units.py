"""Bytes, seconds and names as people read them. Units are decimal, as disks are sold."""

from oci_pull.options import AMOUNTS, STEP, amount

_MINUTE, _HOUR = 60, 3600

#: Bytes, as in the messages of errors.
size = amount


def size_of(count: float, unit: str) -> str:
    """The number of bytes in a unit that `size` has chosen for another number."""
    power = AMOUNTS.index(unit)
    return f"{count / STEP**power:.1f}" if power else f"{count:.0f}"


def several(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """Seconds: `0.3 s`, `12 s`, `3:14`, `1:02:03`."""
    if seconds < 10:  # noqa: PLR2004 - below that, tenths matter
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}:{whole % _MINUTE:02d}"
    return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02d}:{whole % _MINUTE:02d}"


def shortened(text: str, width: int) -> str:
    """At most `width` characters; what goes is in the middle, as both ends tell shards apart."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}~{text[len(text) - (width - 1 - head) :]}"

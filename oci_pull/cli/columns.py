"""Lists that people read: an amount in front, the name behind it, the rest where there is room."""

from collections.abc import Iterator, Sequence

from oci_pull.cli.units import size
from oci_pull.packaging.plan import LeftOut

#: What fits into a terminal that nobody has made larger.
WIDTH = 80
_AMOUNT = 9


def amount_line(count: int, name: str) -> str:
    """An amount of bytes and what it is of."""
    return f"  {size(count):>{_AMOUNT}}  {name}"


def with_note(line: str, note: str, indent: int) -> Iterator[str]:
    """A line with a note behind it, or below it where both are too long for one."""
    if len(line) + 2 + len(note) <= WIDTH:
        yield f"{line}  {note}"
    else:
        yield line
        yield f"{'':{indent}}{note}"


def left_out_lines(left_out: Sequence[LeftOut]) -> Iterator[str]:
    """What is left out, and why."""
    if left_out:
        yield "left out"
    for each in left_out:
        yield from with_note(amount_line(each.size, each.name), each.reason, _AMOUNT + 4)

"""What a terminal shows of a pull at one moment: lines of pieces, from nothing but figures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from oci_pull.cli.progress.totals import Row
from oci_pull.cli.units import duration, several, shortened, size, size_of

_INDENT = "  "
#: Below so many columns there is room for the total alone, and below so many for no rates.
_NARROW = 60
_MIDDLE = 72
#: Names of shards differ in their middle: these have room before bars have.
_SHARD = 20
_NAMES = (10, 28)
_BARS = (12, 40)
_RATE = 10
_NOTE = 10
_MINUTE, _DAY = 59.5, 86_400.0
#: Of what tells one shard from another, this is no part.
_ENDINGS = (".safetensors", ".gguf", ".bin")


class Role(Enum):
    """What a piece of a line is, for whoever has colours."""

    PLAIN = auto()
    DONE = auto()
    REST = auto()
    NOTE = auto()
    QUIET = auto()


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of a line."""

    text: str
    role: Role = Role.PLAIN


Line = Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What bars are drawn with: what is done, its end, and the rest."""

    done: str
    end: str
    rest: str

    @classmethod
    def of(cls, encoding: str | None) -> "Glyphs":
        """Lines where the encoding has them, else what every terminal has."""
        lines = cls("━", "╸", "─")
        try:
            (lines.done + lines.end + lines.rest).encode(encoding or "utf-8")
        except (UnicodeEncodeError, LookupError):
            return cls("#", "#", "-")
        return lines


@dataclass(frozen=True, slots=True)
class Shown:
    """What there is to show."""

    total: Row
    #: Seconds.
    left: float | None = None
    rows: Sequence[Row] = ()
    #: Blobs that are here and verified, all that are wanted, and those that nobody has begun with.
    verified: int = 0
    wanted: int = 0
    waiting: int = 0


def frame(shown: Shown, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """The lines for a terminal of so many columns and rows; none is longer than it is wide."""
    if not shown.total.size:
        text = f"{_INDENT}{shown.total.name} {shown.total.note}"
        return [(Piece(shortened(text, width - 1), Role.QUIET),)]
    if width < _NARROW:
        return [_narrow(shown.total, width, glyphs)]
    room = max(0, height - 4)
    rows = shown.rows[:room]
    columns = _Columns.for_rows((shown.total, *rows), width)
    tail = _left(shown.left) if shown.left is not None else ""
    lines = [columns.line(shown.total, tail, glyphs)]
    lines += [columns.line(row, row.note, glyphs) for row in rows]
    if shown.total.name == "total":
        lines.append(_footer(shown, len(shown.rows) - len(rows), width))
    return lines


def text_of(line: Line) -> str:
    """A line without its roles."""
    return "".join(piece.text for piece in line)


def _narrow(total: Row, width: int, glyphs: Glyphs) -> Line:
    before, after = f"{_INDENT}{total.name} ", f" {_percent(total)}"
    room = width - 1 - len(before) - len(after)
    if room < 0:
        return (Piece(after.strip()[: width - 1]),)
    return (Piece(before), *_bar(total.share, room, glyphs), Piece(after))


@dataclass(frozen=True, slots=True)
class _Columns:
    """How wide each column is."""

    name: int
    bar: int
    amount: int
    is_rated: bool
    width: int

    @classmethod
    def for_rows(cls, rows: Sequence[Row], width: int) -> "_Columns":
        """Names as long as they need, and bars in what is left."""
        amount = max(len(_amount(row)) for row in rows)
        is_rated = width >= _MIDDLE
        others = len(_INDENT) + 1 + 1 + 4 + 2 + amount + 2 + _NOTE + 1
        others += _RATE + 2 if is_rated else 0
        room = max(0, width - others)
        wanted = max(len(_label(row)) for row in rows)
        name = min(max(wanted, _NAMES[0]), _NAMES[1], max(_SHARD, room - _BARS[0]))
        bar = max(0, min(room - name, _BARS[1]))
        return cls(name, bar, amount, is_rated, width)

    def line(self, row: Row, tail: str, glyphs: Glyphs) -> Line:
        """A row in these columns."""
        name = f"{_INDENT}{shortened(_label(row), self.name):{self.name}} "
        if not row.size:
            room = max(0, self.width - 1 - len(name))
            return (Piece(name), Piece(shortened(row.note, room), Role.NOTE))
        figures = f" {_percent(row)}  {_amount(row):>{self.amount}}"
        if self.is_rated:
            rate = f"{size(row.rate)}/s" if row.rate is not None else ""
            figures += f"  {rate:>{_RATE}}" if rate or tail else ""
        role = Role.NOTE if tail and tail == row.note else Role.PLAIN
        pieces = (Piece(name), *_bar(row.share, self.bar, glyphs), Piece(figures))
        return (*pieces, Piece(f"  {tail}", role)) if tail else pieces


def _bar(share: float, width: int, glyphs: Glyphs) -> Iterator[Piece]:
    halves = int(share * width * 2)
    done, end = glyphs.done * (halves // 2), glyphs.end * (halves % 2)
    yield Piece(done + end, Role.DONE)
    yield Piece(glyphs.rest * (width - len(done) - len(end)), Role.REST)


def _percent(row: Row) -> str:
    return f"{int(100 * row.share):>3}%"


def _amount(row: Row) -> str:
    """`24.6/60.1 GB`: as wide for whatever is done of it."""
    whole = size(row.size)
    number, unit = whole.split()
    return f"{size_of(row.done, unit):>{len(number)}}/{whole}" if row.size else ""


def _label(row: Row) -> str:
    for ending in _ENDINGS:
        if row.name.endswith(ending):
            return row.name.removesuffix(ending)
    return row.name


def _left(seconds: float) -> str:
    if seconds > _DAY:
        return ">1 day"
    return f"{max(1, round(seconds))} s left" if seconds < _MINUTE else f"{duration(seconds)} left"


def _footer(shown: Shown, hidden: int, width: int) -> Line:
    more = f"and {hidden} more; " if hidden else ""
    waiting = f", {shown.waiting} waiting" if shown.waiting else ""
    blobs = several(shown.wanted, "blob")
    text = f"{_INDENT}{more}{shown.verified} of {blobs} verified{waiting}"
    advice = "(Ctrl-C keeps what is fetched)"
    gap = width - 1 - len(text) - len(advice)
    return (Piece(f"{text}{' ' * gap}{advice}" if gap > 1 else text, Role.QUIET),)

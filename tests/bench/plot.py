"""Bars of seconds, a panel a case, as SVG that is readable on light and on dark."""

from __future__ import annotations

import statistics
from html import escape
from typing import TYPE_CHECKING

from tests.bench.cases import OURS

if TYPE_CHECKING:
    from tests.bench.results import Outcome, Results

_WIDTH = 760
_LEFT = 180  # where bars begin
_LONGEST = 440
_ROW, _BAR, _TITLE, _GAP = 22, 14, 30, 14

# The page's own background shows through; only inks follow the reader's choice.
_STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; font-size: 13px; }
.ours { font-weight: 600; }
.bar { fill: #afb8c1; }
.bar.ours { fill: #0969da; }
.range { stroke: #57606a; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .bar { fill: #484f58; }
  .bar.ours { fill: #2f81f7; }
  .range { stroke: #9ea7b3; }
}"""


def draw(results: Results) -> str:
    parts: list[str] = []
    top = 4
    for outcome in results.outcomes:
        if outcome.runs:
            panel, height = _panel(outcome, top)
            parts += panel
            top += height + _GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" '
        f'width="{_WIDTH}" height="{top}" role="img" aria-label="Seconds that each way takes">'
    )
    return "\n".join([head, f"<style>\n{_STYLE}\n</style>", *parts, "</svg>\n"])


def _panel(outcome: Outcome, top: int) -> tuple[list[str], int]:
    """One case: its rows from the fastest to the slowest, to a scale of their own."""
    walls = {name: outcome.values(name, "wall") for name in outcome.runs}
    medians = {name: statistics.median(values) for name, values in walls.items()}
    scale = _LONGEST / max(max(values) for values in walls.values())
    title = f'<text class="title" x="0" y="{top + 15}">{escape(outcome.case.title)}</text>'
    parts = [title]
    y = top + _TITLE
    for name in sorted(medians, key=medians.__getitem__):
        parts += _row(name, walls[name], scale, y)
        y += _ROW
    return parts, y - top


def _row(name: str, values: list[float], scale: float, y: int) -> list[str]:
    median = statistics.median(values)
    mark = " ours" if name == OURS else ""
    low, high = (_LEFT + scale * end for end in (min(values), max(values)))
    middle, base = y + _BAR / 2, y + _BAR - 3
    label = f'x="{_LEFT - 8}" y="{base}" text-anchor="end"'
    bar = f'x="{_LEFT}" y="{y}" width="{scale * median:.1f}" height="{_BAR}" rx="2"'
    span = f'x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"'
    return [
        f'<text class="name{mark}" {label}>{escape(name)}</text>',
        f'<rect class="bar{mark}" {bar}/>',
        f'<line class="range" {span}/>',
        f'<text class="value{mark}" x="{high + 8:.1f}" y="{base}">{_seconds(median)}</text>',
    ]


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"

"""Pictures of terminal sessions for the pages, from real runs.

python -m tests.screens docs/pictures
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from tests.screens.scenes import Stage, interrupted, moving, stage, unchanged
from tests.screens.terminal import svg

if TYPE_CHECKING:
    from collections.abc import Callable

_PICTURES: dict[str, tuple[Callable[[Stage], None], str]] = {
    "first-pull": (moving, "A first pull"),
    "resumed": (interrupted, "Ctrl-C, and the same command again"),
    "unchanged": (unchanged, "It is here"),
}


def _drawn(on: Stage, title: str) -> str:
    """What is on the terminal, with names that say more than those of a test."""
    host, port = on.registry.address.split(":")
    lines = []
    for line in on.terminal.styled():
        text = Text.from_markup(
            line.markup.replace(str(on.home), "~")
            .replace(f"{host}:{port}", "registry:5000")
            .replace(f"{host}+{port}", "registry+5000")
        )
        lines.append(text)
    return svg(lines, title, on.terminal.columns)


def main(directory: Path) -> None:
    """Draw all of them."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, (play, title) in _PICTURES.items():
        with stage() as on:
            play(on)
            (directory / f"{name}.svg").write_text(_drawn(on, title))
        print(directory / f"{name}.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

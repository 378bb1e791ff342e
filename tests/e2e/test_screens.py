"""What a person sees at a terminal, as it was seen before: `golden/screens/*.txt`.

`pytest tests/e2e/test_screens.py --update-goldens` rewrites them; read the diff.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import UPDATE
from tests.screens.scenes import SCENES, stage

_GOLDEN = Path(__file__).parent / "golden" / "screens"


@pytest.mark.parametrize("name", SCENES)
def test_a_screen_is_as_it_was(name: str, pytestconfig: pytest.Config) -> None:
    play, size = SCENES[name]
    with stage(**size) as on:
        play(on)
        on.terminal.settle()
        found = on.smoothed(on.terminal.text)
    path = _GOLDEN / f"{name}.txt"
    if pytestconfig.getoption(UPDATE):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found)
    assert found == path.read_text(), f"{path.name} differs; {UPDATE} rewrites it"

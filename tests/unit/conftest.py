"""Goldens of plans; `--update-goldens` rewrites them, review shows the diff."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import UPDATE

GOLDEN = Path(__file__).parent / "golden"
Golden = Callable[[str, Any], None]


@pytest.fixture
def golden(pytestconfig: pytest.Config) -> Golden:
    """Compare a document with the golden of a name, or write it."""

    def check(name: str, found: Any) -> None:
        path = GOLDEN / f"{name}.json"
        if pytestconfig.getoption(UPDATE, default=False):
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
        expected = json.loads(path.read_text("utf-8"))
        assert found == expected, f"{path.name} differs; {UPDATE} rewrites it"

    return check

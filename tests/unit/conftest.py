"""Goldens: `pytest tests/unit/packaging --update-goldens` rewrites them, review shows the diff."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"
_UPDATE = "--update-goldens"

Golden = Callable[[str, Any], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the option; pytest knows it where it is told this directory or one below."""
    parser.addoption(_UPDATE, action="store_true", help="rewrite tests/unit/golden")


@pytest.fixture
def golden(pytestconfig: pytest.Config) -> Golden:
    """Compare a document with the golden of a name, or write it."""

    def check(name: str, found: Any) -> None:
        path = GOLDEN / f"{name}.json"
        if pytestconfig.getoption(_UPDATE, default=False):
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
        expected = json.loads(path.read_text("utf-8"))
        assert found == expected, f"{path.name} differs; {_UPDATE} rewrites it"

    return check

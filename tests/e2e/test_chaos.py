"""The short form of `python -m tests.chaos`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos import storm

if TYPE_CHECKING:
    from pathlib import Path


def test_after_kills_of_four_verbs_on_one_cache_nothing_is_wrong(tmp_path: Path) -> None:
    report = storm(tmp_path / "home", rounds=32, seed=7)
    assert report.problems == []
    # A fast machine is done with more of them before.
    assert sum(report.killed.values()) > report.rounds // 4

"""What will not fit is refused before the first byte."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from oci_pull.adapters.space import DiskSpace
from oci_pull.errors import NoSpace, NotWritable

RESERVE = 32_000_000
EXABYTE = 10**18


def test_what_fits_is_let_in(tmp_path: Path) -> None:
    free = DiskSpace(tmp_path / "not" / "there").check(1_000_000, 1_000_000)
    assert 0 < free <= shutil.disk_usage(tmp_path).total


@pytest.mark.parametrize("output", [None, "output"])
def test_what_does_not_fit_is_refused_with_both_figures(tmp_path: Path, output: str | None) -> None:
    space = DiskSpace(tmp_path / "cache", tmp_path / output if output else None)
    with pytest.raises(NoSpace, match=r"needs 1000000000\.0 GB") as caught:
        space.check(EXABYTE, 0)
    assert caught.value.needed == EXABYTE
    assert caught.value.free
    assert f"at {tmp_path}" in str(caught.value)
    assert "--cache-dir" in str(caught.value.hint)


def test_a_little_is_kept_free(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    DiskSpace(tmp_path).check(0, 0)
    with pytest.raises(NoSpace):
        DiskSpace(tmp_path).check(free - RESERVE // 2, 0)


def test_an_output_beside_the_cache_needs_no_room_of_its_own(tmp_path: Path) -> None:
    DiskSpace(tmp_path / "cache", tmp_path / "output").check(0, EXABYTE)


def test_an_output_elsewhere_needs_room_for_the_tree(tmp_path: Path, elsewhere: Path) -> None:
    space = DiskSpace(tmp_path, elsewhere / "not-there" / "model")
    space.check(0, 1)
    with pytest.raises(NoSpace, match=f"at {elsewhere}") as caught:
        space.check(0, EXABYTE)
    assert "-o DIR" in str(caught.value.hint)


def test_small_figures_are_told_in_megabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SimpleNamespace(total=10**9, used=0, free=90_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk)
    with pytest.raises(NoSpace, match=r"needs 60\.0 MB, 90\.0 MB free"):
        DiskSpace(tmp_path).check(60_000_000, 0)


def test_a_place_that_cannot_be_written_is_refused() -> None:
    """Even root may not write there."""
    readonly = next((p for p in map(Path, ("/proc/1", "/sys")) if not _is_writable(p)), None)
    if readonly is None:
        pytest.skip("everything can be written")
    with pytest.raises(NotWritable, match=str(readonly)):
        DiskSpace(readonly / "cache").check(0, 0)


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK | os.X_OK)

"""What will not fit is refused before the first byte."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from oci_pull.adapters.space import DiskSpace
from oci_pull.errors import NoSpace, NotWritable
from tests.unit.adapters.support import without_privileges

RESERVE = 32_000_000
EXABYTE = 10**18


def test_what_fits_is_let_in(tmp_path: Path) -> None:
    free = DiskSpace(tmp_path / "not" / "there").check(1_000_000, 1_000_000)
    assert 0 < free <= shutil.disk_usage(tmp_path).total


@pytest.mark.parametrize("output", [None, "output"])
def test_what_does_not_fit_is_refused_with_both_figures(tmp_path: Path, output: str | None) -> None:
    space = DiskSpace(tmp_path / "cache", tmp_path / output if output else None)
    with pytest.raises(NoSpace, match=r"needs 1000000\.0 TB, .* free") as caught:
        space.check(EXABYTE, 0)
    assert caught.value.needed == EXABYTE + RESERVE
    assert caught.value.free
    assert f"at {tmp_path}" in str(caught.value)
    assert "--cache-dir" in str(caught.value.hint)
    assert "--no-space-check" in str(caught.value.hint)


@pytest.fixture
def free(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Every file system says that it has so many bytes left."""
    left: int = request.param
    disk = SimpleNamespace(total=10**12, used=0, free=left)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk)
    return left


@pytest.mark.parametrize(
    ("free", "incoming", "needed"),
    [
        (0, 0, None),
        (1_000_000_000, 968_000_000, None),
        (1_000_000_000, 968_000_001, 1_000_000_001),
        (20_000_000, 10_000_000, None),
        (20_000_000, 10_000_001, 20_000_002),
    ],
    indirect=["free"],
)
def test_a_little_is_kept_free_and_for_a_little_less(
    tmp_path: Path, free: int, incoming: int, needed: int | None
) -> None:
    if needed is None:
        assert DiskSpace(tmp_path).check(incoming, 0) == free
        return
    with pytest.raises(NoSpace) as caught:
        DiskSpace(tmp_path).check(incoming, 0)
    assert (caught.value.needed, caught.value.free) == (needed, free)


@pytest.mark.parametrize("incoming", [0, 500_000_000])
@pytest.mark.parametrize("free", [1_000_000_000], indirect=True)
def test_an_output_beside_the_cache_shares_its_room(
    tmp_path: Path, free: int, incoming: int
) -> None:
    space = DiskSpace(tmp_path / "cache", tmp_path / "output")
    space.check(incoming, free - incoming - RESERVE)
    with pytest.raises(NoSpace) as caught:
        space.check(incoming, free - incoming - RESERVE + 1)
    assert caught.value.needed == free + 1


def test_an_output_elsewhere_needs_room_for_the_tree(tmp_path: Path, elsewhere: Path) -> None:
    space = DiskSpace(tmp_path, elsewhere / "not-there" / "model")
    space.check(0, 1)
    with pytest.raises(NoSpace, match=f"at {elsewhere}") as caught:
        space.check(0, EXABYTE)
    assert "-o DIR" in str(caught.value.hint)


@pytest.mark.parametrize("free", [90_000_000], indirect=True)
def test_small_figures_are_told_in_megabytes(tmp_path: Path, free: int) -> None:
    with pytest.raises(NoSpace, match=r"needs 92\.0 MB, 90\.0 MB free"):
        DiskSpace(tmp_path).check(60_000_000, 0)


@pytest.mark.parametrize("free", [0], indirect=True)
def test_what_the_file_system_says_may_be_wrong(tmp_path: Path, free: int, elsewhere: Path) -> None:
    assert DiskSpace(tmp_path, elsewhere, is_checked=False).check(EXABYTE, EXABYTE) == 0


@pytest.mark.parametrize(
    ("incoming", "tree", "is_elsewhere", "needed"),
    [
        (1000, 0, False, None),
        (1001, 0, False, 1001),
        (400, 600, False, None),
        (400, 601, False, 1001),
        (400, 600, True, None),
        (400, 601, True, 1001),
        (0, 0, True, None),
    ],
)
@pytest.mark.parametrize("is_checked", [True, False])
def test_no_more_than_the_quota_is_written(
    tmp_path: Path,
    elsewhere: Path,
    incoming: int,
    tree: int,
    is_elsewhere: bool,
    needed: int | None,
    is_checked: bool,
) -> None:
    output = (elsewhere if is_elsewhere else tmp_path) / "new" / "model"
    space = DiskSpace(tmp_path / "cache", output, is_checked=is_checked, quota=1000)
    if needed is None:
        assert space.check(incoming, tree) > 0
        return
    with pytest.raises(NoSpace, match="--max-bytes allows") as caught:
        space.check(incoming, tree)
    assert (caught.value.needed, caught.value.free) == (needed, 1000)
    assert "--max-bytes" in str(caught.value.hint)


def test_a_place_that_cannot_be_looked_into_is_refused(open_path: Path) -> None:
    closed = open_path / "closed"
    (closed / "below").mkdir(parents=True)
    closed.chmod(0o000)
    try:
        for space in (DiskSpace(closed / "below"), DiskSpace(open_path, closed / "below" / "out")):
            with without_privileges(), pytest.raises(NotWritable, match=str(closed)):
                space.check(0, 0)
    finally:
        closed.chmod(0o755)


def test_a_place_that_cannot_be_written_is_refused() -> None:
    """Even root may not write there."""
    readonly = next((p for p in map(Path, ("/proc/1", "/sys")) if not _is_writable(p)), None)
    if readonly is None:
        pytest.skip("everything can be written")
    with pytest.raises(NotWritable, match=str(readonly)):
        DiskSpace(readonly / "cache", is_checked=False).check(0, 0)


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK | os.X_OK)

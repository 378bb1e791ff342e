"""Files: written whole or not at all, shared where that works, and what their failures mean."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from oci_pull.adapters.disk import (
    AUTO,
    copy,
    place,
    preallocate,
    remove_tree,
    sync_directory,
    translated,
    write_file,
    writing,
)
from oci_pull.errors import Cancelled, DiskError, NoSpace, NotWritable
from oci_pull.events import Counter
from oci_pull.ports import Cancel
from tests.unit.adapters.support import mode_of, names_below, no_file_beyond

GO_ON = threading.Event()


# --- failures


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.EFBIG, NoSpace),
        (errno.EACCES, NotWritable),
        (errno.EPERM, NotWritable),
        (errno.EROFS, NotWritable),
        (errno.EIO, DiskError),
        (None, DiskError),
    ],
)
def test_what_the_system_says_has_a_class(code: int | None, kind: type[DiskError]) -> None:
    cause = OSError(code, os.strerror(code)) if code else OSError("odd")
    error = translated(cause, Path("/models/x"))
    assert type(error) is kind
    assert "/models/x" in str(error)
    assert bool(error.hint) == (kind is not DiskError)


def test_a_full_disk_is_told_by_the_kernel() -> None:
    full = Path("/dev/full")
    with pytest.raises(NoSpace) as caught, writing(full), full.open("wb", buffering=0) as file:
        file.write(b"x")
    assert isinstance(caught.value.__cause__, OSError)


def test_a_forbidden_place_is_told_by_the_kernel() -> None:
    with pytest.raises(NotWritable, match="/sys/oci-pull"):
        write_file(Path("/sys/oci-pull/file"), b"x")


# --- write_file


@pytest.mark.parametrize("mode", [0o644, 0o444])
def test_a_file_is_written_with_its_directories(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_file(path, b"new", mode)
    assert (path.read_bytes(), mode_of(path)) == (b"new", mode)
    write_file(path, b"newer", mode)
    assert path.read_bytes() == b"newer"
    assert names_below(tmp_path) == {"a/b/file"}


def test_a_failure_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")
    with no_file_beyond(100_000), pytest.raises(NoSpace):
        write_file(path, bytes(200_000))
    assert path.read_bytes() == b"old"
    assert names_below(tmp_path) == {"file"}


def test_what_is_in_the_way_stays(tmp_path: Path) -> None:
    (tmp_path / "file" / "inside").mkdir(parents=True)
    with pytest.raises(DiskError):
        write_file(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    (tmp_path / "plain").touch()
    with pytest.raises(DiskError):
        write_file(tmp_path / "plain" / "below", b"new")


# --- sharing


def _placed(source: Path, target: Path, cancel: Cancel, mode: str = AUTO) -> int:
    placed = Counter()
    place(source, target, cancel, mode, placed=placed)
    return placed.value


def _copied(source: Path, target: Path, cancel: Cancel) -> int:
    copied = Counter()
    copy(source, target, cancel, mode=0o644, copied=copied)
    return copied.value


@pytest.mark.parametrize("mode", ["hardlink", "symlink", "copy", "auto"])
def test_a_placed_file_is_counted_once(tmp_path: Path, mode: str) -> None:
    write_file(tmp_path / "source", bytes(3_000_000), 0o444)
    assert _placed(tmp_path / "source", tmp_path / "target", GO_ON, mode) == 3_000_000


def test_a_placed_file_shares_its_content(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    write_file(source, b"content", 0o444)
    _placed(source, target, GO_ON)
    assert (target.read_bytes(), mode_of(target)) == (b"content", 0o444)
    source.unlink()
    assert target.read_bytes() == b"content"


def test_a_blob_behind_a_linked_cache_is_linked_itself(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    write_file(tmp_path / "cache" / "blob", b"content", 0o444)
    (tmp_path / "link").symlink_to("cache")
    _placed(tmp_path / "link" / "blob", tmp_path / "target", GO_ON)
    assert not (tmp_path / "target").is_symlink()


def test_another_file_system_gets_a_copy(tmp_path: Path, elsewhere: Path) -> None:
    source, target = tmp_path / "source", elsewhere / "target"
    content = bytes(range(256)) * 10_000
    write_file(source, content, 0o444)
    _placed(source, target, GO_ON)
    assert (target.read_bytes(), mode_of(target)) == (content, 0o444)
    assert target.stat().st_nlink == 1


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    write_file(tmp_path / "source", b"new")
    write_file(tmp_path / "target", b"old")
    for share in (_placed, _copied):
        with pytest.raises(FileExistsError):
            share(tmp_path / "source", tmp_path / "target", GO_ON)
    assert (tmp_path / "target").read_bytes() == b"old"


def test_a_copy_is_a_file_of_its_own(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    write_file(source, b"content", 0o444)
    _copied(source, target, GO_ON)
    assert (target.read_bytes(), mode_of(target)) == (b"content", 0o644)
    assert (source.stat().st_nlink, target.stat().st_nlink) == (1, 1)


def test_a_cancel_stops_a_copy(tmp_path: Path) -> None:
    write_file(tmp_path / "source", b"content")
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        _copied(tmp_path / "source", tmp_path / "target", cancel)


# --- preallocation


@pytest.mark.parametrize("size", [0, 1, 10_000_000])
def test_preallocation_gives_the_size(tmp_path: Path, size: int) -> None:
    with (tmp_path / "file").open("wb") as file:
        preallocate(file.fileno(), size)
    assert (tmp_path / "file").stat().st_size == size


def test_preallocation_keeps_what_is_written(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb", buffering=0) as file:
        file.write(b"content")
        preallocate(file.fileno(), 1000)
    assert (tmp_path / "file").read_bytes() == b"content".ljust(1000, b"\0")


def test_preallocation_on_a_full_disk_fails(tmp_path: Path) -> None:
    with (
        no_file_beyond(100_000),
        (tmp_path / "file").open("wb") as file,
        pytest.raises(OSError, match=os.strerror(errno.EFBIG)),
    ):
        preallocate(file.fileno(), 200_000)
    assert (tmp_path / "file").stat().st_size == 0


def test_a_file_that_cannot_be_written_cannot_be_reserved(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (tmp_path / "file").open("rb") as file, pytest.raises(OSError, match="Invalid argument"):
        preallocate(file.fileno(), 1000)


# --- directories


def test_syncing_and_removing_what_is_not_there_is_fine(tmp_path: Path) -> None:
    sync_directory(tmp_path)
    sync_directory(tmp_path / "none")
    sync_directory(Path("/proc"))
    remove_tree(tmp_path / "none")
    (tmp_path / "a" / "b").mkdir(parents=True)
    remove_tree(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []

"""What a file system is said to be, and what is tried on it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oci_pull.adapters.file_system import FileSystem, links
from tests.unit.adapters.support import no_file_beyond, without_privileges

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /data rw - nfs4 server:/data rw
31 30 0:26 / /data/with\\040blank rw - xfs /dev/sdb rw
32 22 0:27 / /proc rw - proc proc rw
33 22 0:28 / /over rw - ext4 /dev/sdc rw
34 33 0:29 / /over rw - tmpfs tmpfs rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "ext4"), ("/proc", "proc"), ("/proc/self", "proc")],
)
def test_the_nearest_mount_counts(tmp_path: Path, path: str, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    # /proc/self is a link to a directory below /proc.
    assert FileSystem.of(Path(path), mounts).kind == kind


@pytest.mark.parametrize(("mount", "kind"), [("/over", "tmpfs"), ("/data/with\\040blank", "xfs")])
def test_the_last_mount_and_names_with_blanks(tmp_path: Path, mount: str, kind: str) -> None:
    directory = tmp_path / "a blank"
    directory.mkdir()
    mounts = tmp_path / "mounts"
    escaped = str(directory).replace(" ", "\\040")
    mounts.write_text(MOUNTS.replace(f" {mount} ", f" {escaped} "))
    assert FileSystem.of(directory / "not" / "there", mounts).kind == kind


def test_where_nobody_says_it_is_not_known(tmp_path: Path) -> None:
    found = FileSystem.of(tmp_path, tmp_path / "none")
    assert found.kind is None
    assert 0 < found.free <= found.size
    assert found.is_writable


def test_what_works_is_tried_and_nothing_stays(tmp_path: Path) -> None:
    works = links(tmp_path)
    assert works["hardlink"]
    assert works["symlink"]
    assert works["copy"]
    assert set(works) == {"reflink", "hardlink", "symlink", "copy"}
    assert not list(tmp_path.iterdir())


def test_what_does_not_work_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "not here")

    monkeypatch.setattr(os, "link", refuse)
    assert not links(tmp_path)["hardlink"]
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_written_nothing_is_tried(open_path: Path) -> None:
    open_path.chmod(0o555)
    with without_privileges():
        assert not FileSystem.of(open_path).is_writable
        with pytest.raises(PermissionError):
            links(open_path)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with no_file_beyond(0), pytest.raises(OSError, match="large"):
        links(tmp_path)
    assert not list(tmp_path.iterdir())

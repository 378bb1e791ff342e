"""Whether the owner of a partial lives."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_pull.adapters.cache.owner import Owner, is_dead, remove_dead, this_host

_ELSEWHERE = Owner("nas+00000000", 7, 1, "ab")
_HOUR = 3600


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        yield process
        process.kill()


def test_a_claim_is_named_after_its_process() -> None:
    mine, again = Owner.new(), Owner.new()
    assert (mine.host, mine.pid, mine.start) == (again.host, again.pid, again.start)
    assert mine.pid == os.getpid()
    assert mine.nonce != again.nonce
    assert Owner.parse(str(mine)) == mine
    assert mine.is_here
    assert mine.describe() == f"pid {os.getpid()} on {this_host().partition('+')[0]}"


@pytest.mark.parametrize(
    "name",
    ["free", "", "host", "host-1-2", "host-x-2-ab", "a/b-1-2-ab", "host-1-2-XY", ".DS_Store"],
)
def test_a_foreign_name_is_no_owner(name: str) -> None:
    assert Owner.parse(name) is None


def test_this_process_runs() -> None:
    assert Owner.new().runs()


def test_another_process_runs_until_it_ends(child: subprocess.Popen[bytes]) -> None:
    owner = Owner(this_host(), child.pid, _start_of(child.pid), "ab")
    assert owner.runs()
    child.kill()
    # A zombie is dead, although its pid is still taken.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not owner.runs()
    child.wait()
    assert not owner.runs()


def test_a_pid_that_is_used_again_is_somebody_else() -> None:
    mine = Owner.new()
    assert not Owner(mine.host, mine.pid, mine.start + 1, mine.nonce).runs()


def test_another_host_is_not_here() -> None:
    mine = Owner.new()
    assert not Owner("elsewhere+00000000", mine.pid, mine.start, "ab").is_here


def test_what_a_killed_run_was_building_is_removed_and_nothing_else(tmp_path: Path) -> None:
    mine = Owner.new()
    dead = Owner(mine.host, 2**22 + 1, 5, "ab")
    kept = {f"tree-{mine}", f"layer-{_ELSEWHERE}", "tree-1234", "edited", "receipt.json"}
    left = {f"tree-{dead}", f"layer-{dead}", f"tree-{dead}.old", f".{dead}", f"lease-{dead}"}
    for name in (*kept, *left):
        (tmp_path / name / "files").mkdir(parents=True)
    (tmp_path / f".pull-{dead}.0123456789ab").write_text("a file")
    remove_dead(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept
    remove_dead(tmp_path / "none")


@pytest.mark.parametrize("name", ["", "files/model.safetensors"])
@pytest.mark.parametrize(("age", "is_left"), [(2 * _HOUR - 600, False), (2 * _HOUR + 600, True)])
def test_whoever_works_elsewhere_is_given_two_hours_without_a_sign_of_work(
    tmp_path: Path, name: str, age: float, is_left: bool
) -> None:
    """A container that was killed has a name space of pids of its own; its disk is not."""
    home = tmp_path / f"tree-{_ELSEWHERE}"
    (home / "files").mkdir(parents=True)
    (home / "files" / "model.safetensors").touch()
    latest = home.stat().st_mtime - age
    for path in (home, home / "files", home / "files" / "model.safetensors"):
        moment = latest if path == home / name else latest - _HOUR
        os.utime(path, (moment, moment))
    assert is_dead(home) == is_left
    remove_dead(tmp_path)
    assert home.exists() != is_left


@pytest.mark.parametrize(
    ("content", "silence", "is_left"),
    [("beats\n", 20, False), ("beats\n", 70, True), ("sha256:12\n", 70, False)],
    ids=["heard of", "silent", "of a release that gave no signs"],
)
def test_whoever_is_heard_of_all_the_time_is_dead_after_a_minute(
    tmp_path: Path, content: str, silence: float, is_left: bool
) -> None:
    home, lease = tmp_path / f"layer-{_ELSEWHERE}", tmp_path / "locks" / f"pull-{_ELSEWHERE}"
    for path, text, age in ((lease, content, silence), (home, "work", _HOUR)):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        moment = path.stat().st_mtime - age
        os.utime(path, (moment, moment))
    assert is_dead(home, locks=lease.parent) == is_left
    assert not is_dead(home, locks=None)


def test_a_clock_that_is_wrong_makes_nobody_dead_and_nobody_immortal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is the clock that writes the times of files."""
    young, old = tmp_path / f"layer-{_ELSEWHERE}", tmp_path / f"tree-{_ELSEWHERE}"
    for path, age in ((young, 60), (old, 3 * _HOUR)):
        path.touch()
        moment = path.stat().st_mtime - age
        os.utime(path, (moment, moment))
    now = time.time()
    for wrong in (now - 24 * _HOUR, now + 24 * _HOUR):
        monkeypatch.setattr("time.time", lambda wrong=wrong: wrong)
        assert is_dead(old)
        assert not is_dead(young)


def test_one_whose_start_nobody_could_tell_is_judged_by_its_silence(tmp_path: Path) -> None:
    left = tmp_path / f"tree-{Owner(this_host(), 2**22 + 1, 0, 'ab')}"
    left.touch()
    assert not is_dead(left)
    os.utime(left, (0, 0))
    assert is_dead(left)


def test_what_a_dead_process_linked_to_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    link = tmp_path / "home" / f"tree-{Owner(this_host(), 2**22 + 1, 5, 'ab')}"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "precious")
    remove_dead(link.parent)
    assert not link.is_symlink()
    assert (tmp_path / "precious").is_dir()


def test_a_host_is_a_name_that_fits_into_a_file_name() -> None:
    assert Owner.parse(f"{this_host()}-1-2-ab")
    assert len(this_host()) < 60


def _start_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])

"""What living processes rely on, as others see it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from oci_pull.adapters.cache.heart import Heart
from oci_pull.adapters.cache.leases import DirectoryLeases, discard, held
from oci_pull.adapters.cache.owner import Owner
from oci_pull.adapters.cache.paths import Cache
from oci_pull.oci.digest import Digest

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")
_DAY = 24 * 3600


@pytest.fixture
def leases(tmp_path: Path) -> DirectoryLeases:
    return DirectoryLeases(Cache(tmp_path), Heart(threading.Event()))


def lease_of(leases: DirectoryLeases, owner: str, content: str) -> Path:
    path = leases.cache.locks / f"pull-{owner}"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    return path


def test_what_is_held_is_seen_until_it_is_let_go(leases: DirectoryLeases) -> None:
    assert held(leases.cache) == frozenset()
    with leases.hold([ONE]), leases.hold([ONE, TWO]):
        assert held(leases.cache) == {ONE, TWO}
    assert held(leases.cache) == frozenset()
    assert list(leases.cache.locks.iterdir()) == []


def test_a_failure_lets_go_as_well(leases: DirectoryLeases) -> None:
    with pytest.raises(KeyError), leases.hold([ONE]):
        raise KeyError
    assert held(leases.cache) == frozenset()


def test_what_is_held_is_young_as_long_as_somebody_is_at_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heart = Heart(threading.Event())
    with DirectoryLeases(Cache(tmp_path), heart).hold([ONE]):
        (lease,) = (tmp_path / "locks").iterdir()
        os.utime(lease, (0, 0))
        later = time.monotonic() + 11
        monkeypatch.setattr("time.monotonic", lambda: later)
        assert not heart.is_set()
        assert lease.stat().st_mtime > 0
        assert lease.read_text().splitlines() == ["beats", str(ONE)]


def test_a_dead_process_holds_nothing_and_its_lease_goes(leases: DirectoryLeases) -> None:
    code = "from oci_pull.adapters.cache.owner import Owner; print(Owner.new(), end='')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    path = lease_of(leases, found.stdout, f"{ONE}\n")
    assert held(leases.cache) == frozenset()
    assert not path.exists()


@pytest.mark.parametrize(("age", "still"), [(_DAY - 600, {ONE}), (_DAY + 600, set())])
def test_a_process_elsewhere_is_believed_to_live_for_a_day(
    leases: DirectoryLeases, age: float, still: set[Digest]
) -> None:
    path = lease_of(leases, "elsewhere+0-12-34-ab", f"{ONE}\n")
    now = path.stat().st_mtime
    os.utime(path, (now - age, now - age))
    assert held(leases.cache) == still
    assert path.exists() == bool(still)


def test_whoever_holds_something_removes_what_the_dead_held(leases: DirectoryLeases) -> None:
    left = lease_of(leases, "elsewhere+0-12-34-ab", f"beats\n{ONE}\n")
    moment = left.stat().st_mtime - _DAY - 600
    os.utime(left, (moment, moment))
    with leases.hold([TWO]):
        assert not left.exists()
    assert list(leases.cache.locks.iterdir()) == []


@pytest.mark.parametrize(("age", "stays"), [(20, True), (70, False)])
def test_whoever_is_last_removes_what_all_have_worked_with(
    tmp_path: Path, age: float, *, stays: bool
) -> None:
    leases = DirectoryLeases(Cache(tmp_path / "cache"), Heart(threading.Event()))
    with leases.hold([ONE]):
        discard(leases.cache)
        assert leases.cache.root.exists()
    other = lease_of(leases, "elsewhere+0-12-34-ab", f"beats\n{ONE}\n")
    moment = other.stat().st_mtime - age
    os.utime(other, (moment, moment))
    discard(leases.cache)
    assert leases.cache.root.exists() == stays
    assert [path.name for path in tmp_path.iterdir()] == ["cache"] * stays


def test_what_is_no_digest_is_passed_over(leases: DirectoryLeases) -> None:
    lease_of(leases, str(Owner.new()), f"garbage\n{TWO}\nsha256:12")
    lease_of(leases, "x", "").rename(leases.cache.locks / "foreign")
    assert held(leases.cache) == {TWO}


def test_where_nothing_can_be_written_nothing_is_held(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    leases = DirectoryLeases(Cache(tmp_path / "file"), Heart(threading.Event()))
    with leases.hold([ONE]):
        assert held(leases.cache) == frozenset()

"""What living processes rely on, as others see it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oci_pull.adapters.cache.leases import DirectoryLeases
from oci_pull.adapters.cache.owner import Owner
from oci_pull.adapters.cache.paths import Cache
from oci_pull.oci.digest import Digest

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")
_DAY = 24 * 3600


@pytest.fixture
def leases(tmp_path: Path) -> DirectoryLeases:
    return DirectoryLeases(Cache(tmp_path))


def lease_of(leases: DirectoryLeases, owner: str, content: str) -> Path:
    path = leases.cache.locks / f"pull-{owner}"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    return path


def test_what_is_held_is_seen_until_it_is_let_go(leases: DirectoryLeases) -> None:
    assert leases.held() == frozenset()
    with leases.hold([ONE]), leases.hold([ONE, TWO]):
        assert leases.held() == {ONE, TWO}
    assert leases.held() == frozenset()
    assert list(leases.cache.locks.iterdir()) == []


def test_a_failure_lets_go_as_well(leases: DirectoryLeases) -> None:
    with pytest.raises(KeyError), leases.hold([ONE]):
        raise KeyError
    assert leases.held() == frozenset()


def test_a_dead_process_holds_nothing_and_its_lease_goes(leases: DirectoryLeases) -> None:
    code = "from oci_pull.adapters.cache.owner import Owner; print(Owner.new(), end='')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    path = lease_of(leases, found.stdout, f"{ONE}\n")
    assert leases.held() == frozenset()
    assert not path.exists()


@pytest.mark.parametrize(("age", "held"), [(_DAY - 600, {ONE}), (_DAY + 600, set())])
def test_a_process_elsewhere_is_believed_to_live_for_a_day(
    leases: DirectoryLeases, age: float, held: set[Digest]
) -> None:
    path = lease_of(leases, "elsewhere+0-12-34-ab", f"{ONE}\n")
    now = path.stat().st_mtime
    os.utime(path, (now - age, now - age))
    assert leases.held() == held
    assert path.exists() == bool(held)


def test_what_is_no_digest_is_passed_over(leases: DirectoryLeases) -> None:
    lease_of(leases, str(Owner.new()), f"garbage\n{TWO}\nsha256:12")
    lease_of(leases, "x", "").rename(leases.cache.locks / "foreign")
    assert leases.held() == {TWO}


def test_where_nothing_can_be_written_nothing_is_held(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    leases = DirectoryLeases(Cache(tmp_path / "file"))
    with leases.hold([ONE]):
        assert leases.held() == frozenset()

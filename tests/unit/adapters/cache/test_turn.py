"""One process at a time, on one machine and on many."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oci_pull.adapters.cache.leases import held
from oci_pull.adapters.cache.owner import Owner, this_host
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.turn import turn
from oci_pull.errors import Busy

if TYPE_CHECKING:
    from oci_pull.ports import Cancel

_ELSEWHERE = Owner("nas+00000000", 7, 1, "ab")
_DEAD = Owner(this_host(), 2**22 + 1, 5, "ab")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


@pytest.fixture
def cancel() -> threading.Event:
    return threading.Event()


def _held(cache: Cache, owner: Owner, silent: float) -> Path:
    """Somebody's turn, who was heard of so long ago (seconds)."""
    path = cache.locks / "warm" / str(owner)
    path.mkdir(parents=True)
    moment = path.stat().st_mtime - silent
    os.utime(path, (moment, moment))
    return path


def test_a_turn_is_for_one_and_ends(cache: Cache, cancel: Cancel) -> None:
    with turn(cache, "warm", cancel):
        with pytest.raises(Busy, match=f"another warm works on this cache: pid {os.getpid()}"):
            turn(cache, "warm", cancel).__enter__()
        with turn(cache, "prune", cancel):
            pass
    with turn(cache, "warm", cancel):
        pass
    assert list(cache.locks.iterdir()) == []


def test_a_dead_process_has_no_turn(cache: Cache, cancel: Cancel) -> None:
    _held(cache, _DEAD, silent=0)
    with turn(cache, "warm", cancel):
        (mine,) = (cache.locks / "warm").iterdir()
        assert mine.name != str(_DEAD)
    assert list(cache.locks.iterdir()) == []


def test_a_file_in_the_place_of_a_turn_is_nobodys(cache: Cache, cancel: Cancel) -> None:
    cache.locks.mkdir()
    (cache.locks / "warm").write_text("")
    with turn(cache, "warm", cancel):
        assert (cache.locks / "warm").is_dir()
    assert list(cache.locks.iterdir()) == []


def test_a_turn_of_who_knows_whom_is_left_alone(cache: Cache, cancel: Cancel) -> None:
    strange = cache.locks / "warm" / "of a newer release"
    strange.mkdir(parents=True)
    with pytest.raises(Busy, match="of a newer release"):
        turn(cache, "warm", cancel).__enter__()
    assert strange.exists()


@pytest.mark.parametrize(("silent", "is_taken"), [(30, False), (90, True)])
def test_one_elsewhere_has_it_until_nothing_is_heard_of_it(
    cache: Cache, cancel: Cancel, silent: float, is_taken: bool
) -> None:
    """A container that was killed says nothing more; its next start cannot see its pid."""
    theirs = _held(cache, _ELSEWHERE, silent)
    if not is_taken:
        with pytest.raises(Busy, match="pid 7 on nas"):
            turn(cache, "warm", cancel).__enter__()
        assert theirs.exists()
        return
    with turn(cache, "warm", cancel):
        (mine,) = (cache.locks / "warm").iterdir()
        # Whoever looks now hears of the new owner.
        assert mine.stat().st_mtime > cache.locks.stat().st_mtime - 30
    assert not theirs.exists()


def test_who_asks_whether_to_stop_is_heard_of(
    cache: Cache, cancel: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    with turn(cache, "warm", cancel) as beating:
        (mine,) = (cache.locks / "warm").iterdir()
        os.utime(mine, (0, 0))
        assert not beating.is_set()
        assert mine.stat().st_mtime == 0
        later = time.monotonic() + 11
        monkeypatch.setattr("time.monotonic", lambda: later)
        assert not beating.is_set()
        assert mine.stat().st_mtime > 0
        cancel.set()
        assert beating.is_set()


def test_a_claim_cut_short_by_a_kill_is_nobodys(cache: Cache) -> None:
    """Killed between the making of `.OWNER` and its rename."""
    code = (
        "import os, pathlib, signal, sys, threading\n"
        "from oci_pull.adapters.cache.paths import Cache\n"
        "from oci_pull.adapters.cache.turn import turn\n"
        "pathlib.Path.rename = lambda *given: os.kill(os.getpid(), signal.SIGKILL)\n"
        "turn(Cache(pathlib.Path(sys.argv[1])), 'warm', threading.Event()).__enter__()\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(cache.root)], check=False)
    assert killed.returncode == -9
    assert len(list(cache.locks.iterdir())) == 1
    held(cache)
    assert list(cache.locks.iterdir()) == []

"""A cache that two users of one group share: a setgid directory and a umask of 002."""

from __future__ import annotations

import os
import random
import signal
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.e2e import isolation
from tests.e2e.disk import assert_sound, digest_of
from tests.e2e.models import MIB, pack_around, put, raw_layer
from tests.fakes.registry import BlobFaults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_GROUP, _ADA, _BOB = 54320, 54321, 54322
_BIG = random.Random(1).randbytes(8 * MIB)


@pytest.fixture
def users(oci_pull: Command) -> Iterator[tuple[Command, Command, Path]]:
    """Two of them, and the directory that is their group's."""
    python = isolation.python_for_everybody()
    if python is None:
        pytest.skip("no Python here that another user can run")
    program, search = python
    with isolation.public_directory() as shared:
        cache = shared / "cache"
        cache.mkdir()
        os.chown(cache, 0, _GROUP)
        cache.chmod(0o2775)

        def user(number: int) -> Command:
            prefix = isolation.as_member(number, _GROUP)
            found = replace(oci_pull, home=shared, program=program, prefix=prefix)
            environment = {"HOME": "", "TMPDIR": "", "PYTHONPATH": search}
            return found.with_env(OCI_PULL_CACHE_DIR=str(cache), **environment)

        yield user(_ADA), user(_BOB), cache


def test_what_one_has_begun_another_goes_on_with(
    registry: FakeRegistry, users: tuple[Command, Command, Path]
) -> None:
    ada, bob, cache = users
    reference = put(registry, pack_around(raw_layer("big.json", _BIG)))
    registry.blob_faults = BlobFaults(cut_after=3 * MIB)
    ada("-j", "1", "--retries", "0", reference, umask=0o002, cwd="/").must_fail(5)
    registry.blob_faults = BlobFaults()
    run = bob("-j", "1", "--format", "json", reference, umask=0o002, cwd="/").must_succeed()
    assert 0 < run.json["fetched"] < 7 * MIB
    assert_sound(cache)
    # A new version of the tag, by the first again: what the second wrote is no obstacle.
    put(registry, pack_around(raw_layer("big.json", b"new" * MIB)))
    path = ada(reference, umask=0o002, cwd="/").path
    assert digest_of(path / "big.json") == digest_of(b"new" * MIB)
    assert bob(reference, umask=0o002, cwd="/").path == path
    bob("cache", "prune", "-y", "--max-size", "1", umask=0o002, cwd="/").must_succeed()
    assert bob("cache", "ls", "--format", "json", cwd="/").json["models"] == []


def test_everything_is_the_groups(
    registry: FakeRegistry, users: tuple[Command, Command, Path]
) -> None:
    ada, _, cache = users
    reference = put(registry, pack_around(raw_layer("big.json", _BIG)))
    ada(reference, umask=0o002, cwd="/").must_succeed()
    for path in cache.rglob("*"):
        found = path.lstat()
        assert found.st_gid == _GROUP, path
        if path.is_dir():
            assert found.st_mode & stat.S_ISGID, path
            assert found.st_mode & stat.S_IWGRP, path


def test_what_one_has_locked_and_left_is_in_nobodys_way(
    registry: FakeRegistry, users: tuple[Command, Command, Path]
) -> None:
    ada, bob, cache = users
    reference = put(registry, pack_around(raw_layer("big.json", _BIG)))
    registry.blob_faults = BlobFaults(stall_after=MIB)
    with ada.start("warm", reference, umask=0o002, cwd="/") as running:
        locks = cache / "locks"
        running.until(lambda: _has_turn_and_lease(locks), "its turn and its lease")
        busy = bob("warm", reference, umask=0o002, cwd="/").must_fail(11)
        assert f"pid {running.process.pid}" in busy.stderr
        running.send(signal.SIGKILL)
        running.wait()
    registry.blob_faults = BlobFaults()
    bob("warm", reference, umask=0o002, cwd="/").must_succeed()
    bob("cache", "prune", "-y", umask=0o002, cwd="/").must_succeed()
    assert list(locks.rglob("*")) == []
    assert_sound(cache)


def _has_turn_and_lease(locks: Path) -> bool:
    names = {path.name for path in locks.iterdir()} if locks.is_dir() else set()
    return "warm" in names and any(name.startswith("pull-") for name in names)

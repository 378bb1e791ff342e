"""What a killed run was building takes no room from the next one, which may be in another place."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oci_pull.adapters.cache.owner import Owner, this_host
from tests import builders
from tests.e2e import isolation
from tests.e2e.disk import assert_tidy, assert_tree, bytes_kept, unfinished
from tests.e2e.models import MIB, archive_layer, model, pack_around, put, raw_layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.content import Content
    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_WEIGHTS: dict[str, Content] = {"big.json": b"[1]" * (5 * MIB)}
_PACKED: dict[str, Content] = {"a.json": b"[2]" * (4 * MIB)}
_FILES: Mapping[str, Content] = {**model(), **_WEIGHTS, **_PACKED}
#: More than the files need alone, and less than they need twice.
_ROOM = 50 * MIB
_DEAD = Owner(this_host(), 2**22 + 1, 5, "ab")
#: As of a container that is gone: pids are not seen through its name space.
_ELSEWHERE = Owner("pod_7+00000000", 1, 5, "ab")
_MINUTE = 60
#: Bytes on disk: more than those of small blobs.
_MUCH = 4 * MIB

pytestmark = pytest.mark.skipif(
    not isolation.private_mounts(), reason="no private mount name space: run as root"
)


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    layers = (raw_layer("big.json", _WEIGHTS["big.json"]), archive_layer(_PACKED, form="tar+gzip"))
    return put(registry, pack_around(*layers))


@pytest.fixture
def disk(oci_pull: Command) -> Iterator[isolation.Disk]:
    with isolation.small_disk(oci_pull.home / "disk", _ROOM) as found:
        yield found


@pytest.fixture
def heavy(registry: FakeRegistry) -> str:
    return put(registry, builders.docker_v02(model(30 * MIB)))


@pytest.fixture
def volume(oci_pull: Command) -> Iterator[isolation.Disk]:
    """Room for the heavy one and what is kept free beside it, and not for two of it."""
    with isolation.small_disk(oci_pull.home / "volume", 70 * MIB) as found:
        yield found


def _leave(directory: Path, name: str, age: float) -> None:
    """Something of half the disk that was last written so long ago (seconds)."""
    file = directory / name / "big.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(_ROOM // 2))
    moment = time.time() - age
    for path in (file, file.parent):
        os.utime(path, (moment, moment))


@pytest.mark.parametrize(
    ("owner", "age"), [(_DEAD, 0.0), (_ELSEWHERE, 11 * _MINUTE)], ids=["here", "elsewhere"]
)
def test_a_copy_that_was_cut_short_makes_room_for_the_next(
    oci_pull: Command, disk: isolation.Disk, reference: str, owner: Owner, age: float
) -> None:
    """An init container that was killed while it copied from the cache to its volume."""
    user = replace(oci_pull, prefix=disk.prefix)
    _leave(disk.seen / "out" / ".oci-pull", f"new-{owner}", age)
    user(reference, "-o", disk.directory / "out").must_succeed()
    assert_tree(disk.seen / "out", _FILES)
    assert not list((disk.seen / "out" / ".oci-pull").glob("new-*"))


@pytest.mark.parametrize("what", ["out", "cache"])
def test_what_a_container_was_making_makes_room_minutes_after_it_was_killed(
    oci_pull: Command, disk: isolation.Disk, reference: str, what: str
) -> None:
    """It was heard of as long as it lived, whatever it waited for."""
    cache, out = disk.seen / "cache", disk.seen / "out"
    user = replace(oci_pull, prefix=disk.prefix).with_env(
        OCI_PULL_CACHE_DIR=str(disk.directory / "cache")
    )
    home = out / ".oci-pull" if what == "out" else cache / "incomplete"
    _leave(home, f"new-{_ELSEWHERE}", 3 * _MINUTE)
    lease = cache / "locks" / f"pull-{_ELSEWHERE}"
    lease.parent.mkdir(parents=True)
    lease.write_text("beats\n")
    user(reference, "-o", disk.directory / "out").must_fail(7)
    then = time.time() - 3 * _MINUTE
    os.utime(lease, (then, then))
    user(reference, "-o", disk.directory / "out").must_succeed()
    assert_tree(out, _FILES)
    assert list(home.glob("new-*")) == []


@pytest.mark.parametrize(
    ("owner", "age"), [(_DEAD, 0.0), (_ELSEWHERE, 121 * _MINUTE)], ids=["here", "elsewhere"]
)
@pytest.mark.parametrize("what", ["tree", "layer"])
def test_what_was_being_unpacked_makes_room_in_the_cache(
    oci_pull: Command, disk: isolation.Disk, reference: str, owner: Owner, age: float, what: str
) -> None:
    cache = disk.directory / "cache"
    user = replace(oci_pull, prefix=disk.prefix).with_env(OCI_PULL_CACHE_DIR=str(cache))
    _leave(disk.seen / "cache" / "incomplete", f"{what}-{owner}", age)
    tree = user(reference).path
    assert_tree(disk.seen / tree.relative_to(disk.directory), _FILES)
    assert_tidy(disk.seen / "cache")


def test_a_plan_and_a_hit_leave_everything_as_it_is(oci_pull: Command, reference: str) -> None:
    oci_pull(reference, "-o", oci_pull.home / "out").must_succeed()
    left = oci_pull.home / "out" / ".oci-pull" / f"new-{_DEAD}"
    left.mkdir()
    oci_pull("plan", reference, "-o", oci_pull.home / "out").must_succeed()
    oci_pull(reference, "-o", oci_pull.home / "out").must_succeed()
    assert left.exists()


def test_one_that_may_be_at_work_elsewhere_is_left_alone(oci_pull: Command, reference: str) -> None:
    out = oci_pull.home / "out"
    _leave(out / ".oci-pull", f"new-{_ELSEWHERE}", 5 * _MINUTE)
    oci_pull(reference, "-o", out).must_succeed()
    assert (out / ".oci-pull" / f"new-{_ELSEWHERE}").exists()


def _pod(disk: isolation.Disk, oci_pull: Command, name: str) -> Command:
    """As in a container of that name, with its cache on the disk."""
    cache = str(disk.directory / "cache")
    return replace(oci_pull, prefix=(*disk.prefix, *isolation.on_host(name))).with_env(
        OCI_PULL_CACHE_DIR=cache
    )


@pytest.mark.skipif(not isolation.IS_ROOT, reason="the name of a host is root's to change")
def test_what_a_killed_container_fetched_takes_its_room_once(
    oci_pull: Command, volume: isolation.Disk, heavy: str, registry: FakeRegistry
) -> None:
    """Its container cannot be seen, so it is moved to new files before anybody goes on with it."""
    cache = volume.seen / "cache"
    with _pod(volume, oci_pull, "pod-1").start("--limit-rate", "4M", heavy) as first:
        first.until(lambda: bytes_kept(cache) > _MUCH, "much of it is on disk")
        first.until(lambda: len(unfinished(cache)) == 1, "all but the weights is here")
        first.send(signal.SIGKILL)
    then = time.time() - 2 * _MINUTE
    for path in cache.glob("partial/**/*"):
        os.utime(path, (then, then))
    volume.fill(leave=18 * MIB)
    second = _pod(volume, oci_pull, "pod-2")
    plan = second("plan", "--format", "json", heavy).json
    assert plan["resumed"] > 0
    done = second("--format", "json", heavy).must_succeed().json
    assert done["fetched"] == plan["fetch"]
    assert_tidy(cache)


@pytest.mark.skipif(not isolation.IS_ROOT, reason="the name of a host is root's to change")
def test_a_container_waits_for_another_where_there_is_room_for_one_copy(
    oci_pull: Command, volume: isolation.Disk, heavy: str, registry: FakeRegistry
) -> None:
    cache = volume.seen / "cache"
    with _pod(volume, oci_pull, "pod-1").start("--limit-rate", "3M", heavy) as first:
        first.until(lambda: bytes_kept(cache) > MIB, "some of it is on disk")
        with _pod(volume, oci_pull, "pod-2").start("--progress", "plain", heavy) as second:
            second.until(lambda: "waiting for pid" in second.stderr, "it says for whom it waits")
            path = second.wait().path
        assert first.wait().path == path
    served = [each for each in registry.find("GET", "blob") if each.status in (200, 206)]
    assert len(served) == len({each.path for each in served}), "nothing was asked for twice"


@pytest.mark.parametrize("extra", [(), ("--no-cache", "-o")], ids=["cache", "no cache"])
def test_what_takes_the_room_and_is_not_needed_is_told_with_what_removes_it(
    oci_pull: Command,
    volume: isolation.Disk,
    heavy: str,
    registry: FakeRegistry,
    extra: tuple[str, ...],
) -> None:
    """The tag moved while its model was half here; nothing but `prune --partials` removes that."""
    out = volume.directory / "out"
    cache = out / ".oci-pull" / "cache" if extra else volume.directory / "cache"
    user = replace(oci_pull, prefix=volume.prefix)
    words: tuple[str | Path, ...] = (*extra, out) if extra else ("--cache-dir", cache)
    seen = volume.seen / cache.relative_to(volume.directory)
    with user.start("--limit-rate", "4M", *words, heavy) as first:
        first.until(lambda: bytes_kept(seen) > MIB, "some of it is on disk")
        first.send(signal.SIGKILL)
    put(registry, builders.docker_v02(model(30 * MIB, seed=1)))
    refused = user(*words, heavy).must_fail(7)
    assert "31.5 MB of unfinished downloads of something else can go\n" in refused.stderr
    prune = ["cache", "prune", "--partials", "--cache-dir", str(cache)]
    assert f"  try: oci-pull {' '.join(prune)} --dry-run\n" in refused.stderr
    user(*prune, "-y").must_succeed()
    user(*words, heavy).must_succeed()

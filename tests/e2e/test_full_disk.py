"""A disk that is full at each write of a run in turn: nothing wrong under a final name, no loss."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.content import digest_of
from tests.e2e import isolation
from tests.e2e.disk import assert_sound, assert_tidy, assert_tree, blob, blobs
from tests.e2e.forks import Forks, forks
from tests.e2e.models import MIB, archive_layer, model, pack_around, put, raw_layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.content import Content
    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_PAGE = 4096
_PACKED: dict[str, Content] = {"a.json": b"[1]" * 3000, "deep/b.json": b"[2]" * 3000}
_RAW = b"[3]" * 5000
_FILES: dict[str, Content] = {**model(), "raw.json": _RAW, **_PACKED}
_PLENTY = (64 * MIB, 10_000)

pytestmark = pytest.mark.skipif(
    not isolation.private_mounts(), reason="no private mount name space: run as root"
)


#: What makes a command line write to no other disk, and where its cache is on that disk.
_LINES = {
    "the cache": ((), "cache"),
    "an output": (("-o", "{disk}/out"), "cache"),
    "the output alone": (("--no-cache", "-o", "{disk}/out"), "out/.oci-pull/cache"),
}


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(
        registry, pack_around(raw_layer("raw.json", _RAW), archive_layer(_PACKED, form="tar+gzip"))
    )


@pytest.fixture
def disk(oci_pull: Command) -> Iterator[isolation.Disk]:
    with isolation.small_disk(oci_pull.home / "disk", _PLENTY[0]) as found:
        yield found


@pytest.fixture
def run(oci_pull: Command, disk: isolation.Disk) -> Iterator[Forks]:
    cache = str(disk.directory / "cache")
    user = replace(oci_pull, prefix=disk.prefix).with_env(
        OCI_PULL_CACHE_DIR=cache, OCI_PULL_NO_SPACE_CHECK="true"
    )
    with forks(user) as found:
        yield found


def _rooms(disk: isolation.Disk, what: str) -> Iterator[int]:
    """Every room that a disk can have, the smallest first; it is empty each time, and has it."""
    for room in range(2, 200):
        for path in disk.seen.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        bytes_, files = disk.used()
        size = bytes_ + room * _PAGE if what == "bytes" else _PLENTY[0]
        disk.resize(size, files + room if what == "files" else _PLENTY[1])
        yield room


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("the cache", "bytes"),
        ("the cache", "files"),
        ("an output", "bytes"),
        ("the output alone", "files"),
    ],
)
def test_a_disk_that_is_full_at_any_write_loses_nothing(
    registry: FakeRegistry, disk: isolation.Disk, run: Forks, reference: str, name: str, what: str
) -> None:
    options, place = _LINES[name]
    words = ["--progress", "plain", *(word.format(disk=disk.directory) for word in options)]
    cache = disk.seen / place
    failed = 0
    for room in _rooms(disk, what):
        first = run(*words, "--format", "json", reference)
        if first.code:
            failed += 1
            first.must_fail(7)
            assert first.json["error"]["code"] == "no_space", (room, first)
            assert "same command" in first.json["error"]["hint"]
        # What a thread was building that was given up goes when something is built again.
        assert_sound(cache, after_kill=bool(first.code))
        disk.resize(*_PLENTY)
        kept = blobs(cache)
        run("cache", "verify", "--cache-dir", disk.directory / place).must_succeed()
        before = len(registry.requests)
        path = run(*words, reference).path
        asked = {each.path.rpartition("/")[2] for each in registry.requests[before:]}
        assert not asked & kept, "what was there was fetched again"
        assert_tree(disk.seen / path.relative_to(disk.directory), _FILES)
        assert_tidy(cache)
        if not first.code and "warning" not in first.stderr:
            break
    assert failed > len(_FILES)


@pytest.mark.parametrize("what", ["bytes", "files"])
def test_a_full_disk_stops_no_run_that_makes_room(
    registry: FakeRegistry, disk: isolation.Disk, run: Forks, reference: str, what: str
) -> None:
    old = put(registry, pack_around(raw_layer("old.json", b"[5]" * MIB)), repository="team/old")
    run(old).must_succeed()
    run(reference).must_succeed()
    listed = disk.seen / "list"
    listed.write_text(f"{reference}\n")
    shutil.rmtree(disk.seen / "cache" / "locks")
    size, files = disk.used()
    disk.resize(size if what == "bytes" else _PLENTY[0], files if what == "files" else _PLENTY[1])
    metrics = disk.directory / "metrics"
    words = ("warm", disk.directory / "list", "--metrics-file", metrics)
    run(*words).must_fail(7)
    assert not (disk.seen / "metrics").exists()
    run(*words, "--max-size", "1MB").must_succeed()
    assert (disk.seen / "metrics").read_text().endswith("oci_pull_failures 0\n")
    assert "team/old" not in run("cache", "ls").must_succeed().stdout
    assert {path.name for path in disk.seen.iterdir()} == {"cache", "list", "metrics"}


def test_a_repair_without_room_says_so_and_goes_on_later(
    registry: FakeRegistry, disk: isolation.Disk, run: Forks, reference: str
) -> None:
    tree = run("--link-mode", "copy", reference).path
    asked = registry.count(kind="blob")
    raw = blob(disk.seen / "cache", digest_of(_RAW))
    raw.chmod(0o644)
    raw.write_bytes(b"[6]")
    size, files = disk.used()
    disk.resize(size, files + 10)
    found = run("cache", "verify", "--repair", "--format", "json").must_fail(7).json
    assert found["error"]["code"] == "no_space"
    disk.resize(*_PLENTY)
    run("cache", "verify", "--repair").must_succeed()
    assert registry.count(kind="blob") == asked
    assert_tree(disk.seen / tree.relative_to(disk.directory), _FILES)
    assert_tidy(disk.seen / "cache")

"""Targets and file systems that say no: which code, and what is left as it was."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.content import digest_of
from tests.e2e import isolation, lookups
from tests.e2e.disk import (
    assert_readable,
    assert_sound,
    assert_tidy,
    assert_tree,
    blobs,
    bytes_kept,
    snapshot,
)
from tests.e2e.models import MIB, archive_layer, model, pack_around, put, weights
from tests.fakes.registry import BlobFaults, FakeRegistry

if TYPE_CHECKING:
    from tests.content import Content
    from tests.e2e.command import Command

_FILES = model()

needs_mounts = pytest.mark.skipif(
    not isolation.private_mounts(), reason="no private mount name space: run as root"
)
needs_modes = pytest.mark.skipif(
    not isolation.obeys_modes(), reason="modes do not stop this user, and there is no setpriv"
)


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(registry, builders.docker_v02(_FILES))


# Targets


def test_a_file_is_no_target(reference: str, registry: FakeRegistry, oci_pull: Command) -> None:
    target = oci_pull.home / "out"
    target.write_text("mine")
    run = oci_pull("--format", "json", "-o", target, reference).must_fail(2)
    assert run.json["error"]["code"] == "target_not_usable"
    assert str(target) in run.stderr
    assert "-o" in run.json["error"]["hint"]
    assert target.read_text() == "mine"
    assert registry.requests == []


def test_a_directory_of_somebody_else_is_no_target(
    reference: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    target = oci_pull.home / "out"
    target.mkdir()
    (target / "config.json").write_text("mine")
    before = snapshot(target)
    run = oci_pull("--format", "json", "-o", target, reference).must_fail(2)
    assert run.json["error"]["code"] == "target_not_usable"
    assert str(target) in run.stderr
    assert snapshot(target) == before
    assert registry.requests == []


def test_a_path_through_a_file_is_no_target(reference: str, oci_pull: Command) -> None:
    (oci_pull.home / "file").write_text("mine")
    run = oci_pull("-o", oci_pull.home / "file" / "out", reference)
    assert run.code in (2, 7)
    run.must_fail(run.code)
    assert (oci_pull.home / "file").read_text() == "mine"


def test_an_empty_directory_and_a_new_one_below_are_targets(
    reference: str, oci_pull: Command
) -> None:
    empty = oci_pull.home / "empty"
    empty.mkdir()
    for target in (empty, oci_pull.home / "new" / "below"):
        assert oci_pull("-o", target, reference).path == target
        assert_tree(target, _FILES)


def test_a_relative_target_is_printed_absolute(reference: str, oci_pull: Command) -> None:
    assert oci_pull("-o", "out", reference).path == oci_pull.home / "out"


def test_a_failure_leaves_an_output_directory_as_it_was(
    registry: FakeRegistry, reference: str, oci_pull: Command
) -> None:
    target = oci_pull.home / "out"
    oci_pull("-o", target, reference).must_succeed()
    before = snapshot(target)
    put(registry, builders.docker_v02(model(seed=1)))
    registry.blob_faults = BlobFaults(corrupt_at=0)
    oci_pull("-o", target, reference).must_fail(8)
    assert snapshot(target) == before
    assert_tree(target, _FILES)


@pytest.mark.parametrize("to_output", [False, True], ids=["cache", "output"])
def test_a_strict_umask_does_not_hide_files(
    to_output: bool, registry: FakeRegistry, oci_pull: Command
) -> None:
    files: dict[str, Content] = {**_FILES, "1_Pooling/config.json": b"{}"}
    reference = put(registry, builders.docker_v02(files))
    words = ("-o", oci_pull.home / "out") if to_output else ()
    path = oci_pull(*words, reference, umask=0o077).path
    assert_readable(path)


# No permission


@needs_modes
def test_a_target_without_permission_is_told_before_the_first_byte(
    reference: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    closed = oci_pull.home / "closed"
    closed.mkdir(mode=0o555)
    user = replace(oci_pull, prefix=isolation.without_privileges())
    run = user("--format", "json", "-o", closed / "out", reference).must_fail(7)
    assert run.json["error"]["code"] == "not_writable"
    assert str(closed) in run.stderr
    assert registry.count(kind="blob") == 0
    assert_sound(oci_pull.cache)


@needs_modes
def test_a_cache_without_permission_is_told_before_the_first_byte(
    reference: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    closed = oci_pull.home / "closed"
    closed.mkdir(mode=0o555)
    user = replace(oci_pull, prefix=isolation.without_privileges())
    run = user("--format", "json", "--cache-dir", closed / "cache", reference).must_fail(7)
    assert run.json["error"]["code"] == "not_writable"
    assert str(closed) in run.stderr
    assert "--cache-dir" in run.stderr
    assert registry.count(kind="blob") == 0


@needs_modes
def test_a_target_that_cannot_be_looked_into_is_told(reference: str, oci_pull: Command) -> None:
    closed = oci_pull.home / "closed"
    closed.mkdir(mode=0o000)
    user = replace(oci_pull, prefix=isolation.without_privileges())
    for target in (closed, closed / "out"):
        user("-o", target, reference).must_fail(7)


@needs_mounts
def test_a_read_only_file_system_is_told(
    reference: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    fixed = oci_pull.home / "fixed"
    fixed.mkdir()
    user = replace(oci_pull, prefix=isolation.read_only(fixed))
    for words in (("-o", fixed / "out"), ("-o", fixed), ("--cache-dir", fixed / "cache")):
        run = user("--format", "json", *words, reference).must_fail(7)
        assert run.json["error"]["code"] == "not_writable"
        assert str(fixed) in run.stderr
    assert registry.count(kind="blob") == 0
    assert list(fixed.iterdir()) == []


# A full disk


@needs_mounts
@pytest.mark.parametrize("option", ["--cache-dir", "-o"])
def test_too_little_space_is_told_before_the_first_byte(
    option: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    reference = put(registry, builders.docker_v02(model(4 * MIB)))
    directory = oci_pull.home / "disk"
    with isolation.small_disk(directory, 2 * MIB) as disk:
        user = replace(oci_pull, prefix=disk.prefix)
        run = user("--format", "json", option, directory / "new", reference).must_fail(7)
        assert list(disk.seen.rglob("model.safetensors")) == []
    error = run.json["error"]
    assert error["code"] == "no_space"
    assert error["needed"] > 4 * MIB > 2 * MIB >= error["free"]
    assert str(directory) in run.stderr
    assert option in run.stderr
    assert registry.count(kind="blob") == 0


@needs_mounts
def test_a_disk_that_fills_up_keeps_what_was_fetched(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    large, middle, small = weights(12 * MIB), b"m" * 4 * MIB, b"s" * 2 * MIB
    files: dict[str, Content] = {**_FILES, "model.safetensors": large}
    files |= {"middle.json": middle, "small.json": small}
    artifact = builders.docker_v02(files)
    reference = put(registry, artifact)
    go_on = threading.Event()
    registry.blob_faults = [
        BlobFaults(stall_after=10 * MIB, only=[digest_of(large)]),
        BlobFaults(hold=go_on, only=[digest_of(middle)]),
    ]
    directory = oci_pull.home / "disk"
    with isolation.small_disk(directory, 80 * MIB) as disk:
        user = replace(oci_pull, prefix=disk.prefix).with_env(
            OCI_PULL_CACHE_DIR=str(directory / "cache")
        )
        cache = disk.seen / "cache"
        with user.start("--jobs", "2", "--format", "json", reference) as running:
            asked = f"blobs/{digest_of(middle)}"
            running.until(
                lambda: (
                    bytes_kept(cache) >= 8 * MIB
                    and any(each.path.endswith(asked) for each in registry.requests)
                ),
                "two blobs are under way",
            )
            disk.fill(leave=MIB)
            go_on.set()
            run = running.wait().must_fail(7)
        assert run.json["error"]["code"] == "no_space"
        assert "what was fetched is kept" in run.json["error"]["facts"]
        assert_sound(cache)
        assert digest_of(middle) in blobs(cache)

        disk.make_room()
        registry.settle()
        registry.blob_faults = []
        rest = user("plan", "--format", "json", reference).json
        assert rest["resumed"] >= 8 * MIB
        before = registry.bytes_served
        path = user(reference).path
        assert registry.bytes_served - before == rest["fetch"] < 7 * MIB
        assert_tree(disk.seen / path.relative_to(directory), files)
        assert_sound(cache)


@needs_mounts
def test_an_archive_that_does_not_fit_unpacked_is_not_fetched_again(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    content = random.Random(0).randbytes(12 * MIB)
    archive = archive_layer({"table.json": content}, form="tar+gzip")
    reference = put(registry, pack_around(archive))
    go_on = threading.Event()
    registry.blob_faults = BlobFaults(hold=go_on, only=[archive.digest])
    directory = oci_pull.home / "disk"
    with isolation.small_disk(directory, 80 * MIB) as disk:
        user = replace(oci_pull, prefix=disk.prefix).with_env(
            OCI_PULL_CACHE_DIR=str(directory / "cache")
        )
        cache = disk.seen / "cache"
        with user.start(reference) as running:
            asked = f"blobs/{archive.digest}"
            running.until(
                lambda: any(each.path.endswith(asked) for each in registry.requests),
                "the archive is asked for",
            )
            disk.fill(leave=2 * MIB)
            go_on.set()
            running.wait().must_fail(7)
        # What a thread was building that was given up goes when something is built again.
        assert_sound(cache, after_kill=True)
        assert not (cache / "layers").exists()

        disk.make_room()
        left = user("plan", reference, "--format", "json").json["fetch"]
        assert left < archive.size, "what came before it was full is kept"
        before = registry.bytes_served
        path = user(reference).path
        assert registry.bytes_served - before < left + MIB
        assert (disk.seen / path.relative_to(directory) / "table.json").read_bytes() == content
        assert_sound(cache)


@pytest.mark.parametrize("seed", range(4))
def test_a_disk_that_is_full_at_any_byte_keeps_what_was_written(
    seed: int, registry: FakeRegistry, oci_pull: Command
) -> None:
    """A disk that promised the room, as those do where nothing can be reserved."""
    files: dict[str, Content] = {**model(20 * MIB, seed=seed), "small.json": b"s" * 3 * MIB}
    artifact = builders.docker_v02(files)
    reference = put(registry, artifact)
    whole = sum(len(bytes(each)) for each in artifact.blobs.values())
    room = random.Random(seed).randrange(whole)
    print(f"seed {seed}: full after {room} of {whole} bytes")
    user = lookups.disk_is_full_after(oci_pull, room)
    run = user("--format", "json", reference).must_fail(7)
    assert lookups.happened(user)
    assert run.json["error"]["code"] == "no_space"
    assert "what was fetched is kept" in run.json["error"]["facts"]
    assert_sound(oci_pull.cache)

    registry.settle()
    rest = oci_pull("plan", "--format", "json", reference).json
    # Of each connection at most that much was not written down yet.
    assert whole - rest["fetch"] >= room - 8 * MIB // 2 - 4096
    before = registry.bytes_served
    path = oci_pull(reference).path
    assert registry.bytes_served - before == rest["fetch"]
    assert_tree(path, files)
    # A thread that was given up on a slow disk may have left the journal of what it completed.
    assert_sound(oci_pull.cache)


@needs_mounts
@pytest.mark.parametrize("seed", range(3))
def test_a_disk_that_is_full_at_any_byte_of_an_archive_is_told(
    seed: int, registry: FakeRegistry, oci_pull: Command
) -> None:
    numbers = random.Random(seed)
    members: dict[str, Content] = {
        f"part-{number}.json": numbers.randbytes(numbers.randrange(MIB)) for number in range(12)
    }
    archive = archive_layer(members, form="tar+gzip")
    reference = put(registry, pack_around(archive))
    directory = oci_pull.home / "disk"
    with isolation.small_disk(directory, 60 * MIB) as disk:
        user = replace(oci_pull, prefix=disk.prefix).with_env(
            OCI_PULL_CACHE_DIR=str(directory / "cache")
        )
        room = numbers.randrange(64 << 10, 2 * archive.size)
        print(f"seed {seed}: full after {room} bytes, archive of {archive.size}")
        disk.fill(leave=room)
        run = user("--no-space-check", "--format", "json", reference).must_fail(7)
        assert run.json["error"]["code"] == "no_space"
        assert_sound(disk.seen / "cache", after_kill=True)

        disk.make_room()
        path = user(reference).path
        for name, content in members.items():
            assert (disk.seen / path.relative_to(directory) / name).read_bytes() == content
        assert_tidy(disk.seen / "cache")


# Homes


def test_without_a_home_the_cache_has_to_be_named(reference: str, oci_pull: Command) -> None:
    homeless = oci_pull.with_env(HOME="")
    run = homeless("--format", "json", reference).must_fail(2)
    assert run.json["error"]["code"] == "invalid_setting"
    assert "--cache-dir" in run.stderr
    assert "--cache-dir" in run.json["error"]["hint"]


@pytest.mark.parametrize("how", ["option", "variable", "xdg"])
def test_without_a_home_a_named_cache_is_enough(
    how: str, reference: str, oci_pull: Command
) -> None:
    cache = oci_pull.home / "elsewhere" / "oci-pull"
    words = ("--cache-dir", cache) if how == "option" else ()
    homeless = oci_pull.with_env(
        HOME="",
        OCI_PULL_CACHE_DIR=str(cache) if how == "variable" else "",
        XDG_CACHE_HOME=str(cache.parent) if how == "xdg" else "",
    )
    path = homeless(*words, reference).path
    assert path.is_relative_to(cache)
    assert_tree(path, _FILES)
    assert_sound(cache)
    assert {each.name for each in oci_pull.home.iterdir()} == {"elsewhere", "tmp"}


def test_nothing_is_written_outside_of_the_cache_and_the_output(
    reference: str, oci_pull: Command
) -> None:
    oci_pull(reference).must_succeed()
    oci_pull("-o", oci_pull.home / "out", reference).must_succeed()
    assert {each.name for each in oci_pull.home.iterdir()} == {".cache", "out", "tmp"}
    assert [each.name for each in (oci_pull.home / ".cache").iterdir()] == ["oci-pull"]
    assert list(oci_pull.temporary.iterdir()) == []


def test_a_user_without_account_or_home_pulls_from_a_read_only_root(
    reference: str, oci_pull: Command
) -> None:
    """As an init container of Kubernetes does."""
    python = isolation.python_for_everybody()
    if python is None:
        pytest.skip("no Python here that another user can run")
    program, search = python
    with isolation.public_directory() as shared:
        cache, target = shared / "cache", shared / "out"
        stranger = replace(
            oci_pull, home=shared, program=program, prefix=isolation.as_stranger()
        ).with_env(HOME="", TMPDIR="", PYTHONPATH=search)
        run = stranger("--cache-dir", cache, "-o", target, reference, cwd="/")
        assert run.path == target
        assert_tree(target, _FILES)
        assert_sound(cache)
        assert target.stat().st_uid == isolation.STRANGER


def test_a_user_without_account_reads_what_another_user_pulled(
    reference: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    python = isolation.python_for_everybody()
    if python is None:
        pytest.skip("no Python here that another user can run")
    program, search = python
    with isolation.public_directory() as shared:
        cache = shared / "cache"
        path = oci_pull("--cache-dir", cache, reference).path
        before = snapshot(cache)
        stranger = replace(
            oci_pull, home=shared, program=program, prefix=isolation.as_stranger()
        ).with_env(HOME="", TMPDIR="", PYTHONPATH=search)
        requests = len(registry.requests)
        run = stranger("--cache-dir", cache, reference, cwd="/")
        assert run.path == path
        assert "Up to date" in run.stderr
        assert len(registry.requests) == requests + 1
        assert snapshot(cache) == before

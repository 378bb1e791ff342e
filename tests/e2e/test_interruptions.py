"""Stopped in the middle, by whatever: no fetched byte is lost; and two at once on one thing."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_sound, assert_tree, bytes_kept, names_of, unfinished
from tests.e2e.models import MIB, archive_layer, model, pack_around, put
from tests.fakes.registry import (
    Auth,
    BlobFaults,
    FakeRegistry,
    ManifestFaults,
    ServerFaults,
    TokenFaults,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.content import Content
    from tests.e2e.command import Command, Running

_SIZE = 24 * MIB
_STALL = 20 * MIB
#: What is on disk of the weights when somebody is stopped, at least.
_KEPT = 8 * MIB
_PROMPT = 9.0
"""Seconds from Ctrl-C to the end: the promise is two, and nothing that it could wait for is over
as early, however busy this machine is."""


@dataclass(frozen=True)
class _Large:
    """A model in the registry with weights of `_SIZE` bytes."""

    files: Mapping[str, Content]
    reference: str
    weights: str  # their digest
    blobs: int  # the bytes of all blobs


@pytest.fixture
def large(registry: FakeRegistry) -> _Large:
    files = model(_SIZE)
    artifact = builders.docker_v02(files)
    document = artifact.document
    weights = max(document["layers"], key=lambda layer: int(layer["size"]))
    total = sum(int(each["size"]) for each in (document["config"], *document["layers"]))
    return _Large(files, put(registry, artifact), weights["digest"], total)


def _stall(registry: FakeRegistry, large: _Large) -> None:
    """The server falls silent in the middle of the weights, and stays connected."""
    registry.blob_faults = BlobFaults(stall_after=_STALL, only=[large.weights])


def _wait_until_stalled(
    running: Running, oci_pull: Command, registry: FakeRegistry, large: _Large
) -> None:
    """Everything small is complete, and some of the weights is safely on disk."""
    small = large.blobs - len(bytes(large.files["model.safetensors"]))

    def is_stalled() -> bool:
        # What a server has sent may be in the kernel's hands, all of it.
        return (
            registry.bytes_served >= small + _STALL
            and bytes_kept(oci_pull.cache) >= _KEPT
            and unfinished(oci_pull.cache) == {large.weights}
        )

    running.until(is_stalled, "the server fell silent")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGKILL, -signal.SIGKILL),
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
    ],
    ids=["kill", "ctrl-c", "terminate"],
)
def test_after_an_interruption_only_the_rest_is_fetched(
    number: signal.Signals, code: int, registry: FakeRegistry, oci_pull: Command, large: _Large
) -> None:
    _stall(registry, large)
    with oci_pull.start(large.reference) as running:
        _wait_until_stalled(running, oci_pull, registry, large)
        running.send(number)
        stopped = running.wait()
    assert stopped.code == code
    assert stopped.stdout == ""
    assert "Traceback" not in stopped.stderr
    assert_sound(oci_pull.cache, after_kill=number == signal.SIGKILL)

    registry.settle()
    rest = oci_pull("plan", "--format", "json", large.reference).json
    assert rest["resumed"] >= _KEPT
    assert rest["fetch"] + rest["resumed"] + rest["reused"] == large.blobs

    registry.blob_faults = []
    before = registry.bytes_served
    again = oci_pull("--format", "json", large.reference).must_succeed()
    assert registry.bytes_served - before == rest["fetch"]
    assert again.json["fetched"] == rest["fetch"]
    assert again.json["reused"] == large.blobs - rest["fetch"]
    assert "resum" in again.stderr or "already here" in again.stderr
    assert_tree(Path(again.json["path"]), large.files)
    assert_sound(oci_pull.cache)
    assert not list((oci_pull.cache / "partial").iterdir())


def test_a_partial_whose_bytes_were_damaged_meanwhile_starts_over(
    registry: FakeRegistry, oci_pull: Command, large: _Large
) -> None:
    _stall(registry, large)
    with oci_pull.start(large.reference) as running:
        _wait_until_stalled(running, oci_pull, registry, large)
        running.send(signal.SIGKILL)
        running.wait()
    data = next(oci_pull.cache.glob("partial/*/*/data"))
    with data.open("r+b") as file:
        file.seek(MIB)
        file.write(b"a bad disk")
    registry.blob_faults = []
    assert_tree(oci_pull(large.reference).path, large.files)
    assert_sound(oci_pull.cache)


def test_a_partial_without_its_journal_starts_over(
    registry: FakeRegistry, oci_pull: Command, large: _Large
) -> None:
    _stall(registry, large)
    with oci_pull.start(large.reference) as running:
        _wait_until_stalled(running, oci_pull, registry, large)
        running.send(signal.SIGKILL)
        running.wait()
    next(oci_pull.cache.glob("partial/*/*/journal")).write_bytes(b"\xff" * 33)
    registry.blob_faults = []
    assert_tree(oci_pull(large.reference).path, large.files)
    assert_sound(oci_pull.cache)


# Ctrl-C, wherever it is


def _in_the_manifest(registry: FakeRegistry) -> None:
    registry.manifest_faults = ManifestFaults(hold=threading.Event())


def _in_the_token(registry: FakeRegistry) -> None:
    registry.auth = Auth()
    registry.token_faults = TokenFaults(hold=threading.Event())


def _before_a_blob(registry: FakeRegistry) -> None:
    registry.blob_faults = BlobFaults(hold=threading.Event())


def _in_a_blob(registry: FakeRegistry) -> None:
    registry.blob_faults = BlobFaults(stall_after=100)


def _between_two_tries(registry: FakeRegistry) -> None:
    registry.server_faults = ServerFaults(status=503, retry_after=120)


def _waiting_out_a_limit(registry: FakeRegistry) -> None:
    registry.blob_faults = BlobFaults(status=429, retry_after=120)


@pytest.mark.parametrize(
    ("arrange", "kind"),
    [
        pytest.param(_in_the_manifest, "manifest", id="in-the-manifest"),
        pytest.param(_in_the_token, "token", id="in-the-token"),
        pytest.param(_before_a_blob, "blob", id="before-a-blob"),
        pytest.param(_in_a_blob, "blob", id="in-a-blob"),
        pytest.param(_between_two_tries, "manifest", id="between-two-tries"),
        pytest.param(_waiting_out_a_limit, "blob", id="waiting-out-a-limit"),
    ],
)
def test_ctrl_c_ends_it_whatever_it_waits_for(
    arrange: Callable[[FakeRegistry], None], kind: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    reference = put(registry, builders.docker_v02(model()))
    arrange(registry)
    with oci_pull.start(reference) as running:
        running.until(lambda: any(each.kind == kind for each in registry.requests), "it asked")
        sent = time.monotonic()
        running.send(signal.SIGINT)
        stopped = running.wait()
        assert time.monotonic() - sent < _PROMPT
    assert stopped.code == 130
    assert stopped.stdout == ""
    assert "kept" in stopped.stderr
    assert str(oci_pull.cache) in stopped.stderr
    assert "error" not in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert_sound(oci_pull.cache)


def test_a_cancel_in_json_is_an_error_object(registry: FakeRegistry, oci_pull: Command) -> None:
    reference = put(registry, builders.docker_v02(model()))
    _before_a_blob(registry)
    with oci_pull.start("--format", "json", reference) as running:
        running.until(lambda: registry.count(kind="blob"), "it asked")
        running.send(signal.SIGTERM)
        stopped = running.wait()
    assert stopped.code == 143
    assert (stopped.json["error"]["code"], stopped.json["error"]["exit"]) == ("terminated", 143)
    assert stopped.json["error"]["retryable"]


def test_ctrl_c_stops_the_references_behind_it_too(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    first = put(registry, builders.docker_v02(model()))
    second = put(registry, builders.docker_v02(model(seed=1)), repository="team/second")
    _before_a_blob(registry)
    with oci_pull.start(first, second) as running:
        running.until(lambda: registry.count(kind="blob"), "it asked")
        running.send(signal.SIGINT)
        assert running.wait().code == 130
    assert not [each for each in registry.requests if "team/second" in each.path]


def test_what_a_killed_run_was_unpacking_is_gone_after_the_next(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    # So large that it is unpacked while it comes; and it does not, or it would soon be done.
    many = {f"part-{number}.json": b"%d" % number for number in range(600)}
    archive = archive_layer({**many, "the-rest.json": bytes(12 * MIB)})
    reference = put(registry, pack_around(archive))
    registry.blob_faults = BlobFaults(stall_after=archive.size // 2, only=[archive.digest])
    incomplete = oci_pull.cache / "incomplete"
    with oci_pull.start(reference) as running:
        running.until(lambda: incomplete.is_dir() and any(incomplete.iterdir()), "it unpacks")
        running.send(signal.SIGKILL)
        assert running.wait().code == -signal.SIGKILL
    registry.blob_faults = []
    assert_sound(oci_pull.cache, after_kill=True)
    assert names_of(oci_pull(reference).path) >= set(many)
    # 50 GB of files that nobody will ever look at would stay on the disk.
    assert_sound(oci_pull.cache)


# Two at once


def _asked_for(registry: FakeRegistry, digest: str) -> bool:
    return any(each.path.endswith(digest) for each in registry.find("GET", "blob"))


def test_two_processes_on_one_reference_fetch_the_bytes_once(
    registry: FakeRegistry, oci_pull: Command, large: _Large
) -> None:
    go_on = threading.Event()
    registry.blob_faults = BlobFaults(hold=go_on, only=[large.weights])
    with oci_pull.start(large.reference) as first:
        first.until(lambda: _asked_for(registry, large.weights), "the first one has the weights")
        with oci_pull.start("--progress", "plain", large.reference) as second:
            second.until(lambda: "waiting for" in second.stderr, "the second one waits")
            assert f"pid {first.process.pid}" in second.stderr
            go_on.set()
            paths = {first.wait().path, second.wait().path}
    assert registry.bytes_served == large.blobs
    assert len(paths) == 1
    assert_tree(paths.pop(), large.files)
    assert_sound(oci_pull.cache)


def test_a_crowd_on_one_cold_cache_fetches_the_bytes_once(
    registry: FakeRegistry, oci_pull: Command, large: _Large
) -> None:
    with ExitStack() as stack:
        crowd = [stack.enter_context(oci_pull.start(large.reference)) for _ in range(5)]
        paths = {running.wait().path for running in crowd}
    assert registry.bytes_served == large.blobs
    assert len(paths) == 1
    assert_tree(paths.pop(), large.files)
    assert_sound(oci_pull.cache)


def test_who_waits_takes_over_from_who_is_killed(
    registry: FakeRegistry, oci_pull: Command, large: _Large
) -> None:
    _stall(registry, large)
    with oci_pull.start(large.reference) as first:
        _wait_until_stalled(first, oci_pull, registry, large)
        with oci_pull.start("--progress", "plain", large.reference) as second:
            second.until(lambda: "waiting for" in second.stderr, "the second one waits")
            registry.blob_faults = []
            before = registry.bytes_served
            first.send(signal.SIGKILL)
            path = second.wait().path
    assert registry.bytes_served - before <= _SIZE - _KEPT
    assert_tree(path, large.files)
    assert_sound(oci_pull.cache)


def test_who_waits_too_long_is_told_who_has_it(
    registry: FakeRegistry, oci_pull: Command, large: _Large
) -> None:
    _stall(registry, large)
    with oci_pull.start(large.reference) as first:
        _wait_until_stalled(first, oci_pull, registry, large)
        run = oci_pull("--lock-timeout", "100ms", "--format", "json", large.reference)
        assert run.must_fail(11).json["error"]["code"] == "busy"
        assert f"pid {first.process.pid}" in run.stderr


def test_two_processes_fill_one_output_directory(
    registry: FakeRegistry, oci_pull: Command, large: _Large
) -> None:
    target = oci_pull.home / "out"
    with (
        oci_pull.start("-o", target, large.reference) as first,
        oci_pull.start("-o", target, large.reference) as second,
    ):
        assert {first.wait().path, second.wait().path} == {target}
    assert names_of(target) == set(large.files)
    assert oci_pull("-o", target, large.reference).path == target
    assert_tree(target, large.files)

"""Ctrl-C and SIGTERM, whatever the connections are doing: an end in a moment, and one line."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oci_pull.adapters.cache.journal import Journal
from oci_pull.oci.ranges import Span
from tests import builders
from tests.e2e import lookups
from tests.e2e.command import PATH, until
from tests.e2e.disk import assert_sound, blob, digest_of, found_now
from tests.e2e.models import MIB, archive_layer, model, pack_around, put
from tests.e2e.ports import silence, unreachable
from tests.fakes.registry import (
    Auth,
    BlobFaults,
    FakeRegistry,
    Redirects,
    ServerFaults,
    TokenFaults,
)
from tests.servers.process import HOST

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.command import Command, Running

#: Seconds. The promise is two; this machine may be busy, and no wait that is cut short is as short.
_PROMPT = 9.0
#: How TLS begins.
_HELLO = b"\x16"
_MANY = {f"part-{number}.json": b"%d" % number for number in range(20)}


@dataclass(frozen=True)
class Scene:
    """A command line that does not end by itself."""

    user: Command
    words: tuple[str, ...]
    #: Whether it is where it should be when the signal comes.
    is_there: Callable[[Running], object]


def _connecting_to(port: int) -> int:
    """How many sockets of this machine wait for an answer to their SYN from there."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(line[3] == "02" and int(line[2].partition(":")[2], 16) == port for line in lines)


# Scenes


def _connecting(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    port = stack.enter_context(unreachable())
    before = _connecting_to(port)
    words = ("--plain-http", f"{HOST}:{port}/team/model:v1")
    return Scene(user, words, lambda _: _connecting_to(port) > before)


def _connecting_for_many_blobs(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    port = stack.enter_context(unreachable())
    before = _connecting_to(port)
    registry.redirects = Redirects(location=f"http://{HOST}:{port}/blob")
    reference = put(registry, builders.docker_v02({**model(), **_MANY}))
    return Scene(user, (reference,), lambda _: _connecting_to(port) >= before + 8)


def _shaking_hands(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    port = stack.enter_context(silence())
    reference = f"{HOST}:{port.number}/team/model:v1"
    return Scene(user, (reference,), lambda _: port.received and port.received[0][:1] == _HELLO)


def _shaking_many_hands(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    port = stack.enter_context(silence())
    registry.redirects = Redirects(location=f"https://{HOST}:{port.number}/blob")
    reference = put(registry, builders.docker_v02({**model(), **_MANY}))
    return Scene(user, (reference,), lambda _: port.accepted >= 8 and port.received)


def _not_answered(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    port = stack.enter_context(silence())
    words = ("--plain-http", f"{HOST}:{port.number}/team/model:v1")
    return Scene(user, words, lambda _: port.received)


def _many_not_answered(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    registry.blob_faults = BlobFaults(hold=threading.Event())
    reference = put(registry, builders.docker_v02({**model(), **_MANY}))
    return Scene(user, (reference,), lambda _: registry.count("GET", "blob") >= 8)


def _many_stalled(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    files = {
        f"model-{number}.safetensors": builders.safetensors({str(number): ((2**22,), bytes(2**24))})
        for number in range(3)
    }
    registry.blob_faults = BlobFaults(stall_after=9 * MIB)
    reference = put(registry, builders.docker_v02({**model(), **_MANY, **files}))
    return Scene(user, (reference,), lambda _: registry.bytes_served >= 27 * MIB)


def _many_dripping(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    registry.blob_faults = BlobFaults(drip_after=0, drip_interval=1.0)
    reference = put(registry, builders.docker_v02({**model(), **_MANY}))
    return Scene(user, (reference,), lambda _: registry.bytes_served >= 4)


def _waiting_for_a_token(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    registry.auth = Auth()
    registry.token_faults = TokenFaults(hold=threading.Event())
    reference = put(registry, builders.docker_v02(model()))
    return Scene(user, (reference,), lambda _: registry.count(kind="token"))


def _many_waiting_for_a_token(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    # The first is good for the manifest; then the blobs need another one.
    registry.auth = Auth()
    registry.token_faults = [TokenFaults(uses=1, times=1), TokenFaults(hold=threading.Event())]
    reference = put(registry, builders.docker_v02({**model(), **_MANY}))
    return Scene(user, (reference,), lambda _: registry.count(kind="token") >= 2)


def _told_to_come_later(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    registry.server_faults = ServerFaults(status=503, retry_after=60)
    reference = put(registry, builders.docker_v02(model()))
    return Scene(user, (reference,), lambda _: registry.count(kind="manifest", status=503))


def _many_told_to_come_later(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    registry.blob_faults = BlobFaults(status=429, retry_after=60)
    reference = put(registry, builders.docker_v02({**model(), **_MANY}))
    return Scene(user, (reference,), lambda _: registry.count("GET", "blob", status=429))


def _looking_up(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    user = lookups.look_up_hangs(user)
    words = ("--plain-http", f"{lookups.NAME}/team/model:v1")
    return Scene(user, words, lambda _: lookups.happened(user))


def _many_looking_up(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    user = lookups.look_up_hangs(user)
    registry.redirects = Redirects(location=f"http://{lookups.NAME}/blob")
    reference = put(registry, builders.docker_v02({**model(), **_MANY}))
    return Scene(user, (reference,), lambda _: len(lookups.happened(user)) >= 8)


def _limited(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    reference = put(registry, builders.docker_v02({**model(MIB), **_MANY}))
    words = ("--limit-rate", "1K", reference)
    return Scene(user, words, lambda _: registry.bytes_served >= 4096)


def _hashing(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    """All but the end of a blob of 16 GB is here, as a hole."""
    size = 16 << 30
    weights = user.home / "weights"
    weights.touch()
    os.truncate(weights, size)
    artifact = builders.docker_v02(model())
    document = artifact.document
    layer = max(document["layers"], key=lambda each: int(each["size"]))
    layer["size"] = size
    layer["digest"] = digest = f"sha256:{'5' * 64}"
    manifest = json.dumps(document).encode()
    registry.put(
        "team/model", "v1", manifest, artifact.media_type, {**artifact.blobs, digest: weights}
    )
    registry.blob_faults = BlobFaults(hold=threading.Event(), only=[digest])
    left = user.cache / "partial" / ("5" * 64) / "free"
    left.mkdir(parents=True)
    (left / "data").touch()
    os.truncate(left / "data", size)
    journal = Journal(left / "journal", "5" * 64, size)
    journal.add(Span(0, size - MIB))
    journal.close()
    words = ("--no-space-check", f"{registry.address}/team/model:v1")
    return Scene(user, words, lambda running: _read_by(running) > 64 * MIB)


def _read_by(running: Running) -> int:
    """The bytes that a process has read so far."""
    lines = Path(f"/proc/{running.process.pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("rchar"))


_ARCHIVE = archive_layer({f"part-{number}.json": b"%d" % number for number in range(30_000)})


def _unpacking(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    reference = put(registry, pack_around(_ARCHIVE))
    # However late the signal comes, it is not done.
    weights = digest_of(model()["model.safetensors"])
    registry.blob_faults = BlobFaults(hold=threading.Event(), only=[weights])

    def is_there(_: Running) -> object:
        made = found_now(user.cache, "incomplete/*/files/*")
        return len(made) > 50 or found_now(user.cache, "layers/*")

    return Scene(user, (reference,), is_there)


def _unpacking_what_is_here(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    here = blob(user.cache, _ARCHIVE.digest)
    here.parent.mkdir(parents=True)
    here.write_bytes(bytes(_ARCHIVE.content))
    here.chmod(0o444)
    return _unpacking(registry, user, stack)


def _waiting_for_another(registry: FakeRegistry, user: Command, stack: ExitStack) -> Scene:
    reference = put(registry, builders.docker_v02(model()))
    registry.blob_faults = BlobFaults(hold=threading.Event())
    other = stack.enter_context(user.start(reference))
    other.until(lambda: registry.count("GET", "blob") >= 3, "the other one has all of it")
    words = ("--progress", "plain", reference)
    return Scene(user, words, lambda running: "waiting for" in running.stderr)


_SCENES = {
    scene.__name__.removeprefix("_").replace("_", "-"): scene
    for scene in (
        _connecting,
        _connecting_for_many_blobs,
        _shaking_hands,
        _shaking_many_hands,
        _not_answered,
        _many_not_answered,
        _many_stalled,
        _many_dripping,
        _waiting_for_a_token,
        _many_waiting_for_a_token,
        _told_to_come_later,
        _many_told_to_come_later,
        _looking_up,
        _many_looking_up,
        _limited,
        _hashing,
        _unpacking,
        _unpacking_what_is_here,
        _waiting_for_another,
    )
}


_CASES = [pytest.param(scene, signal.SIGINT, id=name) for name, scene in _SCENES.items()]
_CASES += [
    pytest.param(_many_not_answered, signal.SIGTERM, id="many-not-answered-terminate"),
    pytest.param(_looking_up, signal.SIGTERM, id="looking-up-terminate"),
]


@pytest.mark.parametrize(("arrange", "number"), _CASES)
def test_a_signal_ends_it_at_once(
    arrange: Callable[[FakeRegistry, Command, ExitStack], Scene],
    number: signal.Signals,
    registry: FakeRegistry,
    oci_pull: Command,
) -> None:
    with ExitStack() as stack:
        scene = arrange(registry, oci_pull, stack)
        with scene.user.start(*scene.words) as running:
            running.until(lambda: scene.is_there(running), "it is there")
            sent = time.monotonic()
            running.send(number)
            stopped = running.wait()
            seconds = time.monotonic() - sent
    print(f"{seconds:.2f} s")
    assert seconds < _PROMPT
    assert stopped.code == 128 + number
    assert stopped.stdout == ""
    last = stopped.stderr.splitlines()[-1]
    assert "kept" in last
    assert stopped.stderr.count("kept") == 1
    assert "error" not in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert_sound(oci_pull.cache, after_kill=True)


# Twice


def test_the_second_ctrl_c_ends_it_whatever_the_first_one_waits_for(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    registry.blob_faults = BlobFaults(hold=threading.Event())
    reference = put(registry, builders.docker_v02({**model(), **_MANY}))
    reader, full = os.pipe()
    with (
        os.fdopen(reader, "rb"),
        os.fdopen(full, "wb", buffering=0),
        oci_pull.start("-q", reference, stderr=full) as running,
    ):
        running.until(lambda: registry.count("GET", "blob") >= 8, "it asked")
        _fill(full)
        running.send(signal.SIGINT)
        until(lambda: _hangs_in_a_pipe(running.process.pid), "it cannot say what is kept")
        running.send(signal.SIGINT)
        assert running.wait().code == 130
    assert_sound(oci_pull.cache)


def _fill(pipe: int) -> None:
    """Write until not a byte more fits."""
    os.set_blocking(pipe, False)
    for size in (4096, 1):
        with suppress(BlockingIOError):
            while os.write(pipe, b"x" * size):
                pass
    os.set_blocking(pipe, True)


def _hangs_in_a_pipe(pid: int) -> bool:
    """Whether its first thread waits for somebody to read what it writes."""
    return "pipe" in Path(f"/proc/{pid}/wchan").read_text()


# Helpers


@pytest.mark.parametrize("words", [(), ("doctor",)], ids=["pull", "doctor"])
def test_a_credential_helper_that_hangs_is_gone_after_ctrl_c(
    words: tuple[str, ...], registry: FakeRegistry, oci_pull: Command
) -> None:
    reference = put(registry, builders.docker_v02(model()))
    registry.auth = Auth()
    programs, pids = oci_pull.home / "bin", oci_pull.home / "pids"
    programs.mkdir()
    helper = programs / "docker-credential-h"
    # With a child of its own, which waits as it does.
    helper.write_text(f"#!/bin/sh\nsleep 600 &\necho $$ $! >{pids}\nwait\n")
    helper.chmod(0o755)
    config = oci_pull.home / ".docker/config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"credsStore": "h"}))
    user = oci_pull.with_env(PATH=f"{programs}:{PATH}")
    with user.start(*words, reference) as running:
        running.until(lambda: pids.exists() and pids.read_text().endswith("\n"), "it is asked")
        running.send(signal.SIGINT)
        assert running.wait().code == 130
    for pid in map(int, pids.read_text().split()):
        until(lambda pid=pid: not _runs(pid), f"{pid} is gone")  # type: ignore[misc]


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"

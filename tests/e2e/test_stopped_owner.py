"""A process that is stopped (Ctrl-Z, a debugger, a frozen container) still owns what it fetches."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e import isolation
from tests.e2e.command import until
from tests.e2e.disk import assert_sound, assert_tree, bytes_kept
from tests.e2e.models import MIB, model, put

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.content import Content
    from tests.e2e.command import Command, Running
    from tests.fakes.registry import FakeRegistry

_FILES: dict[str, Content] = model(16 * MIB)
#: Seconds since anything was heard of the owner: more than enough to count as dead elsewhere.
_SILENCE = 3600


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(registry, builders.docker_v02(_FILES))


@contextmanager
def _stopped(oci_pull: Command, reference: str) -> Iterator[Running]:
    """A process that was stopped in the middle of the weights, and has not been heard of since."""
    before = bytes_kept(oci_pull.cache)
    with oci_pull.start("--limit-rate", "3M", reference) as running:
        running.until(lambda: bytes_kept(oci_pull.cache) > before + MIB, "more of it is on disk")
        running.send(signal.SIGSTOP)
        until(lambda: _states(running.process.pid) == {"T"}, "it is stopped")
        assert list(oci_pull.cache.glob("partial/*/*/data"))
        then = time.time() - _SILENCE
        for path in oci_pull.cache.glob("partial/**/*"):
            os.utime(path, (then, then))
        yield running


def _states(pid: int) -> set[str]:
    """Of all its threads: one of them may be about to write yet."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return {(each / "stat").read_text().rpartition(")")[2].split()[0] for each in threads}


def test_who_is_stopped_is_waited_for_and_goes_on(
    registry: FakeRegistry, oci_pull: Command, reference: str
) -> None:
    with (
        _stopped(oci_pull, reference) as first,
        oci_pull.start("--progress", "plain", reference) as second,
    ):
        second.until(lambda: "waiting for" in second.stderr, "the second one waits")
        assert f"pid {first.process.pid}" in second.stderr
        first.send(signal.SIGCONT)
        paths = {first.wait().path, second.wait().path}
    assert len(paths) == 1
    assert_tree(paths.pop(), _FILES)
    assert_sound(oci_pull.cache)
    served = [each for each in registry.find("GET", "blob") if each.status in (200, 206)]
    assert len(served) == len({each.path for each in served}), "nothing was asked for twice"


def test_who_is_killed_while_it_is_stopped_is_followed_by_who_waits(
    oci_pull: Command, reference: str
) -> None:
    with _stopped(oci_pull, reference) as first:
        rest = oci_pull("plan", "--format", "json", reference).json
        assert 0 < rest["resumed"] < 16 * MIB
        words = ("--progress", "plain", "--format", "json", reference)
        with oci_pull.start(*words) as second:
            second.until(lambda: "waiting for" in second.stderr, "the second one waits")
            first.send(signal.SIGKILL)
            done = second.wait().must_succeed().json
    assert done["fetched"] == rest["fetch"]
    assert_tree(Path(done["path"]), _FILES)
    assert_sound(oci_pull.cache)


def test_who_is_stopped_for_good_is_named_once_the_time_is_up(
    oci_pull: Command, reference: str
) -> None:
    with _stopped(oci_pull, reference) as first:
        run = oci_pull("--lock-timeout", "100ms", "--format", "json", reference).must_fail(11)
        assert f"pid {first.process.pid}" in run.json["error"]["message"]


@pytest.mark.skipif(not isolation.IS_ROOT, reason="run as root, who may name a machine")
def test_another_machine_goes_on_with_what_is_silent_and_who_wakes_up_takes_what_it_made(
    oci_pull: Command, reference: str
) -> None:
    other = replace(oci_pull, prefix=isolation.on_host("another"))
    with oci_pull.start("--limit-rate", "1M", reference) as living:
        living.until(lambda: bytes_kept(oci_pull.cache) > MIB // 2, "some of it is on disk")
        # Its process cannot be seen from there, and it was heard of just now.
        waited = other("--lock-timeout", "200ms", reference).must_fail(11)
        assert f"pid {living.process.pid}" in waited.stderr
    with _stopped(oci_pull, reference) as first:
        run = other("--format", "json", reference).must_succeed()
        assert run.json["fetched"] < 16 * MIB
        assert_tree(Path(run.json["path"]), _FILES)
        first.send(signal.SIGCONT)
        assert first.wait().path == Path(run.json["path"])
    assert_tree(Path(run.json["path"]), _FILES)
    oci_pull("cache", "verify").must_succeed()

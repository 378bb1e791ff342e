"""A real registry behind a line that is cut, that dies, and pulls that are killed on the way."""

from __future__ import annotations

import random
import shutil
import signal
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_sound, assert_tidy, assert_tree, bytes_kept, unfinished
from tests.e2e.models import MIB, model
from tests.servers.distribution import Distribution
from tests.servers.push import push
from tests.servers.wan import WanProcess
from tests.servers.wan_line import Conditions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.content import Content
    from tests.e2e.command import Command, Running

_SIZE = 120 * MIB
_SMALL_SIZE = 40 * MIB
_CONNECTIONS = 8
#: What a kill may cost, for each connection: what was written and not recorded yet, ...
_UNRECORDED = MIB // 2
#: ... what the client has in its hands and the kernel in its socket buffers, ...
_IN_FLIGHT = MIB // 4
#: ... and what a line says beside the bytes: heads, tokens, the manifest.
_TALK = 200_000
#: Bytes a second of a connection; one line as fast as this machine would never be shared.
_CAP = 6e6
#: Bytes a second of all together, where something is to happen before all of it came: there are
#: seconds for that, however busy this machine is.
_SLOW = 4e6
_NOBODY = "nothing listens there"


@dataclass(frozen=True)
class Model:
    files: Mapping[str, Content]
    repository: str
    size: int

    def at(self, line: WanProcess) -> str:
        return f"{line.host}/{self.repository}:v1"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distribution]:
    directory = tmp_path_factory.mktemp("registry")
    with Distribution(directory) as found:
        yield found
    shutil.rmtree(directory)


def _pushed(registry: Distribution, repository: str, size: int) -> Model:
    files = model(size)
    artifact = builders.docker_v02(files)
    push(registry.url, repository, "v1", artifact)
    return Model(files, repository, sum(len(bytes(each)) for each in artifact.blobs.values()))


@pytest.fixture(scope="module")
def large(registry: Distribution) -> Model:
    return _pushed(registry, "models/large", _SIZE)


@pytest.fixture(scope="module")
def middle(registry: Distribution) -> Model:
    return _pushed(registry, "models/middle", _SMALL_SIZE)


@pytest.fixture
def line_to(registry: Distribution) -> Iterator[Callable[[Conditions], WanProcess]]:
    lines: list[WanProcess] = []
    host, _, port = registry.host.partition(":")

    def make(conditions: Conditions) -> WanProcess:
        lines.append(WanProcess((host, int(port)), conditions).start())
        return lines[-1]

    yield make
    for each in lines:
        each.close()


def _lost(kills: int) -> int:
    """The most that so many kills may make a line carry twice."""
    return kills * _CONNECTIONS * (_UNRECORDED + _IN_FLIGHT)


def test_a_line_that_is_cut_again_and_again_carries_little_twice(
    large: Model, line_to: Callable[[Conditions], WanProcess], oci_pull: Command
) -> None:
    """Cuts cost nothing but heads: what came is here, and what did not come was not carried."""
    line = line_to(Conditions(cap=_CAP, cut_after=8 * MIB, seed=1))
    path = oci_pull("--progress", "plain", large.at(line)).path
    served, connections = line.served, line.connections
    assert_tree(path, large.files)
    assert_tidy(oci_pull.cache)
    shutil.rmtree(oci_pull.cache)
    assert connections >= _SIZE // (10 * MIB)
    print(f"served {served / large.size:.4f} of the model over {connections} connections")
    assert served <= large.size + _CONNECTIONS * 2 * _IN_FLIGHT + connections * 2000 + _TALK


def test_kills_and_cuts_cost_no_more_than_what_was_in_flight(
    large: Model, line_to: Callable[[Conditions], WanProcess], oci_pull: Command
) -> None:
    kills, seed = 5, 2
    numbers = random.Random(seed)
    points = sorted(numbers.uniform(0.05, 0.9) * large.size for _ in range(kills))
    print(f"seed {seed}: killed at {[round(point / large.size, 3) for point in points]}")
    line = line_to(Conditions(cap=_CAP, cut_after=8 * MIB, seed=seed))
    for point in points:
        with oci_pull.start(large.at(line)) as running:
            running.until(partial(_has_served, line, point), "that much came")
            running.send(signal.SIGKILL)
            running.wait()
        assert_sound(oci_pull.cache, after_kill=True)
    path = oci_pull(large.at(line)).path
    served, connections = line.served, line.connections
    assert_tree(path, large.files)
    assert_sound(oci_pull.cache)
    shutil.rmtree(oci_pull.cache)
    print(f"served {served / large.size:.4f} of the model over {connections} connections")
    assert served <= large.size + _lost(kills) + connections * 2000 + _TALK


def test_fifty_kills_at_any_moment_and_then_the_end(
    large: Model, line_to: Callable[[Conditions], WanProcess], oci_pull: Command
) -> None:
    kills, seed = 50, 3
    numbers = random.Random(seed)
    print(f"seed {seed}")
    line = line_to(Conditions(cap=4e6, link=2 * _SLOW))
    pause = threading.Event()
    # How long it takes on this machine until there is anything to be killed in.
    start = oci_pull("plan", large.at(line)).must_succeed().seconds
    fetched = 0
    for number in range(kills):
        with oci_pull.start(large.at(line)) as running:
            # From before its first line to the large of its transfer: that is the point of it. Not
            # later than its share of half the bytes, or a slow machine would see it finish.
            end = time.monotonic() + numbers.uniform(0.05, 0.2 + start)
            share = large.size * (number + 1) / (2 * kills)
            while time.monotonic() < end and line.served < share:
                pause.wait(0.02)
            running.send(signal.SIGKILL)
            fetched += running.wait().code == 0
        if number % 10 == 0:
            assert_sound(oci_pull.cache, after_kill=True)
    assert not fetched
    left = oci_pull("plan", "--format", "json", large.at(line)).json
    assert 0 < left["resumed"] < large.size
    fast = line_to(Conditions())
    # Another name of the same registry: the blobs that are here count wherever they come from.
    run = oci_pull(fast.host + "/models/large:v1")
    assert_tree(run.path, large.files)
    # Where a range is divided, its connection ends with bytes on their way.
    assert fast.served <= left["fetch"] + _lost(1) + _TALK
    assert_sound(oci_pull.cache)
    shutil.rmtree(oci_pull.cache)


def test_a_server_that_dies_and_comes_back_is_waited_for(
    middle: Model, line_to: Callable[[Conditions], WanProcess], oci_pull: Command
) -> None:
    line = line_to(Conditions(cap=5e6, link=_SLOW))
    # In lines the second death within ten seconds is not told again.
    with oci_pull.start("--progress", "json", middle.at(line)) as running:
        for _ in range(2):
            _until_more(running, oci_pull)
            told = running.stderr.count(_NOBODY)
            line.stop()
            running.until(partial(_has_told, running, told), "it tells that nobody is there")
            line.start()
        path = running.wait().path
    assert_tree(path, middle.files)
    assert_tidy(oci_pull.cache)
    assert line.served <= middle.size + _lost(2) + _TALK


def _has_served(line: WanProcess, size: float) -> bool:
    return line.served >= size


def _has_told(running: Running, before: int) -> bool:
    return running.stderr.count(_NOBODY) > before


def _until_more(running: Running, oci_pull: Command) -> None:
    before = bytes_kept(oci_pull.cache)
    running.until(lambda: bytes_kept(oci_pull.cache) > before + 2 * MIB, "more came")


def test_a_lid_that_is_closed_twice_costs_nothing_but_time(
    middle: Model, line_to: Callable[[Conditions], WanProcess], oci_pull: Command
) -> None:
    """The machine sleeps, and when it wakes up its connections are gone."""
    line = line_to(Conditions(cap=5e6, link=_SLOW))
    pause = threading.Event()
    with oci_pull.start("--stall-timeout", "1s", middle.at(line)) as running:
        for _ in range(2):
            _until_more(running, oci_pull)
            running.send(signal.SIGSTOP)
            line.stop()
            line.start()
            # Longer than any silence that it would bear awake.
            pause.wait(1.5)
            running.send(signal.SIGCONT)
        path = running.wait().path
    assert_tree(path, middle.files)
    assert_tidy(oci_pull.cache)
    assert line.served <= middle.size + _lost(2) + _TALK


# Several processes


def test_two_processes_share_a_blob_of_many_connections(
    middle: Model, line_to: Callable[[Conditions], WanProcess], oci_pull: Command
) -> None:
    """By names and renames alone: no lock is asked, so none can be without effect."""
    line = line_to(Conditions(cap=5e6))
    first, second = oci_pull.at_once([middle.at(line)], [middle.at(line)])
    assert first.path == second.path
    assert_tree(first.path, middle.files)
    assert_tidy(oci_pull.cache)
    assert line.served <= middle.size + _lost(1) + _TALK


def test_a_waiter_takes_over_from_a_killed_owner_and_goes_on(
    middle: Model, line_to: Callable[[Conditions], WanProcess], oci_pull: Command
) -> None:
    line, fast = line_to(Conditions(cap=5e6, link=_SLOW)), line_to(Conditions(cap=5e6))
    with oci_pull.start(middle.at(line)) as owner:
        owner.until(lambda: line.served > middle.size // 8, "some of it came")
        owner.until(lambda: len(unfinished(oci_pull.cache)) == 1, "all but the weights is here")
        with oci_pull.start("--progress", "plain", middle.at(fast)) as waiter:
            waiter.until(lambda: "waiting for" in waiter.stderr, "it waits")
            assert f"pid {owner.process.pid}" in waiter.stderr
            owner.send(signal.SIGKILL)
            assert owner.wait().code == -signal.SIGKILL
            path = waiter.wait().path
    assert_tree(path, middle.files)
    assert_tidy(oci_pull.cache)
    assert line.served + fast.served <= middle.size + _lost(1) + 2 * _TALK

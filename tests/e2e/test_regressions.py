"""What bad networks showed to be wrong."""

from __future__ import annotations

import signal
from itertools import cycle
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.content import digest_of
from tests.e2e.disk import assert_tidy, assert_tree, bytes_kept
from tests.e2e.models import MIB, model, put
from tests.e2e.ports import silence
from tests.fakes.registry import BlobFaults, FakeRegistry, Redirects
from tests.servers.process import HOST
from tests.servers.wan import Wan
from tests.servers.wan_line import Conditions

if TYPE_CHECKING:
    from tests.e2e.command import Command
    from tests.fakes.registry import OriginName

_LIAR: OriginName = "other"
_GOOD: OriginName = "storage"


@pytest.mark.parametrize("size", [MIB, 16 * MIB], ids=["small", "large"])
@pytest.mark.parametrize(
    "turns", [(_LIAR, _GOOD), (_GOOD, _LIAR), (_LIAR, _LIAR, _GOOD)], ids=["lg", "gl", "llg"]
)
def test_a_storage_host_that_lies_is_avoided_by_the_second_try(
    turns: tuple[OriginName, ...], size: int, registry: FakeRegistry, oci_pull: Command
) -> None:
    files = model(size)
    reference = put(registry, builders.docker_v02(files))
    weights = digest_of(files["model.safetensors"])
    # The registry takes them in turn, whatever it is asked for.
    whose = cycle(turns)
    registry.redirects = Redirects(to=lambda: next(whose))
    registry.blob_faults = BlobFaults(at=_LIAR, corrupt_at=size // 2, only=[weights])
    # One request after the other, so that the same turn is always whose it is.
    run = oci_pull("--jobs", "1", reference)
    assert_tree(run.path, files)
    assert_tidy(oci_pull.cache)


@pytest.mark.parametrize("turns", [(_LIAR, _GOOD), (_GOOD, _LIAR)], ids=["lg", "gl"])
def test_a_blob_of_which_one_of_two_hosts_sends_wrong_parts_comes_from_the_other(
    turns: tuple[OriginName, ...], registry: FakeRegistry, oci_pull: Command
) -> None:
    files = model(16 * MIB)
    reference = put(registry, builders.docker_v02(files))
    weights = digest_of(files["model.safetensors"])
    whose = cycle(turns)
    registry.redirects = Redirects(to=lambda: next(whose))
    registry.blob_faults = [
        # Every connection is cut once in a while, and then it is the other host's turn.
        BlobFaults(at=_LIAR, corrupt_at=-1, cut_after=5 * MIB, only=[weights]),
        BlobFaults(at=_GOOD, cut_after=5 * MIB, only=[weights]),
    ]
    run = oci_pull("--jobs", "1", reference)
    assert_tree(run.path, files)
    assert_tidy(oci_pull.cache)


def test_a_handshake_that_hangs_does_not_stop_those_beside_it(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    files = model() | {f"part-{number}.json": b"%d" % number for number in range(20)}
    reference = put(registry, builders.docker_v02(files))
    with silence() as port:
        registry.redirects = Redirects(location=f"https://{HOST}:{port.number}/blob")
        with oci_pull.start(reference) as running:
            running.until(lambda: port.accepted >= 8, "it connects")
            running.until(lambda: len(port.received) >= 8, "each says its hello")


def test_a_kill_on_a_slow_line_costs_seconds_and_not_all(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    """Half a megabyte of each connection is all of it, where they bring 50 kB a second each."""
    put(registry, builders.docker_v02(model(20 * MIB)))
    with Wan((HOST, registry.registry.port), Conditions(cap=50_000)) as line:
        reference = f"{line.host}/team/model:v1"
        with oci_pull.start("-j", "1", reference) as running:
            running.until(lambda: bytes_kept(oci_pull.cache) >= MIB // 8, "some of it is on disk")
            running.send(signal.SIGKILL)
            running.wait()
        # Nothing was recorded because of its size.
        assert line.served < MIB // 2
        left = oci_pull("plan", "--format", "json", reference).json
    assert left["resumed"] >= MIB // 8

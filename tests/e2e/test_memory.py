"""Memory grows neither with the size nor with the number of blobs or connections.

The promise is 80 MB for a blob of 2 GB; the peak is the same for half of that, in half the time.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from tests import builders
from tests.e2e.models import model, put, sparse_weights
from tests.servers.process import HOST
from tests.servers.wan import WanProcess
from tests.servers.wan_line import Conditions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_SIZE = 1_000_000_000
_LIMIT = 80_000_000
_CONNECTIONS = 7

# A process of its own: the peak that a child starts with is that of whoever forked it.
_MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(code, peak * (1 if sys.platform == "darwin" else 1024))
"""


def test_a_blob_of_a_gigabyte_takes_less_than_80_megabytes(
    registry: FakeRegistry, oci_pull: Command, tmp_path: Path
) -> None:
    weights = sparse_weights(tmp_path / "weights", _SIZE)
    reference = put(registry, builders.docker_v02({**model(), "model.safetensors": weights}))
    assert _peak(oci_pull, reference) < _LIMIT
    assert registry.bytes_served > _SIZE
    shutil.rmtree(oci_pull.cache)  # pytest would keep it


def test_a_blob_over_many_connections_takes_no_more(
    registry: FakeRegistry, oci_pull: Command, tmp_path: Path
) -> None:
    size = 150_000_000
    weights = sparse_weights(tmp_path / "weights", size)
    put(registry, builders.docker_v02({**model(), "model.safetensors": weights}))
    with WanProcess((HOST, registry.registry.port), Conditions(cap=3e6)) as line:
        assert _peak(oci_pull, f"{line.host}/team/model:v1") < _LIMIT
        assert line.served >= size
    assert registry.count("GET", "blob", status=206) >= _CONNECTIONS
    assert registry.registry.peak_connections >= _CONNECTIONS
    shutil.rmtree(oci_pull.cache)


def test_a_thousand_blobs_take_no_more(registry: FakeRegistry, oci_pull: Command) -> None:
    many = {f"part-{number}.json": b"%d" % number * 4096 for number in range(1000)}
    reference = put(registry, builders.docker_v02({**model(), **many}))
    assert _peak(oci_pull, reference) < _LIMIT
    assert registry.count("GET", "blob") >= len(many)
    shutil.rmtree(oci_pull.cache)


def _peak(oci_pull: Command, reference: str) -> int:
    """The bytes of memory that a pull takes at most."""
    words = oci_pull.argv("--progress", "plain", reference)
    measured = subprocess.run(
        [sys.executable, "-c", _MEASURE, *words],
        env=oci_pull.environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    code, peak = map(int, measured.stdout.split())
    assert code == 0, measured.stderr
    print(f"{peak / 1e6:.1f} MB")
    return peak

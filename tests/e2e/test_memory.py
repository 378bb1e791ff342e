"""Memory does not grow with the size of a blob.

The promise is 80 MB for a blob of 2 GB; the peak is the same for half of that, in half the time.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from tests import builders
from tests.e2e.models import model, put, sparse_weights

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_SIZE = 1_000_000_000
_LIMIT = 80_000_000

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
    assert peak < _LIMIT
    assert registry.bytes_served > _SIZE
    shutil.rmtree(oci_pull.cache)  # pytest would keep it

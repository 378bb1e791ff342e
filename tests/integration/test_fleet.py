"""Fifty machines behind one pull-through cache: Debian's docker-registry, twice."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests import builders
from tests.e2e.disk import digest_of
from tests.e2e.models import MIB, model
from tests.servers.distribution import Distribution, Options, Upstream
from tests.servers.push import push, reference

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.command import Command

_MACHINES, _AT_ONCE = 50, 10


def test_the_origin_serves_no_blob_for_each_machine(
    oci_pull: Command, registry: Distribution, tmp_path: Path
) -> None:
    files = model(4 * MIB)
    artifact = builders.docker_v02(files)
    push(registry.url, "fleet/model", "v1", artifact)
    name = reference(registry.url, "fleet/model", "v1")
    before = len(registry.access_log())
    with Distribution(tmp_path / "mirror", Options(upstream=Upstream(registry.url))) as mirror:
        words = ("--mirror", mirror.url, "--progress", "none", name)
        for first in range(0, _MACHINES, _AT_ONCE):
            # One that asks before the others, as a warmed node does, is one of the fifty.
            sizes = (1, _AT_ONCE - 1) if first == 0 else (_AT_ONCE,)
            number = first
            for size in sizes:
                caches = [oci_pull.home / f"machine-{number + each}" for each in range(size)]
                runs = oci_pull.at_once(*[("--cache-dir", cache, *words) for cache in caches])
                number += size
                for run in runs:
                    weights = run.path / "model.safetensors"
                    assert digest_of(weights) == digest_of(files["model.safetensors"])
        served = registry.access_log()[before:]
    got = Counter(
        each.path
        for each in served
        if "/fleet/model/blobs/" in each.path and each.method == "GET" and each.status < 400
    )
    # Distribution 2.8 asks twice for what it does not have, once to keep it and once to hand it on,
    # and for nobody's sake ever again.
    assert got
    assert set(got.values()) <= {1, 2}

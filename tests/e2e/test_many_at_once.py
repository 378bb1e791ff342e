"""Many processes on one reference: the registry serves the model once."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.e2e.disk import assert_tidy
from tests.e2e.models import MIB, archive_layer, pack_around, put, raw_layer
from tests.servers.process import HOST
from tests.servers.wan import Wan

if TYPE_CHECKING:
    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_PROCESSES = 32
#: Of the bytes of the blobs: manifests, and what heads of replies take.
_MOST = 1.02


def test_as_many_as_there_are_get_one_download(registry: FakeRegistry, oci_pull: Command) -> None:
    layers = [
        raw_layer(f"raw-{number}.json", random.Random(number).randbytes(6 * MIB))
        for number in range(3)
    ]
    layers.append(archive_layer({"packed.json": random.Random(9).randbytes(2 * MIB)}, form="tar"))
    artifact = pack_around(*layers)
    put(registry, artifact)
    size = sum(int(each["size"]) for each in artifact.document["layers"])
    with Wan((HOST, registry.registry.port)) as wan:
        reference = f"{wan.host}/team/model:v1"
        runs = oci_pull.at_once(*[(reference,)] * _PROCESSES)
        served = wan.served
    assert len({run.path for run in runs}) == 1
    assert size <= served <= size * _MOST
    assert_tidy(oci_pull.cache)

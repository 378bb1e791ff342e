"""Two pulls on one cache, killed fifty times where it hurts: what was fetched stays fetched."""

from __future__ import annotations

import random
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.e2e.disk import assert_sound, digest_of
from tests.e2e.models import MIB, archive_layer, model, pack_around, put, raw_layer
from tests.servers.process import HOST
from tests.servers.wan import Wan
from tests.servers.wan_line import Conditions

if TYPE_CHECKING:
    from tests.content import Content
    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_KILLS = 50
_SEED = 7
#: Seconds in which a kill may come: from before the first import to well into the blobs.
_LATEST = 1.1
_JOBS = 2
#: What a kill may cost of a connection: what was written since the last record, and what was under
#: way to a client that is gone.
_COST = 1 * MIB


def test_after_fifty_kills_the_tree_is_right_and_little_came_twice(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    members: dict[str, Content] = {
        f"part-{number}.bin.json": random.Random(number).randbytes(MIB // 4) for number in range(24)
    }
    raw = {f"raw-{number}.json": random.Random(-number).randbytes(14 * MIB) for number in (1, 2)}
    layers = [raw_layer(name, content) for name, content in raw.items()]
    artifact = pack_around(archive_layer(members, form="tar+gzip"), *layers)
    put(registry, artifact)
    line = Conditions(cap=6e6)
    with Wan((HOST, registry.registry.port), line) as wan:
        words = ("-j", str(_JOBS), f"{wan.host}/team/model:v1")

        def be_killed(seed: int) -> int:
            moments = random.Random(seed)
            killed = 0
            for _ in range(_KILLS // 2):
                with oci_pull.start(*words) as running:
                    try:
                        running.process.wait(moments.uniform(0.0, _LATEST))
                    except subprocess.TimeoutExpired:
                        running.send(signal.SIGKILL)
                        killed += running.process.wait() == -signal.SIGKILL
            return killed

        with ThreadPoolExecutor(2) as pool:
            killed = sum(pool.map(be_killed, (_SEED, _SEED + 1)))
        assert_sound(oci_pull.cache, after_kill=True)
        path = oci_pull(*words).path
        served = wan.served
    # A fast machine has all of it before, and is done with more of them.
    assert killed > _KILLS // 4
    expected = {**model(), **members, **raw}
    for name, content in expected.items():
        assert digest_of(path / name) == digest_of(content), name
    # Where one of the killed was quick enough, the last run had nothing to build or to clear up.
    assert_sound(oci_pull.cache, after_kill=True)
    size = sum(int(each["size"]) for each in artifact.document["layers"])
    assert size <= served <= size + killed * _JOBS * _COST

"""Ten engines that nobody started together ask for a tag that moves: one digest, one download."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.builders import docker_v02, tiny_model
from tests.e2e.command import until
from tests.e2e.disk import assert_tidy
from tests.e2e.models import put
from tests.fakes.registry import BlobFaults, ManifestFaults

if TYPE_CHECKING:
    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_STAND_IN = Path(__file__).parent.parent / "fakes" / "vllm_stand_in"
_ENGINES = 10
_ENGINE = """
import sys
from vllm.engine.arg_utils import EngineArgs
print("model", EngineArgs(model=f"oci://{sys.argv[1]}").create_engine_config().model_config.model)
"""


def test_engines_that_begin_while_one_pulls_get_what_that_found(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    first, second = (docker_v02(tiny_model(seed=seed)) for seed in (0, 1))
    reference = put(registry, first)
    asked, sent = threading.Event(), threading.Event()
    registry.manifest_faults = ManifestFaults(hold=asked)
    registry.blob_faults = BlobFaults(hold=sent)
    engine = replace(oci_pull, program=(sys.executable, "-c", _ENGINE)).with_env(
        PYTHONPATH=str(_STAND_IN)
    )
    with ExitStack() as stack:
        running = [stack.enter_context(engine.start(reference)) for _ in range(_ENGINES)]
        until(lambda: registry.count("GET", "manifest"), "one asks what it is")
        # The answer is on its way, and the tag is another model from now on.
        put(registry, second)
        asked.set()
        # What they were told is in their logs; not one of them has a byte of a model yet.
        known = "as a process that pulls it found"
        until(
            lambda: sum(known in each.stdout for each in running) == _ENGINES - 1,
            "the others are told what it was",
        )
        sent.set()
        runs = [each.wait().must_succeed() for each in running]
    models = {run.stdout.splitlines()[-1] for run in runs}
    short = first.digest.removeprefix("sha256:")[:12]
    assert [model.endswith(f"@{short}") for model in models] == [True]
    by_tag = [each for each in registry.find(kind="manifest") if each.path.endswith("/v1")]
    assert len(by_tag) == 1
    config = first.document["config"]["size"]
    assert registry.bytes_served == config + sum(la["size"] for la in first.document["layers"])
    assert_tidy(oci_pull.cache)
    # Whoever begins after them asks anew.
    run = engine(reference).must_succeed()
    short = second.digest.removeprefix("sha256:")[:12]
    assert run.stdout.splitlines()[-1].endswith(f"@{short}")

"""The plugin in a vLLM that makes its configuration and starts nothing: seconds, on any machine.

    python -m tests.e2e.vllm.configuration PYTHON [DIR...]

PYTHON has vLLM and oci-pull; a directory in front of its own packages has another version of vLLM.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.builders import docker_v01, tiny_model
from tests.content import Artifact
from tests.fakes.registry import FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM = Path(__file__).with_name("engine_config.py")
MODEL: Artifact = docker_v01(tiny_model(), annotated=False)
_NAME = "team/model"
#: How a model is named, with whether the cache of the Hub is all that vLLM may ask.
FORMS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "scheme": ("0", {"model": "oci://{name}:v1"}),
    "scheme-offline": ("1", {"model": "oci://{name}:v1", "tokenizer": "oci://{name}:v1"}),
    "load-format": ("0", {"model": "{name}:v1", "load_format": "oci"}),
    "load-format-offline": ("1", {"model": "{name}:v1", "load_format": "oci"}),
    "digest": ("1", {"model": "{name}@{digest}", "load_format": "oci"}),
    "revision": ("0", {"model": "oci://{name}", "revision": "v1"}),
}


def check(form: str, python: str | Path, environ: Mapping[str, str], home: Path) -> None:
    """A model by a reference is a directory with its name, and another node can fetch it."""
    offline, given = FORMS[form]
    with FakeRegistry() as registry:
        name = f"{registry.address}/{_NAME}"
        registry.put(_NAME, "v1", MODEL.manifest, MODEL.media_type, MODEL.blobs)
        words = {key: value.format(name=name, digest=MODEL.digest) for key, value in given.items()}
        cache = home / "cache"
        more = {"HOME": str(home), "OCI_PULL_CACHE_DIR": str(cache), "HF_HUB_OFFLINE": offline}
        found = _run(python, words, {**environ, **more}, home / "elsewhere")
    short = MODEL.digest.removeprefix("sha256:")[:12]
    path = f"{cache}/models/{registry.address.replace(':', '+')}/{_NAME}@{short}"
    assert found == {
        "model": path,
        "tokenizer": path,
        "name": [words["model"]] if isinstance(found["name"], list) else words["model"],
        "load_format": "oci",
        "origins": {path: f"{name}@{MODEL.digest}"},
        "loaded": path,
        "is_there": True,
    }, found


def _run(
    python: str | Path, given: Mapping[str, str], environ: Mapping[str, str], elsewhere: Path
) -> dict[str, Any]:
    done = subprocess.run(
        [python, PROGRAM, json.dumps(given), elsewhere],
        env=environ,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{given}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(python: str, *paths: str) -> None:
    environ = {"PATH": os.environ["PATH"], "VLLM_TARGET_DEVICE": "cpu", "VLLM_NO_USAGE_STATS": "1"}
    if paths:
        environ["PYTHONPATH"] = os.pathsep.join(paths)
    for form in FORMS:
        with tempfile.TemporaryDirectory() as home:
            check(form, python, environ, Path(home))
        print(f"{form}: right", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""`vllm serve "$(oci-pull REF)"` with no flag at all: what the engine is given is the directory."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.command import SCRIPT
from tests.e2e.models import pack, put, raw_layer
from tests.e2e.shells import NAMES, program_of

if TYPE_CHECKING:
    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

#: Says what it was given, each word in brackets.
_ENGINE = '#!/bin/sh\nfor word; do printf "[%s]" "$word"; done\n'
_WAYS = {
    "bare": 'vllm serve "$(oci-pull {ref})"',
    "stderr closed": 'vllm serve "$(oci-pull {ref} 2>&-)"',
    "a pipe": "oci-pull {ref} | xargs vllm serve",
    "a variable": 'M="$(oci-pull {ref})"; vllm serve "$M"',
}


@pytest.fixture
def warned(registry: FakeRegistry) -> str:
    """A model that is a success with a warning."""
    content = b"GGUF" + bytes(1000)
    return put(registry, pack([raw_layer("model.gguf", content, "weight")]))


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_the_engine_gets_the_directory(
    name: str, way: str, warned: str, oci_pull: Command, tmp_path: Path
) -> None:
    program, more = program_of(name)
    engine = tmp_path / "bin" / "vllm"
    engine.parent.mkdir()
    engine.write_text(_ENGINE)
    engine.chmod(0o755)
    environment = oci_pull.environment()
    path = f"{engine.parent}:{SCRIPT.parent}:{environment['PATH']}"
    line = _WAYS[way].format(ref=warned)
    if name == "fish":
        line = line.replace('M="$(', "set M (").replace(')"; vllm', "); vllm")
        line = line.replace('"$(', "(").replace(')"', ")")
    for _ in range(2):
        done = subprocess.run(
            [program, "-c", line], env={**environment, **more, "PATH": path},
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout == f"[serve][{oci_pull(warned).path}]"
        assert bool(done.stderr) is (way != "stderr closed")

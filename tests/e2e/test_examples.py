"""Every example, run: engines that are too large for a test are stand-ins that read a directory."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.builders import docker_v01, docker_v02, tiny_model
from tests.e2e.command import PATH, until
from tests.e2e.models import MIB, model, put
from tests.fakes.registry import BlobFaults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.fakes.registry import FakeRegistry

_CHECKOUT = Path(__file__).parent.parent.parent
_STAND_INS = _CHECKOUT / "tests" / "fakes" / "engine_stand_ins"
_MODEL = tiny_model()


class Examples:
    """The programs as somebody runs them who has the library, and an empty home."""

    def __init__(self, home: Path) -> None:
        self.cache = home / "cache"
        self._environment = {
            "PATH": PATH,
            "HOME": str(home),
            "HF_HOME": str(home / "hf"),
            "HF_HUB_OFFLINE": "1",
            "OCI_PULL_CACHE_DIR": str(self.cache),
            "PYTHONPATH": f"{_STAND_INS}:{_CHECKOUT}",
        }

    def start(self, *words: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *words],
            env=self._environment | more,
            cwd=_CHECKOUT / "examples",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, code: int = 0, **more: str) -> tuple[list[str], list[str]]:
        """The lines on stdout and on stderr."""
        process = self.start(*words, **more)
        output, errors = process.communicate(timeout=300)
        assert process.returncode == code, errors
        return output.splitlines(), errors.splitlines()


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    return Examples(tmp_path)


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(registry, docker_v02(_MODEL), repository="org/tiny")


def _files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and ".oci-pull" not in path.parts
    }


def _each_blob_was_asked_for_once(registry: FakeRegistry) -> bool:
    paths = [each.path for each in registry.find("GET", kind="blob")]
    return len(paths) == len(set(paths)) > 0


def test_look_first_fetches_nothing_twice(
    examples: Examples, registry: FakeRegistry, reference: str
) -> None:
    output, _ = examples.run("look_first.py", reference)
    assert output[0] == "llama: 2 layers"
    assert {line.split()[-1]: line.split()[0] for line in output[1:-2]} == {
        name: "cached" if name.endswith(".json") else "fetch" for name in _MODEL
    }
    assert _files(Path(output[-1])) == _MODEL
    assert _each_blob_was_asked_for_once(registry)


def test_look_first_pulls_no_weights_that_nobody_can_serve(
    examples: Examples, registry: FakeRegistry
) -> None:
    config = {"config.json": _MODEL["config.json"], "model.onnx": bytes(100_000)}
    reference = put(registry, docker_v02(config))
    output, _ = examples.run("look_first.py", reference, code=1)
    assert output[-1] == "ONNX weights: vLLM does not read them"
    assert registry.bytes_served < len(config["model.onnx"])


def test_transformers_gets_a_tokenizer_and_no_weights(
    examples: Examples, registry: FakeRegistry, reference: str
) -> None:
    output, _ = examples.run("with_transformers.py", reference)
    assert output == ["llama 16", "[0, 0, 0, 0]"]
    assert registry.bytes_served < len(_MODEL["model.safetensors"])


def test_a_program_of_the_hub_gets_a_directory(examples: Examples, reference: str) -> None:
    output, _ = examples.run("instead_of_snapshot_download.py", reference)
    assert f"tokenizer.json {len(_MODEL['tokenizer.json'])}" in output


def test_a_client_of_the_hub_finds_what_was_pulled_into_its_cache(
    examples: Examples, reference: str
) -> None:
    output, _ = examples.run("in_the_hub_cache.py", reference)
    assert _files(Path(output[-1])) == _MODEL


def test_workers_of_a_node_download_once(
    examples: Examples, registry: FakeRegistry, reference: str
) -> None:
    output, _ = examples.run("once_a_node.py", reference, "4")
    found = [re.fullmatch(r"worker \d: (\S+), (\d+) bytes fetched", line) for line in output]
    told = [match.groups() for match in found if match]
    assert len(told) == 4
    assert len({path for path, _ in told}) == 1
    assert sum(int(fetched) for _, fetched in told) == registry.bytes_served
    assert _each_blob_was_asked_for_once(registry)


def test_a_worker_that_fails_is_the_exit_code(examples: Examples, reference: str) -> None:
    _, errors = examples.run("once_a_node.py", f"{reference}-not", code=1)
    assert any("ManifestUnknown" in line for line in errors)


def test_every_node_of_ray_has_the_model(
    examples: Examples, registry: FakeRegistry, reference: str
) -> None:
    output, _ = examples.run("ray_once_a_node.py", reference)
    assert [line.split()[0] for line in output] == ["head", "worker"]
    assert all(_files(Path(line.split()[1])) == _MODEL for line in output)
    assert _each_blob_was_asked_for_once(registry)


def test_a_replica_of_ray_serve_gets_a_path(examples: Examples, reference: str) -> None:
    ask = "from examples.ray_serve_app import app; print(app.ask()['path'])"
    output, _ = examples.run("-c", ask, OCI_MODEL=reference)
    assert _files(Path(output[-1])) == _MODEL


def test_sglang_gets_a_path(examples: Examples, reference: str) -> None:
    output, _ = examples.run("sglang_engine.py", reference)
    assert output[-1].startswith("The capital of France is ")
    assert "model.safetensors" in output[-1]


def test_several_are_pulled_beside_a_loop(
    examples: Examples, registry: FakeRegistry, reference: str
) -> None:
    other = put(registry, docker_v01(_MODEL, annotated=False), repository="org/other")
    output, _ = examples.run("with_asyncio.py", "300", reference, other)
    assert [_files(Path(line)) for line in output] == [_MODEL, _MODEL]


def test_what_comes_too_late_for_a_loop_is_kept(
    examples: Examples, registry: FakeRegistry, reference: str
) -> None:
    large = put(registry, docker_v02(model(2 * MIB)), repository="org/large")
    registry.blob_faults = BlobFaults(stall_after=MIB)
    output, errors = examples.run("with_asyncio.py", "10", reference, large, code=1)
    assert (output, len(errors)) == ([], 1)
    registry.blob_faults = []
    before = registry.bytes_served
    examples.run("with_asyncio.py", "300", reference, large)
    assert registry.bytes_served - before < 2 * MIB


def test_a_progress_of_ones_own_ends_at_all_of_it(examples: Examples, reference: str) -> None:
    output, errors = examples.run("own_progress.py", reference)
    assert _files(Path(output[-1])) == _MODEL
    assert re.fullmatch(r"100 % of [\d,]+ bytes", errors[-1])
    shares = [int(line.split()[0]) for line in errors]
    assert shares == sorted(shares)


# The storage initializer


def _pairs(target: Path, *references: str) -> list[str]:
    return [
        word
        for number, reference in enumerate(references)
        for word in (f"oci-artifact://{reference}", str(target / str(number)))
    ]


def test_every_source_of_kserve_is_in_its_directory_and_stdout_is_empty(
    examples: Examples, registry: FakeRegistry, reference: str, tmp_path: Path
) -> None:
    other = put(registry, docker_v01(_MODEL, annotated=False), repository="org/other")
    words = _pairs(tmp_path / "mnt", reference, other)
    output, errors = examples.run("kserve_storage_initializer.py", *words)
    assert output == []
    assert f"{reference} is sha256:" in "\n".join(errors)
    assert [_files(tmp_path / "mnt" / name) for name in ("0", "1")] == [_MODEL, _MODEL]
    assert not examples.cache.exists(), "one copy"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "SRC DEST [SRC DEST]... is wanted"),
        (("{reference}",), 2, "SRC DEST [SRC DEST]... is wanted"),
        (("{reference}-not", "{target}"), 3, "does not exist"),
        (("not a reference", "{target}"), 2, "white space"),
    ],
)
def test_a_failure_of_kserve_has_the_exit_code_of_the_command(
    words: tuple[str, ...], code: int, said: str, examples: Examples, reference: str, tmp_path: Path
) -> None:
    names: Mapping[str, str] = {"reference": reference, "target": str(tmp_path / "mnt")}
    filled = [word.format(**names) for word in words]
    output, errors = examples.run("kserve_storage_initializer.py", *filled, code=code)
    assert output == []
    assert said in errors[-1]


def test_a_pod_that_has_to_go_stops_its_storage_initializer(
    examples: Examples, registry: FakeRegistry, tmp_path: Path
) -> None:
    large = put(registry, docker_v02(model(2 * MIB)))
    registry.blob_faults = BlobFaults(stall_after=MIB)
    process = examples.start("kserve_storage_initializer.py", *_pairs(tmp_path / "mnt", large))
    until(lambda: registry.bytes_served >= MIB, "half of it is there")
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, output) == (143, "")
    assert "kept" in errors

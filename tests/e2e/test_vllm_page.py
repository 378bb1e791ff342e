"""What docs/vllm.md says: its commands give a stand-in of vLLM a directory, its errors are ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import oci_pull
from tests.builders import docker_v02, tiny_model
from tests.e2e.models import model, pack, put, raw_layer
from tests.fakes.registry import Auth, FakeRegistry
from tests.file_sets import ollama

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parent.parent.parent
STAND_IN = CHECKOUT / "tests" / "fakes" / "vllm_stand_in"
PAGE = (CHECKOUT / "docs" / "vllm.md").read_text()
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ERRORS = re.findall(r"^\| `oci_pull\.errors\.(\w+): (.*?)` \|", PAGE, re.MULTILINE)
MODEL = docker_v02(tiny_model())
WEIGHTS = model()["model.safetensors"]
ADAPTER = pack([raw_layer("adapter_config.json", b"{}"), raw_layer("a.safetensors", WEIGHTS)])


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The models of the page, and `vllm` and `pip` that do next to nothing."""
    home = tmp_path_factory.mktemp("page")
    programs = home / "bin"
    programs.mkdir()
    for name, words in {"vllm": f"exec {sys.executable} -m vllm", "pip": "echo pip"}.items():
        (programs / name).write_text(f'#!/bin/sh\n{words} "$@"\n')
        (programs / name).chmod(0o755)
    with FakeRegistry() as registry, FakeRegistry() as private:
        for name, tag in [("smollm2-vllm", "latest"), ("smollm2-vllm", "v1"), ("draft", "latest"),
                          ("tokenizer", "latest")]:  # fmt: skip
            put(registry, MODEL, repository=f"aistaging/{name}", tag=tag)
        put(registry, ADAPTER, repository="aistaging/adapter", tag="latest")
        put(registry, ollama(("model", b"GGUF")), repository="aistaging/gguf", tag="latest")
        put(private, MODEL, repository="aistaging/private", tag="latest")
        private.auth = Auth(users={"ada": "s3cr3t"}, anonymous=False)
        yield {
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(STAND_IN),
            "HOME": str(home),
            "OCI_PULL_DEFAULT_REGISTRY": registry.address,
            "REGISTRY": registry.address,
            "PRIVATE": private.address,
            "DIGEST": MODEL.digest,
        }


def _run(command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euc", command],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_works(command: str, environment: dict[str, str]) -> None:
    done = _run(command, environment)
    assert done.returncode == 0, done.stderr
    if "vllm serve" in command:
        args = json.loads(done.stdout.splitlines()[-1])
        draft = (args["speculative_config"] or {"model": args["model"]})["model"]
        for path in (args["model"], args["tokenizer"] or args["model"], draft):
            assert (Path(path) / "config.json").exists()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_page_works(program: str, environment: dict[str, str]) -> None:
    shown = "print(llm.config.model_config.model)"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{shown}"],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (Path(done.stdout.splitlines()[-1]) / "config.json").exists()


#: How the page comes to each of its errors, by class and the words that tell two of one apart.
_WAYS = {
    ("ManifestUnknown", ""): "vllm serve oci://aistaging/smollm2-vllm:nope",
    ("CredentialsRequired", ""): "vllm serve oci://$PRIVATE/aistaging/private",
    ("ConnectionFailed", ""): "OCI_PULL_RETRIES=0 vllm serve oci://127.0.0.1:1/team/model",
    ("NotCached", ""): "OCI_PULL_OFFLINE=1 vllm serve oci://aistaging/never",
    ("Unsupported", "GGUF"): "vllm serve oci://aistaging/gguf",
    ("Unsupported", "adapter"): "vllm serve oci://aistaging/adapter",
}


@pytest.mark.parametrize(("kind", "line"), ERRORS)
def test_an_error_of_the_page_is_the_last_line(
    kind: str, line: str, environment: dict[str, str]
) -> None:
    ways = [way for (name, word), way in _WAYS.items() if name == kind and word in line]
    assert len(ways) == 1
    done = _run(ways[0], environment)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    parts = re.split(r"REF|REPOSITORY|PATH|\.\.\.", f"oci_pull.errors.{kind}: {line}")
    assert re.fullmatch(".*".join(re.escape(part) for part in parts), last), last


def test_every_error_is_on_the_page() -> None:
    assert {kind for kind, _ in ERRORS} == {kind for kind, _ in _WAYS}


def test_a_vllm_that_does_not_fit_is_told_as_the_page_says(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm" / "__init__.py").write_text('__version__ = "0.9.2"\n')
    program = "from oci_pull.vllm_plugin import register; register()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    (said,) = re.findall(r"`(oci-pull [0-9.]+ does not fit .*?)`", " ".join(PAGE.split()))
    before, after = said.split("(...)")
    assert oci_pull.__version__ in before
    assert done.stderr.startswith(before)
    assert done.stderr.strip().endswith(after)


def test_the_plugin_has_the_name_that_the_page_gives() -> None:
    project = (CHECKOUT / "pyproject.toml").read_text()
    assert '[project.entry-points."vllm.general_plugins"]\noci = "oci_pull.vllm_plugin:' in project
    assert "`oci` has to be in it" in " ".join(PAGE.split())

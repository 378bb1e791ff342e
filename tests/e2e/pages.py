"""The pages of the documentation, and a world in which all that they tell to type works."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests import builders, file_sets
from tests.content import IndexEntry, index
from tests.e2e.models import model, pack, put, raw_layer
from tests.fakes.registry import Auth, FakeRegistry
from tests.producers import images
from tests.servers.push import write_layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.content import Artifact

CHECKOUT = Path(__file__).parent.parent.parent
PASSWORD = "s3cr3t"
_STAND_IN = CHECKOUT / "tests" / "fakes" / "vllm_stand_in"


@dataclass(frozen=True)
class Example:
    """A command of a page, and what the page shows of its output."""

    command: str
    shown: str


def text_of(page: str) -> str:
    """The text of a page, by its path in the checkout."""
    return (CHECKOUT / page).read_text()


def blocks(text: str, language: str) -> list[str]:
    """What stands in the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def examples(text: str) -> list[Example]:
    """Every command of a page in its order: what begins with `$ `, and the lines below it."""
    found = []
    for block in blocks(text, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.replace("\\\n", "").partition("\n")
            found.append(Example(command, shown.strip("\n")))
    return found


def rows(section: str) -> list[list[str]]:
    """The rows of the tables of a part of a page, without their heads."""
    tables = re.findall(r"^\|[^\n]*\n\| ?-[^\n]*\n((?:\|[^\n]*\n)+)", section, re.MULTILINE)
    lines = [line for table in tables for line in table.splitlines()]
    return [[cell.strip() for cell in re.split(r" \| ", line[1:-1])] for line in lines]


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next of its level or above."""
    level = heading.partition(" ")[0]
    rest = text.split(f"\n{heading}\n")[1]
    return re.split(rf"^#{{1,{len(level)}}} ", rest, flags=re.MULTILINE)[0]


def run(command: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """A line of a page, by bash."""
    return subprocess.run(
        ["bash", "-euc", command],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )


def run_program(program: str, environment: Mapping[str, str]) -> str:
    """What a program of a page prints."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _model(seed: int) -> Artifact:
    return builders.docker_v02(builders.tiny_model(seed=seed))


def _pair() -> Artifact:
    """Two models in one artifact."""
    both = {
        f"{name}/{path}": content
        for seed, name in enumerate(("large", "small"))
        for path, content in builders.tiny_model(seed=seed).items()
    }
    return builders.modelpack(both)


def _mixed() -> Artifact:
    more = {"rows.csv": b"a,b\n", "pytorch_model.bin": b"pickle"}
    files = builders.tiny_model() | more
    return builders.modelpack(files, datasets=["rows.csv"])


def _variants() -> Artifact:
    return index(
        [
            IndexEntry(_model(seed), annotations={"quantization": name})
            for seed, name in enumerate(("Q4", "Q8"))
        ]
    )


def _platforms() -> Artifact:
    return index(
        [
            IndexEntry(_model(seed), {"os": "linux", "architecture": name})
            for seed, name in enumerate(("amd64", "arm64"))
        ]
    )


def _adapter() -> Artifact:
    weights = model()["model.safetensors"]
    return pack([raw_layer("adapter_config.json", b"{}"), raw_layer("a.safetensors", weights)])


#: Large enough for what the pages show of sizes.
MODEL = builders.docker_v02(builders.tiny_model(hidden=512, layers=2))
_SMALLER = builders.docker_v02(builders.tiny_model(hidden=256, layers=2, seed=1))
#: What is in the registry, each tagged `latest` and `v1`.
MODELS = {
    "aistaging/smollm2-vllm": MODEL,
    "aistaging/draft": MODEL,
    "aistaging/tokenizer": MODEL,
    "aistaging/adapter": _adapter(),
    "aistaging/gguf": file_sets.ollama(("model", b"GGUF" + bytes(500))),
    "models/pair": _pair(),
    "models/mixed": _mixed(),
    "models/variants": _variants(),
    "models/platforms": _platforms(),
    "models/image": images.image(builders.tiny_model()),
    "models/gguf": file_sets.ollama(("model", b"GGUF" + bytes(500))),
    "models/packed": builders.docker_v01(builders.tiny_model(), annotated=True),
    "acme/llama": _SMALLER,
}


@contextmanager
def world(directory: Path) -> Iterator[dict[str, str]]:
    """The variables that the pages use: registries, a mirror, layouts, and programs of others.

    A name without a host, which is Docker Hub's, is found in the registry here.
    """
    layout, archive = _write_layouts(directory)
    with FakeRegistry() as registry, FakeRegistry() as private, FakeRegistry() as mirror:
        for repository, artifact in MODELS.items():
            for tag in ("latest", "v1"):
                put(registry, artifact, repository=repository, tag=tag)
        for repository in ("aistaging/smollm2-vllm", "aistaging/private"):
            put(private, MODEL, repository=repository, tag="latest")
            put(mirror, MODEL, repository=repository, tag="latest")
        private.auth = Auth(users={"ada": PASSWORD}, anonymous=False)
        yield {
            "PATH": f"{_programs(directory)}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(_STAND_IN),
            "LC_ALL": "C.UTF-8",
            "OCI_PULL_DEFAULT_REGISTRY": registry.address,
            "REGISTRY": registry.address,
            "PRIVATE": private.address,
            "MIRROR": f"http://{mirror.address}",
            "PASSWORD": PASSWORD,
            "DIGEST": MODEL.digest,
            "LAYOUT": str(layout),
            "ARCHIVE": str(archive),
        }


def reader_of(world: Mapping[str, str], home: Path) -> dict[str, str]:
    """The environment of somebody who types what the pages say, in a home of their own."""
    home.mkdir()
    return {**world, "HOME": str(home), "OCI_PULL_CACHE_DIR": str(home / ".cache" / "oci-pull")}


def _write_layouts(directory: Path) -> tuple[Path, Path]:
    """An image layout as a directory and as an archive, and that one compressed beside it."""
    layout = write_layout(directory / "layout", MODEL, "v1")
    archive = directory / "layout.tar"
    with tarfile.open(archive, "w") as file:
        for path in sorted(layout.rglob("*")):
            file.add(path, path.relative_to(layout).as_posix(), recursive=False)
    Path(f"{archive}.gz").write_bytes(gzip.compress(archive.read_bytes()))
    return layout, archive


def _programs(directory: Path) -> Path:
    """`vllm` that says what it would serve, and `pip` that says what it was told."""
    programs = directory / "bin"
    programs.mkdir()
    for name, words in {"vllm": f"exec {sys.executable} -m vllm", "pip": "echo pip"}.items():
        (programs / name).write_text(f'#!/bin/sh\n{words} "$@"\n')
        (programs / name).chmod(0o755)
    return programs

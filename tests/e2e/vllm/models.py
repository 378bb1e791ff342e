"""The models: SmolLM2-135M-Instruct, which answers, and all-MiniLM-L6-v2, which embeds."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.builders import docker_v01, modelpack
from tests.file_sets import ollama
from tests.kits import generated, kit
from tests.producers.images import image_layer, image_of
from tests.servers.debian import TOOLS
from tests.servers.minilm import model_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.content import Artifact, Content
    from tests.e2e.vllm.installation import Installation

_CONVERT = """
import sys
from pathlib import Path
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.quantization_config import GgufConfig

file, target = Path(sys.argv[1]), sys.argv[2]
source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
plain = GgufConfig(dequantize=True)
model = AutoModelForCausalLM.from_pretrained(
    **source, dtype=torch.bfloat16, quantization_config=plain
)
model.save_pretrained(target)
model.generation_config.save_pretrained(target)
AutoTokenizer.from_pretrained(**source).save_pretrained(target)
"""


def smollm2(vllm: Installation) -> Mapping[str, Path]:
    """A directory of safetensors, made once from the file for llama.cpp."""
    target = TOOLS / "vllm" / "smollm2"
    if not target.exists():
        stage = target.with_name("smollm2.new")
        command: list[str | Path] = [vllm.python, "-c", _CONVERT, vllm.gguf, stage]
        subprocess.run(command, env={**os.environ, "TQDM_DISABLE": "1"}, check=True)
        stage.rename(target)
    return {path.name: path for path in sorted(target.iterdir())}


def packagings(files: Mapping[str, Content], scratch: Path) -> Mapping[str, Artifact]:
    """The same model as four producers arrange it."""
    below = {f"models/{name}": content for name, content in files.items()}
    return {
        "docker-model": docker_v01(files, annotated=False, scratch=scratch),
        "modelpack": modelpack(files),
        "kitops": kit(files, generated(files), scratch=scratch),
        "modelcar": image_of(image_layer(below)),
    }


def minilm() -> Artifact:
    """A model with `1_Pooling`, which says that it is the mean of the tokens that counts."""
    files = model_files()
    if files is None:
        raise SystemExit("all-MiniLM-L6-v2 cannot be had from PyPI")
    return docker_v01(dict(files), annotated=True)


def gguf(vllm: Installation) -> Artifact:
    """The file for llama.cpp, as Ollama packs it."""
    return ollama(("model", vllm.gguf.read_bytes()))

"""What the tests of `docs/recipes` share: the registry and the models that the recipes name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests import builders
from tests.e2e.models import MIB, model
from tests.servers.push import Credentials, push

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.servers.distribution import Distribution

DOCS = Path(__file__).parents[2] / "docs"
RECIPES = DOCS / "recipes"

ANA = Credentials("ana", "correct-horse-battery")
LLAMA = model(16 * MIB)
GGUF = {"model.gguf": b"GGUF" + bytes(500)}
_MODELS = (("acme/llama", "v3", LLAMA), ("ai/smollm2", "latest", {**model(), **GGUF}))
_JITTER = re.compile(r"--jitter \d+m")


def fill(registry: Distribution) -> None:
    """Push what the recipes pull."""
    for name, tag, files in _MODELS:
        push(registry.url, name, tag, builders.docker_v02(files), credentials=ANA)


def filled_in(text: str, registry: Distribution, variables: Mapping[str, str] | None = None) -> str:
    """With names of the registry here, next to no wait before it, and what stands for a value."""
    for name, value in (variables or {}).items():
        text = text.replace(name, value)
    text = text.replace("ghcr.io/", f"{registry.host}/")
    text = re.sub(r"(?<!/)\bai/smollm2", f"{registry.host}/ai/smollm2", text)
    return _JITTER.sub("--jitter 1s", text)


def docker_config(registry: Distribution) -> str:
    """A `config.json` that the registry lets in."""
    identity = ANA.basic.removeprefix("Basic ")
    return json.dumps({"auths": {registry.host: {"auth": identity}}})

"""As much of transformers as reads a directory: a configuration, and a tokenizer of whole words."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace


class AutoConfig:
    @staticmethod
    def from_pretrained(path: Path) -> SimpleNamespace:
        return SimpleNamespace(**json.loads((path / "config.json").read_text()))


class AutoTokenizer:
    def __init__(self, vocabulary: dict[str, int]) -> None:
        self._vocabulary = vocabulary

    @classmethod
    def from_pretrained(cls, path: Path) -> AutoTokenizer:
        json.loads((path / "tokenizer_config.json").read_text())
        return cls(json.loads((path / "tokenizer.json").read_text())["model"]["vocab"])

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [self._vocabulary.get(word, 0) for word in text.split()]}

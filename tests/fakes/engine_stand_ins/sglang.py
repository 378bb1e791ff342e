"""As much of SGLang as an engine in a program of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Engine:
    def __init__(self, *, model_path: str, served_model_name: str) -> None:
        self._files = sorted(path.name for path in Path(model_path).iterdir() if path.is_file())

    def generate(self, prompt: str, sampling_params: dict[str, Any]) -> dict[str, str]:
        return {"text": f"{prompt} {self._files}"}

    def shutdown(self) -> None:
        self._files = []

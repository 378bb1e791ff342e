"""As much of vLLM 0.32 as a plugin meets, with its names, its signatures and its order."""

from __future__ import annotations

from typing import Any

__version__ = "0.32.0"


class LLM:
    """An engine in a program of one's own."""

    def __init__(self, model: str, **options: Any) -> None:
        from vllm.engine.arg_utils import EngineArgs

        self.config = EngineArgs(model=model, **options).create_engine_config()

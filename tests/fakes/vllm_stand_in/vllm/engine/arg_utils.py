from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vllm.logger import configure_logging_if_needed
from vllm.plugins import load_general_plugins


def is_cloud_storage(model: str) -> bool:
    return model.startswith(("s3://", "gs://", "az://"))


def get_model_path(model: str, revision: str | None = None) -> str:
    """A path, else what the cache of the Hub has."""
    if Path(model).exists():
        return model
    repository = Path.home() / ".cache/huggingface/hub" / f"models--{model.replace('/', '--')}"
    main = repository / "refs" / (revision or "main")
    if not main.exists():
        raise LookupError(f"LocalEntryNotFoundError: {model}")
    return str(repository / "snapshots" / main.read_text())


@dataclass
class EngineArgs:
    model: str = "Qwen/Qwen3-0.6B"
    served_model_name: str | list[str] | None = None
    tokenizer: str | None = None
    hf_config_path: str | None = None
    revision: str | None = None
    tokenizer_revision: str | None = None
    load_format: str = "auto"
    model_loader_extra_config: dict[str, Any] = field(default_factory=dict)
    speculative_config: Any = None
    spec_model: str | None = None
    #: What a speculator's configuration names as its verifier.
    verifier: str | None = None

    def __post_init__(self) -> None:
        load_general_plugins()
        if os.environ.get("HF_HUB_OFFLINE") == "1":
            if not is_cloud_storage(self.model):
                self.model = get_model_path(self.model, self.revision)
            if self.tokenizer is not None and not is_cloud_storage(self.tokenizer):
                self.tokenizer = get_model_path(self.tokenizer, self.tokenizer_revision)

    def create_logging_config(self) -> str:
        return "INFO"

    def create_model_config(self) -> ModelConfig:
        return ModelConfig(self.model, self.tokenizer or self.model, self.served_model_name)

    def create_engine_config(
        self, usage_context: object = None, headless: bool = False
    ) -> VllmConfig:
        configure_logging_if_needed(self.create_logging_config())
        self.model = self.verifier or self.model
        model_config = self.create_model_config()
        load_config = LoadConfig(self.load_format.lower(), self.model_loader_extra_config)
        return VllmConfig(model_config, load_config)


@dataclass
class ModelConfig:
    model: str
    tokenizer: str
    served_model_name: str | list[str] | None = None


@dataclass
class LoadConfig:
    load_format: str
    model_loader_extra_config: dict[str, Any]


@dataclass
class VllmConfig:
    model_config: ModelConfig
    load_config: LoadConfig

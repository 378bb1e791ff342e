from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from vllm.engine.arg_utils import LoadConfig, ModelConfig, VllmConfig


class BaseModelLoader:
    def __init__(self, load_config: LoadConfig) -> None:
        self.load_config = load_config

    def load_model(
        self, vllm_config: VllmConfig, model_config: ModelConfig, prefix: str = ""
    ) -> list[str]:
        """What was read and from where: the configuration first."""
        model = [f"config of {model_config.model}"]
        self.load_weights(model, model_config)
        return model

    def load_weights(self, model: list[str], model_config: ModelConfig) -> None:
        raise NotImplementedError


class DefaultModelLoader(BaseModelLoader):
    def __init__(self, load_config: LoadConfig) -> None:
        super().__init__(load_config)
        unexpected = load_config.model_loader_extra_config.keys() - {"num_threads"}
        if unexpected:
            raise ValueError(f"Unexpected extra config keys: {unexpected}")

    def download_model(self, model_config: ModelConfig) -> None:
        self.load_weights([], model_config)

    def load_weights(self, model: list[str], model_config: ModelConfig) -> None:
        if self.load_config.load_format != "auto":
            raise ValueError(f"Unknown load_format: {self.load_config.load_format}")
        model.append(f"weights of {model_config.model}")


_LOAD_FORMAT_TO_MODEL_LOADER: dict[str, type[BaseModelLoader]] = {"auto": DefaultModelLoader}


def register_model_loader(load_format: str) -> Callable[[Any], Any]:
    def register(kind: Any) -> Any:
        if not issubclass(kind, BaseModelLoader):
            raise TypeError("The model loader must be a subclass of `BaseModelLoader`.")
        _LOAD_FORMAT_TO_MODEL_LOADER[load_format] = kind
        return kind

    return register


def get_model_loader(load_config: LoadConfig) -> BaseModelLoader:
    return _LOAD_FORMAT_TO_MODEL_LOADER[load_config.load_format](load_config)

"""The loader of `--load-format oci`: that of vLLM, over a directory that is on this node."""

import copy
import os
from typing import Any

LOAD_FORMAT = "oci"
#: The key of the loader's configuration: for each directory, the reference by digest.
ORIGINS = "oci"


def loader_over(base: Any) -> Any:
    """The loader as a class below `DefaultModelLoader`, which is there once vLLM is."""

    class OciModelLoader(base):  # type: ignore[misc]
        """Loads what is in a directory, and pulls it by digest where that is another node's."""

        def __init__(self, load_config: Any) -> None:
            extra = dict(load_config.model_loader_extra_config or {})
            self._origins = extra.pop(ORIGINS, {})
            # A copy: the configuration is one object for all loaders of a process.
            own = copy.copy(load_config)
            own.load_format = "auto"
            own.model_loader_extra_config = extra
            super().__init__(own)

        def load_model(self, vllm_config: Any, model_config: Any, *args: Any, **more: Any) -> Any:
            """As that of vLLM, which reads the configuration before the weights."""
            self._bring(model_config)
            return super().load_model(vllm_config, model_config, *args, **more)

        def load_weights(self, model: Any, model_config: Any) -> Any:
            """As that of vLLM."""
            self._bring(model_config)
            return super().load_weights(model, model_config)

        def download_model(self, model_config: Any) -> None:
            """As that of vLLM."""
            self._bring(model_config)
            super().download_model(model_config)

        def _bring(self, config: Any) -> None:
            """The directory that the configuration names is here."""
            there = config.model
            pinned = self._origins.get(there)
            if pinned is None or os.path.isdir(there):  # noqa: PTH112 - text, as vLLM has it
                return
            from oci_pull.vllm_plugin.provide import provide

            config.model = str(provide(pinned).path)
            if config.tokenizer == there:
                config.tokenizer = config.model

    OciModelLoader.__qualname__ = OciModelLoader.__name__  # it is in vLLM's log
    return OciModelLoader

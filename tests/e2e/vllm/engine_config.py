"""What vLLM makes of its arguments before it starts an engine; for an interpreter that has it.

    python engine_config.py '{"model": "oci://REF"}' [DIR]

With a directory the cache is moved there afterwards, as if the loader ran on another node.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(given: str, elsewhere: str = "") -> None:
    from vllm.engine.arg_utils import EngineArgs
    from vllm.model_executor.model_loader import get_model_loader

    config = EngineArgs(**json.loads(given)).create_engine_config()
    model = config.model_config
    found = {
        "model": model.model,
        "tokenizer": model.tokenizer,
        "name": model.served_model_name,
        "load_format": config.load_config.load_format,
        "origins": config.load_config.model_loader_extra_config.get("oci"),
    }
    if elsewhere:
        Path(os.environ["OCI_PULL_CACHE_DIR"]).rename(elsewhere)
        get_model_loader(config.load_config).download_model(model)
    print(
        "\n" + json.dumps(found | {"loaded": model.model, "is_there": Path(model.model).is_dir()})
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

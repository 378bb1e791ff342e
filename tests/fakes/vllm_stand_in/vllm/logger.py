"""vLLM shows what its own loggers say, once they are configured."""

from __future__ import annotations

import logging
import sys


def configure_logging_if_needed(config: str) -> None:
    logger = logging.getLogger("vllm")
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler(sys.stdout))
        logger.setLevel(config)
        logger.propagate = False

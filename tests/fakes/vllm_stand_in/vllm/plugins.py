"""Plugins are loaded once a process; what one of them raises is not caught."""

from __future__ import annotations

import logging
import os
from importlib.metadata import entry_points

_loaded: list[str] = []


def load_general_plugins() -> None:
    if _loaded:
        return
    _loaded.append("all")
    allowed = os.environ.get("VLLM_PLUGINS")
    plugins = []
    for plugin in entry_points(group="vllm.general_plugins"):
        if allowed is None or plugin.name in allowed.split(","):
            try:
                plugins.append(plugin.load())
            except Exception:
                logging.getLogger("vllm").exception("Failed to load plugin %s", plugin.name)
    for register in plugins:
        register()

"""As much of huggingface_hub as finds a model in its cache when it may ask nobody."""

from __future__ import annotations

import os
from pathlib import Path


def snapshot_download(repo_id: str) -> str:
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    folder = Path(os.environ["HF_HOME"], "hub", f"models--{repo_id.replace('/', '--')}")
    return str(folder / "snapshots" / (folder / "refs" / "main").read_text())

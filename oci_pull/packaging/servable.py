"""Whether an inference engine can serve a tree as it is.

What contradicts itself is an error: the model is damaged. What is merely not for vLLM is a warning.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol

from oci_pull.errors import InconsistentModel
from oci_pull.packaging import safetensors
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import LeftOut
from oci_pull.packaging.selection import PICKLES

_FILE_WANTED = "GGUF: an engine wants the file, not the directory"
#: How files in GGUF are called that are loaded beside a model: projectors, adapters, drafts.
_COMPANIONS = ("mmproj", "adapter", "draft")
_MAX_CONFIG = 16 * 1024 * 1024


class TreeView(Protocol):
    """A tree that can be looked into before it has its final name."""

    def sizes(self) -> Mapping[RelPath, int]:
        """The size of every file in bytes."""

    def read(self, path: RelPath, limit: int) -> bytes:
        """The first `limit` bytes of a file."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an engine can do with the tree."""

    servable: bool
    warnings: tuple[str, ...] = ()
    #: The one file to hand to the engine, where it wants a file.
    primary: RelPath | None = None


def examine(tree: TreeView, left_out: Sequence[LeftOut] = ()) -> Verdict:
    """Look at a tree as vLLM will.

    Raises:
        InconsistentModel: a file that the index names is absent though nobody left it out, a
            safetensors file is not as long as its header says, a configuration is not JSON.
    """
    sizes = tree.sizes()
    top = _top(sizes)
    for path, size in sizes.items():
        if path.name.lower().endswith(".safetensors"):
            _check_length(tree, path, size)
    missing = _missing_shards(tree, sizes, {each.name for each in left_out})
    for name in ("config.json", "params.json"):
        if name in top:
            _check_json(tree, top[name])
    return _verdict(top, sizes, missing)


def foresee(sizes: Mapping[RelPath, int]) -> Verdict:
    """What `examine` will say of files that are not there yet, if nothing is wrong in them."""
    return _verdict(_top(sizes), sizes)


def serve_command(path: PurePath, primary: PurePath | None) -> str:
    """What to type to serve a tree; a GGUF has no tokenizer that vLLM reads."""
    if primary is None:
        return f"vllm serve {shlex.quote(str(path))}"
    return f"vllm serve {shlex.quote(str(primary))} --tokenizer ORG/NAME"


def spelled_out(
    warnings: Sequence[str], path: PurePath, primary: PurePath | None
) -> tuple[str, ...]:
    """The warnings of a verdict once it is known where the tree is: with what to type.

    A receipt has them without a path, because a cache can be moved.
    """
    command = serve_command(path, primary) if primary else ""
    return tuple(
        f"{each}: {command}" if command and each == _FILE_WANTED else each for each in warnings
    )


def _top(sizes: Mapping[RelPath, int]) -> Mapping[str, RelPath]:
    """The files that are in no directory, by name."""
    return {path.name: path for path in sizes if not path.parent}


def _verdict(
    top: Mapping[str, RelPath], sizes: Mapping[RelPath, int], missing: Sequence[str] = ()
) -> Verdict:
    gguf = sorted(path for path in sizes if path.name.lower().endswith(".gguf"))
    reason = _reason_against(top, sizes, gguf, missing)
    return Verdict(not reason, (reason,) if reason else (), _primary(gguf, top))


def _reason_against(
    top: Mapping[str, RelPath],
    sizes: Mapping[RelPath, int],
    gguf: Sequence[RelPath],
    missing: Sequence[str],
) -> str:
    """Why vLLM cannot serve the tree as it is; empty if it can."""
    configured = bool({"config.json", "params.json"} & top.keys())
    weighted = any(name.endswith((".safetensors", *PICKLES)) for name in top)
    onnx = any(path.name.lower().endswith(".onnx") for path in sizes)
    rules = (
        (missing, f"{''.join(missing[:1])} was left out, and vLLM needs all that the index names"),
        (configured and weighted, ""),
        (gguf, _FILE_WANTED),
        ("adapter_config.json" in top, "an adapter: serve its base model, load this beside it"),
        (onnx, "ONNX weights: vLLM does not read them"),
        (configured, "no weights: vLLM cannot serve this directory"),
    )
    otherwise = "no config.json: vLLM cannot serve this directory"
    return next((reason for applies, reason in rules if applies), otherwise)


def _primary(gguf: Sequence[RelPath], top: Mapping[str, RelPath]) -> RelPath | None:
    """The first part of a GGUF model; what comes beside another file is none."""
    if any(name.endswith(".safetensors") for name in top):
        return None
    models = [path for path in gguf if not path.name.startswith(_COMPANIONS)]
    return next(iter(models), None)


def _check_length(tree: TreeView, path: RelPath, size: int) -> None:
    try:
        length = safetensors.header_length(tree.read(path, safetensors.LENGTH_BYTES))
        header = safetensors.parse_header(tree.read(path, safetensors.LENGTH_BYTES + length))
    except InconsistentModel as error:
        raise InconsistentModel(f"{path}: {error.message}") from error
    if header.file_size != size:
        raise InconsistentModel(
            f"{path} has {size} bytes, its header says {header.file_size}: the publisher's copy "
            "is damaged"
        )


def _missing_shards(
    tree: TreeView, sizes: Mapping[RelPath, int], left_out: set[str]
) -> Sequence[str]:
    """The shards that the index names and that were left out on purpose."""
    index_path = RelPath((safetensors.INDEX_NAME,))
    if index_path not in sizes:
        return ()
    try:
        index = safetensors.parse_index(tree.read(index_path, safetensors.MAX_INDEX))
    except InconsistentModel as error:
        raise InconsistentModel(f"{safetensors.INDEX_NAME}: {error.message}") from error
    present = {str(path) for path in sizes}
    missing = [name for name in index if name not in present]
    for name in missing:
        if name not in left_out:
            raise InconsistentModel(f"{safetensors.INDEX_NAME} names {name}, which is not there")
    return missing


def _check_json(tree: TreeView, path: RelPath) -> None:
    try:
        json.loads(tree.read(path, _MAX_CONFIG))
    except (ValueError, RecursionError) as error:
        raise InconsistentModel(f"{path} is not JSON") from error

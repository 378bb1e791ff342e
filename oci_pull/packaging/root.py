"""Which directory of what was packaged is the model."""

import re
import shlex
from collections.abc import Callable, Collection, Iterable

from oci_pull.errors import NotAModel, SeveralRoots, UnsafePath
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.selection import PICKLES, SAFE_WEIGHTS

_CONFIGS = ("config.json", "params.json")
#: Of pipelines, whose parts have a configuration and weights each, and of what goes with a model.
_OTHER_CONFIGS = ("model_index.json", "adapter_config.json")
_WEIGHTS = SAFE_WEIGHTS + PICKLES
_GGUF = ".gguf"
#: Where KServe, and with it nearly everybody, looks for the model of an image.
_MODELS = ("models",)
#: How far below that a model may be: an organisation, its name, and a version.
_MODELS_DEPTH = 3
#: Where others keep theirs (KAITO; volumes made of an image; old runtimes), if a model is there.
_KNOWN: tuple[tuple[str, ...], ...] = (("workspace", "weights"), (), ("model",), ("mnt", "models"))
#: The cache of Hugging Face's library: `models--ORG--NAME/snapshots/COMMIT`.
_HUB = "models--"
_SNAPSHOTS = "snapshots"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAX_LISTED = 12

Directory = tuple[str, ...]


def find_root(paths: Iterable[RelPath], wanted: str = "") -> Directory:
    """The directory of a file set that holds the model, empty for the top.

    `wanted` decides where it is given. Otherwise the top if a configuration is there, else
    `models`, else the one snapshot of a Hugging Face cache, else the one shallowest directory
    with a configuration beside weights, else the top.

    Raises:
        SeveralRoots: two directories could be it.
        NotAModel: nothing is in the wanted directory.
    """
    found = [path.parts for path in paths]
    if wanted:
        return _wanted(found, wanted)
    tops = {parts[0] for parts in found if len(parts) == 1}
    if tops & {*_CONFIGS, *_OTHER_CONFIGS}:
        return ()
    configured = _configured(found)
    if _MODELS in configured:
        return _MODELS
    return _only(_snapshots(found, {})) or _only(_shallowest(configured)) or ()


def find_image_root(
    files: Collection[Directory],
    wanted: str,
    find: Callable[[Directory], Directory | None],
    mains: Iterable[tuple[Directory, str]] = (),
) -> Directory:
    """The directory of a container image that holds the model, empty for its top.

    `files` are the paths of all files; `find` says where a directory really is, None where there is
    none; `mains` are the contents of the `refs/main` of Hugging Face caches, by their path.

    Raises:
        SeveralRoots: two directories could be it.
        NotAModel: none could, or nothing is in the wanted one.
    """
    if wanted:
        return _wanted(files, wanted, find)
    models = find(_MODELS)
    configured = _configured(files)
    named = {parts[:-1] for parts in files if parts[-1] in _CONFIGS}
    if models is not None and models in named:
        return models
    near = [each for each in configured if _is_near(each, models)]
    known = [each for each in (find(place) for place in _KNOWN) if each in configured]
    candidates = (
        near,
        _snapshots(files, dict(mains)),
        known[:1],
        _shallowest(configured),
        _shallowest({parts[:-1] for parts in files if parts[-1].lower().endswith(_GGUF)}),
    )
    for each in candidates:
        if root := _only(each):
            return root
        if each:
            return ()
    if models is not None and any(parts[: len(models)] == models for parts in files):
        return models
    raise NotAModel(
        "this is a container image without a model in it",
        facts=(
            "looked for: weights beside a configuration, in /models, /model and elsewhere",
            f"found: {len(files)} files; at the top {_top(files)}",
        ),
        hint="--root DIR  if one of its directories is a model, whatever it looks like",
    )


def _is_near(directory: Directory, models: Directory | None) -> bool:
    """Whether it is in `/models`, not too deep and not a part of another model there."""
    if models is None or directory[: len(models)] != models:
        return False
    inside = directory[len(models) :]
    return len(inside) <= _MODELS_DEPTH and not any(part.startswith(_HUB) for part in inside)


def _configured(files: Iterable[Directory]) -> set[Directory]:
    """The directories with a configuration beside weights, but for those inside another one."""
    configs = {*_CONFIGS, *_OTHER_CONFIGS}
    configured, weighted, whole = set(), set(), set()
    for parts in files:
        name = parts[-1]
        if name in configs:
            configured.add(parts[:-1])
        if name.lower().endswith(_WEIGHTS) or name.endswith(".safetensors.index.json"):
            weighted.add(parts[:-1])
        if name == "model_index.json":
            whole.add(parts[:-1])
    found = (configured & weighted) | whole
    return {each for each in found if not any(each[:depth] in found for depth in range(len(each)))}


def _snapshots(files: Iterable[Directory], mains: "dict[Directory, str]") -> Collection[Directory]:
    """The snapshots of Hugging Face caches; of a model the main one, where that is told."""
    found: dict[Directory, set[Directory]] = {}
    for parts in files:
        for depth, part in enumerate(parts[:-3]):
            if part.startswith(_HUB) and parts[depth + 1] == _SNAPSHOTS:
                found.setdefault(parts[: depth + 1], set()).add(parts[: depth + 3])
    chosen: set[Directory] = set()
    for model, snapshots in found.items():
        commit = mains.get((*model, "refs", "main"), "").strip()
        main = (*model, _SNAPSHOTS, commit)
        chosen |= {main} if _COMMIT.fullmatch(commit) and main in snapshots else snapshots
    return chosen


def _shallowest(directories: Collection[Directory]) -> Collection[Directory]:
    depth = min(map(len, directories), default=0)
    return [each for each in directories if len(each) == depth]


def _only(directories: Collection[Directory]) -> Directory | None:
    """The one directory, None where there is none; raises `SeveralRoots`."""
    if len(directories) > 1:
        found = sorted(directories)
        names = ["/".join(directory) or "/" for directory in found]
        more = [f"and {len(names) - _MAX_LISTED} more"] if len(names) > _MAX_LISTED else []
        raise SeveralRoots(
            f"{len(names)} directories could be the model",
            facts=[*names[:_MAX_LISTED], *more],
            hint=f"--root {shlex.quote(names[0])}",
        )
    return next(iter(directories), None)


def _wanted(
    files: Iterable[Directory],
    wanted: str,
    find: Callable[[Directory], Directory | None] = lambda directory: directory,
) -> Directory:
    if wanted.strip("/") in ("", "."):
        return ()
    try:
        directory = find(RelPath.parse(wanted.removeprefix("/")).parts)
    except UnsafePath as error:
        raise NotAModel(f"--root {wanted!r} is no directory of a model") from error
    if directory is not None and any(
        len(parts) > len(directory) and parts[: len(directory)] == directory for parts in files
    ):
        return directory
    raise NotAModel(f"no file is in --root {wanted}", facts=[f"at the top: {_top(files)}"])


def _top(files: Iterable[Directory]) -> str:
    names = sorted({parts[0] for parts in files})
    return ", ".join(names[:_MAX_LISTED]) + (", ..." if len(names) > _MAX_LISTED else "")

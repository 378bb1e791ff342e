"""Which directory of what was packaged is the model."""

from collections.abc import Iterable

from oci_pull.errors import NotAModel, SeveralRoots, UnsafePath
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.selection import PICKLES, SAFE_WEIGHTS

_CONFIGS = ("config.json", "params.json")
_WEIGHTS = SAFE_WEIGHTS + PICKLES

Directory = tuple[str, ...]


def find_root(paths: Iterable[RelPath], wanted: str = "") -> Directory:
    """The directory that holds the model, empty for the top.

    `wanted` decides where it is given. Otherwise the top if a configuration is there, else the one
    shallowest directory with a configuration beside weights, else the top.

    Raises:
        SeveralRoots: two directories could be it.
        NotAModel: nothing is in the wanted directory.
    """
    found = list(paths)
    if wanted:
        return _wanted(found, wanted)
    configured = {path.parent for path in found if path.name in _CONFIGS}
    if () in configured:
        return ()
    weighted = {path.parent for path in found if path.name.lower().endswith(_WEIGHTS)}
    candidates = configured & weighted
    if not candidates:
        return ()
    depth = min(len(directory) for directory in candidates)
    shallowest = sorted(each for each in candidates if len(each) == depth)
    if len(shallowest) > 1:
        listing = "\n".join(f"  {'/'.join(directory)}" for directory in shallowest)
        raise SeveralRoots(
            f"several directories could be the model:\n{listing}",
            hint=f"--root {'/'.join(shallowest[0])}",
        )
    return shallowest[0]


def _wanted(paths: list[RelPath], wanted: str) -> Directory:
    if wanted.strip("/") in ("", "."):
        return ()
    try:
        directory = RelPath.parse(wanted.removeprefix("/")).parts
    except UnsafePath as error:
        raise NotAModel(f"--root {wanted!r} is no directory of a model") from error
    if not any(path.below(directory) for path in paths):
        top = ", ".join(sorted({path.parts[0] for path in paths})[:12])
        raise NotAModel(f"no file is in --root {wanted}; at the top there are {top}")
    return directory

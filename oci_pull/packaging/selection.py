"""Which files of a model are wanted."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, Self, TypeVar

from oci_pull.errors import PickleOnly
from oci_pull.oci.digest import Digest
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import LeftOut

#: Loading any of these can run code that is in it.
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".dill")
#: Weights that are data and nothing else.
SAFE_WEIGHTS = (".safetensors", ".gguf", ".onnx", ".dduf")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Selection:
    """What was asked for of a model; part of the identity of a tree.

    Globs are matched against the final path, `*` crosses directories, and a pattern that ends in
    `/` means everything below it, all as `hf download` has it.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    allow_pickle: bool = False
    datasets: bool = False
    root: str = ""

    @property
    def key(self) -> str:
        """Empty for the whole model, else eight hex digits that name this selection."""
        if self == Selection():
            return ""
        canonical = json.dumps(self.to_facts(), sort_keys=True)
        return Digest.of(canonical.encode()).hex[:8]

    def to_facts(self) -> dict[str, Any]:
        """What JSON can hold of it: everything."""
        return asdict(self)

    @classmethod
    def from_facts(cls, value: Mapping[str, Any]) -> Self:
        """What `to_facts` gave; raises `LookupError`, `TypeError` for anything else."""
        return cls(
            include=tuple(str(pattern) for pattern in value["include"]),
            exclude=tuple(str(pattern) for pattern in value["exclude"]),
            allow_pickle=bool(value["allow_pickle"]),
            datasets=bool(value["datasets"]),
            root=str(value["root"]),
        )

    def reason_against(self, path: RelPath) -> str | None:
        """Why the patterns leave a file out, None where they let it in."""
        if self.include and not _matches(path, self.include):
            return "not in --include"
        if _matches(path, self.exclude):
            return "excluded by --exclude"
        return None

    def reason_against_any(self, path: RelPath) -> str | None:
        """The same where it is not yet known which directory above it is the top of the tree.

        None where one of the paths that it may get in the end is let in.
        """
        ends = (RelPath(path.parts[depth:]) for depth in range(len(path.parts)))
        reasons = [self.reason_against(end) for end in ends]
        return reasons[0] if all(reasons) else None


def _matches(path: RelPath, patterns: Sequence[str]) -> bool:
    return any(
        fnmatchcase(str(path), pattern + "*" if pattern.endswith("/") else pattern)
        for pattern in patterns
    )


def leave_out_pickles(
    files: Iterable[T],
    path_of: Callable[[T], RelPath],
    size_of: Callable[[T], int],
    *,
    is_all: bool = True,
) -> tuple[list[T], list[LeftOut]]:
    """The files without the pickles, and the pickles; `is_all` is false while more may come.

    Raises:
        PickleOnly: there are no other weights, and none will come.
    """
    kept: list[T] = []
    pickles: list[T] = []
    for file in files:
        (pickles if _is_pickle(path_of(file)) else kept).append(file)
    is_safe = any(path_of(file).name.lower().endswith(SAFE_WEIGHTS) for file in kept)
    if is_all and pickles and not is_safe:
        raise PickleOnly(
            f"the only weights are pickles ({_named(pickles, path_of)}), and loading a pickle "
            "can run code",
            hint="--allow-pickle  if you trust the publisher",
        )
    reason = "a pickle beside safer weights" if is_safe else "a pickle"
    reason += " (--allow-pickle takes it in)"
    return kept, [LeftOut(str(path_of(file)), size_of(file), reason) for file in pickles]


def _named(files: Sequence[T], path_of: Callable[[T], RelPath]) -> str:
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{path_of(files[0])}{more}"


def _is_pickle(path: RelPath) -> bool:
    return path.name.lower().endswith(PICKLES)

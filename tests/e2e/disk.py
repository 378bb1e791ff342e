"""What is on disk: snapshots, trees byte for byte, and a cache in which nothing is wrong."""

from __future__ import annotations

import glob
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from oci_pull.adapters.cache.journal import read
from tests import content
from tests.content import Content

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OWN = ".oci-pull"
RECEIPT = f"{OWN}/receipt.json"
_ANY_SIZE = 1 << 62

Snapshot = dict[str, tuple[int, int, int, int]]


_known: dict[tuple[int, int, int, int], str] = {}


def digest_of(found: Content) -> str:
    """Of a file as it is now: the hard links of one are read once."""
    if isinstance(found, bytes):
        return content.digest_of(found)
    status = found.stat()
    key = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
    if key not in _known:
        _known[key] = content.digest_of(found)
    return _known[key]


def snapshot(root: Path, *, without: str = "") -> Snapshot:
    """Every path below the root with its time, inode, mode and size; a write changes it.

    `without` is a directory at its top that may change.
    """
    if not root.exists():
        return {}
    found = {}
    for path in (root, *root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if without and (name == without or name.startswith(f"{without}/")):
            continue
        status = path.lstat()
        found[name] = (status.st_mtime_ns, status.st_ino, status.st_mode, status.st_size)
    return found


def names_of(directory: Path) -> set[str]:
    """The files of a tree, without what is ours."""
    names = {
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if is_file(path)
    }
    return {name for name in names if not name.startswith(f"{OWN}/")}


def is_file(path: Path) -> bool:
    return not path.is_dir() or path.is_symlink()


def assert_tree(directory: Path, files: Mapping[str, Content]) -> None:
    """The directory holds these files byte for byte, a receipt, and nothing else."""
    assert names_of(directory) == set(files)
    for name, expected in files.items():
        assert digest_of(directory / name) == digest_of(expected), name
    own = {path.relative_to(directory).as_posix() for path in (directory / OWN).rglob("*")}
    assert own == {RECEIPT}
    assert_readable(directory)


def assert_readable(directory: Path) -> None:
    """Everybody can read everything in it, and nothing in it is a link that leaves it."""
    for path in (directory, *directory.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert not path.is_symlink(), path
        if path.is_dir():
            # A directory whose group new files are to have hands that on.
            assert mode & ~stat.S_ISGID == 0o755, f"{path}: {mode:o}"
        else:
            assert mode in (0o444, 0o644), f"{path}: {mode:o}"


def assert_sound(cache: Path, *, after_kill: bool = False) -> None:
    """Nothing wrong is under a final name, and nothing half-made is left.

    `after_kill`: what was being built when the process was killed may lie in `incomplete`.
    """
    if not cache.exists():
        return
    for path in _files(cache / "blobs"):
        if path.name.startswith("."):  # not a final name
            continue
        assert f"{path.parent.name}:{path.name}" == digest_of(path), f"{path} has other content"
        assert stat.S_IMODE(path.stat().st_mode) == 0o444, path
    for layer in _entries(cache / "layers"):
        _assert_layer(layer)
    for tree in (cache / "models").rglob("*@*"):
        _assert_complete(tree)
    _assert_index(cache)
    if not after_kill:
        assert [*_entries(cache / "incomplete")] == []


def assert_tidy(cache: Path) -> None:
    """A sound cache after a success: nothing temporary is left anywhere in it."""
    assert_sound(cache)
    assert not [path for path in cache.rglob(".*") if path.name != OWN]
    assert [*_entries(cache / "partial")] == []


def _assert_layer(layer: Path) -> None:
    if layer.name.startswith("headers-"):
        assert {path.name for path in layer.iterdir()} == {"entries"}
        return
    assert {path.name for path in layer.iterdir()} == {"files", "members.json"}
    for path in _files(layer / "files"):
        assert digest_of(path) == f"sha256:{path.name}", path
    members = json.loads((layer / "members.json").read_bytes())["members"]
    named = {member["digest"].removeprefix("sha256:") for member in members}
    assert named == {path.name for path in _files(layer / "files")}


def _assert_complete(tree: Path) -> None:
    receipt = json.loads((tree / RECEIPT).read_bytes())
    digests = {file["path"]: file["digest"] for file in receipt["files"]}
    assert names_of(tree) == set(digests)
    for name, digest in digests.items():
        assert digest_of(tree / name) == digest, name


def _assert_index(cache: Path) -> None:
    index = cache / "index.json"
    if not index.exists():
        return
    for named in json.loads(index.read_bytes())["manifests"]:
        manifest = json.loads(blob(cache, named["digest"]).read_bytes())
        for each in (manifest["config"], *manifest["layers"]):
            assert blob(cache, each["digest"]).stat().st_size == each["size"]


def blob(cache: Path, digest: str) -> Path:
    algorithm, _, text = digest.partition(":")
    return cache / "blobs" / algorithm / text


def blobs(cache: Path) -> set[str]:
    """The digests of all that is complete."""
    return {
        f"{path.parent.name}:{path.name}"
        for path in _files(cache / "blobs")
        if not path.name.startswith(".")
    }


def unfinished(cache: Path) -> set[str]:
    """The digests of all that somebody has begun, up to the moment when nothing is left of that."""
    home = cache / "partial"
    return {f"sha256:{path.name}" for path in home.iterdir()} if home.is_dir() else set()


def found_now(directory: Path, pattern: str) -> list[Path]:
    """What there is, also while things come and go."""
    # Path.glob of Python 3.11 raises where a directory that it has seen is gone; this does not.
    return [Path(found) for found in glob.glob(f"{glob.escape(str(directory))}/{pattern}")]  # noqa: PTH207


def partial_journals(cache: Path) -> list[Path]:
    """Of every blob that is being fetched, or was."""
    return found_now(cache, "partial/*/*/journal")


def bytes_kept(cache: Path, digest: str = "") -> int:
    """Of unfinished blobs, or of this one: what is safely on disk, and is not fetched again."""
    name = digest.partition(":")[2]
    blobs = ((path, path.parents[1].name) for path in partial_journals(cache))
    # One that is gone when it is read has nothing.
    return sum(read(path, blob, _ANY_SIZE).size for path, blob in blobs if name in ("", blob))


def _files(directory: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(directory):
        for name in names:
            yield Path(folder, name)


def _entries(directory: Path) -> Iterator[Path]:
    if directory.is_dir():
        yield from directory.iterdir()

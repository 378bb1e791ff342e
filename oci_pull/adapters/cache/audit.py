"""Reads a cache again, byte by byte, and says what in it is not what its name or receipt says."""

import enum
import json
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.cache import journal
from oci_pull.adapters.cache.file_set import FILES, read_members
from oci_pull.adapters.cache.partial import FREE
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.trees import read_receipt
from oci_pull.errors import Cancelled, OciPullError
from oci_pull.oci.digest import Digest, Hasher
from oci_pull.oci.manifest import Manifest, parse_document
from oci_pull.ports import Cancel

_CHUNK = 1024 * 1024


class Part(enum.Enum):
    """What of a cache is damaged."""

    DIRECTORY = "directory"
    PARTIAL = "partial"
    BLOB = "blob"
    LAYER = "layer"
    TREE = "tree"
    REFERENCE = "reference"
    INDEX = "index"


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is not what it should be."""

    part: Part
    path: Path
    why: str
    #: The blob, where it is one or was made of one.
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is named after its content."""

    part: Part
    path: Path
    digest: Digest
    size: int
    #: Device and inode: what links to it has the same content.
    inode: tuple[int, int]
    #: What is damaged if it is: the file itself, or the file set that it is in.
    whole: Path


def stored_files(cache: Cache) -> Iterator[Stored]:
    """Every blob, and every file of an unpacked archive."""
    for home in _entries(cache.root / "blobs"):
        for path in _entries(home):
            with suppress(OciPullError):
                digest = Digest.parse(f"{home.name}:{path.name}")
                yield from _stored(Part.BLOB, path, digest, path)
    for layer in _entries(cache.root / "layers"):
        for path in _entries(layer / FILES):
            with suppress(OciPullError):
                digest = Digest.parse(f"sha256:{path.name}")
                yield from _stored(Part.LAYER, path, digest, layer)


def _stored(part: Part, path: Path, digest: Digest, whole: Path) -> Iterator[Stored]:
    with suppress(FileNotFoundError):
        found = path.lstat()
        yield Stored(part, path, digest, found.st_size, (found.st_dev, found.st_ino), whole)


def content_damage(file: Stored, cancel: Cancel) -> Damage | None:
    """What is wrong with a file, read to its end; raises `Cancelled`."""
    why = None
    if file.path.is_symlink() or not file.path.is_file():
        why = "it is no file"
    else:
        try:
            found = digest_of(file.path, cancel, file.digest.algorithm)
            why = (
                None if found == file.digest else f"its content is {found.algorithm}:{found.short}"
            )
        except FileNotFoundError:
            # Somebody prunes: what is gone is not damaged.
            return None
        except OSError as error:
            why = f"it cannot be read: {error.strerror}"
    return Damage(file.part, file.whole, why, file.digest) if why else None


def digest_of(path: Path, cancel: Cancel, algorithm: str = "sha256") -> Digest:
    """The digest of a file; raises `OSError`, `Cancelled`."""
    hasher = Hasher(algorithm)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if cancel.is_set():
                raise Cancelled("stopped; nothing was changed")
            hasher.update(chunk)
    return hasher.digest()


def damaged_listings(cache: Cache) -> Iterator[Damage]:
    """File sets whose list of members cannot be read, or that lack one of them."""
    for layer in _entries(cache.root / "layers"):
        if layer.name.startswith("headers-"):
            continue
        members = read_members(layer)
        if members is None:
            yield Damage(Part.LAYER, layer, "its list of members cannot be read")
        elif missing := [m for m in members if not (layer / FILES / m.digest.hex).is_file()]:
            yield Damage(Part.LAYER, layer, f"{missing[0].path} is missing")


def directories(cache: Cache) -> Iterator[Path]:
    """Every model directory, with a receipt or without."""
    for parent, inside, files in os.walk(cache.root / "models"):
        yield from (Path(parent, name) for name in (*inside, *files) if "@" in name)
        inside[:] = [name for name in inside if "@" not in name]


def tree_damage(
    path: Path,
    intact: Collection[tuple[int, int]],
    recall: Callable[[Digest], bytes | None],
    cancel: Cancel,
) -> Damage | None:
    """What is wrong with a tree; a file that is a link to something intact is not read again.

    `intact` are the inodes of blobs and unpacked files that were read; `recall` has manifests.
    Raises `Cancelled`.
    """
    receipt = read_receipt(path)
    if receipt is None:
        return Damage(Part.TREE, path, "its receipt cannot be read" if path.is_dir() else "a file")
    for file in receipt.files:
        where = path.joinpath(*file.path.parts)
        try:
            found = where.stat()
            if found.st_size != file.size:
                return Damage(Part.TREE, path, f"{file.path} has {found.st_size} bytes")
            is_known = (found.st_dev, found.st_ino) in intact
            if not is_known and digest_of(where, cancel, file.digest.algorithm) != file.digest:
                return Damage(Part.TREE, path, f"{file.path} has other content")
        except OSError as error:
            return Damage(Part.TREE, path, f"{file.path}: {error.strerror}")
    raw = recall(receipt.manifest.digest)
    try:
        is_manifest = raw is not None and isinstance(
            parse_document(raw, digest=receipt.manifest.digest), Manifest
        )
    except OciPullError:
        is_manifest = False
    return None if is_manifest else Damage(Part.TREE, path, "its manifest is not in the cache")


def damaged_directories(cache: Cache) -> Iterator[Damage]:
    """What belongs to the cache and cannot be read, so that what is in it is not known."""
    for top in ("blobs", "layers", "models", "refs", "partial"):
        if not (cache.root / top).exists():
            continue
        unread: list[OSError] = []
        for _, _, _ in os.walk(cache.root / top, onerror=unread.append):
            pass
        for error in unread:
            path = Path(error.filename)
            yield Damage(Part.DIRECTORY, path, f"it cannot be read: {error.strerror}")


def damaged_partials(cache: Cache) -> Iterator[Damage]:
    """Unfinished blobs whose journal says nothing; what they hold is fetched again."""
    for home in _entries(cache.root / "partial"):
        for path in _entries(home):
            is_idle = path.name == FREE
            data, journal_of = path / "data", path / "journal"
            if is_idle and data.is_file() and journal_of.is_file():
                size = data.stat().st_size
                if not journal.read(journal_of, home.name, size).records:
                    yield Damage(Part.PARTIAL, path, "its journal cannot be read")


def damaged_references(cache: Cache) -> Iterator[Damage]:
    """Tags whose digest cannot be read."""
    for parent, _, names in os.walk(cache.root / "refs"):
        for name in names:
            path = Path(parent, name)
            try:
                Digest.parse((_bytes(path) or b"").decode().strip())
            except (OciPullError, ValueError):
                yield Damage(Part.REFERENCE, path, "it holds no digest")


def damaged_index(cache: Cache, expected: Callable[[], bytes]) -> Iterator[Damage]:
    """The index that other tools read, where it is not what the receipts say."""
    path = cache.root / "index.json"
    found = _bytes(path)
    if found is not None and _value(found) != _value(expected()):
        yield Damage(Part.INDEX, path, "it is not what the cache holds")


def _value(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None

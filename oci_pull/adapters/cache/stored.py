"""The files of a cache whose content is known, by their names or by what lists them; read again."""

import enum
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.cache.file_set import FILES, read_members
from oci_pull.adapters.cache.paths import Cache
from oci_pull.errors import Cancelled, OciPullError
from oci_pull.events import Counter
from oci_pull.oci.digest import Digest, Hasher
from oci_pull.packaging.receipt import Receipt
from oci_pull.ports import Cancel

_CHUNK = 1024 * 1024
MISSING = "missing"


class Part(enum.Enum):
    """What of a cache something is."""

    DIRECTORY = "directory"
    PARTIAL = "partial"
    BLOB = "blob"
    LAYER = "layer"
    TREE = "tree"
    REFERENCE = "reference"
    INDEX = "index"


@dataclass(frozen=True, slots=True)
class Stored:
    """A file, and the digest that its content has to have."""

    part: Part
    path: Path
    digest: Digest
    #: What is damaged if it is: the file itself, or the file set or the tree that it is in.
    whole: Path
    #: In bytes, where that is written down.
    size: int | None = None
    #: Whether it was asked for as a copy, which shares its bytes with no other file.
    is_copy: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen of a file that is not read."""

    #: Device and inode: names of one file have one content.
    inode: tuple[int, int] = (0, 0)
    #: In bytes.
    size: int = 0
    #: What is wrong with it, empty if that cannot be seen.
    problem: str = ""


def blobs(cache: Cache) -> Iterator[Stored]:
    """Every file that has the name of a blob."""
    for home in entries(cache.root / "blobs"):
        for path in entries(home):
            if digest := _digest(home.name, path.name):
                yield Stored(Part.BLOB, path, digest, path)


def layer_files(cache: Cache) -> Iterator[Stored]:
    """Every file of an unpacked archive or image: those that are there, and those that it lists."""
    for layer in entries(cache.root / "layers"):
        sizes = {each.digest: each.size for each in read_members(layer) or ()}
        there = (_digest("sha256", path.name) for path in entries(layer / FILES))
        for digest in dict.fromkeys([*sizes, *filter(None, there)]):
            path = layer / FILES / digest.hex
            yield Stored(Part.LAYER, path, digest, layer, sizes.get(digest))


def tree_files(tree: Path, receipt: Receipt) -> Iterator[Stored]:
    """Every file that a model directory has by its receipt."""
    is_copy = receipt.link == "copy"
    for file in receipt.files:
        path = tree.joinpath(*file.path.parts)
        yield Stored(Part.TREE, path, file.digest, tree, file.size, is_copy)


def look(file: Stored) -> Look:
    """What can be known of it at once."""
    try:
        # Only in a model directory may a link lead to the content.
        found = file.path.stat() if file.part is Part.TREE else file.path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return Look(problem=MISSING)
    except OSError as error:
        return Look(problem=_unread(error))
    if not stat.S_ISREG(found.st_mode):
        return Look(problem="no file")
    if file.size is not None and found.st_size != file.size:
        return Look(problem=f"{found.st_size} bytes instead of {file.size}")
    return Look((found.st_dev, found.st_ino), found.st_size)


class Reading:
    """Reads files to their ends, several at once; the counter says how far it is."""

    def __init__(self, cancel: Cancel, counter: Counter) -> None:
        self._cancel = cancel
        self._counter = counter
        self._lock = threading.Lock()

    def problem(self, file: Stored) -> str:
        """What is wrong with its content, empty where nothing is; raises `Cancelled`."""
        try:
            found = self.digest(file.path, file.digest.algorithm)
        except FileNotFoundError:
            return MISSING
        except OSError as error:
            return _unread(error)
        return "" if found == file.digest else f"its content is {found.algorithm}:{found.short}"

    def digest(self, path: Path, algorithm: str) -> Digest:
        """The digest of a file; raises `OSError`, `Cancelled`."""
        hasher = Hasher(algorithm)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                if self._cancel.is_set():
                    raise Cancelled("stopped while reading")
                hasher.update(chunk)
                with self._lock:
                    self._counter.value += len(chunk)
        return hasher.digest()


def entries(directory: Path) -> list[Path]:
    """What is in a directory; nothing where it cannot be read."""
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _unread(error: OSError) -> str:
    return f"it cannot be read: {os.strerror(error.errno or 0)}"


def _digest(algorithm: str, digits: str) -> Digest | None:
    """The digest of a name; None for one that is none, or that nobody can check."""
    with suppress(OciPullError):
        digest = Digest.parse(f"{algorithm}:{digits}")
        digest.require_computable()
        return digest
    return None

"""What in a cache is not what it should be, beside the contents of its files."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.cache import journal
from oci_pull.adapters.cache.file_set import read_members
from oci_pull.adapters.cache.owner import Owner, is_alive
from oci_pull.adapters.cache.partial import FREE, excess
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.store import DirectoryStore
from oci_pull.adapters.cache.stored import Part, Stored, entries
from oci_pull.adapters.cache.trees import read_receipt
from oci_pull.errors import OciPullError
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import Manifest, parse_document
from oci_pull.packaging.receipt import Receipt


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is not what it should be."""

    part: Part
    path: Path
    why: str
    #: The blob, where it is one.
    digest: Digest | None = None
    #: What is wrong of it, where that is the content of files and nothing else.
    files: tuple[Stored, ...] = ()


def missing_blobs(receipt: Receipt, store: DirectoryStore) -> Iterator[Digest]:
    """Blobs that a model directory was made of and that are gone.

    Those of archives are not among them: the files are what is kept of an archive.
    """
    named = {receipt.digest, receipt.manifest.digest}
    placed = {*receipt.needs}
    try:
        raw = store.recall(receipt.manifest.digest)
        manifest = parse_document(raw, digest=receipt.manifest.digest) if raw else None
    except OciPullError:
        manifest = None
    if isinstance(manifest, Manifest):
        named |= {manifest.config.digest} if manifest.config else set()
        placed |= {blob.digest for blob in manifest.blobs}
    named |= placed & {file.digest for file in receipt.files}
    yield from (digest for digest in sorted(named) if not store.has(digest))


def damaged_listings(cache: Cache) -> Iterator[Damage]:
    """File sets whose list of members cannot be read."""
    for layer in entries(cache.root / "layers"):
        if not layer.name.startswith("headers-") and read_members(layer) is None:
            yield Damage(Part.LAYER, layer, "its list of members cannot be read")


def damaged_receipts(cache: Cache) -> Iterator[Damage]:
    """Model directories that nothing says anything of, and what is in the place of one."""
    for parent, inside, files in os.walk(cache.root / "models"):
        for path in (Path(parent, name) for name in (*inside, *files) if "@" in name):
            if read_receipt(path) is None:
                is_tree = path.is_dir()
                yield Damage(
                    Part.TREE, path, "its receipt cannot be read" if is_tree else "it is a file"
                )
        inside[:] = [name for name in inside if "@" not in name]


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
    """Unfinished blobs that nobody works on and that are longer than the blob, or hold nothing.

    Of the latter the journal cannot be read; they are fetched again.
    """
    for home in entries(cache.root / "partial"):
        for path in entries(home):
            owner = Owner.parse(path.name)
            if owner and is_alive(owner, path):
                continue
            data, journal_of = path / "data", path / "journal"
            if longer := excess(path):
                yield Damage(Part.PARTIAL, path, f"{longer} bytes longer than its blob")
            # Whoever gave it up had something; whoever was killed may have had nothing yet.
            elif path.name == FREE and data.is_file() and journal_of.is_file():
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


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None

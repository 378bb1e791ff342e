"""A cache in a temporary directory, and what is put into it."""

from __future__ import annotations

import os
import resource
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oci_pull.adapters.cache.contents import Contents
from oci_pull.adapters.cache.images import DirectoryImages
from oci_pull.adapters.cache.layers import DirectoryLayers
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.store import DirectoryStore
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.reference import Reference
from oci_pull.packaging.layout import FromBlob, Layout, TreeFile
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.receipt import PlacedFile, Receipt
from oci_pull.ports import StagedTree, Tree
from tests.fakes.memory import Recorder, blob_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

REFERENCE = Reference.parse("registry.example:5000/team/model:v1")
#: As large as a file has to be to be linked.
WEIGHTS = b"w" * 1_000_000


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """The kernel refuses to make files longer than this, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may do anything, which no user of a shared cache can."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(user)


def names_below(directory: Path) -> set[str]:
    """Every file below a directory, relative to it."""
    return {
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    }


def contents_below(directory: Path) -> dict[str, bytes]:
    """Every file below a directory that is not ours, with its content."""
    return {
        name: (directory / name).read_bytes()
        for name in names_below(directory)
        if not name.startswith(".oci-pull/")
    }


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@dataclass
class Shelf:
    """The stores of one cache."""

    root: Path
    cache: Cache = field(init=False)
    store: DirectoryStore = field(init=False)
    layers: DirectoryLayers = field(init=False)
    observer: Recorder = field(default_factory=Recorder)
    cancel: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.cache = Cache(self.root)
        self.store = DirectoryStore(self.cache)
        self.layers = DirectoryLayers(self.cache)

    @property
    def contents(self) -> Contents:
        return Contents(self.store, self.layers, DirectoryImages(self.cache, self.cancel))

    def layout(self, files: Mapping[str, bytes]) -> Layout:
        """A layout of files whose contents are blobs of the cache."""
        placed = []
        for path, content in files.items():
            blob = blob_of(content)
            self.store.add(blob, content)
            placed.append(TreeFile(RelPath.parse(path), blob.size, blob.digest, FromBlob(blob)))
        return Layout(tuple(sorted(placed, key=lambda file: file.path)))


def receipt_of(
    layout: Layout, manifest: Descriptor, *, reference: str = str(REFERENCE), selection: str = ""
) -> Receipt:
    return Receipt(
        reference=reference,
        digest=manifest.digest,
        manifest=manifest,
        packaging="docker-model",
        selection=selection,
        files=tuple(PlacedFile(file.path, file.size, file.digest) for file in layout.files),
        servable=True,
        primary=None,
        warnings=(),
    )


def published(staged: StagedTree, receipt: Receipt) -> Tree:
    """As a pull does it: what is left is discarded whatever happens."""
    try:
        return staged.publish(receipt)
    finally:
        staged.discard()

"""Where the content of a tree's files is in the cache."""

from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.layers import DirectoryLayers
from oci_pull.adapters.store import DirectoryStore
from oci_pull.errors import NotCached
from oci_pull.packaging.layout import FromBlob, TreeFile


@dataclass(frozen=True, slots=True)
class Contents:
    """Blobs and unpacked archives together."""

    store: DirectoryStore
    layers: DirectoryLayers

    def path(self, file: TreeFile) -> Path:
        """A verified file with the content; raises `NotCached` if it vanished meanwhile."""
        if isinstance(file.origin, FromBlob):
            found = self.store.find(file.origin.blob)
            if found is None:
                raise NotCached(
                    f"{file.path} was removed from the cache while it was needed",
                    hint="run the same command again",
                )
            return found.path
        return self.layers.path(file.origin.archive, file.digest)

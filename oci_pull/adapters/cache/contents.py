"""Where the content of a tree's files is in the cache."""

from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.cache.layers import DirectoryLayers
from oci_pull.adapters.cache.store import DirectoryStore
from oci_pull.errors import Vanished
from oci_pull.packaging.layout import FromBlob, TreeFile


@dataclass(frozen=True, slots=True)
class Contents:
    """Blobs and unpacked archives together."""

    store: DirectoryStore
    layers: DirectoryLayers

    def path(self, file: TreeFile) -> Path:
        """A verified file with the content; raises `Vanished` if it is gone."""
        if isinstance(file.origin, FromBlob):
            blob = self.store.find(file.origin.blob)
            path = blob.path if blob else None
        else:
            path = self.layers.path(file.origin.archive, file.digest)
        if path is None or not path.exists():
            raise Vanished(
                f"{file.path} was removed from the cache while it was needed",
                hint="run the same command again",
            )
        return path

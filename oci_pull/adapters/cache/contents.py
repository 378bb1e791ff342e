"""Where the content of a tree's files is in the cache."""

from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from oci_pull.adapters.cache.images import DirectoryImages
from oci_pull.adapters.cache.layers import DirectoryLayers
from oci_pull.adapters.cache.store import DirectoryStore
from oci_pull.errors import Vanished
from oci_pull.packaging.layout import FromArchive, FromBlob, FromImage, TreeFile


@dataclass(frozen=True, slots=True)
class Contents:
    """Blobs, unpacked archives and the models of images together."""

    store: DirectoryStore
    layers: DirectoryLayers
    images: DirectoryImages

    def path(self, file: TreeFile) -> Path:
        """A verified file with the content; raises `Vanished` if it is gone."""
        match file.origin:
            case FromBlob(blob):
                stored = self.store.find(blob)
                path = stored.path if stored else None
            case FromArchive(archive):
                path = self.layers.path(archive, file.digest)
            case FromImage(image, root):
                path = self.images.path(image, root, file.digest)
            case _:
                assert_never(file.origin)
        if path is None or not path.exists():
            raise Vanished(
                f"{file.path} was removed from the cache while it was needed",
                hint="run the same command again",
            )
        return path

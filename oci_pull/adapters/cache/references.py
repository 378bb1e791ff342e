"""What tags were last seen to be, and the index that other tools read the cache by."""

import glob
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.store import DirectoryStore
from oci_pull.adapters.cache.trees import RECEIPT, read_receipt
from oci_pull.adapters.disk import write_file, writing
from oci_pull.errors import OciPullError
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import OCI_INDEX, Manifest, parse_document
from oci_pull.oci.reference import Locator, Reference
from oci_pull.packaging.receipt import Receipt

_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True)
class DirectoryReferences:
    """The `refs` directory of a cache, and its `index.json`."""

    cache: Cache
    store: DirectoryStore
    #: Looked into and never written, as that of a store.
    behind: "DirectoryReferences | None" = None

    def recall(self, reference: Locator) -> Digest | None:
        """The digest that a tag had, None if it was never seen."""
        if reference.moving_tag is None:
            return None
        found = _read(self.cache.ref(reference, reference.moving_tag))
        return found or (self.behind.recall(reference) if self.behind else None)

    def remember(self, reference: Locator, digest: Digest) -> None:
        """Note what a tag is now, and bring the index up to date; raises `DiskError`."""
        self.cache.prepare()
        if reference.moving_tag is not None and self.recall(reference) != digest:
            content = f"{digest}\n".encode()
            write_file(self.cache.ref(reference, reference.moving_tag), content)
        self.refresh()

    def forget(self, host: str, repository: str, digest: Digest) -> None:
        """No tag of the repository is known to be the digest; raises `DiskError`."""
        home = self.cache.root / "refs" / host.replace(":", "+")
        for path in home.glob(f"{glob.escape(repository)}@*"):
            if _read(path) == digest:
                with writing(path):
                    path.unlink(missing_ok=True)

    def index(self) -> bytes:
        """What the index says of what the cache holds now."""
        manifests = sorted(self._entries(), key=lambda entry: json.dumps(entry, sort_keys=True))
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
        return json.dumps(index, indent=1).encode()

    def refresh(self) -> None:
        """Bring the index up to date with what the cache holds; raises `DiskError`."""
        path = self.cache.root / "index.json"
        with writing(path):
            content = self.index()
            if not path.exists() or path.read_bytes() != content:
                write_file(path, content)

    def _entries(self) -> Iterator[dict[str, Any]]:
        """An entry a name of every manifest whose blobs are all here."""
        tags = self.tags()
        for receipt in self._receipts():
            if not self._is_whole(receipt):
                continue
            reference = _parsed(receipt.reference)
            if reference is None:
                continue
            names = [
                f"{reference.name}:{tag}"
                for tag in tags.get((reference.host, reference.repository, receipt.digest), ())
            ]
            for name in names or [f"{reference.name}@{receipt.manifest.digest}"]:
                yield {
                    "mediaType": receipt.manifest.media_type,
                    "digest": str(receipt.manifest.digest),
                    "size": receipt.manifest.size,
                    "annotations": {_NAME: name},
                }

    def tags(self) -> dict[tuple[str, str, Digest], list[str]]:
        """The tags that were last seen to be a digest, by host, repository and that."""
        tags: dict[tuple[str, str, Digest], list[str]] = {}
        home = self.cache.root / "refs"
        for path in home.rglob("*@*") if home.is_dir() else ():
            digest = _read(path)
            repository, _, tag = path.relative_to(home).as_posix().rpartition("@")
            host, _, repository = repository.partition("/")
            if digest:
                tags.setdefault((host.replace("+", ":"), repository, digest), []).append(tag)
        return tags

    def _receipts(self) -> Iterator[Receipt]:
        home = self.cache.root / "models"
        for path in home.rglob(f"*@*/{RECEIPT}") if home.is_dir() else ():
            # A selection is a part of the model, which has no manifest of its own.
            if (receipt := read_receipt(path.parent.parent)) and not receipt.selection:
                yield receipt

    def _is_whole(self, receipt: Receipt) -> bool:
        """Whether everything that the manifest names is here, so that a copy of it is complete."""
        raw = self.store.recall(receipt.manifest.digest)
        if raw is None:
            return False
        try:
            manifest = parse_document(raw, digest=receipt.manifest.digest)
        except OciPullError:
            return False
        if not isinstance(manifest, Manifest):
            return False
        return all(self.store.find(blob) for blob in manifest.blobs)


def _read(path: Path) -> Digest | None:
    try:
        return Digest.parse(path.read_text().strip())
    except (OSError, ValueError, OciPullError):
        return None


def _parsed(text: str) -> Reference | None:
    try:
        return Reference.parse(text)
    except OciPullError:
        return None

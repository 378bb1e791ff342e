"""Where everything in the cache directory is. Nothing in it holds an absolute path."""

from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.disk import write_file, writing
from oci_pull.errors import CacheTooNew
from oci_pull.oci.digest import Digest
from oci_pull.oci.reference import Locator, Reference

#: What has the place of the registry in the name of what is from an image layout.
LAYOUTS = "layout"
_VERSION = 1
#: The signature that backup programs look for (bford.info/cachedir).
_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# This is a cache of oci-pull.\n"


@dataclass(frozen=True, slots=True)
class Cache:
    """The paths below one root."""

    root: Path

    def prepare(self) -> None:
        """The directory is there and is of a version that this release understands.

        Raises:
            CacheTooNew: a newer release wrote it.
            DiskError: it is not there and cannot be made.
        """
        if self.require_known() is None:
            self._create(self.root / "version")

    def require_known(self, instead: str = "--cache-dir DIR  for a cache of its own") -> int | None:
        """The version of the directory, None where it has none yet.

        Raises:
            CacheTooNew: a newer release wrote it; `instead` is the hint beside an upgrade.
        """
        try:
            found = int((self.root / "version").read_text())
        except (OSError, ValueError):
            return None
        if found > _VERSION:
            raise CacheTooNew(
                f"the cache {self.root} has version {found}, this oci-pull knows {_VERSION}",
                hint=f"pip install --upgrade oci-pull\n{instead}",
            )
        return found

    def _create(self, version: Path) -> None:
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        write_file(self.root / "CACHEDIR.TAG", _TAG)
        write_file(self.root / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        write_file(version, f"{_VERSION}\n".encode())

    def blob(self, digest: Digest) -> Path:
        """A verified blob."""
        return self.root / "blobs" / digest.algorithm / digest.hex

    def partial(self, digest: Digest) -> Path:
        """The directory of an unfinished blob; its one entry is named after the owner."""
        return self.root / "partial" / digest.hex

    def layer(self, digest: Digest, *, is_bare: bool = False) -> Path:
        """The file set of an archive, or the one file of what is compressed and no archive."""
        name = f"{digest.algorithm}-{digest.hex}"
        return self.root / "layers" / (f"{name}-bare" if is_bare else name)

    def merged(self, image: Digest, root: str) -> Path:
        """The model in a container image, for a root that was asked for, or for none."""
        return self.root / "layers" / f"image-{image.hex}-{Digest.of(root.encode()).hex[:8]}"

    def headers(self, layer: Digest) -> Path:
        """The headers of the entries of an image's layer."""
        return self.root / "layers" / f"headers-{layer.algorithm}-{layer.hex}"

    def ref(self, reference: Locator, tag: str) -> Path:
        """What a tag was last seen to be."""
        return self._named("refs", reference, f"@{tag}")

    def tree(self, reference: Locator, manifest: Digest, selection: str) -> Path:
        """The model directory of a manifest."""
        return self._named("models", reference, _tree_suffix(manifest, selection))

    def used(self, reference: Locator, manifest: Digest, selection: str) -> Path:
        """A file whose modification time is the last use of a tree."""
        return self._named("used", reference, _tree_suffix(manifest, selection))

    @property
    def incomplete(self) -> Path:
        """Trees and layers that are being built."""
        return self.root / "incomplete"

    @property
    def locks(self) -> Path:
        """What living processes say that they rely on."""
        return self.root / "locks"

    def _named(self, kind: str, reference: Locator, suffix: str) -> Path:
        """`@` cannot be in a repository, so that names nest without collisions."""
        if isinstance(reference, Reference):
            host = reference.host.replace(":", "+")
            return self.root / kind / host / f"{reference.repository}{suffix}"
        name = Digest.of(reference.path.encode()).short
        return self.root / kind / LAYOUTS / f"{name}{suffix}"


def _tree_suffix(manifest: Digest, selection: str) -> str:
    return f"@{manifest.short}" + (f"-{selection}" if selection else "")

"""What was laid out, written beside it: a tree without a receipt does not exist."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from oci_pull.errors import OciPullError
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.selection import Selection

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """A file of a tree. A linked file shares its content with the cache and is read-only."""

    path: RelPath
    size: int
    digest: Digest
    is_linked: bool = True


@dataclass(frozen=True, slots=True)
class Receipt:
    """Everything that a later run has to know of a tree."""

    reference: str
    #: What the reference was resolved to: of the index, where there is one.
    digest: Digest
    manifest: Descriptor
    packaging: str
    #: See `Selection.key`.
    selection: str
    files: tuple[PlacedFile, ...]
    servable: bool
    primary: RelPath | None
    warnings: tuple[str, ...]
    #: What the cache needs to make the tree again: documents, configs, layers, those of parents as
    #: well. Empty where an earlier release wrote the receipt.
    needs: tuple[Digest, ...] = ()
    #: How the directory has its weights: `reflink`, `hardlink`, `symlink`, `copy`; empty where it
    #: has none, or an earlier release wrote the receipt.
    link: str = ""
    #: The options behind `selection`; None where there were none, or an earlier release wrote the
    #: receipt.
    chosen: Selection | None = None

    @property
    def asked(self) -> Selection | None:
        """What was asked for of the model; None where an earlier release did not write it down."""
        chosen = self.chosen or Selection()
        return chosen if chosen.key == self.selection else None

    @property
    def size(self) -> int:
        """The sum of the files in bytes."""
        return sum(file.size for file in self.files)

    def with_files(self, files: tuple[PlacedFile, ...], link: str) -> Self:
        """The same receipt for files as they were really placed, the weights in this way."""
        return replace(self, files=files, link=link)

    def to_json(self) -> bytes:
        """The bytes of `receipt.json`."""
        value = {
            "schema": SCHEMA,
            "reference": self.reference,
            "digest": str(self.digest),
            "manifest": {
                "mediaType": self.manifest.media_type,
                "digest": str(self.manifest.digest),
                "size": self.manifest.size,
            },
            "packaging": self.packaging,
            "selection": self.selection,
            "servable": self.servable,
            "primary": str(self.primary) if self.primary else None,
            "warnings": list(self.warnings),
            "needs": [str(digest) for digest in self.needs],
            "link": self.link,
            "chosen": self.chosen.to_facts() if self.chosen else None,
            "files": [
                {
                    "path": str(file.path),
                    "size": file.size,
                    "digest": str(file.digest),
                    "linked": file.is_linked,
                }
                for file in self.files
            ],
        }
        return json.dumps(value, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes) -> Self | None:
        """Parse the bytes; None for anything that this release did not write."""
        try:
            value = json.loads(content)
            return cls._parse(value) if value["schema"] == SCHEMA else None
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
            return None
        except (RecursionError, OciPullError):
            return None

    @classmethod
    def _parse(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            reference=str(value["reference"]),
            digest=Digest.parse(value["digest"]),
            manifest=Descriptor.parse(value["manifest"]),
            packaging=str(value["packaging"]),
            selection=str(value["selection"]),
            files=tuple(
                PlacedFile(
                    RelPath.parse(file["path"]),
                    int(file["size"]),
                    Digest.parse(file["digest"]),
                    bool(file["linked"]),
                )
                for file in value["files"]
            ),
            servable=bool(value["servable"]),
            primary=RelPath.parse(value["primary"]) if value["primary"] else None,
            warnings=tuple(str(each) for each in value["warnings"]),
            needs=tuple(Digest.parse(each) for each in value.get("needs", ())),
            link=str(value.get("link", "")),
            chosen=Selection.from_facts(chosen) if (chosen := value.get("chosen")) else None,
        )

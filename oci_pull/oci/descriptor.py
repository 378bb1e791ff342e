"""Descriptors: what a manifest says of a blob before anybody has seen it."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Self

from oci_pull.errors import DigestMismatch, InvalidManifest
from oci_pull.oci.digest import Digest, Hasher

#: Larger than any file system; a size beyond it is nonsense that would overflow arithmetic later.
_MAX_SIZE = 1 << 60


def media_type(text: str) -> str:
    """A media type as it is compared: lower case, without parameters.

    Podman writes `text/plain; charset=utf-8`, registries append charsets to manifests.
    """
    return "".join(text.partition(";")[0].lower().split())


@dataclass(frozen=True, slots=True)
class Platform:
    """The operating system and processor that an entry of an index is meant for."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse `OS/ARCH[/VARIANT]`; None where it is something else."""
        if not re.fullmatch(r"[a-z0-9._-]+/[a-z0-9._-]+(/[a-z0-9._-]+)?", text):
            return None
        return cls(*text.split("/"))

    @property
    def is_unknown(self) -> bool:
        """Whether it says nothing (`unknown/unknown`, what attestations carry)."""
        return "unknown" in (self.os, self.architecture)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob by type, digest and size in bytes (image-spec, descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    platform: Platform | None = None
    artifact_type: str = ""
    #: The content itself, where the producer put it inline; already verified.
    data: bytes | None = field(default=None, repr=False)
    #: Other places of the content, for foreign layers.
    urls: tuple[str, ...] = ()
    #: The name of a file as Ollama writes it, which is no member of OCI's.
    name: str = ""

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Parse one descriptor of a manifest; unknown members are ignored.

        Raises:
            InvalidManifest: a member has the wrong type, the digest is none, the size cannot be.
            DigestMismatch: inline data is not what the digest names.
        """
        if not isinstance(value, dict):
            raise InvalidManifest("a descriptor is not an object")
        size = value.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_SIZE:
            raise InvalidManifest(f"a descriptor has the size {str(size)[:40]}")
        plain = cls(
            media_type=media_type(_text(value, "mediaType")),
            digest=Digest.parse(_text(value, "digest")),
            size=size,
            annotations=annotations(value),
            platform=_platform(value.get("platform")),
            artifact_type=media_type(_text(value, "artifactType")),
            urls=_urls(value.get("urls")),
            name=_name(value.get("name")),
        )
        data = _data(plain, value.get("data"))
        return plain if data is None else plain.with_data(data)

    def with_data(self, data: bytes) -> Self:
        """The same descriptor with its content inline; raises `DigestMismatch` if it is not."""
        hasher = Hasher(self.digest.algorithm)
        hasher.update(data)
        if (hasher.size, hasher.digest()) != (self.size, self.digest):
            raise DigestMismatch(f"the inline data of {self.digest} is not what it names")
        return replace(self, data=data)


def _text(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key, "")
    if not isinstance(text, str):
        raise InvalidManifest(f"{key} is not a string")
    return text


def annotations(value: Mapping[str, Any]) -> Mapping[str, str]:
    """The `annotations` of a document, read-only; raises `InvalidManifest` if they are no map."""
    given = value.get("annotations") or {}
    if not isinstance(given, dict):
        raise InvalidManifest("annotations are not an object")
    return MappingProxyType({key: text for key, text in given.items() if isinstance(text, str)})


def _platform(value: Any) -> Platform | None:
    if not isinstance(value, dict):
        return None
    parts = (value.get("os"), value.get("architecture"), value.get("variant") or "")
    if not all(isinstance(part, str) for part in parts):
        return None
    return Platform(*(str(part) for part in parts))


def _name(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _urls(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(url for url in value if isinstance(url, str))


def _data(descriptor: Descriptor, value: Any) -> bytes | None:
    """Inline content; also for the empty blobs, which some registries do not store."""
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except ValueError as error:
            raise InvalidManifest("the inline data of a descriptor is not base64") from error
    for known in (b"", b"{}"):
        if descriptor.size == len(known) and descriptor.digest == Digest.of(known):
            return known
    return None

"""Digests: content identifiers that are safe in a path or a URL."""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from oci_pull.errors import InvalidManifest, UnsupportedDigest

#: What can be hashed and written without a copy.
Bytes = bytes | bytearray | memoryview

#: Hex digits of each algorithm. sha384 parses, because Docker's grammar has it, and is refused
#: when something has to be computed: image-spec registers sha256 and sha512 alone.
_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_COMPUTED = ("sha256", "sha512")
_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A content identifier, safe as part of a path or a URL (image-spec, descriptor.md)."""

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        length = _LENGTHS.get(self.algorithm)
        if length is None:
            raise InvalidManifest(f"unsupported digest algorithm {self.algorithm[:40]!r}")
        if len(self.hex) != length or not _HEX.fullmatch(self.hex):
            raise InvalidManifest(f"not a {self.algorithm} digest: {self.hex[:140]!r}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `algorithm:hex`.

        Raises:
            InvalidManifest: if the text is anything else (CVE-2024-3727, CVE-2024-37032: digests
                become paths and URLs, so nothing unchecked may be called one).
        """
        algorithm, colon, encoded = text.partition(":")
        if not colon:
            raise InvalidManifest(f"not a digest: {text[:140]!r}")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, content: Bytes) -> Self:
        """The sha256 digest of bytes in memory."""
        return cls("sha256", hashlib.sha256(content).hexdigest())

    @property
    def short(self) -> str:
        """The first twelve hex digits: what people see."""
        return self.hex[:12]

    def require_computable(self) -> None:
        """Raise `UnsupportedDigest` where nobody here could check it."""
        _require_computable(self.algorithm)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def _require_computable(algorithm: str) -> None:
    if algorithm not in _COMPUTED:
        raise UnsupportedDigest(
            f"{algorithm} digests cannot be checked here",
            hint="ask the publisher for a sha256 digest",
        )


class Hasher:
    """A running digest; raises `UnsupportedDigest` for an algorithm that cannot be computed."""

    __slots__ = ("_algorithm", "_hash", "size")

    def __init__(self, algorithm: str = "sha256") -> None:
        _require_computable(algorithm)
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        self.size = 0

    def update(self, data: Bytes) -> None:
        """Take the next bytes."""
        self._hash.update(data)
        self.size += len(data)

    def digest(self) -> Digest:
        """The digest of what was taken so far."""
        return Digest(self._algorithm, self._hash.hexdigest())

"""File names from manifests and archives, hostile until they are a `RelPath`."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Self

from oci_pull.errors import UnsafePath

_MAX_NAME = 255
_MAX_PATH = 4096
_MAX_DEPTH = 64
#: Our own directory in every tree: a model may not bring files for it.
RESERVED = ".oci-pull"
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
#: A drive or a device.
_WINDOWS = re.compile(r"[a-z]:|(?:con|prn|aux|nul|com[1-9]|lpt[1-9])(?:\.|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, order=True)
class RelPath:
    """A relative POSIX path that stays inside any directory it is joined to."""

    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a name from a manifest, an annotation or an archive.

        `./` in front and `/` behind are taken off, as archives write them.

        Raises:
            UnsafePath: absolute, with `..`, empty parts, control characters, a backslash, a drive,
                a reserved name, or too long or deep for a file system.
        """
        bare = text.removeprefix("./").removesuffix("/")
        parts = tuple(part for part in bare.split("/") if part != ".")
        if not bare or not parts:
            raise UnsafePath(f"a file has no name: {text[:80]!r}")
        if bare.startswith("/") or _FORBIDDEN.search(bare):
            raise UnsafePath(f"unsafe file name {text[:200]!r}")
        for part in parts:
            if part in ("", "..") or _WINDOWS.match(part):
                raise UnsafePath(f"unsafe file name {text[:200]!r}")
            if _length(part) > _MAX_NAME:
                raise UnsafePath(f"a file name is longer than {_MAX_NAME} bytes: {part[:60]!r}...")
        if len(parts) > _MAX_DEPTH or _length(bare) > _MAX_PATH:
            raise UnsafePath(f"a file is nested too deeply: {text[:80]!r}...")
        # At any depth: the directory that has it may turn out to be the root of the model.
        if any(part.lower() == RESERVED for part in parts):
            raise UnsafePath(f"{text[:200]!r} is a name that oci-pull keeps for itself")
        return cls(parts)

    @property
    def name(self) -> str:
        """The last part."""
        return self.parts[-1]

    @property
    def parent(self) -> tuple[str, ...]:
        """The directory it is in; empty at the top."""
        return self.parts[:-1]

    @property
    def folded(self) -> str:
        """What two paths share that a file system somewhere takes for the same one."""
        return unicodedata.normalize("NFC", str(self)).casefold()

    def below(self, directory: tuple[str, ...]) -> "RelPath | None":
        """The path as seen from `directory`, None where it is not in it."""
        if len(self.parts) <= len(directory) or self.parts[: len(directory)] != directory:
            return None
        return RelPath(self.parts[len(directory) :])

    def __str__(self) -> str:
        return "/".join(self.parts)


def _length(name: str) -> int:
    try:
        return len(name.encode())
    except UnicodeEncodeError as error:
        raise UnsafePath(f"a file name is not Unicode text: {name[:80]!r}") from error

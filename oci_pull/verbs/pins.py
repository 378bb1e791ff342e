"""A file of what references were found to be, so that the very same can be pulled by its lines."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from oci_pull.adapters.disk import write_file, writing
from oci_pull.errors import InvalidSetting, NotWritable
from oci_pull.oci.digest import Digest
from oci_pull.oci.reference import LayoutReference, Locator


@dataclass(frozen=True, slots=True)
class Pins:
    """The lines of such a file, as they come; without a file they are for nobody."""

    path: Path | None
    _lines: list[str] = field(default_factory=list)

    def check(self, reference: Locator) -> None:
        """Refuse now what could only fail later.

        Raises:
            InvalidSetting: the reference is one whose syntax has no digest.
            NotWritable: there can be no such file.
        """
        if self.path is None:
            return
        if isinstance(reference, LayoutReference) and reference.is_archive:
            raise InvalidSetting(
                f"--digest-file: {reference} cannot be pinned, an archive has no @DIGEST",
                hint="oci-pull oci:DIR --digest-file FILE  of the unpacked archive",
            )
        path = self.path.absolute()
        directory = next(each for each in path.parents if each.exists())
        if path.is_dir() or not os.access(directory, os.W_OK):
            raise NotWritable(
                f"{self.path} cannot be written", hint="--digest-file FILE  somewhere else"
            )

    def add(self, reference: Locator, digest: Digest) -> None:
        """Note what a reference is; its tag stays as a label."""
        self._lines.append(f"{replace(reference, digest=digest)}\n")

    def write(self) -> None:
        """The file has the lines, at once and whole; raises `DiskError`.

        A pipe or a device gets them as it is.
        """
        if self.path is None:
            return
        content = "".join(self._lines).encode()
        if self.path.exists() and not self.path.is_file():
            with writing(self.path):
                self.path.write_bytes(content)
        else:
            write_file(self.path.absolute(), content)

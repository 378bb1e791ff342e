"""Whom an examination is about."""

from dataclasses import dataclass

from oci_pull.oci.reference import LayoutReference, Locator, Reference, parse_locator
from oci_pull.settings import Settings


@dataclass(frozen=True, slots=True)
class Target:
    """Whom it is about: a registry, or a reference in one or on disk."""

    #: Empty for a layout on disk.
    host: str
    locator: Locator | None = None

    @property
    def repository(self) -> str:
        """The repository, empty where only a registry was named."""
        return self.locator.repository if isinstance(self.locator, Reference) else ""

    @classmethod
    def parse(cls, text: str, settings: Settings) -> "Target":
        """A registry where a single word can be nothing else, else a reference.

        Raises:
            InvalidReference: neither.
        """
        bare = text.removeprefix("oci://").rstrip("/")
        name, _, port = bare.partition(":")
        is_host = "." in name or name == "localhost" or name.startswith("[")
        if "/" not in bare and (port.isdigit() or not port or name.startswith("[")) and is_host:
            # Checked by the rules of references, of which a registry is the first part.
            return cls(Reference.parse(f"{bare}/repository").registry)
        locator = parse_locator(text, default_registry=settings.default_registry)
        return cls("" if isinstance(locator, LayoutReference) else locator.registry, locator)

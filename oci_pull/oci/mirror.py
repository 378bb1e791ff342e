"""Another place that has the repositories of a registry."""

import re
from dataclasses import dataclass
from typing import Self

from oci_pull.oci.reference import Reference

_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[0-9A-Fa-f:]+\])(?::([0-9]{1,5}))?"
)
_PREFIX = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Mirror:
    """A host that speaks the distribution API, and what stands before each repository there."""

    #: `host` or `host:port`, in lower case.
    host: str
    #: `docker-remote` of Artifactory, a project of Harbor; empty where names are the same.
    prefix: str = ""
    plain_http: bool = False
    #: Whether it is believed when it says what a tag is; blobs are verified whoever sends them.
    tags: bool = True
    #: What is left out at the beginning of repositories, where only those below it are mirrored.
    below: str = ""
    #: Its certificate is not verified, and it may turn out to speak no TLS.
    insecure: bool = False

    @classmethod
    def parse(cls, text: str, *, tags: bool = True) -> Self:
        """Parse `https://HOST[:PORT][/PREFIX]`, or the same without a scheme.

        Raises:
            ValueError: it is something else, or has a user, a query or a fragment.
        """
        scheme, separator, rest = text.strip().rpartition("://")
        if separator and scheme.lower() not in ("http", "https"):
            raise ValueError("a mirror is an http or https URL")
        host, _, prefix = rest.partition("/")
        prefix = prefix.strip("/").removeprefix("v2/") if prefix.strip("/") != "v2" else ""
        match = _HOST.fullmatch(host)
        if not match or (match[1] and not 1 <= int(match[1]) <= _MAX_PORT):
            raise ValueError("a mirror looks like https://HOST[:PORT][/PREFIX]")
        if prefix and not _PREFIX.fullmatch(prefix):
            raise ValueError("what follows the host of a mirror is the beginning of repositories")
        return cls(host.lower(), prefix, plain_http=scheme.lower() == "http", tags=tags)

    def repository(self, name: str) -> str:
        """What a repository of the registry is called here."""
        rest = name.removeprefix(self.below).lstrip("/") if self.below else name
        return "/".join(part for part in (self.prefix, rest) if part)

    def of(self, reference: Reference) -> Reference:
        """What is asked for here, where the registry is asked for a reference."""
        repository = self.repository(reference.repository)
        return Reference(self.host, repository, reference.tag, reference.digest)

    def __str__(self) -> str:
        scheme = "http" if self.plain_http else "https"
        return f"{scheme}://{self.host}" + (f"/{self.prefix}" if self.prefix else "")

"""What people type to name a model in a registry, by Docker's rules.

The grammar is that of distribution/reference; where it accepts what nobody means (a digest without
a name, a host with an underscore), this parser refuses with a hint. A registry keeps its case in
`str()` and is compared in lower case.
"""

import re
from dataclasses import dataclass
from typing import Self

from oci_pull.errors import InvalidManifest, InvalidReference
from oci_pull.oci.digest import Digest

DOCKER_HUB = "docker.io"
#: The names of Docker Hub, all folded into the one above.
_HUB_NAMES = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
_SCHEME = "oci://"
_MAX_PATH = 255
_MAX_PORT = 65535

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::([0-9]+))?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_FOREIGN_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Reference:
    """A registry, a repository, and a tag or a digest or both.

    With both, the digest is what is fetched and the tag is a label. `parse` is the only
    constructor that checks; `str()` of its result parses to an equal value.
    """

    registry: str
    repository: str
    tag: str | None
    digest: Digest | None

    @classmethod
    def parse(cls, text: str, *, default_registry: str = DOCKER_HUB) -> Self:
        """Parse `[oci://][registry/]repository[:tag][@digest]`.

        Raises:
            InvalidReference: with the corrected text as its hint where that can be guessed.

        Example:
            >>> reference = Reference.parse("ai/smollm2:v1")
            >>> reference.registry, reference.repository, reference.tag, reference.digest
            ('docker.io', 'ai/smollm2', 'v1', None)
            >>> str(Reference.parse("ubuntu"))
            'docker.io/library/ubuntu:latest'
        """
        bare = text.removeprefix(_SCHEME)
        _refuse_what_is_no_name(text, bare)
        rest, at, digest_text = bare.partition("@")
        digest = _digest(text, digest_text) if at else None
        registry, path = _split_registry(rest, default_registry)
        path, tag = _split_tag(text, path)
        if registry == DOCKER_HUB and "/" not in path:
            path = f"library/{path}"
        _check_registry(text, registry)
        _check_path(text, path)
        if tag is None and digest is None:
            tag = "latest"
        return cls(registry, path, tag, digest)

    @property
    def host(self) -> str:
        """The registry in lower case: what it is compared and remembered by."""
        return self.registry.lower()

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is this machine by name or by literal address."""
        return bool(_LOOPBACK.fullmatch(self.host))

    @property
    def moving_tag(self) -> str | None:
        """The tag where it decides, None where a digest does."""
        return None if self.digest else self.tag

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def canonical_host(registry: str) -> str:
    """The name by which a registry is compared: in lower case, and Docker Hub under one name."""
    host = registry.lower()
    return DOCKER_HUB if host in _HUB_NAMES else host


def _refuse_what_is_no_name(text: str, bare: str) -> None:
    """Refuse what people paste that is not a reference, with the text that they meant."""
    if scheme := _FOREIGN_SCHEME.match(bare):
        corrected = bare[scheme.end() :].rstrip("/")
        raise InvalidReference(
            f"{text!r} starts with {scheme[0]}, which a reference does not",
            hint=f"oci-pull {corrected}" if corrected else None,
        )
    if not bare:
        raise InvalidReference("a reference is empty", hint="oci-pull ai/smollm2  for example")
    if bare != bare.strip() or any(c.isspace() for c in bare):
        raise InvalidReference(
            f"{text!r} contains white space", hint=f"oci-pull {''.join(bare.split())}"
        )
    if re.fullmatch(r"[0-9a-f]{64}", bare):
        raise InvalidReference(
            f"{text!r} looks like a digest without a name",
            hint=f"oci-pull REPOSITORY@sha256:{bare}",
        )
    if re.fullmatch(r"sha(?:256|384|512):[0-9a-fA-F]{32,}", bare):
        raise InvalidReference(
            f"{text!r} has no name before the digest", hint=f"oci-pull REPOSITORY@{bare}"
        )


def _digest(text: str, digest: str) -> Digest:
    try:
        return Digest.parse(digest)
    except InvalidManifest as error:
        lowered = digest.lower()
        why, meant = "", ""
        if lowered != digest and re.fullmatch(r"sha256:[0-9a-f]{64}", lowered):
            why, meant = "digests are lower case", lowered
        elif re.fullmatch(r"[0-9a-f]{64}", digest):
            why, meant = "a digest names its algorithm", f"sha256:{digest}"
        hint = f"oci-pull {text.removesuffix(digest)}{meant}" if meant else None
        facts = [why] if why else []
        raise InvalidReference(f"{text!r}: {error.message}", facts=facts, hint=hint) from error


def _split_registry(rest: str, default_registry: str) -> tuple[str, str]:
    """Docker's rule for which first component is a host (distribution/reference)."""
    first, slash, remainder = rest.partition("/")
    is_host = slash and _is_host(first)
    registry, path = (first, remainder) if is_host else (default_registry, rest)
    return (DOCKER_HUB if registry.lower() in _HUB_NAMES else registry), path


def _is_host(first: str) -> bool:
    return "." in first or ":" in first or first.lower() == "localhost" or first != first.lower()


def _split_tag(text: str, path: str) -> tuple[str, str | None]:
    name, colon, tag = path.partition(":")
    if not colon:
        return path, None
    if ":" in tag:
        raise InvalidReference(f"{text!r} has two tags", facts=["a reference has at most one :TAG"])
    if not tag:
        corrected = text.replace(":@", "@") if "@" in text else f"{text}latest"
        raise InvalidReference(f"{text!r} has an empty tag", hint=f"oci-pull {corrected}")
    if not TAG.fullmatch(tag):
        why, hint = "a tag has letters, digits, _ . - and at most 128 characters", None
        if "/" in tag:
            why = "a port belongs to the first component, a tag to the last"
        elif "+" in tag:
            why, hint = "registries write + as _", f"oci-pull {text.replace('+', '_')}"
        raise InvalidReference(f"{text!r}: {tag[:140]!r} is not a tag", facts=[why], hint=hint)
    return name, tag


def _check_registry(text: str, registry: str) -> None:
    match = _HOST.fullmatch(registry)
    if not match:
        why = "a host has letters, digits, dots and dashes, and an IPv6 address has brackets"
        raise InvalidReference(f"{text!r}: {registry!r} is not a host", facts=[why])
    if not _is_host(registry):
        why = f"a registry whose name has no dot needs its port: {registry}:443"
        raise InvalidReference(f"{text!r}: {registry!r} is not a host", facts=[why])
    # As text first: nobody parses a port of thousands of digits.
    if match[1] and not (len(match[1]) <= len(str(_MAX_PORT)) and 1 <= int(match[1]) <= _MAX_PORT):
        raise InvalidReference(
            f"{text!r}: {match[1][:20]} is not a port", facts=["a port is between 1 and 65535"]
        )


def _check_path(text: str, path: str) -> None:
    if len(path) > _MAX_PATH:
        raise InvalidReference(f"{text!r}: a repository has at most {_MAX_PATH} characters")
    for component in path.split("/"):
        if not _COMPONENT.fullmatch(component):
            raise InvalidReference(
                f"{text!r}: {component!r} cannot be part of a repository",
                facts=[
                    "repositories are lower case: letters and digits, joined by . _ __ or dashes"
                ],
                hint=_path_hint(text, path),
            )


def _path_hint(text: str, path: str) -> str | None:
    if re.match(r"(?:hf\.co|huggingface\.co)/", text.removeprefix(_SCHEME)):
        return f"hf download {path}  as Hugging Face's own repositories are no OCI ones"
    if not all(_COMPONENT.fullmatch(component) for component in path.lower().split("/")):
        return None
    # A tag keeps its case.
    name, at, digest = text.partition("@")
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    return f"oci-pull {head}{slash}{last}".lower() + f"{colon}{tag}{at}{digest}"


@dataclass(frozen=True, slots=True)
class LayoutReference:
    """An OCI image layout on disk, in a directory or in a tar archive."""

    path: str
    is_archive: bool
    tag: str | None
    digest: Digest | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `oci:DIR[:TAG or @DIGEST]` or `oci-archive:FILE[:TAG]`.

        Split at the first `:` behind the path, as containers/image does.

        Raises:
            InvalidReference: there is no path, or the digest is none.
        """
        transport, _, rest = text.partition(":")
        is_archive = transport == "oci-archive"
        digest = None
        at = re.search(r"@(sha[0-9]+:[^@/]*)$", rest)
        if at and not is_archive:
            digest = _digest(text, at[1])
            rest = rest[: at.start()]
        path, _, tag = rest.partition(":")
        if not path or "\0" in path:
            raise InvalidReference(f"{text!r} names no path", hint=f"oci-pull {transport}:PATH:TAG")
        return cls(path, is_archive, tag or None, digest)

    @property
    def moving_tag(self) -> str | None:
        """The tag where it decides; empty for a layout's only manifest, None beside a digest."""
        return None if self.digest else self.tag or ""

    def __str__(self) -> str:
        transport = "oci-archive" if self.is_archive else "oci"
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{transport}:{self.path}{tag}{digest}"


#: Anything that a source can be made for.
Locator = Reference | LayoutReference


def parse_locator(text: str, *, default_registry: str = DOCKER_HUB) -> Locator:
    """A layout on disk where the text says so, else a reference; raises `InvalidReference`."""
    if text.startswith(("oci:", "oci-archive:")) and not text.startswith(_SCHEME):
        return LayoutReference.parse(text)
    return Reference.parse(text, default_registry=default_registry)

"""The names under which files and helpers know a registry."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from oci_pull.oci.reference import DOCKER_HUB, canonical_host

#: The name under which Docker keeps the credential of Docker Hub.
_HUB_KEY = "https://index.docker.io/v1/"
#: What may follow the host in a key and is no repository.
_VERSIONS = ("v1", "v2")


def own_key(host: str) -> str:
    """The key that Docker writes and asks helpers for."""
    return _HUB_KEY if canonical_host(host) == DOCKER_HUB else host.lower()


def helper_keys(host: str) -> tuple[str, ...]:
    """What helpers are asked for, in this order: podman calls Docker Hub by its plain name."""
    key = own_key(host)
    return (key, DOCKER_HUB) if key == _HUB_KEY else (key,)


@dataclass(frozen=True, slots=True)
class _Key:
    """A key of `auths` taken apart: `[scheme://]HOST[:PORT][/v1|/v2|/NAMESPACE...]`."""

    text: str
    host: str
    path: str

    @classmethod
    def of(cls, text: str) -> "_Key":
        rest = text.partition("://")[2] or text
        host, _, path = rest.partition("/")
        path = path.strip("/")
        return cls(text, canonical_host(host), "" if path in _VERSIONS else path)

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for many hosts, as in the pull secrets of Kubernetes."""
        return "*" in self.host

    def is_for(self, host: str, repository: str) -> bool:
        if self.path and not f"{repository}/".startswith(f"{self.path}/"):
            return False
        return _matches(self.host, host) if self.is_pattern else self.host == host

    def rank(self, host: str) -> tuple[int, int]:
        """The less, the better: the longest path, then the words that Docker itself writes."""
        words = (own_key(host), host)
        place = words.index(self.text) if self.text in words else len(words)
        return -len(self.path), place + 1 if self.is_pattern else place


def best_key(keys: Iterable[str], host: str, repository: str) -> str | None:
    """The key that says most about a repository of a registry; None where none is for it."""
    host = canonical_host(host)
    fitting = [key for key in map(_Key.of, keys) if key.is_for(host, repository)]
    return min(fitting, key=lambda key: key.rank(host)).text if fitting else None


def keys_of(keys: Iterable[str], host: str) -> tuple[str, ...]:
    """Every key that is for this registry as a whole and for no other."""
    host = canonical_host(host)
    return tuple(key.text for key in map(_Key.of, keys) if key.host == host and not key.path)


def _matches(pattern: str, host: str) -> bool:
    """Whether a host fits label by label; a star stands for no dot, and never for a port."""
    patterns, _, port = pattern.partition(":")
    labels, _, own_port = host.partition(":")
    pairs = patterns.split("."), labels.split(".")
    return (
        port == own_port
        and len(pairs[0]) == len(pairs[1])
        and all(fnmatchcase(label, each) for each, label in zip(*pairs, strict=True))
    )

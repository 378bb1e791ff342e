"""`config.json` of Docker, `auth.json` of podman, pull secrets of Kubernetes: one format."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oci_pull.adapters.clock import NEVER
from oci_pull.adapters.credentials.entry import read_entry
from oci_pull.adapters.credentials.helper import Helper
from oci_pull.adapters.credentials.keys import best_key
from oci_pull.errors import HelperFailed
from oci_pull.oci.credential import Anonymous, Credential
from oci_pull.ports import Cancel

#: Told of what is broken; nothing that is broken stops a pull of something public.
Warn = Callable[[str], None]

#: What it is called in Docker's directory, in a mounted secret of Kubernetes, and what it once was.
DOCKER_FILES = ("config.json", ".dockerconfigjson", ".dockercfg")
_MAX_BYTES = 16 * 1024 * 1024
#: The format before `auths`: the same entries at the top.
_OLD_NAME = ".dockercfg"


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """A parsed file."""

    #: Secrets may be in it.
    members: Mapping[str, Any] = field(repr=False)
    #: Where it is from, for errors.
    source: str

    @classmethod
    def parse(cls, raw: bytes, source: str, *, is_old: bool = False) -> "DockerConfig":
        """The members of a file; one of another shape has none. Raises `ValueError`: no JSON."""
        try:
            members = json.loads(raw.decode("utf-8-sig"))
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        if not isinstance(members, dict):
            members = {}
        return cls({"auths": members} if is_old else members, source)

    def helper(self, host: str) -> str:
        """The name of the helper that has the credential of a registry; empty for the file."""
        helpers = self._mapping("credHelpers")
        key = best_key(helpers, host, "")
        name = helpers[key] if key is not None else self.members.get("credsStore")
        return name if isinstance(name, str) else ""

    def find(self, host: str, repository: str, warn: Warn, cancel: Cancel = NEVER) -> Credential:
        """What it says of a repository; a helper that has none means anonymous, as in Docker.

        What Docker takes from the file though there is a helper is a registry's own token.
        """
        auths = self._mapping("auths")
        key = best_key(auths, host, repository)
        entry = auths[key] if key is not None else None
        has_token = isinstance(entry, dict) and bool(entry.get("registrytoken"))
        if (name := self.helper(host)) and not has_token:
            return ask_helper(Helper(name, cancel=cancel), host, warn)
        if not isinstance(entry, dict):
            return Anonymous()
        try:
            return read_entry(entry, self.source)
        except ValueError:
            warn(f"the entry for {key} in {self.source} is not a credential; going on without it")
            return Anonymous()

    def _mapping(self, name: str) -> Mapping[str, Any]:
        value = self.members.get(name)
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class TextPlace:
    """A configuration that is the value of a variable."""

    text: str = field(repr=False)
    source: str
    warn: Warn = field(repr=False)
    cancel: Cancel = field(default=NEVER, repr=False)

    def find(self, host: str, repository: str) -> Credential:
        """What the text says; one that is no JSON is told."""
        try:
            config = DockerConfig.parse(self.text.encode(), self.source)
        except ValueError:
            self.warn(f"{self.source} cannot be read (it is not JSON); going on without it")
            return Anonymous()
        return config.find(host, repository, self.warn, self.cancel)


@dataclass(frozen=True, slots=True)
class FilePlace:
    """The first file of these that there is."""

    paths: tuple[Path, ...]
    warn: Warn = field(repr=False)
    cancel: Cancel = field(default=NEVER, repr=False)

    def find(self, host: str, repository: str) -> Credential:
        """What the file says; none says nothing, and one that is broken is told."""
        for path in self.paths:
            try:
                raw = read_file(path)
                config = DockerConfig.parse(raw, str(path), is_old=path.name == _OLD_NAME)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
                self.warn(f"{path} cannot be read ({reason}); going on without it")
                return Anonymous()
            return config.find(host, repository, self.warn, self.cancel)
        return Anonymous()


def read_file(path: Path) -> bytes:
    """All of a file, or of a pipe; raises `OSError`, and `ValueError` where it is absurdly long."""
    with path.open("rb") as file:
        raw = file.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        raise ValueError("too long")
    return raw


def is_missing(path: Path) -> bool:
    """Whether there is nothing at a path, as far as can be seen."""
    try:
        path.stat()
    except OSError as error:
        return isinstance(error, (FileNotFoundError, NotADirectoryError))
    return False


def ask_helper(helper: Helper, host: str, warn: Warn) -> Credential:
    """What a helper has; a broken one is told and means anonymous."""
    try:
        return helper.get(host)
    except HelperFailed as error:
        warn(f"{error}; going on without it")
        return Anonymous()

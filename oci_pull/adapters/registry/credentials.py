"""Credentials in Docker's `config.json`, and the helpers that it names."""

import base64
import binascii
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oci_pull.adapters.registry.http import TOKEN
from oci_pull.oci.credential import Anonymous, Basic, Credential, IdentityToken, RegistryToken
from oci_pull.oci.reference import DOCKER_HUB

#: The name under which Docker keeps the credential of Docker Hub.
_HUB_KEY = "https://index.docker.io/v1/"
_HUB_HOSTS = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
#: A mounted pull secret of Kubernetes has the second name.
_FILES = ("config.json", ".dockerconfigjson")
_HELPER = re.compile(r"[A-Za-z0-9_.-]+")
_HELPER_TIMEOUT = 30.0
_MAX_REPLY = 1024 * 1024
#: What a helper calls a secret that is an identity token, in the place of a user.
_TOKEN_USER = "<token>"  # noqa: S105 - the protocol's word, not a secret


@dataclass(frozen=True, slots=True)
class DockerCredentials:
    """The credentials of one `config.json`."""

    #: `DOCKER_CONFIG`, else `~/.docker`; None where there is neither.
    directory: Path | None
    #: Told of what is broken; nothing that is broken stops a pull of something public.
    warn: Callable[[str], None]

    def find(self, host: str) -> Credential:
        """The credential for a registry; the first of its helper, the store, and the file.

        A helper that has none means anonymous, as Docker has it.
        """
        for path in self._paths():
            config = self._load(path)
            if config is None:
                continue
            keys = _keys(host)
            helpers = _mapping(config, "credHelpers")
            helper = next((helpers[key] for key in keys if key in helpers), None)
            helper = helper or config.get("credsStore")
            if isinstance(helper, str) and helper:
                return self._ask(helper, keys[0])
            return self._in_file(_mapping(config, "auths"), host, path)
        return Anonymous()

    def _paths(self) -> Iterator[Path]:
        for name in _FILES:
            if self.directory and (self.directory / name).exists():
                yield self.directory / name
                return

    def _load(self, path: Path) -> Mapping[str, Any] | None:
        try:
            config = json.loads(path.read_text("utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
            self.warn(f"{path} cannot be read ({reason}); going on without credentials")
            return None
        return config if isinstance(config, dict) else None

    def _in_file(self, auths: Mapping[str, Any], host: str, path: Path) -> Credential:
        keys = _keys(host)
        entry = next((auths[key] for key in keys if key in auths), None)
        if entry is None:
            entry = next((auths[key] for key in auths if _host_of(key) in keys), None)
        if not isinstance(entry, dict):
            return Anonymous()
        try:
            return _credential(entry, str(path))
        except (binascii.Error, ValueError):
            self.warn(f"the entry for {host} in {path} is not a credential; going on without it")
            return Anonymous()

    def _ask(self, name: str, key: str) -> Credential:
        """What a credential helper has; a broken one is told and means anonymous."""
        program = f"docker-credential-{name}"
        path = shutil.which(program) if _HELPER.fullmatch(name) else None
        if path is None:
            self.warn(
                f"the credential helper {program[:80]} is not installed; going on anonymously"
            )
            return Anonymous()
        try:
            reply = subprocess.run(
                [path, "get"],
                input=key.encode(),
                capture_output=True,
                timeout=_HELPER_TIMEOUT,
                check=False,
            )
            if reply.returncode:
                if b"credentials not found" not in reply.stdout:
                    self.warn(f"the credential helper {program} failed; going on anonymously")
                return Anonymous()
            return _from_helper(json.loads(reply.stdout[:_MAX_REPLY]), program)
        except (OSError, ValueError, TypeError, RecursionError, subprocess.TimeoutExpired):
            self.warn(f"the credential helper {program} does not work; going on anonymously")
            return Anonymous()


def _keys(host: str) -> tuple[str, ...]:
    """The names of a registry in `config.json`, Docker's own first."""
    return (_HUB_KEY, *_HUB_HOSTS) if host in _HUB_HOSTS else (host,)


def _host_of(key: str) -> str:
    """The host of a key that is a URL."""
    return key.partition("://")[2].partition("/")[0] or key.partition("/")[0]


def _mapping(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    return value if isinstance(value, dict) else {}


def _credential(entry: Mapping[str, Any], source: str) -> Credential:
    """The credential of an entry; raises `ValueError` where it is none."""
    if token := entry.get("registrytoken"):
        if not TOKEN.fullmatch(str(token)):
            raise ValueError("no header can hold it")
        return RegistryToken(str(token), source)
    if token := entry.get("identitytoken"):
        return IdentityToken(str(token), source)
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if packed := entry.get("auth"):
        pair = base64.b64decode(str(packed), validate=True).decode().rstrip("\0")
        username, _, password = pair.partition(":")
        if not username:
            raise ValueError("no user")
    if not username:
        return Anonymous()
    if username == _TOKEN_USER:
        return IdentityToken(password, source)
    return Basic(username, password, source)


def _from_helper(reply: Any, source: str) -> Credential:
    if not isinstance(reply, dict):
        raise TypeError("not an object")
    username, secret = str(reply.get("Username") or ""), str(reply.get("Secret") or "")
    if username == _TOKEN_USER:
        return IdentityToken(secret, source)
    return Basic(username, secret, source) if username else Anonymous()

"""Puts an artifact where a puller finds it: into a registry, or into a layout on disk."""

from __future__ import annotations

import base64
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from tests.content import Artifact, Content, chunks_of, descriptor, encode, size_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Credentials:
    username: str
    password: str

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def push(
    base_url: str,
    repository: str,
    tag: str,
    artifact: Artifact,
    *,
    credentials: Credentials | None = None,
    verify: ssl.SSLContext | bool = True,
    headers: Mapping[str, str] | None = None,
) -> str:
    """The digest under which the registry has the artifact and everything it names."""
    with httpx.Client(
        base_url=base_url, verify=verify, headers=dict(headers or {}), trust_env=False, timeout=120
    ) as client:
        pusher = _Pusher(client, repository, credentials)
        return pusher.artifact(artifact, tag)


class _Pusher:
    def __init__(
        self, client: httpx.Client, repository: str, credentials: Credentials | None
    ) -> None:
        self._client = client
        self._repository = repository
        self._credentials = credentials
        self._authorization: str | None = None

    def artifact(self, artifact: Artifact, reference: str) -> str:
        for child in artifact.children:
            self.artifact(child, child.digest)
        for digest, content in artifact.blobs.items():
            self._blob(digest, content)
        response = self._request(
            "PUT",
            f"/v2/{self._repository}/manifests/{reference}",
            content=artifact.manifest,
            headers={"Content-Type": artifact.media_type},
        )
        response.raise_for_status()
        return response.headers.get("Docker-Content-Digest") or artifact.digest

    def _blob(self, digest: str, content: Content) -> None:
        head = self._request("HEAD", f"/v2/{self._repository}/blobs/{digest}")
        if head.status_code == httpx.codes.OK:
            return
        session = self._request("POST", f"/v2/{self._repository}/blobs/uploads/")
        session.raise_for_status()
        location = httpx.URL(session.headers["Location"]).copy_add_param("digest", digest)
        # The length spares the chunked encoding, and the registry sees a body that is cut off.
        headers = {
            "Content-Length": str(size_of(content)),
            "Content-Type": "application/octet-stream",
        }
        # Not by _request: an iterator can be sent once, and the HEAD settled who we are.
        response = self._client.put(
            location, content=chunks_of(content), headers=headers | self._identity()
        )
        response.raise_for_status()

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = options.pop("headers", {})
        response = self._client.request(method, path, headers=headers | self._identity(), **options)
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return response
        self._authorization = self._answer(response.headers.get("WWW-Authenticate", ""))
        return self._client.request(method, path, headers=headers | self._identity(), **options)

    def _identity(self) -> dict[str, str]:
        return {} if self._authorization is None else {"Authorization": self._authorization}

    def _answer(self, challenge: str) -> str | None:
        basic = None if self._credentials is None else self._credentials.basic
        if not challenge.lower().startswith("bearer"):
            return basic
        parameters = dict(_PARAMETER.findall(challenge))
        response = self._client.get(
            parameters["realm"],
            params={
                "service": parameters.get("service", ""),
                "scope": f"repository:{self._repository}:pull,push",
            },
            headers={} if basic is None else {"Authorization": basic},
        )
        response.raise_for_status()
        return f"Bearer {response.json()['token']}"


def write_layout(directory: Path, artifact: Artifact, tag: str) -> Path:
    """An OCI image layout that has the artifact under the tag, beside what it had before."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    _write_blobs(blobs, artifact)
    index = directory / "index.json"
    known = json.loads(index.read_text())["manifests"] if index.exists() else []
    named = {"org.opencontainers.image.ref.name": tag}
    known = [each for each in known if (each.get("annotations") or {}) != named]
    known.append(descriptor(artifact.media_type, artifact.digest, len(artifact.manifest), named))
    index.write_bytes(encode({"schemaVersion": 2, "manifests": known}))
    return directory


def _write_blobs(blobs: Path, artifact: Artifact) -> None:
    for child in artifact.children:
        _write_blobs(blobs, child)
    contents: dict[str, Content] = {**artifact.blobs, artifact.digest: artifact.manifest}
    for digest, content in contents.items():
        target = blobs / digest.removeprefix("sha256:")
        if isinstance(content, Path):
            shutil.copyfile(content, target)
        else:
            target.write_bytes(content)


def reference(base_url: str, repository: str, tag: str) -> str:
    """What a user would type."""
    return f"{urlsplit(base_url).netloc}/{repository}:{tag}"

"""The registries that models are in, each with what is peculiar to it (docs/registries.md)."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from oci_pull.oci.credential import Anonymous, Basic, Credential, IdentityToken
from tests.fakes.registry import (
    Auth,
    FakeRegistry,
    ManifestFaults,
    Redirects,
    ServerFaults,
    TokenFaults,
)
from tests.unit.adapters.pulling import ARTIFACT, CONTENT, PART, REPOSITORY, Pull

SECRET = "s3cr3t"


@dataclass(frozen=True)
class Registry:
    """What a registry does, and whom it lets in."""

    auth: Auth | None
    who: Credential = Anonymous()  # noqa: RUF009 - frozen
    token: TokenFaults = TokenFaults()  # noqa: RUF009
    manifest: ManifestFaults = ManifestFaults()  # noqa: RUF009
    server: ServerFaults = ServerFaults()  # noqa: RUF009
    redirects: Redirects | None = field(default_factory=Redirects)
    prefix: str = ""


def user(name: str) -> Basic:
    return Basic(name, SECRET, "config.json")


def private(name: str, **more: object) -> Auth:
    return Auth(users={name: SECRET}, anonymous=False, **more)  # type: ignore[arg-type]


REGISTRIES = {
    "Docker Hub": Registry(
        private("ada", service="registry.docker.io"),
        user("ada"),
        TokenFaults(expires_in=300),
        server=ServerFaults(headers={"RateLimit-Limit": "100;w=21600"}),
    ),
    "GHCR": Registry(private("ada", service="ghcr.io"), user("ada")),
    "ECR": Registry(private("AWS", scheme="basic"), user("AWS")),
    "GAR": Registry(
        private("_json_key", service=None),
        user("_json_key"),
        TokenFaults(post_status=404),
        redirects=Redirects(status=302, relative=True, reject_authorization=False),
    ),
    "ACR": Registry(
        Auth(identity_tokens=(SECRET,), anonymous=False), IdentityToken(SECRET, "config.json")
    ),
    "Quay": Registry(private("org+robot"), user("org+robot"), redirects=None),
    "Harbor": Registry(
        private("robot$ci"), user("robot$ci"), TokenFaults(expires_in=1800), prefix="proxy/"
    ),
    "GitLab": Registry(
        private("deploy", service="container_registry"),
        user("deploy"),
        manifest=ManifestFaults(redirect=307),
    ),
    "NGC": Registry(
        private("$oauthtoken", scope="repository:{name}:pull,push"), user("$oauthtoken")
    ),
    "JFrog": Registry(
        private("ada", scope=None),
        user("ada"),
        TokenFaults(post_status=401, fields="access_token"),
        redirects=None,
        prefix="docker-local/",
    ),
    "Hugging Face": Registry(
        Auth(), token=TokenFaults(expires_in=None), redirects=Redirects(hops=2)
    ),
    "Ollama": Registry(None, manifest=ManifestFaults(content_type="text/plain; charset=utf-8")),
}


@pytest.mark.parametrize("name", REGISTRIES)
def test_a_registry_as_it_is(registry: FakeRegistry, puller: Pull, name: str) -> None:
    found = REGISTRIES[name]
    repository = f"{found.prefix}{REPOSITORY}"
    registry.put(repository, "v1", ARTIFACT.manifest, ARTIFACT.media_type, ARTIFACT.blobs)
    registry.auth = found.auth
    registry.token_faults = found.token
    registry.manifest_faults = found.manifest
    registry.server_faults = found.server
    registry.redirects = found.redirects
    pull = puller(credential=found.who, repository=repository)
    assert pull.document() == ARTIFACT.manifest
    assert pull.read() == CONTENT
    assert pull.read(PART) == CONTENT[PART.start : PART.end]
    # Whoever keeps the blobs is never told who asks.
    stored = [each for each in registry.requests if each.origin == "storage"]
    assert not [each for each in stored if "authorization" in each.headers]

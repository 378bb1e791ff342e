"""A registry that misbehaves in ways that a good client does not mind: the model comes, whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.ahead import ahead
from tests.e2e.command import Command
from tests.e2e.disk import assert_tidy, assert_tree
from tests.e2e.models import MIB, model, put
from tests.fakes.registry import (
    Auth,
    BlobFaults,
    FakeRegistry,
    ManifestFaults,
    Redirects,
    ServerFaults,
    TokenFaults,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from tests.content import Content


@dataclass(frozen=True)
class Fault:
    server: ServerFaults | None = None
    token: TokenFaults | None = None
    manifest: ManifestFaults | None = None
    blob: BlobFaults | Sequence[BlobFaults] | None = None
    redirects: Redirects | None = None
    auth: Auth | None = None
    connections: int = 0  # that fail at first


_FAULTS = {
    "token-for-two-requests": Fault(auth=Auth(), token=TokenFaults(uses=2)),
    "access-token-alone": Fault(auth=Auth(), token=TokenFaults(fields="access_token")),
    "token-without-lifetime": Fault(auth=Auth(), token=TokenFaults(expires_in=None)),
    "token-from-the-future": Fault(auth=Auth(), token=TokenFaults(issued_at=timedelta(hours=9))),
    "token-service-fails-once": Fault(auth=Auth(), token=TokenFaults(status=503, times=1)),
    "two-challenges": Fault(auth=Auth(beside="Negotiate")),
    "two-challenges-in-a-line": Fault(auth=Auth(beside="Negotiate", joined=True)),
    "quoted-comma": Fault(auth=Auth(scope="repository:{name}:pull,push")),
    "no-service": Fault(auth=Auth(service=None)),
    "no-scope": Fault(auth=Auth(scope=None)),
    "relative-realm": Fault(auth=Auth(realm="/token")),
    "realm-with-query": Fault(auth=Auth(realm="{token}/token?account=me")),
    "realm-moves-on-expiry": Fault(
        auth=Auth(realm_after_expiry="{token}/token/refuses"), token=TokenFaults(uses=3)
    ),
    "manifest-with-charset": Fault(manifest=ManifestFaults(content_type_suffix="; charset=utf-8")),
    "manifest-without-type": Fault(manifest=ManifestFaults(content_type="")),
    "manifest-for-exact-accept": Fault(manifest=ManifestFaults(exact_accept=True)),
    "manifest-without-digest": Fault(manifest=ManifestFaults(digest_header="")),
    "manifest-elsewhere": Fault(manifest=ManifestFaults(redirect=302)),
    "manifest-in-chunks": Fault(manifest=ManifestFaults(chunked=True)),
    "manifest-cut-once": Fault(manifest=ManifestFaults(cut_after=100, times=1)),
    "redirect": Fault(redirects=Redirects()),
    "chain-of-redirects": Fault(redirects=Redirects(hops=3)),
    "redirect-with-credentials": Fault(auth=Auth(), redirects=Redirects(status=302)),
    "signed-for-one-request": Fault(
        redirects=Redirects(uses=1), blob=BlobFaults(cut_after=700_000)
    ),
    "no-ranges": Fault(blob=BlobFaults(ignore_range=True, cut_after=700_000, times=1)),
    "cut": Fault(blob=BlobFaults(cut_after=500_000)),
    "reset": Fault(blob=BlobFaults(cut_after=500_000, reset=True, times=2)),
    "short-once": Fault(blob=BlobFaults(short_by=1, times=1)),
    "wrong-once": Fault(blob=BlobFaults(corrupt_at=0, times=1)),
    "shifted-range": Fault(
        blob=[BlobFaults(cut_after=700_000, times=1), BlobFaults(shift=1, times=1)]
    ),
    "unnamed-range": Fault(
        blob=[BlobFaults(cut_after=700_000, times=1), BlobFaults(no_content_range=True, times=1)]
    ),
    "compressed-once": Fault(blob=BlobFaults(gzip=True, times=1)),
    "stalls-once": Fault(blob=BlobFaults(stall_after=700_000, times=1)),
    "503-once": Fault(server=ServerFaults(status=503, times=1)),
    "429-once": Fault(blob=BlobFaults(status=429, retry_after=0, times=1)),
    "connection-fails-once": Fault(connections=1),
}


_FAULTY = pytest.mark.parametrize("fault", _FAULTS.values(), ids=_FAULTS)


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[object], Future[None]]]:
    def work(fault: Fault) -> None:
        with FakeRegistry() as registry:
            _pull(fault, registry, Command(tmp_path_factory.mktemp("home")))

    with ahead(request, "fault", work) as found:
        yield found


def _pull(fault: Fault, registry: FakeRegistry, oci_pull: Command) -> None:
    files: dict[str, Content] = {**model(MIB), "1_Pooling/config.json": b"{}"}
    reference = put(registry, builders.docker_v02(files))
    registry.auth, registry.redirects = fault.auth, fault.redirects
    registry.server_faults = fault.server or []
    registry.token_faults = fault.token or []
    registry.manifest_faults = fault.manifest or []
    registry.blob_faults = fault.blob or []
    registry.fail_next_connections(fault.connections)
    run = oci_pull("--stall-timeout", "1s", reference)
    assert_tree(run.path, files)
    assert_tidy(oci_pull.cache)
    at_storage = registry.find(origin="storage", kind="blob")
    assert all("authorization" not in each.headers for each in at_storage)


@_FAULTY
def test_a_model_comes_whole_in_spite_of(
    fault: Fault, outcomes: Callable[[object], Future[None]]
) -> None:
    outcomes(fault).result()

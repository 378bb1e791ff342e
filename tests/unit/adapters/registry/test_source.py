"""Manifests and blobs of a repository, and what it means when there are none."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest
import respx

from oci_pull.adapters.registry.http import Network
from oci_pull.errors import (
    BadReply,
    BlobUnknown,
    ConnectionFailed,
    DigestMismatch,
    InvalidManifest,
    ManifestUnknown,
    NotARegistry,
    NotFoundError,
    OciPullError,
    RateLimited,
    RepositoryUnknown,
    RequestRefused,
    ServerFailed,
    SizeMismatch,
    Unsupported,
)
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import ACCEPT, MAX_BYTES
from oci_pull.oci.ranges import Span
from tests.builders import OCI_MANIFEST, encode
from tests.fakes.memory import blob_of
from tests.fakes.registry import (
    Auth,
    BlobFaults,
    FakeRegistry,
    ManifestFaults,
    Redirects,
    ServerFaults,
)
from tests.unit.adapters.pulling import (
    ARTIFACT,
    BLOB,
    CONTENT,
    DIGEST,
    PART,
    REPOSITORY,
    WHOLE,
    Pull,
)

# --- manifests


@pytest.mark.parametrize("selector", ["v1", DIGEST])
def test_a_manifest_is_one_request(
    registry: FakeRegistry, puller: Pull, selector: str | Digest
) -> None:
    document = puller().source.document(selector)
    assert (document.raw, document.descriptor.digest) == (ARTIFACT.manifest, DIGEST)
    (request,) = registry.requests
    assert (request.method, request.headers["accept"]) == ("GET", ACCEPT)
    assert request.path == f"/v2/{REPOSITORY}/manifests/{selector}"


@pytest.mark.parametrize(
    "faults",
    [
        {"exact_accept": True},
        {"content_type": ""},
        {"content_type": "text/plain"},
        {"content_type_suffix": "; charset=utf-8"},
        {"digest_header": ""},
        {"digest_header": "sha256:" + "0" * 64},
        {"gzip": True},
        {"chunked": True},
    ],
    ids=str,
)
def test_what_registries_do_to_a_manifest(
    registry: FakeRegistry, puller: Pull, faults: dict[str, Any]
) -> None:
    registry.manifest_faults = ManifestFaults(**faults)
    assert puller().document() == ARTIFACT.manifest
    assert puller().document(DIGEST) == ARTIFACT.manifest


@pytest.mark.parametrize(
    ("body", "selector", "error"),
    [
        (b"garbage", "v1", InvalidManifest),
        (b"[" * 100_000, "v1", InvalidManifest),
        (b"{}", "v1", InvalidManifest),
        (b"{}", DIGEST, DigestMismatch),
        (encode({"schemaVersion": 1, "fsLayers": []}), "v1", Unsupported),
        (encode({"manifests": [], "layers": []}), "v1", InvalidManifest),
        (encode({"mediaType": "application/vnd.oci.image.index.v1+json"}), "v1", InvalidManifest),
        (ARTIFACT.manifest.ljust(MAX_BYTES + 1), "v1", InvalidManifest),
        (b"x" * (20 << 20), "v1", InvalidManifest),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_manifest(
    registry: FakeRegistry,
    puller: Pull,
    body: bytes,
    selector: str | Digest,
    error: type[OciPullError],
) -> None:
    registry.manifest_faults = ManifestFaults(body=body)
    with pytest.raises(error):
        puller().document(selector)


def test_a_manifest_as_large_as_may_be(registry: FakeRegistry, puller: Pull) -> None:
    body = ARTIFACT.manifest.ljust(MAX_BYTES)
    registry.manifest_faults = ManifestFaults(body=body)
    assert puller().document() == body


@pytest.mark.parametrize("packed", [False, True])
def test_no_more_of_a_manifest_is_read_than_may_be(
    registry: FakeRegistry, puller: Pull, packed: bool
) -> None:
    registry.manifest_faults = ManifestFaults(body=b" " * (64 << 20), chunked=True, gzip=packed)
    with pytest.raises(InvalidManifest, match="larger than"):
        puller().document()


def test_a_manifest_that_is_cut_can_be_asked_for_again(
    registry: FakeRegistry, puller: Pull
) -> None:
    registry.manifest_faults = ManifestFaults(cut_after=100, times=1)
    pull = puller()
    with pytest.raises(ConnectionFailed) as caught:
        pull.document()
    assert caught.value.retryable
    assert pull.document() == ARTIFACT.manifest


# --- cheap questions


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ({}, DIGEST),
        ({"digest_header": ""}, None),
        ({"digest_header": "nonsense"}, None),
        ({"digest_header": "md5:" + "0" * 32}, None),
        ({"head_status": 405}, None),
        ({"head_status": 404}, None),
        ({"head_status": 429}, None),
        ({"head_status": 500}, None),
    ],
    ids=str,
)
def test_what_a_tag_is_now_costs_a_head(
    registry: FakeRegistry, puller: Pull, faults: dict[str, Any], expected: Digest | None
) -> None:
    registry.manifest_faults = ManifestFaults(**faults)
    assert puller().source.digest_of("v1") == expected
    assert [each.method for each in registry.requests] == ["HEAD"]


def test_who_is_not_let_in_cannot_be_told_cheaply(registry: FakeRegistry, puller: Pull) -> None:
    registry.auth = Auth(anonymous=False)
    assert puller().source.digest_of("v1") is None


def test_a_registry_that_is_down_is_an_error(registry: FakeRegistry, puller: Pull) -> None:
    registry.close()
    with pytest.raises(ConnectionFailed):
        puller().source.digest_of("v1")


# --- what is not there


@pytest.mark.parametrize("selector", ["v2", Digest.of(b"other")])
def test_an_unknown_tag_or_digest(puller: Pull, selector: str | Digest) -> None:
    kind = "digest" if isinstance(selector, Digest) else "tag"
    with pytest.raises(ManifestUnknown, match=f"{kind} '{selector}' does not exist") as caught:
        puller().document(selector)
    assert caught.value.hint


def test_an_unknown_tag_is_told_with_those_that_are_there(
    registry: FakeRegistry, puller: Pull
) -> None:
    with pytest.raises(ManifestUnknown) as caught:
        puller().document("v11")
    assert caught.value.facts == ("tags there: v1",)
    assert str(caught.value.hint).endswith("team/model:v1")
    assert registry.count(kind="tags") == 1


@respx.mock
def test_a_registry_that_knows_no_repository_only_in_its_list_is_understood(puller: Pull) -> None:
    """Distribution says of the manifest alone that it is unknown."""
    at = "https://registry.example/v2/team/model"
    unknown, nobody = ({"errors": [{"code": c}]} for c in ("MANIFEST_UNKNOWN", "NAME_UNKNOWN"))
    respx.get(f"{at}/manifests/v1").respond(404, json=unknown)
    respx.get(f"{at}/tags/list").respond(404, json=nobody)
    with pytest.raises(RepositoryUnknown):
        puller(plain_http=False, host="registry.example").document()


@pytest.mark.parametrize(
    "tags",
    [httpx.Response(403), httpx.Response(500), httpx.Response(200, text="{"),
     httpx.ReadTimeout("slow"), httpx.ConnectError("down")],
    ids=["denied", "broken", "nonsense", "slow", "down"],
)  # fmt: skip
@respx.mock
def test_no_list_of_tags_is_no_other_error(puller: Pull, tags: httpx.Response | Exception) -> None:
    at = "https://registry.example/v2/team/model"
    respx.get(f"{at}/manifests/v1").respond(404, json={"errors": [{"code": "MANIFEST_UNKNOWN"}]})
    effect = tags if isinstance(tags, Exception) else [tags]
    respx.get(f"{at}/tags/list").mock(side_effect=effect)
    with pytest.raises(ManifestUnknown) as caught:
        puller(plain_http=False, host="registry.example").document()
    assert caught.value.facts == ()


def test_an_unknown_repository(registry: FakeRegistry, puller: Pull) -> None:
    with pytest.raises(RepositoryUnknown, match="nobody/knows does not exist"):
        puller(repository="nobody/knows").document()
    assert registry.count(kind="ping") == 0


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("docker.io/library/smollm2", "oci-pull ai/smollm2:v1"),
        ("docker.io/library/ghcr.io", "oci-pull ghcr.io/REPOSITORY"),
        ("docker.io/ai/smollm2", "oci-pull login docker.io"),
    ],
)
@respx.mock
def test_what_may_have_been_meant(puller: Pull, reference: str, hint: str) -> None:
    host, _, repository = reference.partition("/")
    body = {"errors": [{"code": "NAME_UNKNOWN"}]}
    respx.get(url__startswith="https://registry-1.docker.io/v2/").respond(404, json=body)
    with pytest.raises(RepositoryUnknown) as caught:
        puller(plain_http=False, host=host, repository=repository).document()
    assert str(caught.value.hint).startswith(hint)


@pytest.mark.parametrize(
    "body",
    [b"", b"not found", b"[]", b'{"errors": 3}', b'{"errors": ["x"]}', b"[" * 60_000],
    ids=lambda body: repr(body[:20]),
)
@pytest.mark.parametrize(
    ("ping", "error"),
    [
        (httpx.Response(200, json={}), ManifestUnknown),
        (httpx.Response(401), ManifestUnknown),
        (httpx.Response(404), NotARegistry),
        (httpx.Response(200, html="<h1>Sign in</h1>"), NotARegistry),
        (httpx.ConnectError("down"), ManifestUnknown),
    ],
    ids=["registry", "locked", "none", "page", "down"],
)
@respx.mock
def test_a_404_without_a_code_asks_whether_it_is_a_registry(
    puller: Pull,
    body: bytes,
    ping: httpx.Response | Exception,
    error: type[OciPullError],
) -> None:
    respx.get("https://registry.example/v2/").mock(
        side_effect=ping if isinstance(ping, Exception) else [ping]
    )
    respx.get(url__startswith="https://registry.example/v2/team").respond(404, content=body)
    with pytest.raises(error):
        puller(plain_http=False, host="registry.example").document()


@pytest.mark.parametrize("code", ["UNKNOWN", "NOT_FOUND", "MANIFEST_UNKNOWN"])
@respx.mock
def test_a_404_with_any_code_is_from_a_registry(puller: Pull, code: str) -> None:
    """Harbor and Red Hat's have their own."""
    respx.get(url__startswith="https://registry.example/").respond(
        404, json={"errors": [{"code": code}]}
    )
    with pytest.raises(ManifestUnknown):
        puller(plain_http=False, host="registry.example").document()
    assert respx.calls.call_count == 2  # the manifest, and the tags for whoever mistyped one


def test_a_web_page_is_no_registry(registry: FakeRegistry, puller: Pull) -> None:
    registry.server_faults = ServerFaults(html=True)
    with pytest.raises(NotARegistry, match="not an OCI registry") as caught:
        puller().document()
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, RequestRefused), (429, RateLimited), (500, ServerFailed), (503, ServerFailed)],
)
def test_statuses_of_manifests_and_blobs(
    registry: FakeRegistry, puller: Pull, status: int, error: type[OciPullError]
) -> None:
    registry.server_faults = ServerFaults(status=status, retry_after=7)
    pull = puller()
    for ask in (pull.document, pull.read):
        with pytest.raises(error) as caught:
            ask()
        expected = None if status == 400 else 7
        assert getattr(caught.value, "retry_after", None) == expected


# --- blobs


@pytest.mark.parametrize("span", [WHOLE, PART, Span(0, 1), Span(len(CONTENT) - 1, len(CONTENT))])
def test_a_span_of_a_blob_is_one_request(registry: FakeRegistry, puller: Pull, span: Span) -> None:
    assert puller().read(span) == CONTENT[span.start : span.end]
    (request,) = registry.requests
    assert request.headers.get("range") == (None if span == WHOLE else span.header)
    assert request.headers["accept-encoding"] == "identity"


def test_a_server_without_ranges_gives_everything(registry: FakeRegistry, puller: Pull) -> None:
    registry.blob_faults = BlobFaults(ignore_range=True)
    pull = puller()
    body = pull.source.open(BLOB, PART, cancel=threading.Event())
    assert body.start == 0
    body.close()
    assert pull.read(PART) == CONTENT


@pytest.mark.parametrize("redirected", [False, True])
def test_a_server_that_refuses_ranges_is_asked_without(
    registry: FakeRegistry, puller: Pull, redirected: bool
) -> None:
    registry.redirects = Redirects() if redirected else None
    registry.blob_faults = BlobFaults(refuse_ranges=True)
    assert puller().read(PART) == CONTENT
    assert registry.find("GET", "blob", status=200)[0].headers.get("range") is None


def test_no_range_is_open_ended(registry: FakeRegistry, puller: Pull) -> None:
    registry.blob_faults = BlobFaults(refuse_open_ended=True)
    assert puller().read(Span(100, len(CONTENT))) == CONTENT[100:]
    assert registry.count(kind="blob") == 1


def test_a_server_that_refuses_even_that_is_given_up(registry: FakeRegistry, puller: Pull) -> None:
    registry.blob_faults = BlobFaults(status=416)
    with pytest.raises(RequestRefused, match="416"):
        puller().read(PART)
    assert registry.count(kind="blob") == 2


@pytest.mark.parametrize("status", [404, 410])
def test_a_blob_that_is_not_there(registry: FakeRegistry, puller: Pull, status: int) -> None:
    registry.blob_faults = BlobFaults(status=status)
    with pytest.raises(BlobUnknown, match=str(BLOB.digest)) as caught:
        puller().read()
    assert isinstance(caught.value, NotFoundError)
    assert registry.count(kind="blob") == 1


def test_connections_are_used_again(registry: FakeRegistry, puller: Pull) -> None:
    pull = puller()
    pull.document()
    for _ in range(5):
        pull.read(PART)
        pull.read()
    assert registry.registry.connections == 1


def test_silence_ends_in_an_error(registry: FakeRegistry, puller: Pull) -> None:
    pull = puller(network=Network(connect_timeout=5, stall_timeout=0.2))
    registry.blob_faults = BlobFaults(stall_after=1000)
    with pytest.raises(ConnectionFailed, match="stopped sending"):
        pull.read()


def test_the_media_type_of_a_manifest_is_kept(puller: Pull) -> None:
    assert puller().source.document("v1").descriptor.media_type == OCI_MANIFEST


def test_a_blob_of_another_size_than_the_manifest_says(
    registry: FakeRegistry, puller: Pull
) -> None:
    other = blob_of(CONTENT + b"!")
    registry.put(REPOSITORY, None, b"{}", OCI_MANIFEST, {str(other.digest): CONTENT})
    with pytest.raises(SizeMismatch, match="has 10240 bytes"):
        puller().read(Span(0, other.size), other)


# --- the size of a blob, where a manifest is known not to have it


def test_the_size_of_a_blob_costs_a_head(registry: FakeRegistry, puller: Pull) -> None:
    assert puller().source.size_of(BLOB) == len(CONTENT)
    assert [each.method for each in registry.requests] == ["HEAD"]


def test_the_size_of_a_blob_is_told_by_whoever_the_registry_leads_to(
    registry: FakeRegistry, puller: Pull
) -> None:
    registry.redirects = Redirects()
    assert puller().source.size_of(BLOB) == len(CONTENT)
    assert {each.method for each in registry.requests} == {"HEAD"}


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
@pytest.mark.parametrize("redirected", [False, True])
def test_where_head_is_not_answered_a_range_tells_the_size(
    registry: FakeRegistry, puller: Pull, status: int, redirected: bool
) -> None:
    registry.redirects = Redirects() if redirected else None
    registry.blob_faults = BlobFaults(head_status=status)
    assert puller().source.size_of(BLOB) == len(CONTENT)
    assert [each.headers.get("range") for each in registry.find("GET", "blob", status=206)] == [
        "bytes=0-0"
    ]


def test_a_server_without_ranges_tells_the_size_all_the_same(
    registry: FakeRegistry, puller: Pull
) -> None:
    registry.blob_faults = BlobFaults(head_status=405, ignore_range=True)
    assert puller().source.size_of(BLOB) == len(CONTENT)


@respx.mock
def test_a_length_that_is_none_or_of_something_else_is_not_the_size(puller: Pull) -> None:
    url = f"https://registry.example/v2/{REPOSITORY}/blobs/{BLOB.digest}"
    head = respx.head(url)
    total = {"Content-Range": f"bytes 0-0/{BLOB.size}"}
    respx.get(url).respond(206, headers=total, content=b"x")
    source = puller(plain_http=False, host="registry.example").source
    for headers in ({}, {"Content-Length": "0"}, {"Content-Length": "9", "Content-Encoding": "br"}):
        head.respond(200, headers=headers)
        assert source.size_of(BLOB) == BLOB.size


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        ({"status": 404, "head_status": 404}, BlobUnknown),
        ({"status": 503, "head_status": 503}, ServerFailed),
        ({"status": 429, "head_status": 429}, RateLimited),
        ({"head_status": 405, "content_range_total": "*"}, BadReply),
        ({"head_status": 405, "no_content_range": True}, BadReply),
    ],
    ids=str,
)
def test_a_size_that_nobody_tells_is_an_error(
    registry: FakeRegistry, puller: Pull, faults: dict[str, Any], error: type[OciPullError]
) -> None:
    registry.blob_faults = BlobFaults(**faults)
    with pytest.raises(error):
        puller().source.size_of(BLOB)

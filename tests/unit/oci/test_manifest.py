import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.errors import (
    DigestMismatch,
    InvalidManifest,
    OciPullError,
    Unsupported,
    UnsupportedDigest,
)
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import (
    ACCEPT,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEX_TYPES,
    MANIFEST_TYPES,
    MAX_BYTES,
    OCI_ARTIFACT,
    OCI_INDEX,
    OCI_MANIFEST,
    Index,
    Manifest,
    parse_document,
)
from tests import builders

LAYER = builders.descriptor("application/octet-stream", str(Digest.of(b"layer")), 5)
CONFIG = builders.descriptor("application/vnd.test.config+json", str(Digest.of(b"config")), 6)
IMAGE = builders.manifest(CONFIG, [LAYER])
ENTRY = builders.descriptor(OCI_MANIFEST, str(Digest.of(b"manifest")), 8)
INDEX: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [ENTRY]}
ARTIFACT: dict[str, Any] = {
    "mediaType": OCI_ARTIFACT,
    "artifactType": "application/vnd.test.model",
    "blobs": [LAYER],
}


def manifest(document: object, **options: Any) -> Manifest:
    found = parse_document(builders.encode(document), **options)
    assert isinstance(found, Manifest)
    return found


def index(document: object, **options: Any) -> Index:
    found = parse_document(builders.encode(document), **options)
    assert isinstance(found, Index)
    return found


def refused(document: object, **options: Any) -> str:
    with pytest.raises(InvalidManifest) as caught:
        parse_document(builders.encode(document), **options)
    assert caught.value.exit_code == 8
    return caught.value.message


def with_layer(**members: Any) -> Mapping[str, Any]:
    return builders.manifest(CONFIG, [{**LAYER, **members}])


@pytest.mark.parametrize("kind", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_a_manifest_of_either_type_has_its_parts_and_its_own_bytes(kind: str) -> None:
    document = builders.manifest(
        CONFIG,
        [LAYER, LAYER],
        media_type=kind,
        artifact_type="Application/VND.test; v=1",
        annotations={"a": "b"},
    )
    found = manifest(document)
    assert found.raw == builders.encode(document)
    assert found.descriptor.digest == Digest.of(found.raw)
    assert (found.descriptor.size, found.descriptor.media_type) == (len(found.raw), kind)
    assert found.config_type == "application/vnd.test.config+json"
    assert [layer.digest for layer in found.layers] == [Digest.of(b"layer")] * 2
    assert found.artifact_type == "application/vnd.test"
    assert found.annotations == {"a": "b"}


@pytest.mark.parametrize("kind", [OCI_INDEX, DOCKER_LIST])
def test_an_index_of_either_type_has_its_entries(kind: str) -> None:
    document = INDEX | {"mediaType": kind, "artifactType": "x/y", "annotations": {"a": "b"}}
    found = index(document)
    assert found.descriptor.media_type == kind
    assert [entry.digest for entry in found.manifests] == [Digest.of(b"manifest")]
    assert (found.artifact_type, found.annotations) == ("x/y", {"a": "b"})


def test_the_deprecated_artifact_manifest_has_blobs_and_no_config() -> None:
    found = manifest(ARTIFACT)
    assert (found.config, found.config_type) == (None, "")
    assert [layer.size for layer in found.layers] == [5]


@pytest.mark.parametrize("header", ["", "text/plain", "application/json", "*/*"])
@pytest.mark.parametrize("document", [IMAGE, INDEX, ARTIFACT], ids=["image", "index", "artifact"])
def test_the_shape_decides_where_neither_body_nor_header_knows(
    document: Mapping[str, Any], header: str
) -> None:
    bare = {key: value for key, value in document.items() if key != "mediaType"}
    found = parse_document(builders.encode(bare), content_type=header)
    assert found.descriptor.media_type == document["mediaType"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (DOCKER_MANIFEST, DOCKER_MANIFEST),
        (f"{DOCKER_MANIFEST}; charset=utf-8", DOCKER_MANIFEST),
        (f" {DOCKER_MANIFEST.upper()} ", DOCKER_MANIFEST),
        ("application/vnd.oci.image.layer.v1.tar", OCI_MANIFEST),
    ],
)
@pytest.mark.parametrize("body", [{}, {"mediaType": None}, {"mediaType": "application/x-other"}])
def test_a_known_header_decides_where_the_body_does_not(
    body: Mapping[str, Any], header: str, expected: str
) -> None:
    bare = {key: value for key, value in IMAGE.items() if key != "mediaType"}
    assert manifest({**bare, **body}, content_type=header).descriptor.media_type == expected


def test_an_agreeing_header_with_a_charset_is_no_conflict() -> None:
    assert manifest(IMAGE, content_type=f"{OCI_MANIFEST}; charset=utf-8")


@pytest.mark.parametrize("header", [DOCKER_MANIFEST, OCI_INDEX, DOCKER_LIST, OCI_ARTIFACT])
def test_a_header_that_contradicts_the_body_is_refused_with_both(header: str) -> None:
    message = refused(IMAGE, content_type=header)
    assert OCI_MANIFEST in message
    assert header in message


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (IMAGE, OCI_INDEX),
        (IMAGE, OCI_ARTIFACT),
        (INDEX, OCI_MANIFEST),
        (INDEX, DOCKER_MANIFEST),
        (ARTIFACT, OCI_MANIFEST),
        (ARTIFACT, DOCKER_LIST),
    ],
)
def test_a_body_that_does_not_look_like_its_type_is_refused(
    document: Mapping[str, Any], kind: str
) -> None:
    assert "does not look like one" in refused({**document, "mediaType": kind})
    bare = {key: value for key, value in document.items() if key != "mediaType"}
    assert "does not look like one" in refused(bare, content_type=kind)


@pytest.mark.parametrize(
    "document",
    [
        IMAGE | {"manifests": [ENTRY]},
        INDEX | {"layers": []},
        INDEX | {"config": CONFIG},
        INDEX | {"blobs": []},
        ARTIFACT | {"layers": [LAYER]},
    ],
)
@pytest.mark.parametrize("header", ["", OCI_MANIFEST])
def test_a_body_of_two_shapes_is_refused(document: object, header: str) -> None:
    with pytest.raises(InvalidManifest, match="shape of a manifest and of an index"):
        parse_document(builders.encode(document), content_type=header)


@pytest.mark.parametrize("document", [{}, {"schemaVersion": 2, "config": CONFIG}, {"errors": []}])
def test_a_body_of_no_shape_is_refused(document: object) -> None:
    assert "neither layers nor manifests" in refused(document)


@pytest.mark.parametrize("document", [{"schemaVersion": 1, "layers": []}, {"fsLayers": []}])
def test_schema_1_is_unsupported(document: object) -> None:
    with pytest.raises(Unsupported, match="schema 1") as caught:
        parse_document(builders.encode(document))
    assert caught.value.exit_code == 9


@pytest.mark.parametrize("raw", [b"", b"<html>", b'{"a":', b"\xff\xfe\x00", b"[" * 100_000])
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidManifest, match="not JSON"):
        parse_document(raw)


@pytest.mark.parametrize("document", [None, [], "text", 5])
def test_json_that_is_no_object_is_refused(document: object) -> None:
    assert "not a JSON object" in refused(document)


def test_nesting_inside_an_object_is_refused_as_well() -> None:
    with pytest.raises(InvalidManifest, match="not JSON"):
        parse_document(b'{"layers":' * 100_000)


def test_four_mebibytes_are_read_and_not_a_byte_more() -> None:
    raw = builders.encode(IMAGE)
    raw += b" " * (MAX_BYTES - len(raw))
    assert len(raw) == 4 << 20
    assert isinstance(parse_document(raw), Manifest)
    with pytest.raises(InvalidManifest, match="larger than 4194304 bytes"):
        parse_document(raw + b" ")


@pytest.mark.parametrize("config", [{}, {"config": None}])
def test_only_the_artifact_manifest_may_be_without_a_config(config: Mapping[str, Any]) -> None:
    assert "no config" in refused({"layers": [LAYER]} | dict(config))


@pytest.mark.parametrize(
    ("document", "key"),
    [
        (IMAGE | {"layers": None}, "layers"),
        (IMAGE | {"layers": {"0": LAYER}}, "layers"),
        (INDEX | {"manifests": "text"}, "manifests"),
        (ARTIFACT | {"blobs": 5}, "blobs"),
    ],
)
def test_a_list_that_is_none_is_refused(document: object, key: str) -> None:
    assert refused(document) == f"{key} is not a list"


@pytest.mark.parametrize(
    "members",
    [
        {"digest": f"sha256:../../{'a' * 58}"},
        {"digest": f"sha256:{'A' * 64}"},
        {"digest": f"blake3:{'a' * 64}"},
        {"digest": f"md5:{'a' * 32}"},
        {"digest": ""},
        {"size": -1},
        {"size": 1 << 62},
        {"size": True},
        {"size": 5.0},
        {"size": "5"},
        {"annotations": [1]},
        {"mediaType": 5},
        {"data": "%"},
    ],
)
def test_a_descriptor_that_cannot_be_spoils_the_manifest(members: Mapping[str, Any]) -> None:
    refused(with_layer(**members))
    refused(builders.manifest({**CONFIG, **members}, []))
    refused(INDEX | {"manifests": [{**ENTRY, **members}]})


def test_one_digest_of_two_sizes_is_refused_wherever_it_is_named() -> None:
    assert "two sizes" in refused(builders.manifest(CONFIG, [LAYER, LAYER | {"size": 6}]))
    assert "two sizes" in refused(builders.manifest(LAYER | {"size": 6}, [LAYER]))
    assert manifest(builders.manifest(LAYER, [LAYER, LAYER]))


def test_a_digest_nobody_can_compute_is_let_through_until_it_is_needed() -> None:
    found = manifest(with_layer(digest=f"sha384:{'a' * 96}"))
    assert found.layers[0].digest.algorithm == "sha384"


def test_inline_data_is_taken_where_it_is_right_and_refused_where_it_is_not() -> None:
    assert manifest(with_layer(data="bGF5ZXI=")).layers[0].data == b"layer"
    with pytest.raises(DigestMismatch):
        parse_document(builders.encode(with_layer(data="TEFZRVI=")))


def test_the_empty_config_has_its_data() -> None:
    empty = builders.descriptor(builders.OCI_EMPTY, builders.digest_of(b"{}"), 2)
    found = manifest(builders.manifest(empty, [LAYER]))
    assert found.config
    assert found.config.data == b"{}"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_the_bytes_are_checked_against_the_digest_that_was_asked_for(algorithm: str) -> None:
    raw = builders.encode(IMAGE)
    digest = Digest(algorithm, hashlib.new(algorithm, raw).hexdigest())
    assert parse_document(raw, digest=digest).descriptor.digest == digest
    with pytest.raises(DigestMismatch, match=str(digest)):
        parse_document(raw + b" ", digest=digest)


def test_the_digest_is_checked_before_anything_is_parsed() -> None:
    with pytest.raises(DigestMismatch):
        parse_document(b"<html>", digest=Digest.of(b"other"))


def test_a_manifest_cannot_be_asked_for_by_a_digest_nobody_can_compute() -> None:
    with pytest.raises(UnsupportedDigest):
        parse_document(builders.encode(IMAGE), digest=Digest("sha384", "a" * 96))


def test_accept_names_every_type_and_those_of_oci_first() -> None:
    types = ACCEPT.split(", ")
    assert set(types) == {*INDEX_TYPES, *MANIFEST_TYPES}
    assert types[:2] == [OCI_MANIFEST, OCI_INDEX]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda values: (
        st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3)
    ),
    max_leaves=5,
)
MEMBERS = {
    "schemaVersion": st.sampled_from([1, 2]),
    "mediaType": st.sampled_from([OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST]),
    "config": st.just(CONFIG),
    "layers": st.lists(st.just(LAYER) | json_values, max_size=3),
    "manifests": st.lists(st.just(ENTRY) | json_values, max_size=3),
    "blobs": st.just([LAYER]),
    "annotations": st.just({"a": "b"}),
    "artifactType": st.just("x/y"),
}


@given(
    st.fixed_dictionaries({}, optional={k: v | json_values for k, v in MEMBERS.items()})
    | json_values,
    st.sampled_from(["", "text/plain", OCI_MANIFEST, OCI_INDEX]),
)
def test_any_json_is_a_document_or_is_refused(value: Any, header: str) -> None:
    raw = json.dumps(value).encode()
    try:
        found = parse_document(raw, content_type=header)
    except OciPullError:
        return
    assert found.descriptor.media_type in ACCEPT
    assert found.raw == raw


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_are_refused(raw: bytes) -> None:
    with pytest.raises(OciPullError):
        parse_document(raw)

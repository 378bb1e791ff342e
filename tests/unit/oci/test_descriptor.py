import base64
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.errors import DigestMismatch, InvalidManifest, OciPullError, UnsupportedDigest
from oci_pull.oci.descriptor import Descriptor, Platform, media_type
from oci_pull.oci.digest import Digest

CONTENT = b"content"
DIGEST = str(Digest.of(CONTENT))
EMPTY_OBJECT = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
EMPTY_BLOB = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def parse(**members: Any) -> Descriptor:
    return Descriptor.parse({"mediaType": "a/b", "digest": DIGEST, "size": 7} | members)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("text/plain; charset=utf-8", "text/plain"),
        ("Application/JSON", "application/json"),
        (" a/b ;x", "a/b"),
        ("", ""),
    ],
)
def test_a_media_type_is_compared_in_lower_case_without_parameters(
    text: str, expected: str
) -> None:
    assert media_type(text) == expected


def test_a_descriptor_has_every_member_that_is_used() -> None:
    found = parse(
        mediaType="A/B; charset=utf-8",
        annotations={"title": "x", "number": 3},
        platform={"os": "linux", "architecture": "arm", "variant": "v7", "os.version": "1"},
        artifactType="Application/X-MLModel",
        urls=["https://example.com/x", 5],
        name="config.json",
        unknown={"member": True},
    )
    assert found == Descriptor(
        "a/b",
        Digest.of(CONTENT),
        7,
        {"title": "x"},
        Platform("linux", "arm", "v7"),
        "application/x-mlmodel",
        None,
        ("https://example.com/x",),
        "config.json",
    )


@pytest.mark.parametrize("name", [5, None, ["a"], {}])
def test_a_name_that_is_no_text_is_none(name: Any) -> None:
    assert parse(name=name).name == ""


def test_content_that_is_added_changes_nothing_else() -> None:
    found = parse(name="a", urls=["https://example.com/x"], annotations={"title": "x"})
    assert replace(found.with_data(CONTENT), data=None) == found


def test_what_is_absent_or_null_is_empty() -> None:
    found = Descriptor.parse(
        {"digest": DIGEST, "size": 7, "annotations": None, "urls": None, "platform": None}
    )
    assert found == Descriptor("", Digest.of(CONTENT), 7)


def test_annotations_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        parse(annotations={"a": "b"}).annotations["a"] = "c"  # type: ignore[index]  # the point


@pytest.mark.parametrize("size", [-1, 1 << 61, 10**400, True, 7.0, "7", None, [], float("nan")])
def test_a_size_that_cannot_be_is_refused(size: Any) -> None:
    with pytest.raises(InvalidManifest, match="has the size"):
        parse(size=size)


@pytest.mark.parametrize(
    "digest",
    [
        f"sha256:../../{DIGEST[-58:]}",
        DIGEST.upper(),
        f"sha256:{DIGEST[7:].upper()}",
        f"md5:{DIGEST[-32:]}",
        DIGEST[7:],
        "",
        5,
        None,
    ],
)
def test_a_digest_that_is_none_is_refused(digest: Any) -> None:
    with pytest.raises(InvalidManifest):
        parse(digest=digest)


@pytest.mark.parametrize(
    ("member", "value"),
    [("mediaType", 5), ("artifactType", []), ("annotations", [1]), ("annotations", "text")],
)
def test_a_member_of_the_wrong_type_is_refused(member: str, value: Any) -> None:
    with pytest.raises(InvalidManifest, match=member):
        parse(**{member: value})


@pytest.mark.parametrize("value", [None, [], "text", 5])
def test_what_is_no_object_is_no_descriptor(value: Any) -> None:
    with pytest.raises(InvalidManifest, match="not an object"):
        Descriptor.parse(value)


@pytest.mark.parametrize("urls", [5, "https://example.com/x", {"https://example.com/x": 1}, True])
def test_urls_that_are_no_list_are_none(urls: Any) -> None:
    assert parse(urls=urls).urls == ()


@pytest.mark.parametrize(
    "platform", ["linux/amd64", {"os": "linux"}, {"os": 1, "architecture": "amd64"}]
)
def test_a_platform_that_says_too_little_is_none(platform: Any) -> None:
    assert parse(platform=platform).platform is None


def test_inline_data_is_verified_and_kept() -> None:
    found = parse(data=base64.b64encode(CONTENT).decode())
    assert found.data == CONTENT
    assert "content" not in repr(found)


def test_inline_data_keeps_every_other_member() -> None:
    members: dict[str, Any] = {
        "annotations": {"a": "b"},
        "platform": {"os": "linux", "architecture": "amd64"},
        "artifactType": "x/y",
        "urls": ["https://example.com/x"],
    }
    found = parse(**members, data=base64.b64encode(CONTENT).decode())
    assert found.data == CONTENT
    assert replace(found, data=None) == parse(**members)


@pytest.mark.parametrize("content", [b"", b"CONTENT", CONTENT + b"!"])
def test_inline_data_that_is_not_what_the_digest_names_is_refused(content: bytes) -> None:
    with pytest.raises(DigestMismatch, match=DIGEST):
        parse(data=base64.b64encode(content).decode())


def test_inline_data_of_another_length_than_the_size_is_refused() -> None:
    with pytest.raises(DigestMismatch):
        parse(size=8, data=base64.b64encode(CONTENT).decode())


@pytest.mark.parametrize("data", ["e30", "e3 0=", "%%%%", "é", "e30=\n"])
def test_inline_data_that_is_no_base64_is_refused(data: str) -> None:
    with pytest.raises(InvalidManifest, match="not base64"):
        parse(data=data)


def test_inline_data_under_a_digest_that_cannot_be_computed_is_unsupported() -> None:
    with pytest.raises(UnsupportedDigest):
        parse(digest=f"sha384:{'0' * 96}", data="e30=")


@pytest.mark.parametrize(("digest", "content"), [(EMPTY_OBJECT, b"{}"), (EMPTY_BLOB, b"")])
def test_the_empty_blobs_need_no_registry(digest: str, content: bytes) -> None:
    found = parse(mediaType="application/vnd.oci.empty.v1+json", digest=digest, size=len(content))
    assert found.data == content


def test_a_size_that_contradicts_an_empty_blob_makes_no_data() -> None:
    assert parse(digest=EMPTY_OBJECT, size=3).data is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/arm/v7", Platform("linux", "arm", "v7")),
    ],
)
def test_a_platform_round_trips(text: str, expected: Platform) -> None:
    found = Platform.parse(text)
    assert found == expected
    assert str(found) == text


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/amd64", "a/b/c/d", "Linux/amd64", "a/b "]
)
def test_text_of_another_form_is_no_platform(text: str) -> None:
    assert Platform.parse(text) is None


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        (Platform("unknown", "unknown"), True),
        (Platform("linux", "unknown"), True),
        (Platform("linux", "amd64"), False),
    ],
)
def test_a_platform_with_an_unknown_part_says_nothing(platform: Platform, expected: bool) -> None:
    assert platform.is_unknown is expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(DIGEST),
    lambda values: (
        st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3)
    ),
    max_leaves=6,
)


MEMBERS = ("mediaType", "annotations", "platform", "artifactType", "urls", "data")


@given(
    st.fixed_dictionaries(
        {"digest": st.just(DIGEST) | json_values, "size": st.just(7) | json_values},
        optional=dict.fromkeys(MEMBERS, json_values),
    )
    | json_values
)
def test_any_json_is_a_descriptor_or_is_refused(value: Any) -> None:
    try:
        found = Descriptor.parse(value)
    except OciPullError:
        return
    assert hash(found) == hash(Descriptor.parse(value))

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.oci.meant import meant_name, meant_tag, parse_tags, tags_listed
from oci_pull.oci.reference import Reference


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        ("smollm2", "oci-pull ai/smollm2"),
        ("smollm2:360M", "oci-pull ai/smollm2:360M"),
        ("llama3.2", "oci-pull ai/llama3.2"),
        ("qwen2.5:7B-Q4_K_M", "oci-pull ai/qwen2.5:7B-Q4_K_M"),
        ("ghcr.io", "oci-pull ghcr.io/REPOSITORY"),
        ("localhost:5000", "oci-pull localhost:5000/REPOSITORY"),
        ("registry:5000", "oci-pull registry:5000/REPOSITORY"),
        ("ai/smollm2", None),
        ("ghcr.io/smollm2", None),
    ],
)
def test_the_name_that_was_meant(typed: str, command: str | None) -> None:
    assert meant_name(Reference.parse(typed)) == command


@pytest.mark.parametrize(
    ("tag", "near"),
    [("v31", "v3.1"), ("3.1", "v3.1"), ("V3.1", "v3.1"), ("q4_k_m", "Q4_K_M"), ("main", None)],
)
def test_the_tag_that_was_meant(tag: str, near: str | None) -> None:
    reference = Reference.parse(f"ghcr.io/acme/llama:{tag}")
    expected = near and f"oci-pull ghcr.io/acme/llama:{near}"
    assert meant_tag(reference, ["v3.1", "Q4_K_M", "2024-01"]) == expected


def test_tags_are_listed_from_the_highest_version_on() -> None:
    assert tags_listed(["latest", "v2", "v10", "v9"]) == "v10 v9 v2 latest"
    assert tags_listed([f"v{number}" for number in range(9)]) == "v8 v7 v6 v5 v4 v3 and 3 more"


def test_what_is_no_tag_is_not_shown() -> None:
    tags = ["v1", "\x1b[2J", "a b", 3, None]
    assert parse_tags(json.dumps({"name": "x", "tags": tags}).encode()) == ("v1",)


@given(st.binary() | st.from_regex(r'\{"tags":.*\}').map(str.encode))
def test_any_list_of_tags_is_read_or_none(body: bytes) -> None:
    assert all(isinstance(tag, str) for tag in parse_tags(body))


@given(st.lists(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}", fullmatch=True)))
def test_any_tags_have_an_order(tags: list[str]) -> None:
    assert tags_listed(tags).count(" ") <= 8

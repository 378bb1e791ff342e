"""What a model is called in the Hugging Face hub cache."""

from __future__ import annotations

import pytest

from oci_pull.errors import UsageError
from oci_pull.oci.reference import parse_locator
from oci_pull.packaging.hf_name import hub_id


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ai/smollm2", "ai/smollm2"), ("ghcr.io/model:v1", "model"), ("r.example/a/b_c.d", "a/b_c.d")],
)
def test_the_id_is_the_repository_without_its_registry(text: str, expected: str) -> None:
    assert hub_id(parse_locator(text)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("r.example/a/b/c", "has more than two components"),
        ("r.example/a/b--c", "contains --"),
        ("r.example/a/b.git", "ends in .git"),
        (f"r.example/{'a' * 97}", "has more than 96 characters"),
        ("oci:models/smollm2:v1", "it is a layout on disk"),
        ("oci-archive:models/smollm2.tar", "it is a layout on disk"),
    ],
)
def test_an_id_that_the_hub_does_not_allow_is_refused(text: str, reason: str) -> None:
    locator = parse_locator(text)
    with pytest.raises(UsageError, match="cannot be in the Hugging Face hub cache") as caught:
        hub_id(locator)
    assert reason in caught.value.message
    assert caught.value.hint == f"oci-pull --layout dir -o DIR {locator}"

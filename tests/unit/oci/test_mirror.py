"""Mirrors as people write them, and what repositories are called there."""

from __future__ import annotations

import pytest

from oci_pull.oci.mirror import Mirror
from oci_pull.oci.reference import Reference

_MODEL = Reference.parse("ai/smollm2:v1")


@pytest.mark.parametrize(
    ("text", "mirror", "written"),
    [
        ("https://m.example", Mirror("m.example"), "https://m.example"),
        ("M.Example/", Mirror("m.example"), "https://m.example"),
        ("http://10.0.0.1:5000", Mirror("10.0.0.1:5000", plain_http=True), "http://10.0.0.1:5000"),
        ("HTTPS://m.example/hub", Mirror("m.example", "hub"), "https://m.example/hub"),
        ("https://m.example/v2/", Mirror("m.example"), "https://m.example"),
        ("https://m.example/v2/a/b", Mirror("m.example", "a/b"), "https://m.example/a/b"),
        ("[::1]:5000/hub", Mirror("[::1]:5000", "hub"), "https://[::1]:5000/hub"),
    ],
)
def test_what_people_write(text: str, mirror: Mirror, written: str) -> None:
    assert Mirror.parse(text) == mirror
    assert str(mirror) == written
    assert Mirror.parse(written) == mirror


@pytest.mark.parametrize(
    "text",
    [
        "", "https://", "ftp://m.example", "https://ada@m.example", "https://ada:b@m.example",
        "https://m.example?q=1", "https://m.example/#x", "https://m.example:0", "m.example:99999",
        "https://m.example/Hub", "https://m.example/a//b", "https://m.example/../b", "a b", "-m",
    ],
)  # fmt: skip
def test_what_is_no_mirror(text: str) -> None:
    with pytest.raises(ValueError, match="mirror"):
        Mirror.parse(text)


@pytest.mark.parametrize(
    ("mirror", "repository"),
    [
        (Mirror("m"), "ai/smollm2"),
        (Mirror("m", "hub"), "hub/ai/smollm2"),
        (Mirror("m", below="ai"), "smollm2"),
        (Mirror("m", "hub", below="ai"), "hub/smollm2"),
        (Mirror("m", "hub/one", below="ai/smollm2"), "hub/one"),
    ],
)
def test_what_a_repository_is_called_there(mirror: Mirror, repository: str) -> None:
    assert mirror.of(_MODEL) == Reference("m", repository, "v1", None)

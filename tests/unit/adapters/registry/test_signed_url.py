"""What a signed URL says of its own end."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.adapters.registry.signed_url import expires_at

#: 2026-11-23T12:00:00Z
NOW = 1_795_435_200.0


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("X-Amz-Date=20261123T115000Z&X-Amz-Expires=1200&X-Amz-Signature=a", NOW + 600),
        ("X-Amz-Date=20261123T110000Z&X-Amz-Expires=1200", NOW - 2400),
        ("X-Amz-Expires=1200&X-Amz-Signature=a", NOW + 1200),
        ("X-Amz-Date=yesterday&X-Amz-Expires=1200", NOW + 1200),
        ("X-Amz-Date=20269999T115000Z&X-Amz-Expires=1200", NOW + 1200),
        ("x-amz-expires=60", NOW + 60),
        ("X-Goog-Date=20261123T115900Z&X-Goog-Expires=3600", NOW + 3540),
        ("X-Goog-Expires=3600", NOW + 3600),
        ("AWSAccessKeyId=a&Expires=1795435260&Signature=b", NOW + 60),
        ("Expires=1795435260&Policy=a&Key-Pair-Id=b", NOW + 60),
        ("sv=2024-11-04&se=2026-11-23T12%3A10%3A00Z&sr=b&sig=a", NOW + 600),
        ("se=2026-11-23T12%3A10%3A00.5000000Z", NOW + 600.5),
        ("se=2026-11-23T12:10Z", NOW + 600),
        ("se=2026-11-24", NOW + 12 * 3600),
        ("se=2026-11-23T14:10:00%2B02:00", NOW + 600),
        ("", None),
        ("X-Amz-Signature=a", None),
        ("X-Amz-Expires=&X-Amz-Signature=a", None),
        ("X-Amz-Expires=-5", None),
        ("X-Amz-Expires=1.5", None),
        ("X-Amz-Expires=%C2%B2", None),
        ("Expires=" + "9" * 400, None),
        ("Expires=Wed,%2021%20Oct%202015%2007:28:00%20GMT", None),
        ("se=soon", None),
        ("se=0001-01-01T00:00:00%2B14:00", -62_135_647_200.0),
        ("Policy=eyJ9&Signature=a", None),
    ],
)
def test_when_a_signed_url_ends(query: str, expected: float | None) -> None:
    assert expires_at(httpx.URL(f"https://storage.example/blob?{query}"), NOW) == expected


@given(
    st.sampled_from(["X-Amz-Expires", "X-Amz-Date", "X-Goog-Expires", "Expires", "se"]),
    st.text(max_size=40),
    st.text(max_size=40),
)
def test_no_url_is_a_surprise(name: str, value: str, other: str) -> None:
    url = httpx.URL("https://storage.example/", params={name: value, "X-Amz-Date": other})
    found = expires_at(url, NOW)
    assert found is None or isinstance(found, float)

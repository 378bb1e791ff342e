"""When a rate limit that is reached is new again."""

from __future__ import annotations

import httpx
import pytest

from oci_pull.adapters.registry.rate_limit import seconds_until_reset


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"RateLimit": '"api";r=0;t=55'}, 55),
        ({"ratelimit": '"api"; r=0; t=55'}, 55),
        ({"RateLimit": '"api";t=55;r=0'}, 55),
        ({"RateLimit": '"api";t=55'}, 55),
        ({"RateLimit": '"api";r=12;t=55'}, None),
        ({"RateLimit": '"api";r=0'}, None),
        ({"RateLimit": '"burst";r=0;t=7, "daily";r=0;t=3600'}, 3600),
        ({"RateLimit": '"burst";r=0;t=7, "daily";r=90;t=3600'}, 7),
        ({"RateLimit": "limit=10, remaining=0, reset=50"}, 50),
        ({"RateLimit": "limit=10, remaining=3, reset=50"}, None),
        ({"RateLimit": "limit=10,remaining=0,reset=50"}, 50),
        ({"RateLimit-Reset": "30"}, 30),
        ({"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "0;w=21600"}, None),
        ({"RateLimit": '"api";r=0;t=55', "RateLimit-Reset": "30"}, 55),
        ({"RateLimit": '"api";r=0', "RateLimit-Reset": "30"}, 30),
        ({"RateLimit-Reset": "1795435200"}, None),
        ({"RateLimit-Reset": "-1"}, None),
        ({"RateLimit-Reset": "soon"}, None),
        ({"RateLimit": f'"api";r=0;t={"9" * 40}'}, None),
        ({"RateLimit": "nonsense"}, None),
        ({"RateLimit": '"report=5";r=0'}, None),
    ],
    ids=str,
)
def test_the_wait_until_a_limit_is_new(headers: dict[str, str], expected: float | None) -> None:
    assert seconds_until_reset(httpx.Headers(headers)) == expected

"""How much of a rate limit is left, and when one that is reached is new again."""

from __future__ import annotations

import httpx
import pytest

from oci_pull.adapters.registry.rate_limit import RateLimit, seconds_until_reset


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


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        (
            {
                "ratelimit-limit": "100;w=21600",
                "ratelimit-remaining": "76;w=21600",
                "docker-ratelimit-source": "192.0.2.7",
            },
            RateLimit(100, 76, 21600, "192.0.2.7"),
        ),
        ({"RateLimit-Limit": " 100 ; w = 60"}, RateLimit(100, None, 60)),
        ({"RateLimit-Limit": "10, 10;w=1, 50;w=60"}, RateLimit(10, None, None)),
        ({"RateLimit-Remaining": "0;w=21600"}, RateLimit(None, 0, 21600)),
        ({"RateLimit-Limit": "100", "RateLimit-Remaining": "5"}, RateLimit(100, 5, None)),
        ({"RateLimit-Limit": "many"}, None),
        ({"RateLimit-Limit": "-1;w=60"}, None),
        ({"RateLimit-Limit": "100;w=" + "9" * 40}, RateLimit(100, None, None)),
        ({"RateLimit-Limit": "9" * 4000}, None),
        ({"Docker-RateLimit-Source": "192.0.2.7"}, None),
        (
            {"RateLimit-Limit": "1", "Docker-RateLimit-Source": "x" * 500},
            RateLimit(1, None, None, "x" * 100),
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_left_of_a_limit(headers: dict[str, str], expected: RateLimit | None) -> None:
    assert RateLimit.parse(httpx.Headers(headers)) == expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (RateLimit(100, 0, 21600), "100 in 6 h"),
        (RateLimit(100, 0, 90), "100 in 90 s"),
        (RateLimit(100, 0, None), "100"),
    ],
)
def test_a_limit_as_people_say_it(limit: RateLimit, expected: str) -> None:
    assert str(limit) == expected

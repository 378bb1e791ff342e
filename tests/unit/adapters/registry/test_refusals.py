"""What a status means, and how long to wait after one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oci_pull.adapters.registry.refusals import retry_after, status_error
from oci_pull.errors import RateLimited, RequestRefused, ServerFailed, TransferError

SECRET = "s3cr3t"
ORIGIN = "registry.example:443"
REQUEST = httpx.Request("GET", f"https://registry.example/v2/?signature={SECRET}")


@pytest.mark.parametrize(
    ("status", "kind", "is_retryable"),
    [
        (400, RequestRefused, False),
        (401, RequestRefused, False),
        (404, RequestRefused, False),
        (408, ServerFailed, True),
        (425, ServerFailed, True),
        (429, RateLimited, True),
        (499, ServerFailed, True),
        (500, ServerFailed, True),
        (503, ServerFailed, True),
        (511, ServerFailed, True),
        (302, RequestRefused, False),
    ],
)
def test_what_a_status_means(status: int, kind: type[TransferError], is_retryable: bool) -> None:
    error = status_error(httpx.Response(status, request=REQUEST), "a blob")
    assert (type(error), error.retryable, error.origin) == (kind, is_retryable, ORIGIN)
    assert SECRET not in str(error)


def test_how_long_to_wait_is_told() -> None:
    headers = {"Retry-After": "17"}
    for status in (429, 503):
        error = status_error(httpx.Response(status, headers=headers, request=REQUEST), "a blob")
        assert error.retry_after == 17
    limited = status_error(httpx.Response(429, headers=headers, request=REQUEST), "a blob")
    assert "asks to wait 17 s" in str(limited)
    refused = status_error(httpx.Response(400, headers=headers, request=REQUEST), "a blob")
    assert refused.retry_after is None


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (429, {"RateLimit": '"api";r=0;t=55'}, 55),
        (429, {"RateLimit": '"api";r=0;t=55', "Retry-After": "7"}, 7),
        (429, {"RateLimit": '"api";r=0;t=55', "Retry-After": "0"}, 0),
        (429, {"RateLimit": '"api";r=0;t=55', "Retry-After": "soon"}, 55),
        (429, {"RateLimit": '"api";r=9;t=55'}, None),
        # It is on every reply: that of a server in trouble is not about the limit.
        (503, {"RateLimit": '"api";r=0;t=55'}, None),
    ],
    ids=str,
)
def test_a_limit_that_is_reached_says_when_it_is_new(
    status: int, headers: dict[str, str], expected: float | None
) -> None:
    error = status_error(httpx.Response(status, headers=headers, request=REQUEST), "a blob")
    assert error.retry_after == expected
    assert ("asks to wait" in str(error)) == (expected is not None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("120", 120),
        (" 5 ", 5),
        ("9" * 500, 999_999_999),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 99 Foo 2015 07:28:00 GMT", None),
    ],
)
def test_retry_after_in_every_form(text: str, expected: float | None) -> None:
    response = httpx.Response(429, headers=[(b"Retry-After", text.encode("latin-1"))])
    assert retry_after(response) == expected


def test_retry_after_as_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    found = retry_after(httpx.Response(429, headers={"Retry-After": later}))
    assert found == pytest.approx(90, abs=60)
    assert retry_after(httpx.Response(429)) is None


@given(st.text(st.characters(min_codepoint=1, max_codepoint=255)))
@example("Mon, 01 Jan 0001 00:00:00 -0000")
@example("Fri, 31 Dec 9999 23:59:59 -0000")
@example("1 Jan 2000 00:00:00 +9999")
@example("Mon, 01 Jan 99999 00:00:00 GMT")
def test_no_retry_after_is_a_surprise(text: str) -> None:
    found = retry_after(httpx.Response(429, headers=[(b"Retry-After", text.encode("latin-1"))]))
    assert found is None or found >= 0


HUB = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "0;w=21600"}


@pytest.mark.parametrize(
    ("headers", "wait", "words"),
    [
        (HUB, 21600, "allows: 100 in 6 h\nit is new in at most 21600 s, until 20"),
        (HUB | {"Retry-After": "7"}, 7, "allows: 100 in 6 h\nit asks to wait 7 s"),
        (HUB | {"RateLimit-Remaining": "12;w=21600"}, None, "allows: 100 in 6 h"),
        ({"Retry-After": "7200"}, 7200, "it asks to wait 7200 s, until 20"),
        ({"Retry-After": "9" * 12}, 999_999_999, "it asks to wait 999999999 s"),
    ],
    ids=str,
)
def test_a_limit_says_how_much_until_when_and_as_whom(
    headers: dict[str, str], wait: float | None, words: str
) -> None:
    """A window that may be as long as it takes is beyond what is waited for: that fails at once."""
    response = httpx.Response(429, headers=headers, request=REQUEST)
    error = status_error(response, "a manifest", who="anonymous", host="docker.io")
    assert error.retry_after == wait
    assert words in str(error)
    assert "asked as: anonymous" in error.facts
    assert "oci-pull login docker.io" in str(error.hint)
    assert ("--max-wait" in str(error.hint)) == (wait is not None and 60 <= wait < 1e8)
    assert SECRET not in f"{error} {error.hint}"


def test_whoever_is_known_is_not_told_to_log_in() -> None:
    response = httpx.Response(429, headers={"Retry-After": "7"}, request=REQUEST)
    error = status_error(response, "a blob", who="user 'ada' from config.json", host="docker.io")
    assert error.hint == "the same command later"


def test_the_time_of_day_is_the_one_of_the_reset() -> None:
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    headers = {"Retry-After": format_datetime(moment, usegmt=True)}
    error = status_error(httpx.Response(429, headers=headers, request=REQUEST), "a blob")
    days = {f"{moment + timedelta(seconds=s):%Y-%m-%d %H:%M} UTC" for s in (-1, 0, 1)}
    assert any(f"until {day}" in str(error) for day in days)

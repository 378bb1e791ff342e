"""What a status means that is nobody's fault on this side."""

import email.utils
import json
import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx

from oci_pull.adapters.registry.http import TEMPORARY, read_body
from oci_pull.adapters.registry.origin import origin_of
from oci_pull.adapters.registry.rate_limit import RateLimit, seconds_until_reset
from oci_pull.errors import RateLimited, RequestRefused, ServerFailed, TransferError
from oci_pull.oci.credential import Anonymous, asked_as

_TOO_MANY = 429
_NOBODY = str(Anonymous())
_SERVER_ERRORS = 500
_MAX_BODY = 64 * 1024
#: From so many seconds on people want to know the time of day.
_LONG = 60.0
#: A wait beyond what a date can say (ten years).
_FOREVER = 10 * 366 * 86400.0
#: ECR's words for a password that is older than twelve hours.
_EXPIRED = "authorization token has expired"


def status_error(
    response: httpx.Response, what: str, *, who: str = "", host: str = ""
) -> TransferError:
    """The error for a status; `who` is as whom `host` was asked, for a limit that depends on it."""
    origin = origin_of(response.url)
    status = response.status_code
    if status == _TOO_MANY:
        return _rate_limited(response, what, who, host)
    message = f"{origin} answered {status} for {what}"
    if status >= _SERVER_ERRORS or status in TEMPORARY:
        return ServerFailed(message, origin=origin, retry_after=retry_after(response))
    return RequestRefused(message, origin=origin)


def retry_after(response: httpx.Response) -> float | None:
    """The seconds of a Retry-After header, in either of its forms; None where there is none."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, moment - time.time())


def says_expired(response: httpx.Response) -> bool:
    """Whether a refusal's body says that a password is too old; any other body says nothing."""
    try:
        body = read_body(response, _MAX_BODY + 1)
        errors = json.loads(body)["errors"] if len(body) <= _MAX_BODY else ()
        return any(_EXPIRED in str(error["message"]).lower() for error in errors)
    except (TransferError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _rate_limited(response: httpx.Response, what: str, who: str, host: str) -> RateLimited:
    origin = origin_of(response.url)
    wait = retry_after(response)
    if wait is None:
        wait = seconds_until_reset(response.headers)
    limit = RateLimit.parse(response.headers)
    is_guess = wait is None and limit is not None and limit.remaining == 0
    if is_guess and limit:
        # Docker Hub tells how long its window is and not when it began.
        wait = limit.window
    facts = [asked_as(who)] if who else []
    if limit and limit.limit is not None:
        facts.append(f"it allows: {limit}")
    if wait is not None:
        facts.append(_when(wait, at_the_latest=is_guess))
    return RateLimited(
        f"{origin} limits how often it is asked ({what})",
        facts=facts,
        hint="\n".join(_ways_out(wait, who, host)),
        origin=origin,
        retry_after=wait,
    )


def _ways_out(wait: float | None, who: str, host: str) -> Iterator[str]:
    """What to type: whoever is known may ask more often, and whoever waits may ask again."""
    if host and who in ("", _NOBODY):
        yield f"oci-pull login {host}"
    if wait and _LONG <= wait <= _FOREVER:
        yield f"--max-wait {math.ceil(wait / 60) + 1}m  waits that long"
    else:
        yield "the same command later"


def _when(wait: float, *, at_the_latest: bool) -> str:
    text = "it is new in at most" if at_the_latest else "it asks to wait"
    text = f"{text} {wait:.0f} s"
    if not _LONG <= wait <= _FOREVER:
        return text
    moment = datetime.fromtimestamp(time.time() + wait, UTC)
    return f"{text}, until {moment:%Y-%m-%d %H:%M} UTC"

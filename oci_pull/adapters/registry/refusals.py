"""What a status means that is nobody's fault on this side."""

import email.utils
import json
import time
from datetime import UTC, datetime

import httpx

from oci_pull.adapters.registry.http import TEMPORARY, translating
from oci_pull.adapters.registry.origin import origin_of
from oci_pull.adapters.registry.rate_limit import RateLimit, seconds_until_reset
from oci_pull.errors import RateLimited, RequestRefused, ServerFailed, TransferError

_TOO_MANY = 429
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
    body = b""
    try:
        with translating(origin_of(response.url)):
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > _MAX_BODY:
                    return False
        errors = json.loads(body)["errors"]
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
    asked = f" (asked as: {who})" if who else ""
    allowed = f"; it allows {limit}" if limit and limit.limit is not None else ""
    hint = (
        "wait" if who not in ("", "anonymous") else f"oci-pull login {host}".strip() + "  or wait"
    )
    return RateLimited(
        f"{origin} limits how often it is asked ({what}){asked}{allowed}"
        f"{_when(wait, at_the_latest=is_guess)}",
        hint=hint + (";  --max-wait TIME  does that here" if wait and wait >= _LONG else ""),
        origin=origin,
        retry_after=wait,
    )


def _when(wait: float | None, *, at_the_latest: bool) -> str:
    if wait is None:
        return ""
    text = "; it asks to wait" if not at_the_latest else "; it is new in at most"
    text = f"{text} {wait:.0f} s"
    if not _LONG <= wait <= _FOREVER:
        return text
    moment = datetime.fromtimestamp(time.time() + wait, UTC)
    return f"{text}, until {moment:%Y-%m-%d %H:%M} UTC"

"""How long a rate limit lasts, from the headers of the reply that says that it is reached."""

import re
from collections.abc import Mapping

_NUMBER = re.compile(r"\d{1,8}")
#: The quota that is left and the seconds until it is new, in the current draft and in older ones.
_LEFT = re.compile(r"(?:^|[;\s])(?:r|remaining)\s*=\s*(\d+)", re.IGNORECASE)
_RESET = re.compile(r"(?:^|[;\s])(?:t|reset)\s*=\s*(\d{1,8})(?!\d)", re.IGNORECASE)
#: Older drafts have commas between what the current one has semicolons between.
_OLD = re.compile(r"\s*(?:limit|remaining|reset)\s*=", re.IGNORECASE)


def seconds_until_reset(headers: Mapping[str, str]) -> float | None:
    """The seconds until every limit that is used up is new; None where none says so.

    `RateLimit: "api";r=0;t=55` (draft-ietf-httpapi-ratelimit-headers), the forms of its older
    drafts `RateLimit: limit=10, remaining=0, reset=55` and `RateLimit-Reset: 55`. A moment in the
    place of seconds, as some servers have it, is none of them.
    """
    text = headers.get("RateLimit", "")
    policies = [text.replace(",", ";")] if _OLD.match(text) else text.split(",")
    waits = [wait for wait in map(_wait, policies) if wait is not None]
    if waits:
        return max(waits)
    reset = headers.get("RateLimit-Reset", "").strip()
    return float(reset) if reset.isascii() and _NUMBER.fullmatch(reset) else None


def _wait(policy: str) -> float | None:
    left, reset = _LEFT.search(policy), _RESET.search(policy)
    if reset is None or (left is not None and int(left[1]) > 0):
        return None
    return float(reset[1])

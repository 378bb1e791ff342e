"""How much of a rate limit is left, and when one that is reached is new, from a reply's headers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

_MAX_SOURCE = 100
_NUMBER = re.compile(r"\d{1,8}")
#: The quota that is left and the seconds until it is new, in the current draft and in older ones.
_LEFT = re.compile(r"(?:^|[;\s])(?:r|remaining)\s*=\s*(\d+)", re.IGNORECASE)
_RESET = re.compile(r"(?:^|[;\s])(?:t|reset)\s*=\s*(\d{1,8})(?!\d)", re.IGNORECASE)
#: Older drafts have commas between what the current one has semicolons between.
_OLD = re.compile(r"\s*(?:limit|remaining|reset)\s*=", re.IGNORECASE)
#: Docker Hub's: a count, and the window that it is for.
_COUNTED = re.compile(r"\s*(\d{1,15})(?!\d)\s*(?:;\s*w\s*=\s*(\d{1,9})(?!\d))?")


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How often one may ask, as far as a reply tells; Docker Hub says nothing where all is free."""

    limit: int | None
    remaining: int | None
    #: In seconds.
    window: float | None
    #: Whom the registry counts together: an address, or an account.
    source: str = ""

    @classmethod
    def parse(cls, headers: Mapping[str, str]) -> Self | None:
        """What `RateLimit-Limit: 100;w=21600` and `RateLimit-Remaining` say; None for neither."""
        limit, window = _counted(headers.get("RateLimit-Limit", ""))
        remaining, other = _counted(headers.get("RateLimit-Remaining", ""))
        if limit is None and remaining is None:
            return None
        source = headers.get("Docker-RateLimit-Source", "")[:_MAX_SOURCE]
        return cls(limit, remaining, window or other, source)

    def __str__(self) -> str:
        """`100 in 6h`."""
        if self.window is None:
            return str(self.limit)
        hours, rest = divmod(self.window, 3600)
        return f"{self.limit} in " + (f"{self.window:.0f} s" if rest else f"{hours:.0f} h")


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


def _counted(text: str) -> tuple[int | None, float | None]:
    match = _COUNTED.match(text)
    if match is None or not text.isascii():
        return None, None
    return int(match[1]), float(match[2]) if match[2] else None

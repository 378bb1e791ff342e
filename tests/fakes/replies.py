"""Replies that every part of the fake registry gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.fakes.faults import HTML_PAGE, Faults, RetryAfter, retry_after_text
from tests.fakes.wire import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODES = {
    400: "NAME_INVALID",
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "NOT_FOUND",
    405: "UNSUPPORTED",
    416: "RANGE_INVALID",
    429: "TOOMANYREQUESTS",
    503: "UNAVAILABLE",
}


def refusal(
    status: int,
    code: str | None = None,
    message: str = "refused by the fake registry",
    *,
    headers: Mapping[str, str] | None = None,
    retry_after: RetryAfter | None = None,
) -> Reply:
    """Return an error with the body of the distribution specification."""
    code = code or _CODES.get(status, "UNKNOWN")
    body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]})
    head = {"Content-Type": "application/json", **(headers or {})}
    if retry_after is not None:
        head["Retry-After"] = retry_after_text(retry_after)
    return Reply.of(status, head, body.encode())


def refused_by(faults: Faults) -> Reply | None:
    """Return the error that a block of faults asks for, if it does."""
    if faults.status is None:
        return None
    return refusal(faults.status, retry_after=faults.retry_after)


def storage_refusal(status: int, code: str, message: str) -> Reply:
    """Return an error as object stores word it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Reply.of(status, {"Content-Type": "application/xml"}, body.encode())


def moved(status: int, location: str) -> Reply:
    return Reply.of(status, {"Location": location} if location else {})


def html_page() -> Reply:
    return Reply.of(200, {"Content-Type": "text/html; charset=utf-8"}, HTML_PAGE)

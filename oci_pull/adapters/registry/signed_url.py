"""How long a signed URL says that it works."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import httpx

#: A moment in the past or the future that no clock shows is none.
_NOT_A_DATE = (ValueError, OverflowError)
_BASIC_DATE = "%Y%m%dT%H%M%SZ"
_MAX_DIGITS = 12


def expires_at(url: httpx.URL, now: float) -> float | None:
    """When the URL stops working, None where it does not tell; seconds since 1970, as is `now`.

    Known are signatures of S3 (both versions), of Google, of CloudFront and of Azure. A lifetime
    that is not said to begin anywhere begins now.
    """
    query = {name.lower(): value for name, value in url.params.multi_items()}
    for vendor in ("x-amz", "x-goog"):
        lifetime = _number(query.get(f"{vendor}-expires", ""))
        if lifetime is not None:
            return _signed(query, f"{vendor}-date", now) + lifetime
    moment = _number(query.get("expires", ""))
    return _iso_date(query.get("se", "")) if moment is None else moment


def _number(text: str) -> float | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return float(text) if is_number else None


def _signed(query: Mapping[str, str], name: str, now: float) -> float:
    try:
        moment = datetime.strptime(query.get(name, ""), _BASIC_DATE)  # noqa: DTZ007 - UTC below
        return _timestamp(moment)
    except _NOT_A_DATE:
        return now


def _iso_date(text: str) -> float | None:
    try:
        return _timestamp(datetime.fromisoformat(text))
    except _NOT_A_DATE:
        return None


def _timestamp(moment: datetime) -> float:
    """Seconds since 1970; what names no zone is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)

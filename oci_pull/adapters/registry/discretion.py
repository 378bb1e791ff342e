"""Requests of which no log of a host program hears: httpx writes URLs down, and some are signed.

httpx logs every URL at INFO and httpcore every header of a reply at DEBUG, `Location` among them.
Only the records of our own requests are dropped; other users of httpx in the process keep theirs.
"""

import logging
from contextvars import ContextVar
from typing import Any

import httpx

#: Every logger that a request passes; a filter does not count for the loggers below its own.
_LOGGERS = ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "proxy", "socks")))
_IS_OURS: ContextVar[bool] = ContextVar("is_ours", default=False)


def _is_not_ours(_: logging.LogRecord) -> bool:
    return not _IS_OURS.get()


class DiscreetClient(httpx.Client):
    """A client that logs nothing of what it sends and of the head of what it gets."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name in _LOGGERS:
            # The same function again is no second filter.
            logging.getLogger(name).addFilter(_is_not_ours)

    def send(self, *request: Any, **options: Any) -> httpx.Response:
        """See `httpx.Client.send`."""
        token = _IS_OURS.set(True)
        try:
            return super().send(*request, **options)
        finally:
            _IS_OURS.reset(token)

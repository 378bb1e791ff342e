"""Requests of which no log of a host program hears: httpx writes URLs down, and some are signed.

httpx logs every URL at INFO and httpcore every header of a reply at DEBUG, `Location` among them.
Only the records of our own requests are dropped; other users of httpx in the process keep theirs.
"""

import logging
import time
from contextvars import ContextVar
from typing import Any

import httpx

from oci_pull.adapters.registry.disclosure import Disclosure

#: Every logger that a request passes; a filter does not count for the loggers below its own.
_LOGGERS = ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "proxy", "socks")))
_IS_OURS: ContextVar[bool] = ContextVar("is_ours", default=False)


def _is_not_ours(_: logging.LogRecord) -> bool:
    return not _IS_OURS.get()


class DiscreetClient(httpx.Client):
    """A client that logs nothing of what it sends and of the head of what it gets.

    What may be told of that is told to whoever asked for it.
    """

    def __init__(self, disclosure: Disclosure, **options: Any) -> None:
        super().__init__(**options)
        self.disclosure = disclosure
        for name in _LOGGERS:
            # The same function again is no second filter.
            logging.getLogger(name).addFilter(_is_not_ours)

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """See `httpx.Client.send`."""
        token, begun = _IS_OURS.set(True), time.monotonic()
        try:
            response = super().send(request, **options)
        except Exception as error:
            self.disclosure.tell_failure(request, error, time.monotonic() - begun)
            raise
        finally:
            _IS_OURS.reset(token)
        self.disclosure.tell_answer(response, time.monotonic() - begun)
        return response

"""Rows of a table run beside each other, before the tests that look at them.

Nearly all of such a test is a process that starts; one after the other they would leave all
processors but one idle.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

V = TypeVar("V")
R = TypeVar("R")


@contextmanager
def ahead(
    request: pytest.FixtureRequest,
    parameter: str,
    work: Callable[[Any], R],
    *,
    at_once: int | None = None,
) -> Iterator[Callable[[object], Future[R]]]:
    """What finds the outcome of the work on a value of the parameter.

    The work is done on all values that the tests of the module ask for, as many at once as there
    are processors, or `at_once` where it is mostly waiting.
    """
    values = {
        _key(params[parameter]): params[parameter]
        for item in request.session.items
        if item.path == request.path and parameter in (params := _params(item))
    }
    with ThreadPoolExecutor(at_once or os.cpu_count()) as pool:
        outcomes = {key: pool.submit(work, value) for key, value in values.items()}
        yield lambda value: outcomes[_key(value)]
        pool.shutdown(cancel_futures=True)


def _key(value: object) -> object:
    return value if isinstance(value, str) else id(value)


def _params(item: pytest.Item) -> Mapping[str, Any]:
    return getattr(getattr(item, "callspec", None), "params", {})


def once(make: Callable[[str], V]) -> Callable[[str], V]:
    """What is made for a name when it is first asked for; any thread may ask."""
    lock = threading.Lock()
    made: dict[str, Future[V]] = {}

    def find(name: str) -> V:
        with lock:
            is_mine = name not in made
            future = made.setdefault(name, Future())
        if is_mine:
            try:
                future.set_result(make(name))
            except BaseException as error:  # noqa: BLE001  # for everybody who asks
                future.set_exception(error)
        return future.result()

    return find

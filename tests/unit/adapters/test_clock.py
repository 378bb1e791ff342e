"""The real clock."""

from __future__ import annotations

import threading

import pytest

from oci_pull.adapters.clock import SystemClock
from oci_pull.errors import Cancelled


class Countdown:
    """A cancel that is set when it was asked often enough."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_a_wait_takes_as_long_as_it_should() -> None:
    clock = SystemClock()
    before = clock.now()
    clock.wait(0.15, threading.Event())
    assert 0.15 <= clock.now() - before < 5


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_is_no_wait(seconds: float) -> None:
    SystemClock().wait(seconds, threading.Event())


@pytest.mark.parametrize("looks", [0, 1])
def test_a_cancel_ends_a_wait_soon(looks: int) -> None:
    clock = SystemClock()
    before = clock.now()
    with pytest.raises(Cancelled):
        clock.wait(3600, Countdown(looks))
    assert clock.now() - before < 5


def test_even_no_wait_sees_a_cancel() -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        SystemClock().wait(0, cancel)

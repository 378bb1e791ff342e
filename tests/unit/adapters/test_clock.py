"""The real clock."""

from __future__ import annotations

import threading

import pytest

from oci_pull.adapters.clock import Deadline, SystemClock
from oci_pull.errors import Cancelled
from tests.fakes.clock import FakeClock


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
    assert clock.now() - before >= 0.15


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_is_no_wait(seconds: float) -> None:
    SystemClock().wait(seconds, threading.Event())


@pytest.mark.parametrize("looks", [0, 1])
def test_a_cancel_ends_a_wait_soon(looks: int) -> None:
    clock = SystemClock()
    before = clock.now()
    with pytest.raises(Cancelled):
        clock.wait(3600, Countdown(looks))
    assert clock.now() - before < 1800


def test_even_no_wait_sees_a_cancel() -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        SystemClock().wait(0, cancel)


def test_a_deadline_is_set_when_its_time_has_come() -> None:
    clock = FakeClock(1000)
    deadline = Deadline(threading.Event(), clock, 1010)
    clock.advance(9.9)
    assert not deadline.is_set()
    clock.advance(0.1)
    assert deadline.is_set()


def test_a_deadline_is_set_when_its_user_wants_to_stop() -> None:
    cancel = threading.Event()
    deadline = Deadline(cancel, FakeClock(1000), 1010)
    cancel.set()
    assert deadline.is_set()


def test_a_deadline_ends_a_wait() -> None:
    clock = SystemClock()
    with pytest.raises(Cancelled):
        clock.wait(3600, Deadline(threading.Event(), clock, clock.now()))

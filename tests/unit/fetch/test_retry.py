"""Who is asked again, how often, and after how long."""

from __future__ import annotations

import pytest

from oci_pull.errors import (
    BadReply,
    ConnectionFailed,
    NameNotResolved,
    NotARegistry,
    RateLimited,
    RequestRefused,
    ServerFailed,
    TlsFailed,
    TransferError,
)
from oci_pull.fetch.retry import Budget, Patience


def budget(policy: Patience = Patience(), random: float = 1.0) -> Budget:
    return Budget(policy, lambda: random)


def refused() -> ConnectionFailed:
    error = ConnectionFailed("nothing listens there")
    error.is_refused = True
    return error


def waits(of: Budget, error: TransferError) -> list[float]:
    found = []
    while (wait := of.delay_after(error)) is not None:
        found.append(wait)
    return found


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionFailed("cut"), [0.5, 1, 2, 4, 8, 16, 30, 30]),
        (ServerFailed("503"), [0.5, 1, 2, 4, 8, 16, 30, 30]),
        (BadReply("another range"), [0.5, 1, 2, 4, 8, 16, 30, 30]),
        (refused(), [0.5, 1, 2, 4]),
        (RateLimited("429"), [0.5, 1, 2, 4]),
        (RateLimited("429", retry_after=7), [7] * 8),
        (ServerFailed("503", retry_after=300), [300] * 8),
        (ServerFailed("503", retry_after=0), [0.5, 1, 2, 4, 8, 16, 30, 30]),
        (RateLimited("429", retry_after=301), []),
        (NameNotResolved("no such host"), []),
        (TlsFailed("not trusted"), []),
        (NotARegistry("a web page"), []),
        (RequestRefused("400"), []),
        (NameNotResolved("no such host", retry_after=1), []),
    ],
    ids=repr,
)
def test_how_long_each_failure_is_waited_out(error: TransferError, expected: list[float]) -> None:
    assert waits(budget(), error) == expected


@pytest.mark.parametrize(("random", "expected"), [(0.0, 0.25), (0.5, 0.375), (1.0, 0.5)])
def test_jitter_takes_up_to_half_off(random: float, expected: float) -> None:
    assert budget(random=random).delay_after(ConnectionFailed("cut")) == expected


@pytest.mark.parametrize(
    ("policy", "error", "tries"),
    [
        (Patience(retries=0), ServerFailed("503"), 0),
        (Patience(retries=2), ServerFailed("503"), 2),
        (Patience(retries=2), refused(), 2),
        (Patience(retries=20), refused(), 4),
        (Patience(max_wait=5), RateLimited("429", retry_after=6), 0),
        (Patience(retries=1), RateLimited("429", retry_after=6), 1),
    ],
)
def test_the_policy_limits_the_tries(policy: Patience, error: TransferError, tries: int) -> None:
    assert len(waits(budget(policy), error)) == tries
    assert budget(policy).attempts == policy.retries


def test_progress_refills_the_budget() -> None:
    some = budget(Patience(retries=2))
    error = ConnectionFailed("cut")
    assert (some.delay_after(error), some.delay_after(error)) == (0.5, 1.0)
    for _ in range(10):
        some.refill()
        # A connection that brought something is replaced at once.
        assert (some.delay_after(error), some.delay_after(error)) == (0.0, 0.5)
    some.refill()
    assert waits(some, error) == [0.0, 0.5]
    assert some.failures == 3


@pytest.mark.parametrize("error", [ServerFailed("503"), RateLimited("429"), refused()], ids=repr)
def test_a_host_that_has_enough_is_left_alone_even_after_progress(error: TransferError) -> None:
    some = budget()
    some.refill()
    assert some.delay_after(error) == 0.5

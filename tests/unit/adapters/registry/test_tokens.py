"""Who asks for a token when many want one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from oci_pull.adapters.registry.tokens import Token, TokenCache, TokenKey
from oci_pull.errors import RateLimited
from oci_pull.oci.credential import Anonymous, Basic
from tests.fakes.clock import FakeClock

KEY = TokenKey("registry.example", "https://auth/token?x=s3cr3t", "s", ("a",), Anonymous())


class Service:
    """Gives token after token, each for 100 seconds."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.cache = TokenCache()
        self.count = 0
        self.error: RateLimited | None = None

    def fetch(self) -> Token:
        self.count += 1
        if self.error:
            raise self.error
        return Token(f"Bearer {self.count}", self.clock.now() + 100)

    def take(self, key: TokenKey = KEY, refused: str | None = None) -> str | None:
        return self.cache.take(key, self.fetch, now=self.clock.now, refused=refused)


def test_a_token_is_asked_for_once_until_it_expires() -> None:
    service = Service()
    assert [service.take(), service.take()] == ["Bearer 1"] * 2
    service.clock.advance(99)
    assert service.take() == "Bearer 1"
    service.clock.advance(1)
    assert service.take() == "Bearer 2"
    assert service.count == 2


def test_a_token_that_was_taken_and_is_refused_is_renewed_once_for_all() -> None:
    service = Service()
    old = service.take()
    service.cache.worked(KEY, old)
    assert {service.take(refused=old) for _ in range(5)} == {"Bearer 2"}


def test_a_token_that_was_never_taken_has_no_better_one() -> None:
    service = Service()
    new = service.take()
    service.cache.worked(KEY, "Bearer of somebody else")
    assert service.take(refused=new) is None
    assert service.count == 1


def test_what_worked_of_the_last_token_says_nothing_of_the_next() -> None:
    service = Service()
    first = service.take()
    service.cache.worked(KEY, first)
    second = service.take(refused=first)
    service.cache.worked(KEY, first)
    assert service.take(refused=second) is None


@pytest.mark.parametrize(
    "other",
    [
        {"host": "other.example"},
        {"realm": "https://elsewhere/token"},
        {"service": "t"},
        {"scopes": ("b",)},
        {"who": Basic("ada", "x")},
    ],
    ids=str,
)
def test_every_part_of_the_key_counts(other: dict[str, object]) -> None:
    service = Service()
    service.take()
    assert service.take(replace(KEY, **other)) == "Bearer 2"  # type: ignore[arg-type]  # table
    assert service.take() == "Bearer 1"


class CountingLock:
    """A lock that is told of everybody who wants it."""

    def __init__(self, wanted: threading.Barrier) -> None:
        self._lock = threading.Lock()
        self._wanted = wanted
        self._is_first = True

    def __enter__(self) -> None:
        if self._is_first:
            self._is_first = False
            self._lock.acquire()
            return
        self._wanted.wait(60)
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_those_who_wait_share_a_failure_and_the_next_one_asks_again() -> None:
    service = Service()
    service.error = RateLimited("too many", retry_after=7)
    asked, all_want = threading.Event(), threading.Barrier(4)
    service.cache._slot(KEY).lock = CountingLock(all_want)  # type: ignore[assignment]  # a double

    def fetch() -> Token:
        asked.set()
        all_want.wait(60)
        return service.fetch()

    def take_too() -> str | None:
        asked.wait(60)
        return service.take()

    with ThreadPoolExecutor(4) as executor:
        first = executor.submit(service.cache.take, KEY, fetch, now=service.clock.now)
        rest = [executor.submit(take_too) for _ in range(3)]
        for each in (first, *rest):
            error = each.exception()
            assert isinstance(error, RateLimited)
            assert error.retry_after == 7
    assert service.count == 1
    service.cache._slot(KEY).lock = threading.Lock()
    service.error = None
    assert service.take() == "Bearer 2"


def test_no_secret_is_in_a_representation() -> None:
    key = replace(KEY, who=Basic("ada", "s3cr3t"))
    assert "s3cr3t" not in f"{key!r} {Token('Bearer s3cr3t', 1.0)!r}"

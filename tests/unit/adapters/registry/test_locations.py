"""Where blobs are is found out once, and not for longer than it is true."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import httpx
import pytest
import respx

from oci_pull.adapters.registry.locations import Locations
from oci_pull.errors import BadReply, ConnectionFailed, OciPullError, RequestRefused, ServerFailed
from oci_pull.oci.credential import Basic
from oci_pull.oci.digest import Digest
from oci_pull.oci.ranges import Span
from tests.fakes.clock import FakeClock
from tests.fakes.registry import Auth, BlobFaults, FakeRegistry, Redirects
from tests.unit.adapters.pulling import BLOB, CONTENT, GO_ON, PART, REPOSITORY, Pull

SPANS = [Span(start, start + 1024) for start in range(0, len(CONTENT), 1024)]
SECRET = "s3cr3t"
ADA = Basic("ada", SECRET, "config.json")
BLOB_URL = f"https://registry.example/v2/{REPOSITORY}/blobs/{BLOB.digest}"
FIRST, SECOND = "https://one.example/blob", "https://two.example/blob"


def asked(registry: FakeRegistry) -> tuple[int, int]:
    """How often the registry and the storage were asked for blobs."""
    return (
        registry.count("GET", "blob", "registry"),
        registry.count("GET", "blob", "storage"),
    )


@pytest.fixture
def redirecting(registry: FakeRegistry) -> FakeRegistry:
    registry.redirects = Redirects(expires_in=100)
    return registry


# --- sharing


@pytest.mark.parametrize("hops", [1, 3])
def test_the_registry_is_asked_once_for_all_ranges(
    registry: FakeRegistry, puller: Pull, hops: int
) -> None:
    registry.auth = Auth(users={"ada": SECRET}, anonymous=False)
    registry.redirects = Redirects(hops=hops, reject_authorization=hops == 1)
    pull = puller(credential=ADA)
    pull.document()
    before = asked(registry)
    found = b"".join(pull.read(span) for span in SPANS)
    assert found == CONTENT
    registry_asked, storage_asked = asked(registry)
    # The redirects of the first range, and then nothing but ranges.
    assert registry_asked - before[0] == (1 if hops == 1 else 2)
    assert storage_asked - before[1] == len(SPANS) + (0 if hops == 1 else 1)
    at_storage = registry.find(origin="storage")
    assert not [each for each in at_storage if "authorization" in each.headers]
    assert [each.headers["range"] for each in at_storage[-3:]] == [s.header for s in SPANS[-3:]]


def test_threads_share_what_one_of_them_found(redirecting: FakeRegistry, puller: Pull) -> None:
    pull = puller()
    pull.read(SPANS[0])
    with ThreadPoolExecutor(8) as executor:
        found = b"".join(executor.map(pull.read, SPANS * 4))
    assert found == CONTENT * 4
    assert asked(redirecting) == (1, len(SPANS) * 4 + 1)


def test_threads_can_fetch_from_urls_that_work_once(registry: FakeRegistry, puller: Pull) -> None:
    registry.redirects = Redirects(uses=1)
    pull = puller()
    with ThreadPoolExecutor(8) as executor:
        assert b"".join(executor.map(pull.read, SPANS * 4)) == CONTENT * 4


def test_a_url_that_works_once_costs_one_request_more(registry: FakeRegistry, puller: Pull) -> None:
    registry.redirects = Redirects(uses=1)
    pull = puller()
    assert b"".join(pull.read(span) for span in SPANS) == CONTENT
    assert asked(registry) == (len(SPANS), 2 * len(SPANS) - 1)


def test_what_stays_at_the_registry_is_asked_of_it(registry: FakeRegistry, puller: Pull) -> None:
    registry.redirects = Redirects(relative=True, reject_authorization=False)
    registry.auth = Auth(users={"ada": SECRET}, anonymous=False)
    pull = puller(credential=ADA)
    pull.read(PART)
    before = registry.count("GET", "blob", status=307)
    pull.read(PART)
    assert registry.count("GET", "blob", status=307) == before + 1


# --- how long a URL is used


def test_a_url_is_used_for_most_of_its_life(redirecting: FakeRegistry, puller: Pull) -> None:
    pull = puller()
    pull.read(PART)
    for seconds, expected in ((79, 1), (2, 2), (79, 2), (2, 3)):
        pull.clock.advance(seconds)
        assert pull.read(PART) == CONTENT[PART.start : PART.end]
        assert asked(redirecting)[0] == expected
    assert not redirecting.find(status=403)


@respx.mock
def test_a_url_that_does_not_tell_is_used_until_it_is_refused(puller: Pull) -> None:
    registry = respx.get(BLOB_URL)
    registry.side_effect = [
        httpx.Response(307, headers={"Location": url}) for url in (FIRST, SECOND)
    ]
    first = respx.get(FIRST)
    first.side_effect = [httpx.Response(200, content=CONTENT)] * 2 + [httpx.Response(403)]
    second = respx.get(SECOND).respond(200, content=CONTENT)
    pull = puller(plain_http=False, host="registry.example")
    for _ in range(4):
        assert pull.read() == CONTENT
        pull.clock.advance(1e6)
    assert (registry.call_count, first.call_count, second.call_count) == (2, 3, 2)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429])
def test_a_shared_url_that_is_refused_is_exchanged(
    redirecting: FakeRegistry, puller: Pull, status: int
) -> None:
    pull = puller()
    pull.read(PART)
    redirecting.blob_faults = BlobFaults(status=status, times=1)
    assert pull.read(PART) == CONTENT[PART.start : PART.end]
    assert asked(redirecting) == (2, 3)


def test_a_shared_url_is_exchanged_only_once(redirecting: FakeRegistry, puller: Pull) -> None:
    pull = puller()
    pull.read(PART)
    redirecting.blob_faults = BlobFaults(status=403)
    with pytest.raises(RequestRefused) as caught:
        pull.read(PART)
    assert asked(redirecting) == (2, 3)
    assert "Signature" not in f"{caught.value} {caught.value.hint}"


def test_a_shared_url_that_was_refused_is_not_tried_again(
    redirecting: FakeRegistry, puller: Pull
) -> None:
    """Not even where the registry could not be asked for another one."""
    pull = puller()
    pull.read(PART)
    redirecting.blob_faults = [
        BlobFaults(status=403, times=1),
        BlobFaults(status=503, times=1, front=True),
    ]
    with pytest.raises(ServerFailed):
        pull.read(PART)
    assert pull.read(PART) == CONTENT[PART.start : PART.end]
    assert asked(redirecting) == (3, 3)


def test_a_shared_url_that_knows_no_ranges_is_asked_without(
    redirecting: FakeRegistry, puller: Pull
) -> None:
    pull = puller()
    pull.read(PART)
    redirecting.blob_faults = BlobFaults(refuse_ranges=True)
    assert pull.read(PART) == CONTENT


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (BlobFaults(status=503, times=1), ServerFailed),
        (BlobFaults(hold=threading.Event(), times=1), ConnectionFailed),
        (BlobFaults(cut_after=100, times=1), ConnectionFailed),
        (BlobFaults(stall_after=100, times=1), ConnectionFailed),
        (BlobFaults(shift=1, times=1), BadReply),
    ],
    ids=["status", "silence", "cut", "stall", "shift"],
)
def test_what_fails_at_a_shared_url_leads_back_to_the_registry(
    redirecting: FakeRegistry, puller: Pull, faults: BlobFaults, error: type[OciPullError]
) -> None:
    pull = puller()
    pull.read(PART)
    redirecting.blob_faults = faults
    is_silent = faults.hold or faults.stall_after is not None
    with pytest.raises(error), pull.in_a_hurry() if is_silent else nullcontext():
        pull.read(PART)
    assert asked(redirecting)[0] == 1
    assert pull.read(PART) == CONTENT[PART.start : PART.end]
    assert asked(redirecting)[0] == 2


def test_a_read_that_is_given_up_leads_back_to_the_registry(
    redirecting: FakeRegistry, puller: Pull
) -> None:
    """Whoever was too slow for it is not asked again."""
    pull = puller()
    body = pull.source.open(BLOB, PART, cancel=GO_ON)
    body.abort()
    with pytest.raises(ConnectionFailed):
        body.readinto(memoryview(bytearray(10)))
    body.close()
    pull.read(PART)
    assert asked(redirecting)[0] == 2


@respx.mock
def test_a_storage_whose_name_is_gone_is_exchanged(puller: Pull) -> None:
    respx.get(BLOB_URL).side_effect = [
        httpx.Response(307, headers={"Location": url}) for url in (FIRST, SECOND)
    ]
    first = respx.get(FIRST)
    first.side_effect = [httpx.Response(200, content=CONTENT), httpx.InvalidURL("gone")]
    second = respx.get(SECOND).respond(200, content=CONTENT)
    pull = puller(plain_http=False, host="registry.example")
    assert [pull.read(), pull.read()] == [CONTENT] * 2
    assert (first.call_count, second.call_count) == (2, 1)


@respx.mock
def test_a_shared_url_may_point_on(puller: Pull) -> None:
    registry = respx.get(BLOB_URL)
    registry.respond(307, headers={"Location": FIRST})
    first = respx.get(FIRST)
    moved = httpx.Response(302, headers={"Location": SECOND})
    first.side_effect = [httpx.Response(200, content=CONTENT), moved, moved]
    second = respx.get(SECOND)
    second.side_effect = [httpx.Response(500), httpx.Response(200, content=CONTENT)]
    pull = puller(plain_http=False, host="registry.example")
    assert pull.read() == CONTENT
    with pytest.raises(ServerFailed):
        pull.read()
    assert registry.call_count == 1
    assert pull.read() == CONTENT
    assert registry.call_count == 2


# --- whom to avoid


def test_an_origin_to_be_avoided_makes_the_registry_be_asked(
    redirecting: FakeRegistry, puller: Pull
) -> None:
    pull = puller()
    pull.read(PART)
    pull.read(PART, avoid=frozenset({"other.example:443"}))
    assert asked(redirecting) == (1, 2)
    avoid = frozenset({redirecting.storage.address})
    # There is no other, as often as it is asked: it is used all the same.
    assert pull.read(PART, avoid=avoid) == CONTENT[PART.start : PART.end]
    assert asked(redirecting) == (5, 6)
    pull.read(PART)
    assert asked(redirecting) == (5, 7)


@respx.mock
def test_the_registry_may_know_another_origin(puller: Pull) -> None:
    respx.get(BLOB_URL).side_effect = [
        httpx.Response(307, headers={"Location": url}) for url in (FIRST, SECOND)
    ]
    first = respx.get(FIRST).respond(200, content=CONTENT)
    second = respx.get(SECOND).respond(200, content=CONTENT)
    pull = puller(plain_http=False, host="registry.example")
    avoid = frozenset({"one.example:443"})
    assert [pull.read(), *(pull.read(avoid=avoid) for _ in range(3))] == [CONTENT] * 4
    assert (first.call_count, second.call_count) == (1, 3)


# --- the memory itself


def locations() -> Iterator[tuple[Digest, httpx.URL]]:
    for number in range(1000):
        yield Digest.of(b"%d" % number), httpx.URL(f"https://storage.example/{number}")


def test_a_url_that_is_found_again_is_no_younger() -> None:
    clock = FakeClock()
    found = Locations(now=clock.now)
    url = httpx.URL("https://storage.example/?X-Amz-Expires=100")
    for _ in range(9):
        found.learn(BLOB.digest, url)
        clock.advance(9)
    assert found.find(BLOB.digest) is None


def test_a_url_that_is_over_already_is_not_used() -> None:
    clock = FakeClock()
    found = Locations(now=clock.now)
    found.learn(BLOB.digest, httpx.URL("https://storage.example/?Expires=999"))
    assert found.find(BLOB.digest) is None


def test_what_fails_late_does_not_take_a_newer_url_away() -> None:
    found = Locations(now=FakeClock().now)
    old, new = httpx.URL(FIRST), httpx.URL(SECOND)
    found.learn(BLOB.digest, old)
    found.learn(BLOB.digest, new)
    found.forget(BLOB.digest, old)
    assert found.find(BLOB.digest) == new
    found.forget(BLOB.digest, new)
    found.forget(BLOB.digest, new)
    assert found.find(BLOB.digest) is None


def test_only_the_last_ones_are_remembered() -> None:
    found = Locations(now=FakeClock().now)
    everything = dict(locations())
    for blob, url in everything.items():
        found.learn(blob, url)
    known = [found.find(blob) is not None for blob in everything]
    assert 8 <= sum(known) <= 500
    assert known == sorted(known)


def test_no_url_is_shown(redirecting: FakeRegistry, puller: Pull) -> None:
    pull = puller()
    pull.read(PART)
    known = pull.source.locations._known
    assert len(known) == 1
    for shown in (pull.source, pull.source.locations, known):
        assert "Signature" not in f"{shown!r} {shown}"

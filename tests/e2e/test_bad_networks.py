"""Lines and servers that fail again and again, over many connections: the model comes."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.content import digest_of
from tests.e2e import lookups
from tests.e2e.ahead import ahead
from tests.e2e.command import Command
from tests.e2e.disk import assert_tidy, assert_tree
from tests.e2e.models import MIB, model, put
from tests.fakes.registry import (
    Auth,
    BlobFaults,
    FakeRegistry,
    Redirects,
    ServerFaults,
    TokenFaults,
)
from tests.servers.process import HOST
from tests.servers.tls import Authority
from tests.servers.wan import Wan
from tests.servers.wan_line import Conditions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

_SIZE = 12 * MIB
#: Bytes a second of a connection: so few that others join it.
_CAP = 2e6
_CONNECTIONS = 3
_SEED = 20


def _anywhere(least: int, most: int, seed: int = _SEED) -> Callable[[], int]:
    """A random number of bytes for each connection."""
    numbers = random.Random(seed)
    return lambda: numbers.randint(least, most)


@dataclass(frozen=True)
class Trouble:
    blob: BlobFaults | Sequence[BlobFaults] | None = None
    server: ServerFaults | None = None
    token: TokenFaults | None = None
    auth: Auth | None = None
    words: tuple[str, ...] = ()
    #: Where connections end, about.
    cut_after: int = 0
    #: Whether it speaks TLS.
    tls: bool = False
    #: Whether one connection after the other is all that can be had.
    alone: bool = False


#: With as many connections as the client cares for.
_TROUBLES = {
    "every-connection-cut-anywhere": Trouble(BlobFaults(cut_after=_anywhere(1, MIB))),
    "every-connection-reset-anywhere": Trouble(cut_after=600_000),
    "every-tls-connection-cut-anywhere": Trouble(BlobFaults(cut_after=_anywhere(1, MIB)), tls=True),
    "every-tls-connection-reset-anywhere": Trouble(cut_after=600_000, tls=True),
    "every-second-reply-refused": Trouble(server=ServerFaults(status=503, every=2)),
    "every-second-blob-refused": Trouble(BlobFaults(status=503, every=2)),
    "every-second-connection-cut-at-once": Trouble(BlobFaults(cut_after=0, every=2)),
    "some-stall": Trouble(
        BlobFaults(stall_after=300_000, times=4), words=("--stall-timeout", "1s")
    ),
    "some-drip-a-byte-a-second": Trouble(
        BlobFaults(drip_after=300_000, drip_interval=1.0, times=3),
        words=("--stall-timeout", "1s"),
    ),
    # Long enough for a first use of each on a busy machine, and much shorter than the download.
    "token-of-three-seconds": Trouble(
        BlobFaults(cut_after=_anywhere(200_000, MIB)),
        auth=Auth(),
        token=TokenFaults(expires_in=3),
        words=("--limit-rate", "1200K"),
    ),
    "token-of-three-seconds-in-the-older-member": Trouble(
        BlobFaults(cut_after=_anywhere(200_000, MIB)),
        auth=Auth(),
        token=TokenFaults(expires_in=3, fields="token"),
        words=("--limit-rate", "1200K"),
    ),
    "limited-again-and-again": Trouble(BlobFaults(status=429, retry_after=1, every=3)),
    "wrong-bytes-once": Trouble(BlobFaults(corrupt_at=_SIZE - 1, times=1)),
    "wrong-bytes-at-the-front-once": Trouble(BlobFaults(corrupt_at=0, times=1)),
    "starts-ranges-late-at-times": Trouble(BlobFaults(shift=1, every=3), alone=True),
    "ends-ranges-early-at-times": Trouble(BlobFaults(shorter=1, every=3), alone=True),
    "body-too-short-at-times": Trouble(BlobFaults(short_by=1, every=2)),
    "ignores-ranges-at-times": Trouble(BlobFaults(ignore_range=True, every=4), alone=True),
    "refuses-ranges-at-times": Trouble(BlobFaults(refuse_ranges=True, every=4), alone=True),
    "compresses-at-times": Trouble(BlobFaults(gzip=True, every=4), alone=True),
    "some-say-nothing": Trouble(
        BlobFaults(hold=threading.Event(), times=4, every=2), words=("--stall-timeout", "1s")
    ),
    "no-ranges": Trouble(BlobFaults(ignore_range=True), alone=True),
    "refuses-ranges": Trouble(BlobFaults(refuse_ranges=True), alone=True),
    "shifts-all-ranges": Trouble(BlobFaults(shift=1), alone=True),
    "shortens-all-ranges": Trouble(BlobFaults(shorter=1), alone=True),
    "names-no-range": Trouble(BlobFaults(no_content_range=True), alone=True),
    "names-another-size": Trouble(BlobFaults(content_range_total="7"), alone=True),
    "refuses-open-ends": Trouble(BlobFaults(refuse_open_ended=True)),
    "does-not-know-its-size": Trouble(BlobFaults(content_range_total="*")),
    "ends-bodies-by-closing": Trouble(BlobFaults(framing="close")),
    "ends-bodies-by-closing-and-early": Trouble(BlobFaults(framing="close", short_by=1, every=2)),
    "chunks": Trouble(BlobFaults(framing="chunked")),
    "chunks-that-end-early-at-times": Trouble(BlobFaults(framing="chunked", short_by=1, every=2)),
    "one-byte-too-many-at-times": Trouble(BlobFaults(framing="chunked", long_by=1, every=3)),
}


def _pull_slowly(trouble: Trouble, registry: FakeRegistry, oci_pull: Command) -> None:
    """Through a line that makes it worth while to use several connections for the weights."""
    files = model(_SIZE)
    put(registry, builders.docker_v02(files))
    registry.auth = trouble.auth
    registry.blob_faults = trouble.blob or []
    registry.server_faults = trouble.server or []
    registry.token_faults = trouble.token or []
    # A server that knows no ranges brings them all over one connection: it may be fast.
    cap = 6 * _CAP if trouble.alone else _CAP
    line = Conditions(cap=cap, cut_after=trouble.cut_after, reset=True, seed=_SEED)
    with Wan((HOST, registry.registry.port), line) as wan:
        run = oci_pull(*trouble.words, f"{wan.host}/team/model:v1")
        assert_tree(run.path, files)
        assert_tidy(oci_pull.cache)
        weights = digest_of(files["model.safetensors"])
        fetched = [each for each in registry.find("GET", "blob") if each.path.endswith(weights)]
        # Otherwise nothing of this was tried with more than one.
        assert trouble.alone or len(fetched) >= _CONNECTIONS
        assert not trouble.token or registry.count(kind="token") > 1


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[object], Future[None]]]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    certificate = authority.server()

    def work(trouble: Trouble) -> None:
        user = Command(tmp_path_factory.mktemp("home"), {"SSL_CERT_FILE": str(authority.ca_file)})
        tls = certificate.server_context() if trouble.tls else None
        with FakeRegistry(tls=tls) as registry:
            _pull_slowly(trouble, registry, user)

    with ahead(request, "trouble", work, at_once=6) as found:
        yield found


@pytest.mark.parametrize("trouble", _TROUBLES.values(), ids=_TROUBLES)
def test_a_model_comes_over_many_connections_in_spite_of(
    trouble: Trouble, outcomes: Callable[[object], Future[None]]
) -> None:
    outcomes(trouble).result()


# What to wait for


def test_a_limit_with_a_date_is_waited_out(registry: FakeRegistry, oci_pull: Command) -> None:
    files = model(MIB)
    reference = put(registry, builders.docker_v02(files))
    weights = digest_of(files["model.safetensors"])
    again = datetime.now(UTC) + timedelta(seconds=3)
    registry.blob_faults = BlobFaults(status=429, retry_after=again, times=1, only=[weights])
    path = oci_pull(reference).path
    # A date has whole seconds.
    assert datetime.now(UTC) >= again.replace(microsecond=0)
    assert_tree(path, files)
    assert registry.count("GET", "blob", status=429) == 1


def test_a_limit_with_seconds_is_waited_out_by_every_connection(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    files = model(MIB) | {f"part-{number}.json": b"%d" % number for number in range(30)}
    reference = put(registry, builders.docker_v02(files))
    begun = datetime.now(UTC)
    registry.blob_faults = BlobFaults(status=429, retry_after=2, times=1)
    path = oci_pull(reference).path
    assert datetime.now(UTC) >= begun + timedelta(seconds=2)
    assert_tree(path, files)
    assert registry.count("GET", "blob", status=429) == 1


def test_a_longer_limit_than_allowed_is_no_wait_at_all(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    reference = put(registry, builders.docker_v02(model()))
    later = datetime.now(UTC) + timedelta(hours=6)
    registry.blob_faults = BlobFaults(status=429, retry_after=later)
    run = oci_pull("--format", "json", reference).must_fail(6)
    assert run.json["error"]["code"] == "rate_limited"
    # No more than those that were under way already.
    assert registry.count("GET", "blob") <= len(model()) + 1


# Names


def test_a_look_up_that_fails_for_the_moment_is_tried_again(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    files = model()
    put(registry, builders.docker_v02(files))
    user = lookups.look_up_fails_once(oci_pull)
    reference = f"{lookups.NAME}:{registry.registry.port}/team/model:v1"
    run = user("--plain-http", "--progress", "plain", reference)
    assert_tree(run.path, files)
    assert lookups.happened(user) == ["look-up"]


# Storage


def test_a_redirect_that_expires_at_each_use_is_asked_for_again(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    files = model(_SIZE)
    reference = put(registry, builders.docker_v02(files))
    registry.redirects = Redirects(uses=1)
    registry.blob_faults = BlobFaults(cut_after=_anywhere(MIB, 4 * MIB))
    assert_tree(oci_pull(reference).path, files)
    assert registry.count("GET", "blob", "storage", 206) >= _SIZE // (4 * MIB)
    assert_tidy(oci_pull.cache)

"""Mirrors in front of a registry: who is asked, when, and who comes next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from oci_pull.adapters.registry.mirrors import MirroredSource, Place
from oci_pull.errors import (
    AccessDenied,
    BlobUnknown,
    Cancelled,
    ConnectionFailed,
    CredentialsRequired,
    DigestMismatch,
    InvalidManifest,
    ManifestUnknown,
    NameNotResolved,
    NotARegistry,
    OciPullError,
    RateLimited,
    RedirectRefused,
    RepositoryUnknown,
    ServerFailed,
    SizeMismatch,
    TlsFailed,
)
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import Document, parse_document
from oci_pull.oci.ranges import Span
from oci_pull.ports import BodyStream, Cancel
from tests.fakes.clock import FakeClock
from tests.fakes.memory import MemoryStream, Reply, blob_of
from tests.unit.adapters.pulling import ARTIFACT, DIGEST

CONTENT = bytes(range(256)) * 4
BLOB = blob_of(CONTENT)
OTHER = blob_of(b"other")
WHOLE = Span(0, len(CONTENT))
DOCUMENT = parse_document(ARTIFACT.manifest, content_type=ARTIFACT.media_type)
GO_ON = threading.Event()

#: Whatever a mirror may come with that is of no use.
FAILURES: Sequence[OciPullError] = (
    RepositoryUnknown("404"),
    ManifestUnknown("404"),
    BlobUnknown("404"),
    ServerFailed("503"),
    ConnectionFailed("refused"),
    NameNotResolved("no host"),
    TlsFailed("who?"),
    CredentialsRequired("401"),
    AccessDenied("403"),
    RateLimited("429", retry_after=900),
    NotARegistry("html"),
    RedirectRefused("http"),
    SizeMismatch("too long"),
    DigestMismatch("wrong"),
    InvalidManifest("no JSON"),
)


@dataclass
class Scripted:
    """A source that does as it is told, and counts."""

    name: str
    #: Raised in place of every answer.
    error: OciPullError | None = None
    #: What its blobs are like.
    reply: Reply = field(default_factory=Reply)
    tags: bool = True
    #: What it says that a tag is.
    digest: Digest | None = DIGEST
    asked: list[object] = field(default_factory=list)
    streams: list[MemoryStream] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"{self.name}:443"

    @property
    def place(self) -> Place:
        return Place(self.name, self.origin, self, tags=self.tags)

    def digest_of(self, tag: str) -> Digest | None:
        self._ask(tag)
        return self.digest

    def document(self, selector: str | Digest) -> Document:
        self._ask(selector)
        return DOCUMENT

    def size_of(self, blob: Descriptor) -> int:
        self._ask(blob)
        return len(CONTENT)

    def open(
        self,
        blob: Descriptor,
        span: Span,
        *,
        cancel: Cancel,
        avoid: frozenset[str] = frozenset(),
    ) -> BodyStream:
        self._ask(blob)
        origin = self.reply.origin if self.reply.origin != Reply().origin else self.origin
        stream = MemoryStream(CONTENT, span, self.reply, 1 << 16)
        stream.origin = origin
        self.streams.append(stream)
        return stream

    def _ask(self, what: object) -> None:
        self.asked.append(what)
        if self.error:
            raise self.error


class Chain:
    """A registry, its mirrors, and what was told."""

    def __init__(self, *mirrors: Scripted, registry: Scripted | None = None) -> None:
        self.registry = registry or Scripted("registry")
        self.clock = FakeClock()
        self.told: list[str] = []
        self.source = MirroredSource(
            [mirror.place for mirror in mirrors],
            self.registry.place,
            self.told.append,
            self.clock.now,
        )

    def open(self, blob: Descriptor = BLOB, *avoid: str) -> BodyStream:
        return self.source.open(blob, WHOLE, cancel=GO_ON, avoid=frozenset(avoid))

    def read(self, blob: Descriptor = BLOB, *avoid: str) -> str:
        """Whoever has sent the blob in the end."""
        body = self.open(blob, *avoid)
        view = memoryview(bytearray(1 << 16))
        while body.readinto(view):
            pass
        body.close()
        return body.origin


ASKS: Sequence[Callable[[Chain], object]] = (
    lambda chain: chain.source.digest_of("v1"),
    lambda chain: chain.source.document("v1"),
    lambda chain: chain.source.document(DIGEST),
    lambda chain: chain.source.size_of(BLOB),
    lambda chain: chain.open(),
)
each_ask = pytest.mark.parametrize("ask", ASKS, ids=["digest_of", "tag", "digest", "size", "open"])


@each_ask
def test_mirrors_are_asked_in_order_and_the_registry_only_after_them(
    ask: Callable[[Chain], object],
) -> None:
    first, second = Scripted("first", ServerFailed("503")), Scripted("second")
    chain = Chain(first, second)
    assert ask(chain)
    assert [len(each.asked) for each in (first, second, chain.registry)] == [1, 1, 0]


@each_ask
@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_whatever_a_mirror_fails_with_the_next_is_asked(
    ask: Callable[[Chain], object], error: OciPullError
) -> None:
    chain = Chain(Scripted("mirror", error))
    assert ask(chain)
    assert len(chain.registry.asked) == 1
    assert chain.told == [f"mirror mirror: {error.message}; asking the next"]


@each_ask
def test_a_cancel_is_no_failure_of_the_mirror(ask: Callable[[Chain], object]) -> None:
    chain = Chain(Scripted("mirror", Cancelled("stop")))
    with pytest.raises(Cancelled):
        ask(chain)
    assert (chain.registry.asked, chain.told) == ([], [])


@each_ask
def test_where_nobody_has_it_the_error_is_the_registrys(ask: Callable[[Chain], object]) -> None:
    own = BlobUnknown("the registry's")
    chain = Chain(Scripted("mirror", ServerFailed("503")), registry=Scripted("registry", own))
    with pytest.raises(BlobUnknown, match="the registry's"):
        ask(chain)


@each_ask
def test_a_registry_that_cannot_be_reached_leaves_the_mirror_another_try(
    ask: Callable[[Chain], object],
) -> None:
    own = NameNotResolved("no network beyond the mirror")
    chain = Chain(Scripted("mirror", ServerFailed("503")), registry=Scripted("registry", own))
    with pytest.raises(ServerFailed) as caught:
        ask(chain)
    assert caught.value.retryable


def test_a_registry_that_cannot_be_reached_is_told_where_no_mirror_helps_later() -> None:
    own = NameNotResolved("no host")
    chain = Chain(Scripted("mirror", BlobUnknown("404")), registry=Scripted("registry", own))
    with pytest.raises(NameNotResolved):
        chain.open()


# --- tags


def test_a_mirror_that_is_not_believed_about_tags_has_the_rest() -> None:
    mirror = Scripted("mirror", tags=False)
    chain = Chain(mirror)
    chain.source.digest_of("v1")
    chain.source.document("v1")
    assert (mirror.asked, len(chain.registry.asked)) == ([], 2)
    chain.source.document(DIGEST)
    assert (chain.read(), len(chain.registry.asked)) == (mirror.origin, 2)


def test_a_mirror_that_cannot_tell_a_tag_cheaply_leads_to_the_next() -> None:
    chain = Chain(Scripted("mirror", digest=None))
    assert chain.source.digest_of("v1") == DIGEST
    assert chain.told == []


def test_what_nobody_can_tell_is_not_told() -> None:
    chain = Chain(Scripted("mirror", digest=None), registry=Scripted("registry", digest=None))
    assert chain.source.digest_of("v1") is None


# --- mirrors that fail


def test_a_mirror_is_told_of_once() -> None:
    chain = Chain(Scripted("one", ServerFailed("503")), Scripted("two", ServerFailed("503")))
    for _ in range(3):
        chain.read()
    assert [message.split(":")[0] for message in chain.told] == ["mirror one", "mirror two"]


def test_a_mirror_that_goes_on_failing_is_left_alone_for_a_while() -> None:
    mirror = Scripted("mirror", ConnectionFailed("refused"))
    chain = Chain(mirror)
    for _ in range(5):
        assert chain.read() == chain.registry.origin
    assert len(mirror.asked) == 2
    chain.clock.advance(61)
    mirror.error = None
    assert chain.read() == mirror.origin
    mirror.error = ConnectionFailed("refused")
    chain.read()
    mirror.error = None
    assert chain.read() == mirror.origin


def test_a_mirror_that_is_left_alone_is_asked_where_the_registry_fails_too() -> None:
    mirror = Scripted("mirror", ConnectionFailed("refused"))
    chain = Chain(mirror)
    chain.read()
    chain.read()
    mirror.error, chain.registry.error = None, RateLimited("429")
    assert chain.read() == mirror.origin


def test_a_body_that_breaks_before_its_first_byte_is_a_failure() -> None:
    mirror = Scripted("mirror", reply=Reply(cut_after=0))
    chain = Chain(mirror)
    for _ in range(2):
        with pytest.raises(ConnectionFailed):
            chain.read()
    assert chain.read() == chain.registry.origin


def test_a_body_that_breaks_later_is_none() -> None:
    mirror = Scripted("mirror", reply=Reply(cut_after=100))
    chain = Chain(mirror)
    for _ in range(4):
        with pytest.raises(ConnectionFailed):
            chain.read()
    assert len(mirror.asked) == 4


def test_a_blob_that_a_mirror_lacks_is_not_asked_for_again_and_others_are() -> None:
    mirror = Scripted("mirror", BlobUnknown("404"))
    chain = Chain(mirror)
    for _ in range(3):
        assert chain.read() == chain.registry.origin
    assert mirror.asked == [BLOB]
    mirror.error = None
    assert chain.read(OTHER) == mirror.origin


def test_a_mirror_that_lacks_a_blob_is_not_asked_for_its_size() -> None:
    mirror = Scripted("mirror", BlobUnknown("404"))
    chain = Chain(mirror)
    chain.read()
    assert chain.source.size_of(BLOB) == len(CONTENT)
    assert mirror.asked == [BLOB]


# --- those who sent wrong bytes


def test_whoever_sent_wrong_bytes_is_passed_over_for_that_blob() -> None:
    mirror = Scripted("mirror")
    chain = Chain(mirror)
    assert chain.read(BLOB, mirror.origin) == chain.registry.origin
    assert chain.read() == mirror.origin


def test_whoever_sent_wrong_bytes_is_asked_where_nobody_else_is_left() -> None:
    chain = Chain(
        Scripted("mirror"), registry=Scripted("registry", ConnectionFailed("not reachable"))
    )
    assert chain.read(BLOB, "mirror:443") == "mirror:443"


def test_a_storage_that_sent_wrong_bytes_is_passed_over_whoever_leads_to_it() -> None:
    mirror = Scripted("mirror", reply=Reply(origin="storage:443"))
    chain = Chain(mirror)
    assert chain.read() == "storage:443"
    assert chain.read(BLOB, "storage:443") == chain.registry.origin
    assert mirror.streams[-1].closed.is_set()


def test_a_storage_that_everybody_leads_to_is_asked_again() -> None:
    storage = Reply(origin="storage:443")
    mirror, registry = Scripted("mirror", reply=storage), Scripted("registry", reply=storage)
    chain = Chain(mirror, registry=registry)
    body = chain.open(BLOB, "storage:443")
    assert body.origin == "storage:443"
    left_open = [s for s in (*mirror.streams, *registry.streams) if not s.closed.is_set()]
    assert len(left_open) == 1
    body.close()
    assert left_open[0].closed.is_set()


def test_a_body_of_a_mirror_is_one_like_any_other() -> None:
    mirror = Scripted("mirror", reply=Reply(no_ranges=True))
    body = Chain(mirror).source.open(BLOB, Span(10, 20), cancel=GO_ON)
    assert body.start == 0
    body.abort()
    assert mirror.streams[0].aborted.is_set()

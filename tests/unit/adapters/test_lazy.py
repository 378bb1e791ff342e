"""Sources that are not asked, or not there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import NoReturn

import pytest

from oci_pull.adapters.lazy import LazySource
from oci_pull.adapters.offline import OfflineSource
from oci_pull.errors import NotCached
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import Document
from oci_pull.oci.ranges import Span
from oci_pull.oci.reference import Reference
from oci_pull.ports import Cancel
from tests.builders import docker_v02
from tests.fakes.memory import MemorySource, blob_of

CONTENT = b"content"
BLOB = blob_of(CONTENT)
GO_ON = threading.Event()


def test_a_lazy_source_is_built_once_and_only_when_asked() -> None:
    built: list[MemorySource] = []

    def build() -> MemorySource:
        built.append(MemorySource({BLOB: CONTENT}))
        return built[-1]

    source = LazySource(build)
    assert built == []
    for _ in range(2):
        source.open(BLOB, Span(0, 7), cancel=GO_ON).close()
    assert source.size_of(BLOB) == 7
    assert len(built) == 1
    assert built[0].spans(BLOB) == [Span(0, 7)] * 2
    for ask in (lambda: source.digest_of("v1"), lambda: source.document("v1")):
        with pytest.raises(NotImplementedError):
            ask()


class Stubborn:
    """Asks nobody else, and says so."""

    def digest_of(self, tag: str) -> Digest | None:
        raise NotImplementedError

    def document(self, selector: str | Digest) -> Document:
        raise NotImplementedError

    def size_of(self, blob: Descriptor) -> int:
        raise NotImplementedError

    def open(
        self, blob: Descriptor, span: Span, *, cancel: Cancel, avoid: frozenset[str] = frozenset()
    ) -> NoReturn:
        raise ValueError(f"{sorted(avoid)} {span.start} {cancel is GO_ON}")


def test_whom_to_avoid_is_passed_on() -> None:
    source = LazySource(Stubborn)
    with pytest.raises(ValueError, match=r"\['a:443', 'b:80'\] 3 True"):
        source.open(BLOB, Span(3, 7), cancel=GO_ON, avoid=frozenset({"b:80", "a:443"}))


def test_a_source_that_cannot_be_built_is_tried_again() -> None:
    good = MemorySource({BLOB: CONTENT})
    outcomes: Iterator[Exception | MemorySource] = iter([ValueError("not now"), good])

    def build() -> MemorySource:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    source = LazySource(build)
    with pytest.raises(ValueError, match="not now"):
        source.open(BLOB, Span(0, 7), cancel=GO_ON)
    source.open(BLOB, Span(0, 7), cancel=GO_ON).close()


def test_offline_everything_that_is_asked_is_not_cached() -> None:
    reference = Reference.parse("ghcr.io/org/model:v1")
    source = OfflineSource(reference)
    assert source.digest_of("v1") is None
    artifact = docker_v02({})
    with pytest.raises(NotCached, match=r"ghcr\.io/org/model:v1"):
        source.document(artifact.digest)
    with pytest.raises(NotCached, match=BLOB.digest.short):
        source.size_of(BLOB)
    with pytest.raises(NotCached, match=BLOB.digest.short) as caught:
        source.open(BLOB, Span(0, 7), cancel=GO_ON)
    assert caught.value.hint

"""What holds for any bytes: they are understood, or refused with an error of ours."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from oci_pull.adapters.cache.archive import files, member
from oci_pull.adapters.cache.tar_stream import Decompressed, Limits, entries
from oci_pull.errors import DamagedArchive, OciPullError, RefusedError
from oci_pull.oci.challenge import parse_challenges, preferred
from oci_pull.oci.manifest import Manifest, parse_document
from oci_pull.packaging.detect import planner_for
from oci_pull.packaging.layout import Member, arrange
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import (
    BlobNeed,
    Compression,
    FilePlan,
    Known,
    ManifestNeed,
    MemberNeed,
    Need,
    Needs,
    RangeNeed,
    SizeNeed,
)
from oci_pull.packaging.selection import Selection
from tests.tar_blocks import BLOCK, checked

_LIMITS = Limits(expanded=1 << 20, entries=1000)
_CONFIG = RelPath.parse("config.json")
_COMPRESSIONS = tuple(Compression)
#: More than planners ask.
_ROUNDS = 30
_MOST_READ = 1 << 16
_TOO_MUCH = object()


def archive_is_read_or_refused(content: bytes, compression: Compression) -> None:
    """Never more comes out than was allowed, and every file is as long as it says."""
    expanded = 0
    with suppress(DamagedArchive):
        for ordinal, entry in enumerate(entries(io.BytesIO(content), compression, _LIMITS)):
            assert entry.ordinal == ordinal < _LIMITS.entries
            size = sum(len(chunk) for chunk in entry.chunks())
            assert size == entry.size
            expanded += size
    assert expanded <= _LIMITS.expanded
    with suppress(DamagedArchive, RefusedError):
        stream = Decompressed(io.BytesIO(content), compression, _LIMITS)
        for file in files(stream, _LIMITS):
            assert not {"", ".", ".."} & set(file.path.parts)
    with suppress(DamagedArchive):
        member(io.BytesIO(content), _CONFIG, len(content), 1000)


def with_checksums(content: bytes) -> bytes:
    """What looks like a header has the right checksum, else nothing behind it is ever reached."""
    blocks = [content[at : at + BLOCK] for at in range(0, len(content), BLOCK)]
    return b"".join(
        checked(bytearray(each)) if each[257:262] == b"ustar" and len(each) == BLOCK else each
        for each in blocks
    )


def archive(data: bytes) -> None:
    """The first byte says how it is compressed, and whether checksums are made right."""
    how, content = data[:1], data[1:]
    number = how[0] if how else 0
    if number & 4:
        content = with_checksums(content)
    archive_is_read_or_refused(content, _COMPRESSIONS[number & 3])


def challenge(data: bytes) -> None:
    """One line of a header is one byte of each character, as HTTP has it."""
    parsed = parse_challenges(data.decode("latin-1").split("\n"))
    for each in parsed:
        assert each.scheme == each.scheme.lower()
        str(each)
    assert preferred(parsed) in (None, *parsed)


def manifest(data: bytes) -> None:
    """A manifest, and behind a zero what its planner gets where it asks."""
    raw, _, answer = data.partition(b"\0")
    with suppress(OciPullError):
        document = parse_document(raw)
        if isinstance(document, Manifest):
            _plan(document, answer)


def _plan(document: Manifest, answer: bytes) -> None:
    planner = planner_for(document)
    known = Known()
    for _ in range(_ROUNDS):
        plan = planner.plan(document, known)
        if isinstance(plan, FilePlan):
            _arrange(plan)
            return
        assert isinstance(plan, Needs)
        answers = {need: _answer(need, document, answer) for need in plan.needs}
        if _TOO_MUCH in answers.values():
            return
        known = known.with_answers(answers)


def _answer(need: Need[Any], document: Manifest, answer: bytes) -> Any:
    match need:
        case RangeNeed(_, span):
            if span.size > _MOST_READ:
                # Nobody has so much; it is cut off at the end of the blob.
                return _TOO_MUCH
            return (answer + bytes(span.size))[: span.size]
        case BlobNeed():
            return answer
        case MemberNeed():
            return answer or None
        case SizeNeed():
            return len(answer)
        case ManifestNeed():
            return document
    raise AssertionError(need)


def _arrange(plan: FilePlan) -> None:
    arrange(plan, Selection(), {})
    members: Sequence[Member] = [
        Member(_CONFIG, 2, plan.manifest.descriptor.digest),
        Member(RelPath.parse("sub/model.safetensors"), 2, plan.manifest.descriptor.digest),
    ]
    arrange(plan, Selection(), {op.blob.digest: members for op in plan.archives})

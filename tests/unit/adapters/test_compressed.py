"""Compressed streams: many frames, damage, and little memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from oci_pull.adapters.compressed import DAMAGED, decompressed, opened, reading
from oci_pull.errors import DamagedArchive
from oci_pull.packaging.plan import Compression
from oci_pull.ports import Reader

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ALL: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}
OF_LAYERS = {"gzip": Compression.GZIP, "zstd": Compression.ZSTD}
CONTENT = random.Random(1).randbytes(300_000) + b"text " * 100_000


def whole(reader: Reader | None, size: int = 100_000) -> bytes:
    assert reader
    content = b""
    while piece := reader.read(size):
        assert len(piece) <= size
        content += piece
    return content


@pytest.mark.parametrize("size", [1000, 1 << 20])
@pytest.mark.parametrize("kind", ALL)
def test_what_was_compressed_comes_back(kind: str, size: int) -> None:
    assert whole(opened(io.BytesIO(ALL[kind](CONTENT))), size) == CONTENT


@pytest.mark.parametrize("kind", ALL)
def test_many_frames_are_one_stream(kind: str) -> None:
    frames = [CONTENT[at : at + 9000] for at in range(0, len(CONTENT), 9000)]
    content = b"".join(ALL[kind](each) + ALL[kind](b"") for each in frames)
    assert whole(opened(io.BytesIO(content))) == CONTENT


@pytest.mark.parametrize("kind", OF_LAYERS)
def test_very_many_empty_frames_are_nothing(kind: str) -> None:
    content = ALL[kind](b"") * 20_000 + ALL[kind](b"end")
    assert whole(decompressed(io.BytesIO(content), OF_LAYERS[kind])) == b"end"


def test_zeros_may_follow_gzip() -> None:
    for zeros in (1, 511, 400_000):
        content = gzip.compress(CONTENT) + bytes(zeros)
        assert whole(decompressed(io.BytesIO(content), Compression.GZIP)) == CONTENT
        assert whole(decompressed(io.BytesIO(content * 2), Compression.GZIP)) == CONTENT * 2


@pytest.mark.parametrize("kind", OF_LAYERS)
def test_whatever_else_follows_is_damage_behind_the_content(kind: str) -> None:
    reader = decompressed(io.BytesIO(ALL[kind](b"content") + b"garbage"), OF_LAYERS[kind])
    assert reader.read(100) == b"content"
    with pytest.raises(DamagedArchive), reading():
        reader.read(100)


@pytest.mark.parametrize("kind", ALL)
def test_a_stream_that_is_cut_off_anywhere_is_damaged(kind: str) -> None:
    content = ALL[kind](b"some content, " * 10)
    for size in range(6, len(content)):
        with pytest.raises(DAMAGED):
            whole(opened(io.BytesIO(content[:size])))


def test_the_check_sum_of_gzip_is_looked_at() -> None:
    content = bytearray(gzip.compress(CONTENT))
    content[-6] ^= 1
    with pytest.raises(zlib.error):
        whole(opened(io.BytesIO(content)))


@pytest.mark.parametrize("kind", ["gzip", "zstd", "bzip2"])
def test_however_much_comes_out_little_is_in_memory(kind: str) -> None:
    content = ALL[kind](bytes(64 << 20))
    reader = opened(io.BytesIO(content))
    assert reader
    tracemalloc.start()
    try:
        count = 0
        while piece := reader.read(1 << 18):
            count += len(piece)
        assert count == 64 << 20
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"x", b"\x1f", b"plain text", b"\x28\xb5\x2f"])
def test_what_is_not_compressed_is_as_it_was(content: bytes) -> None:
    file = io.BytesIO(b"before" + content)
    file.seek(6)
    assert opened(file) is None
    assert file.read() == content
    file.seek(6)
    assert whole(decompressed(file, Compression.SNIFFED)) == content

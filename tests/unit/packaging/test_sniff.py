import gzip
import io
import sys
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.packaging.plan import Compression
from oci_pull.packaging.sniff import LOOK, archive_compression
from tests.file_sets import stored_gzip, tar

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FILES = {"model/config.json": b"{}", "model/weights": bytes(range(256)) * 1000}
TAR = tar(FILES)
#: A frame that holds a note and nothing of the content, as pzstd writes it in front.
SKIPPABLE = b"\x5f\x2a\x4d\x18\x04\x00\x00\x00note"


def old_tar(content: bytes = b"{}") -> bytes:
    """As `tar --format=v7` writes it: without a magic."""
    header = bytearray(tarfile.TarInfo("config.json").tobuf(tarfile.USTAR_FORMAT))
    header[257:] = bytes(255)
    header[124:136] = b"%011o " % len(content)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + content.ljust(512, b"\0") + bytes(1024)


def gnu_tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("config.json"))
    return file.getvalue()


def frames(content: bytes, size: int = 100_000) -> bytes:
    return b"".join(zstd.compress(content[at : at + size]) for at in range(0, len(content), size))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TAR, Compression.NONE),
        (gnu_tar(), Compression.NONE),
        (old_tar(), Compression.NONE),
        (gzip.compress(TAR), Compression.GZIP),
        (gzip.compress(TAR, 1), Compression.GZIP),
        (stored_gzip(TAR), Compression.GZIP),
        (gzip.compress(old_tar()), Compression.GZIP),
        (gzip.compress(TAR[:600]) + gzip.compress(TAR[600:]), Compression.GZIP),
        (zstd.compress(TAR), Compression.ZSTD),
        (zstd.compress(TAR, 19), Compression.ZSTD),
        (frames(TAR), Compression.ZSTD),
        (SKIPPABLE + SKIPPABLE + zstd.compress(TAR), Compression.ZSTD),
    ],
    ids=range(12),
)
def test_an_archive_is_told_by_its_first_bytes(content: bytes, expected: Compression) -> None:
    assert archive_compression(content) is expected
    assert archive_compression(content[:LOOK]) is expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"\x1f\x8b",
        b"\x28\xb5\x2f\xfd",
        SKIPPABLE,
        SKIPPABLE[:6],
        bytes(1024),
        TAR[:261],
        old_tar()[:511],
        old_tar().replace(b"config", b"konfig"),
        b"GGUF" + bytes(600),
        b'{"weight_map": {}}' * 100,
        gzip.compress(b"vocabulary\n" * 200),
        gzip.compress(TAR)[:20],
        b"\x1f\x8b" + TAR,
        b"\x28\xb5\x2f\xfd" + TAR,
        zstd.compress(b"vocabulary\n" * 200),
    ],
    ids=range(17),
)
def test_anything_else_is_no_archive(content: bytes) -> None:
    assert archive_compression(content) is None


@given(st.binary(max_size=2000), st.sampled_from([b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"]))
def test_no_bytes_are_too_strange(content: bytes, magic: bytes) -> None:
    assert archive_compression(magic + content) in (None, *Compression)


def test_a_block_of_zstd_is_never_larger_than_what_is_looked_at() -> None:
    random = tar({"weights": bytes((n * n * 31 + n // 7) % 251 for n in range(400_000))})
    assert archive_compression(zstd.compress(random)[:LOOK]) is Compression.ZSTD


def test_a_bomb_is_not_inflated() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert archive_compression(bomb) is None

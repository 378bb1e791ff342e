"""Tar archives, good, damaged and hostile."""

from __future__ import annotations

import gzip
import io
import itertools
import random
import struct
import sys
import tarfile
from collections.abc import Iterable

import pytest

from oci_pull.adapters.cache.archive import MAX_ENTRIES, entries, member
from oci_pull.errors import DamagedArchive, OciPullError, UnsafeArchive, UnsafePath
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import Compression
from tests.archives import Entry, Form, directory, symlink, tar_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NONE, GZIP, ZSTD = Compression.NONE, Compression.GZIP, Compression.ZSTD
FORMS: dict[Compression, Form] = {NONE: "tar", GZIP: "tar+gzip", ZSTD: "tar+zstd"}
FILES = {"config.json": b"{}", "sub/model.safetensors": bytes(range(256)) * 3000, "empty": b""}
END = bytes(1024)


def tar(members: Iterable[Entry], compression: Compression = NONE) -> bytes:
    content = tar_of(members, form=FORMS[compression]).content
    assert isinstance(content, bytes)
    return content


def entries_of(files: dict[str, bytes]) -> list[Entry]:
    return [Entry(name, content) for name, content in files.items()]


def read(content: bytes, compression: Compression = NONE) -> dict[str, bytes]:
    found = {}
    for entry in entries(io.BytesIO(content), compression, len(content)):
        assert str(entry.path) not in found
        found[str(entry.path)] = b"".join(entry.chunks())
        assert entry.size == len(found[str(entry.path)])
    return found


def packed(content: bytes, compression: Compression) -> bytes:
    if compression is NONE:
        return content
    return gzip.compress(content) if compression is GZIP else zstd.compress(content)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE, **fields: bytes) -> bytes:
    """A header as no library would write it; the check sum is right."""
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"%011o\0" % size if 0 <= size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    for position, value in fields.items():
        start = int(position.removeprefix("at_"))
        block[start : start + len(value)] = value
    return checked(block)


def checked(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def pax(headers: dict[str, str], kind: bytes = tarfile.XHDTYPE) -> bytes:
    lines = b""
    for key, value in headers.items():
        length = len(f" {key}={value}\n".encode())
        total = next(n for n in range(length, length + 8) if len(str(n)) + length == n)
        lines += f"{total} {key}={value}\n".encode()
    return header("pax", len(lines), kind) + padded(lines)


# --- good ones


@pytest.mark.parametrize("compression", Compression)
def test_every_file_comes_out_as_it_went_in(compression: Compression) -> None:
    assert read(tar(entries_of(FILES), compression), compression) == FILES


@pytest.mark.parametrize("compression", Compression)
def test_an_empty_blob_is_an_archive_of_nothing(compression: Compression) -> None:
    assert read(b"", compression) == {}


@pytest.mark.parametrize("compression", Compression)
def test_an_empty_archive_has_no_files(compression: Compression) -> None:
    assert read(packed(END, compression), compression) == {}


@pytest.mark.parametrize("compression", [GZIP, ZSTD])
@pytest.mark.parametrize("parts", [2, 5])
def test_several_members_or_frames_are_one_stream(compression: Compression, parts: int) -> None:
    content = tar(entries_of(FILES))
    size = len(content) // parts + 1
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    joined = b"".join(packed(piece, compression) for piece in pieces)
    assert read(joined, compression) == FILES


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_of_every_format(kind: int) -> None:
    name = "/".join(["directory" * 10] * 5) + "/ünïcode.json"
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as archive:
        info = tarfile.TarInfo(name)
        info.size = 2
        archive.addfile(info, io.BytesIO(b"{}"))
    assert read(file.getvalue()) == {name: b"{}"}


def test_numbers_of_every_format() -> None:
    binary = header("binary", 4, at_124=b"\x80" + (4).to_bytes(11, "big")) + padded(b"data")
    extended = pax({"size": "5"}) + header("extended", 0) + padded(b"large")
    assert read(binary + extended + END) == {"binary": b"data", "extended": b"large"}


def test_a_global_header_is_for_all_that_follow() -> None:
    content = pax({"comment": "by a tool"}, tarfile.XGLTYPE) + tar(entries_of(FILES))
    assert read(content) == FILES


@pytest.mark.parametrize("name", ["./config.json", "config.json"])
def test_names_are_taken_from_the_root(name: str) -> None:
    assert read(tar([directory("./"), directory("."), Entry(name, b"{}")])) == {
        "config.json": b"{}"
    }


def test_directories_are_no_files() -> None:
    assert read(tar([directory("sub"), directory("sub/deep/"), Entry("sub/a", b"1")])) == {
        "sub/a": b"1"
    }


@pytest.mark.parametrize("kind", [tarfile.AREGTYPE, tarfile.CONTTYPE])
def test_old_kinds_of_regular_files(kind: bytes) -> None:
    assert read(header("a", 1, kind) + padded(b"1") + END) == {"a": b"1"}


@pytest.mark.parametrize("end", [b"", bytes(512), bytes(5120), END + b"garbage" * 100])
@pytest.mark.parametrize("compression", Compression)
def test_how_an_archive_ends_does_not_matter(compression: Compression, end: bytes) -> None:
    content = tar(entries_of(FILES)).rstrip(b"\0")
    assert read(packed(padded(content) + end, compression), compression) == FILES


def test_the_same_name_twice_is_two_entries() -> None:
    content = tar([Entry("a", b"old"), Entry("a", b"new")])
    found = [
        (str(entry.path), b"".join(entry.chunks()))
        for entry in entries(io.BytesIO(content), NONE, len(content))
    ]
    assert found == [("a", b"old"), ("a", b"new")]


def test_what_is_not_read_is_skipped() -> None:
    content = tar(entries_of(FILES))
    assert [str(entry.path) for entry in entries(io.BytesIO(content), NONE, len(content))] == list(
        FILES
    )


class Dripping(io.BytesIO):
    """A reader that gives less than it is asked for, as pipes do."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size, 100) if size and size > 0 else size)


@pytest.mark.parametrize("compression", Compression)
def test_a_reader_may_give_a_little_at_a_time(compression: Compression) -> None:
    content = tar(entries_of(FILES), compression)
    found = {
        str(entry.path): b"".join(entry.chunks())
        for entry in entries(Dripping(content), compression, len(content))
    }
    assert found == FILES


# --- unsafe ones


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (tarfile.SYMTYPE, "link"),
        (tarfile.LNKTYPE, "link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "device"),
    ],
)
def test_what_is_no_file_is_refused(kind: bytes, word: str) -> None:
    with pytest.raises(UnsafeArchive, match=f"a {word}: 'odd'"):
        read(tar([Entry("fine", b"1"), Entry("odd", type=kind, link="fine")]))


@pytest.mark.parametrize("kind", [b"Z", b"V", b"M"])
def test_a_kind_that_nobody_knows_is_refused_or_a_file_of_its_own_size(kind: bytes) -> None:
    """POSIX has unknown kinds read as regular files; none of them moves what follows."""
    content = header("odd", 4, kind) + padded(b"data") + tar(entries_of(FILES))
    try:
        found = read(content)
    except UnsafeArchive:
        return
    assert found == {"odd": b"data", **FILES}


def test_a_link_that_leads_out_is_refused() -> None:
    with pytest.raises(UnsafeArchive):
        read(tar([symlink("sub", "../../etc"), Entry("sub/passwd", b"x")]))


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "a/..", "..", "a\\b", ".oci-pull/receipt.json"]
)
def test_a_name_that_leaves_the_directory_is_refused(name: str) -> None:
    with pytest.raises(UnsafePath):
        read(tar([Entry(name, b"x")]))


@pytest.mark.parametrize("name", ["../x", "..", "../", "./..", "a/../..", "/etc"])
def test_a_directory_that_leaves_the_directory_is_refused(name: str) -> None:
    with pytest.raises(UnsafePath):
        read(tar([directory(name)]))


def test_a_sparse_file_is_refused() -> None:
    """512 bytes that say they are a terabyte of zeros."""
    real = b"\x80" + (10**12).to_bytes(11, "big")
    old = header(
        "sparse", 0, tarfile.GNUTYPE_SPARSE, at_386=b"%011o\0%011o\0" % (0, 0), at_483=real
    )
    new = pax({"GNU.sparse.size": str(10**12), "GNU.sparse.map": "0,0"}) + header("sparse", 0)
    for content in (old, new):
        with pytest.raises(DamagedArchive, match="sparse"):
            read(content + END)


# --- damaged ones


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("kept", [0.001, 0.1, 0.5, 0.99])
def test_an_archive_that_ends_early_is_damaged(compression: Compression, kept: float) -> None:
    whole = padded(tar([Entry("a", random_bytes(300_000))]).rstrip(b"\0"))
    content = packed(whole, compression)
    with pytest.raises(DamagedArchive):
        read(content[: int(len(content) * kept)], compression)


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("content", [b"<!doctype html>", b"x" * 10_000, b"\x1f\x8b\x08", bytes(99)])
def test_what_is_no_archive_is_damaged(compression: Compression, content: bytes) -> None:
    with pytest.raises(DamagedArchive):
        read(content, compression)


@pytest.mark.parametrize(("made", "said"), [(GZIP, NONE), (ZSTD, GZIP), (NONE, ZSTD)])
def test_another_compression_than_was_said_is_damage(made: Compression, said: Compression) -> None:
    with pytest.raises(DamagedArchive):
        read(tar(entries_of(FILES), made), said)


@pytest.mark.parametrize("compression", [GZIP, ZSTD])
def test_a_flipped_bit_in_compressed_data_is_damage(compression: Compression) -> None:
    content = bytearray(tar([Entry("a", random_bytes(300_000))], compression))
    content[-5] ^= 1
    del content[len(content) // 2]
    with pytest.raises(DamagedArchive):
        read(bytes(content), compression)


@pytest.mark.parametrize("garbage", [b"garbage" * 200, header("b", 1)[:300]])
def test_a_damaged_header_in_the_middle_is_not_the_end(garbage: bytes) -> None:
    """Else the files behind it would silently be missing."""
    content = padded(tar([Entry("a", b"1")]).rstrip(b"\0"))
    with pytest.raises(DamagedArchive):
        read(content + garbage)


@pytest.mark.parametrize(
    "content",
    [
        header("pax", 8 << 30, tarfile.XHDTYPE),
        header("pax", 2 << 20, tarfile.XGLTYPE) + bytes(2 << 20),
        header("name", 1 << 62, tarfile.GNUTYPE_LONGNAME),
        header("link", 2 << 20, tarfile.GNUTYPE_LONGLINK) + bytes(2 << 20),
        header("a", 1 << 62) + bytes(512),
        header("a", 0, at_124=b"\xff" * 12) + bytes(512),
        header("a", 0, at_124=b"nonsense") + bytes(512),
        pax({"size": "-5000"}) + header("a", 0) + END,
        pax({"size": str(1 << 70)}) + header("a", 0) + END,
        header("pax", 9, tarfile.XHDTYPE) + padded(b"99 path=x") + header("a", 0) + END,
        header("a", 0, tarfile.GNUTYPE_SPARSE, at_386=b"nonsense", at_482=b"\1") + END,
        pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}) + header("a", 0) + END,
        pax({"GNU.sparse.size": "x", "GNU.sparse.map": "0,x"}) + header("a", 0) + END,
        b"".join(pax({"path": "x"}) for _ in range(2000)) + header("a", 0) + END,
        b"".join(header("n", 1, tarfile.GNUTYPE_LONGNAME) + padded(b"x") for _ in range(2000))
        + END,
    ],
)
def test_headers_that_cannot_be_are_damage_and_nothing_else(content: bytes) -> None:
    with pytest.raises(OciPullError) as caught:
        read(content)
    assert isinstance(caught.value, (DamagedArchive, UnsafeArchive, UnsafePath))


@pytest.mark.parametrize("compression", [GZIP, ZSTD])
def test_a_bomb_is_stopped(compression: Compression) -> None:
    size = 100 << 20
    file = io.BytesIO()
    out = gzip.GzipFile("", "wb", 9, file) if compression is GZIP else zstd.ZstdFile(file, "wb")
    with out:
        out.write(header("zeros", size))
        for _ in range(size >> 20):
            out.write(bytes(1 << 20))
    assert len(file.getvalue()) < 120_000
    with pytest.raises(DamagedArchive, match="expands to more than"):
        read(file.getvalue(), compression)


def test_what_compresses_well_and_is_not_large_is_no_bomb() -> None:
    content = tar([Entry("zeros", bytes(40 << 20))], ZSTD)
    assert len(content) < 10_000
    assert len(read(content, ZSTD)["zeros"]) == 40 << 20


def test_too_many_entries_are_too_many() -> None:
    content = header("a", 0) * (MAX_ENTRIES + 1)
    found = entries(io.BytesIO(content), NONE, len(content))
    assert sum(1 for _ in itertools.islice(found, MAX_ENTRIES)) == MAX_ENTRIES
    with pytest.raises(DamagedArchive, match="more than 100000 entries"):
        next(found)


def test_a_window_that_would_fill_the_memory_is_refused() -> None:
    # A frame header alone that asks for a window of two gigabytes.
    frame = struct.pack("<IBB", 0xFD2FB528, 0, (31 - 10) << 3) + b"\1\0\0"
    with pytest.raises(DamagedArchive):
        read(frame + bytes(100), ZSTD)


# --- one member


CONFIG = RelPath.parse("config.json")


def test_one_member_is_read_without_the_rest() -> None:
    content = tar(entries_of(FILES))
    assert member(io.BytesIO(content), CONFIG, len(content), 100) == b"{}"
    other = RelPath.parse("tokenizer.json")
    assert member(io.BytesIO(content), other, len(content), 100) is None


def test_a_member_that_is_too_long_is_damage() -> None:
    content = tar([Entry("config.json", bytes(101))])
    with pytest.raises(DamagedArchive, match="has 101 bytes, at most 100"):
        member(io.BytesIO(content), CONFIG, len(content), 100)


def test_an_unsafe_archive_has_no_member() -> None:
    for odd in (symlink("a", "b"), Entry("../x", b"")):
        content = tar([odd, *entries_of(FILES)])
        assert member(io.BytesIO(content), CONFIG, len(content), 100) is None


def random_bytes(size: int) -> bytes:
    """Bytes that do not compress, the same ones every day."""
    return random.Random(7).randbytes(size)

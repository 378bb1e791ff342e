"""Tar archives in every dialect, damaged, and as attackers write them."""

from __future__ import annotations

import gzip
import io
import itertools
import random
import shutil
import struct
import subprocess
import sys
import tarfile
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from oci_pull.adapters.cache.tar_header import Kind
from oci_pull.adapters.cache.tar_stream import MAX_ENTRIES, Limits, entries
from oci_pull.errors import DamagedArchive
from oci_pull.packaging.plan import Compression
from tests.archives import Entry, Form, directory, symlink, tar_of
from tests.tar_blocks import (
    END,
    base_256,
    checked,
    file,
    header,
    old_sparse,
    padded,
    pax,
    pax_record,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NONE, GZIP, ZSTD, SNIFFED = Compression
FORMS: dict[Compression, Form] = {NONE: "tar", GZIP: "tar+gzip", ZSTD: "tar+zstd"}
FILES = {"config.json": b"{}", "sub/model.safetensors": bytes(range(256)) * 3000, "empty": b""}


def tar(members: Iterable[Entry], compression: Compression = NONE) -> bytes:
    content = tar_of(members, form=FORMS[compression]).content
    assert isinstance(content, bytes)
    return content


def entries_of(files: dict[str, bytes]) -> list[Entry]:
    return [Entry(name, content) for name, content in files.items()]


def listed(
    content: bytes, compression: Compression = NONE, limits: Limits | None = None
) -> list[tuple[Kind, str, str, bytes]]:
    """Every entry in order: what it is, its name, where it leads, its content."""
    found: list[tuple[Kind, str, str, bytes]] = []
    for entry in entries(io.BytesIO(content), compression, limits or Limits.of(len(content))):
        body = b"".join(entry.chunks())
        assert entry.size == len(body)
        assert entry.ordinal == len(found)
        found.append((entry.kind, entry.name, entry.target, body))
    return found


def read(
    content: bytes, compression: Compression = NONE, limits: Limits | None = None
) -> dict[str, bytes]:
    """The regular files."""
    return {
        name: body
        for kind, name, _, body in listed(content, compression, limits)
        if kind is Kind.FILE
    }


def packed(content: bytes, compression: Compression) -> bytes:
    if compression is NONE:
        return content
    return gzip.compress(content) if compression is GZIP else zstd.compress(content)


# --- good ones


@pytest.mark.parametrize("said", [None, SNIFFED])
@pytest.mark.parametrize("compression", FORMS)
def test_every_file_comes_out_as_it_went_in(
    compression: Compression, said: Compression | None
) -> None:
    assert read(tar(entries_of(FILES), compression), said or compression) == FILES


@pytest.mark.parametrize("compression", Compression)
def test_nothing_at_all_is_an_archive_of_nothing(compression: Compression) -> None:
    if compression in (GZIP, ZSTD):
        assert listed(packed(b"", compression), compression) == []
    else:
        assert listed(b"", compression) == []


@pytest.mark.parametrize("compression", FORMS)
def test_an_empty_archive_has_no_entries(compression: Compression) -> None:
    assert listed(packed(END, compression), compression) == []


def test_every_kind_of_entry_is_told() -> None:
    content = tar(
        [
            directory("sub"),
            Entry("sub/a", b"1"),
            symlink("soft", "sub/a"),
            Entry("hard", type=tarfile.LNKTYPE, link="sub/a"),
            *(Entry("odd", type=kind) for kind in (b"3", b"4", b"6")),
        ]
    )
    assert listed(content) == [
        (Kind.DIRECTORY, "sub/", "", b""),
        (Kind.FILE, "sub/a", "", b"1"),
        (Kind.SYMLINK, "soft", "sub/a", b""),
        (Kind.HARDLINK, "hard", "sub/a", b""),
        *[(Kind.OTHER, "odd", "", b"")] * 3,
    ]


def test_what_is_not_read_is_skipped() -> None:
    content = tar(entries_of(FILES))
    for reader in (io.BytesIO(content), Dripping(content)):
        found = [each.name for each in entries(reader, NONE, Limits.of(len(content)))]
        assert found == list(FILES)


def test_what_is_not_read_of_a_file_is_sought_over() -> None:
    content = tar([Entry("large", bytes(10 << 20)), Entry("a", b"1")])
    reader = Counting(content)
    found = entries(reader, SNIFFED, Limits.of(len(content)))
    assert [b"".join(each.chunks()) for each in found if each.name == "a"] == [b"1"]
    assert reader.count < 1 << 20


def test_an_archive_may_begin_anywhere_in_a_file() -> None:
    content = tar(entries_of(FILES))
    reader = io.BytesIO(b"before" + content)
    reader.seek(6)
    assert [each.name for each in entries(reader, SNIFFED, Limits.of(len(content)))] == list(FILES)


def test_a_file_that_ends_in_what_is_sought_over_is_damaged() -> None:
    content = header("large", 10 << 20) + bytes(5 << 20)
    with pytest.raises(DamagedArchive, match="ends early"):
        list(entries(io.BytesIO(content), NONE, Limits.of(len(content))))


def test_half_of_an_entry_may_be_read() -> None:
    content = tar([Entry("large", bytes(10 << 20)), Entry("a", b"1")])
    names = []
    for each in entries(Dripping(content, 100_000), NONE, Limits.of(len(content))):
        names.append(each.name)
        next(iter(each.chunks()))
    assert names == ["large", "a"]


class Counting(io.BytesIO):
    """Counts what was read."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self.count += len(content)
        return content


class Dripping:
    """A reader that gives less than it is asked for, as pipes do, and cannot seek."""

    def __init__(self, content: bytes, most: int = 100) -> None:
        self._file = io.BytesIO(content)
        self._most = most

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, self._most))


@pytest.mark.parametrize("said", [None, SNIFFED])
@pytest.mark.parametrize("compression", FORMS)
def test_a_reader_may_give_a_little_at_a_time(
    compression: Compression, said: Compression | None
) -> None:
    content = tar(entries_of(FILES), compression)
    found = {
        entry.name: b"".join(entry.chunks())
        for entry in entries(Dripping(content), said or compression, Limits.of(len(content)))
    }
    assert found == FILES


def test_the_same_name_twice_is_two_entries() -> None:
    found = listed(tar([Entry("a", b"old"), Entry("a", b"new")]))
    assert [(name, body) for _, name, _, body in found] == [("a", b"old"), ("a", b"new")]


# --- dialects


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_of_every_format(kind: int) -> None:
    name = "/".join(["directory" * 8] * 3) + "/ünïcode.json"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        info = tarfile.TarInfo(name)
        info.size = 2
        archive.addfile(info, io.BytesIO(b"{}"))
    assert read(out.getvalue()) == {name: b"{}"}


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_targets_of_every_format(kind: int) -> None:
    out = io.BytesIO()
    target = "/".join(["directory"] * 30)
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        info = tarfile.TarInfo("name/" * 40 + "link")
        info.type, info.linkname = tarfile.SYMTYPE, target
        archive.addfile(info)
    assert listed(out.getvalue()) == [(Kind.SYMLINK, "name/" * 40 + "link", target, b"")]


@pytest.mark.parametrize(
    ("magic", "name"),
    [(b"ustar\x0000", "prefix/a"), (b"ustar  \0", "a"), (bytes(8), "a")],
    ids=["posix", "gnu", "v7"],
)
def test_only_posix_has_a_prefix(magic: bytes, name: str) -> None:
    """GNU tar has times there, and what was before both has nothing."""
    content = header("a", 1, at_257=magic, at_345=b"prefix") + padded(b"1")
    assert read(content + END) == {name: b"1"}


def test_the_prefix_of_star_ends_before_its_times() -> None:
    times = b"00000000001\x0000000000002\0"
    block = header("a", 1, at_257=b"ustar\x0000", at_345=b"p" * 131, at_476=times, at_508=b"tar\0")
    assert read(block + padded(b"1") + END) == {"p" * 131 + "/a": b"1"}


def test_a_name_may_fill_its_field() -> None:
    assert read(header(b"n" * 100, 0) + END) == {"n" * 100: b""}


@pytest.mark.parametrize(
    "size",
    [
        b"00000000004\0",
        b"          4 ",
        b"4\0garbage...",
        b"000000000004",
        b"  4  \0\0\0\0\0\0\0",
        base_256(4),
    ],
)
def test_numbers_of_every_dialect(size: bytes) -> None:
    assert read(header("a", 0, at_124=size) + padded(b"data") + file("b", b"2") + END) == {
        "a": b"data",
        "b": b"2",
    }


def test_a_size_that_no_octal_digits_can_say() -> None:
    """A shard of more than 8 GiB is normal; its header is all that is read here."""
    size = 9 << 30
    for start in (header("a", size), pax({"size": str(size)}) + header("a", 0)):
        found = entries(io.BytesIO(start), NONE, Limits(expanded=1 << 40))
        assert next(found).size == size


def test_an_extended_header_is_for_one_entry_alone() -> None:
    content = pax({"path": "long", "size": "5"}) + header("a", 0) + padded(b"large") + file("b")
    assert read(content + END) == {"long": b"large", "b": b""}


def test_extended_headers_may_say_where_a_link_leads() -> None:
    content = pax({"linkpath": "there"}) + header("a", 0, tarfile.SYMTYPE) + END
    assert listed(content) == [(Kind.SYMLINK, "a", "there", b"")]


def test_a_size_is_not_that_of_the_headers_in_between() -> None:
    """Else what one program takes for content is an entry to the next (CVE-2025-62518)."""
    hidden = file("hidden", b"evil")
    content = (
        pax({"size": str(len(hidden))})
        + header("name", 5, tarfile.GNUTYPE_LONGNAME)
        + padded(b"long\0")
        + header("a", 0)
        + hidden
    )
    assert read(content + END) == {"long": hidden}


def test_a_link_has_no_data_whatever_size_it_says() -> None:
    for kind in (b"1", b"2", b"3", b"4", b"5", b"6"):
        content = pax({"size": "700"}) + header("odd", 600, kind) + file("a", b"1") + END
        assert read(content) == {"a": b"1"}


def test_a_global_header_is_the_default_for_all_that_follow() -> None:
    content = (
        pax({"comment": "by a tool", "linkpath": "there"}, tarfile.XGLTYPE)
        + file("a", b"1")
        + header("b", 0, tarfile.SYMTYPE)
        + pax({"linkpath": "here"})
        + header("c", 0, tarfile.SYMTYPE)
        + pax({"linkpath": ""})
        + header("d", 0, tarfile.SYMTYPE, at_157=b"own")
    )
    assert [(name, target) for _, name, target, _ in listed(content + END)][1:] == [
        ("b", "there"),
        ("c", "here"),
        ("d", "own"),
    ]


def test_attributes_and_owners_are_passed_over() -> None:
    records: dict[str, str | bytes] = {
        "SCHILY.xattr.security.capability": b"\1\0\0\2\n=\0\xff",
        "uid": "nobody",
        "mtime": "not a time",
        "hdrcharset": "BINARY",
        "path": b"b\xffd",
    }
    assert list(read(pax(records) + file("a") + END)) == ["b\udcffd"]


def test_the_headers_of_solaris_are_those_of_posix() -> None:
    assert list(read(pax({"path": "long"}, b"X") + file("a") + END)) == ["long"]


def test_an_extended_header_may_count_its_padding() -> None:
    record = pax_record("path", "long")
    content = header("pax", 512, tarfile.XHDTYPE) + padded(record) + file("a") + END
    assert list(read(content)) == ["long"]


@pytest.mark.parametrize("name", ["./a", "/a", "a//b", ".", "./", "a/../b", "a\\b"])
def test_names_are_told_as_they_were_recorded(name: str) -> None:
    assert [each[1] for each in listed(file(name) + END)] == [name]


def test_names_that_are_not_unicode_are_told_with_surrogates() -> None:
    assert list(read(file(b"caf\xe9") + END)) == ["caf\udce9"]


@pytest.mark.parametrize("kind", [tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.REGTYPE])
def test_old_kinds_of_regular_files(kind: bytes) -> None:
    assert listed(file("a", b"1", kind) + END) == [(Kind.FILE, "a", "", b"1")]
    assert listed(file("a/", b"", kind) + END) == [(Kind.DIRECTORY, "a/", "", b"")]


def test_a_directory_of_an_incremental_archive_has_data() -> None:
    content = file("dir/", b"Yfile\0\0", b"D") + file("dir/file", b"1") + END
    assert [each[:2] for each in listed(content)] == [
        (Kind.DIRECTORY, "dir/"),
        (Kind.FILE, "dir/file"),
    ]


def test_the_label_of_a_tape_is_no_entry() -> None:
    assert listed(header("tape", 0, b"V") + file("a", b"1") + END) == [
        (Kind.FILE, "a", "", b"1"),
    ]


def test_a_kind_that_nobody_knows_does_not_move_what_follows() -> None:
    assert listed(file("odd", b"data", b"Z") + file("a", b"1") + END) == [
        (Kind.OTHER, "odd", "", b"data"),
        (Kind.FILE, "a", "", b"1"),
    ]


@pytest.mark.parametrize("end", [b"", bytes(512), bytes(5120), END + b"garbage" * 100])
@pytest.mark.parametrize("compression", FORMS)
def test_how_an_archive_ends_does_not_matter(compression: Compression, end: bytes) -> None:
    content = tar(entries_of(FILES)).rstrip(b"\0")
    assert read(packed(padded(content) + end, compression), compression) == FILES


def test_what_follows_the_end_is_another_archive() -> None:
    """As tar(1) has it without --ignore-zeros."""
    assert read(file("a") + END + file("b") + END) == {"a": b""}


def test_one_block_of_zeros_hides_nothing() -> None:
    assert read(file("a") + bytes(512) + b"garbage" * 100) == {"a": b""}
    with pytest.raises(DamagedArchive, match="in the middle is zeros"):
        read(file("a") + bytes(512) + file("b") + END)


def test_the_padding_of_the_last_entry_may_be_missing() -> None:
    assert read(header("a", 3) + b"123") == {"a": b"123"}


def test_signed_checksums_of_old_programs() -> None:
    block = bytearray(header("größe", 0))
    assert checked(block) != checked(block, signed=True)
    assert list(read(checked(block, signed=True) + END)) == ["größe"]


# --- sparse files

STRETCHES = [(0, 3), (1000, 512), (5000, 1)]
RECORDED = b"abc" + b"d" * 512 + b"e"
WHOLE = b"abc" + bytes(997) + b"d" * 512 + bytes(3488) + b"e" + bytes(4999)
FLAT = ",".join(f"{start},{length}" for start, length in STRETCHES)
MAP_1_0 = padded("\n".join(["3", *FLAT.split(","), ""]).encode())


@pytest.mark.parametrize(
    "content",
    [
        old_sparse("model", 10_000, STRETCHES, RECORDED),
        pax(
            [
                ("GNU.sparse.size", "10000"),
                ("GNU.sparse.numblocks", "3"),
                *(
                    (f"GNU.sparse.{key}", str(value))
                    for pair in STRETCHES
                    for key, value in zip(("offset", "numbytes"), pair, strict=True)
                ),
            ]
        )
        + file("model", RECORDED),
        pax(
            {
                "GNU.sparse.size": "10000",
                "GNU.sparse.numblocks": "3",
                "GNU.sparse.name": "model",
                "GNU.sparse.map": FLAT,
                "path": "GNUSparseFile.1/model",
            }
        )
        + file("GNUSparseFile.1/model", RECORDED),
        pax(
            {
                "GNU.sparse.major": "1",
                "GNU.sparse.minor": "0",
                "GNU.sparse.name": "model",
                "GNU.sparse.realsize": "10000",
            }
        )
        + file("GNUSparseFile.1/model", MAP_1_0 + RECORDED),
    ],
    ids=["old", "0.0", "0.1", "1.0"],
)
def test_sparse_files_are_expanded(content: bytes) -> None:
    assert read(content + file("a", b"1") + END) == {"model": WHOLE, "a": b"1"}
    found = entries(io.BytesIO(content + file("a", b"1") + END), NONE, Limits(expanded=100_000))
    assert [each.name for each in found] == ["model", "a"]


def test_the_map_of_an_old_sparse_file_may_go_on() -> None:
    stretches = [(1000 * n, 1) for n in range(60)]
    content = old_sparse("model", 60_000, stretches, b"x" * 60)
    assert read(content + END) == {"model": (b"x" + bytes(999)) * 60}


@pytest.mark.parametrize("version", ["old", "0.0", "0.1", "1.0"])
def test_sparse_files_of_gnu_tar(tmp_path: Path, version: str) -> None:
    program = shutil.which("tar")
    if not program or b"GNU" not in subprocess.check_output([program, "--version"]):
        pytest.skip("no GNU tar")
    model = tmp_path / "model"
    with model.open("wb") as out:
        for n in range(40):
            out.seek(n * 1_000_000)
            out.write(b"%d" % n)
        out.truncate(50_000_000)
    options = ["--format=gnu"] if version == "old" else ["--format=posix"]
    if version != "old":
        options.append(f"--sparse-version={version}")
    content = subprocess.check_output(
        [program, "-C", tmp_path, "--sparse", *options, "-cf", "-", "model"]
    )
    assert len(content) < 1_000_000
    limits = Limits(expanded=60_000_000)
    assert read(content, limits=limits) == {"model": model.read_bytes()}


TERABYTE = 10**12


@pytest.mark.parametrize(
    "content",
    [
        old_sparse("bomb", TERABYTE, [], b""),
        pax({"GNU.sparse.size": str(TERABYTE), "GNU.sparse.map": ""}) + header("bomb", 0),
        pax({"GNU.sparse.size": str(TERABYTE), "GNU.sparse.map": "0,0"}) + header("bomb", 0),
        pax({"GNU.sparse.major": "1", "GNU.sparse.realsize": str(TERABYTE)})
        + file("bomb", padded(b"0\n")),
    ],
)
def test_the_zeros_of_a_sparse_file_count(content: bytes) -> None:
    """A kilobyte that says it is a terabyte of zeros."""
    with pytest.raises(DamagedArchive, match="expands to more than"):
        next(entries(io.BytesIO(content + END), NONE, Limits.of(len(content))))


@pytest.mark.parametrize(
    "records",
    [
        {"GNU.sparse.size": "x", "GNU.sparse.map": "0,0"},
        {"GNU.sparse.map": "0,0"},
        {"GNU.sparse.size": "10", "GNU.sparse.map": "0"},
        {"GNU.sparse.size": "10", "GNU.sparse.map": "0,x"},
        {"GNU.sparse.size": "10", "GNU.sparse.map": "-1,4"},
        {"GNU.sparse.size": "10", "GNU.sparse.map": "8,4"},
        {"GNU.sparse.size": "10", "GNU.sparse.map": "4,2,0,2"},
        {"GNU.sparse.size": "10", "GNU.sparse.map": "0,2,1,2"},
        {"GNU.sparse.size": "10", "GNU.sparse.map": "0,3"},
        {"GNU.sparse.size": "10", "GNU.sparse.offset": "0"},
        {"GNU.sparse.major": "1", "GNU.sparse.realsize": "10"},
        {"GNU.sparse.major": "1"},
    ],
)
def test_a_map_that_cannot_be_is_damage(records: dict[str, str]) -> None:
    with pytest.raises(DamagedArchive):
        read(pax(records) + file("a", b"data") + END)


@pytest.mark.parametrize("start", [b"1" * 2000, b"99999999999\n", b"1\n5\n", b"\n\n", b"-1\n"])
def test_a_map_in_the_data_that_cannot_be_is_damage(start: bytes) -> None:
    records = {"GNU.sparse.major": "1", "GNU.sparse.realsize": "10"}
    with pytest.raises(DamagedArchive):
        read(pax(records) + file("a", padded(start)) + END)


def test_the_map_of_an_old_sparse_file_ends_at_some_point() -> None:
    pair = b"%011o\0%011o\0" % (0, 0)
    first = header("a", 0, b"S", at_386=pair * 4, at_482=b"\1", at_483=b"00000000000\0")
    more = pair * 21 + b"\1" + bytes(7)
    with pytest.raises(DamagedArchive, match="more than 250000 parts"):
        read(first + more * 12_000)


# --- compressed ones


@pytest.mark.parametrize("compression", [GZIP, ZSTD])
@pytest.mark.parametrize("parts", [2, 5, 500])
def test_several_members_or_frames_are_one_stream(compression: Compression, parts: int) -> None:
    content = tar(entries_of(FILES))
    size = len(content) // parts + 1
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    joined = b"".join(packed(piece, compression) for piece in pieces)
    assert read(joined, compression) == FILES
    found = entries(Dripping(joined), compression, Limits.of(len(joined)))
    assert [each.name for each in found] == list(FILES)


SKIPPED = struct.pack("<II", 0x184D2A50, 5) + b"index"


@pytest.mark.parametrize("said", [ZSTD, SNIFFED])
def test_frames_that_are_to_be_skipped_are_skipped(said: Compression) -> None:
    """zstd:chunked has its table of contents in one, pzstd the sizes of its frames."""
    content = tar(entries_of(FILES))
    half = len(content) // 2
    pieces = [zstd.compress(content[:half]), zstd.compress(content[half:])]
    assert read(SKIPPED.join([b"", *pieces, b""]), said) == FILES


def test_the_footer_of_estargz_is_a_member_like_any_other() -> None:
    extra = struct.pack("<BBH", ord("S"), ord("G"), 22) + b"%016xSTARGZ" % 1234
    footer = (
        b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff" + struct.pack("<H", len(extra)) + extra
        + b"\x01\x00\x00\xff\xff" + bytes(8)
    )  # fmt: skip
    members = [gzip.compress(each) for each in (tar(entries_of(FILES))[:-1024], END)]
    content = members[0] + footer + members[1] + footer
    assert read(content, GZIP) == FILES


@pytest.mark.parametrize("behind", [bytes(5000), b"garbage" * 10, b"\x1f", b"\x1f\x8b\x08"])
@pytest.mark.parametrize("compression", [GZIP, ZSTD])
def test_what_follows_a_compressed_archive_does_not_matter(
    compression: Compression, behind: bytes
) -> None:
    content = tar(entries_of(FILES), compression)
    assert read(content + behind, compression) == FILES


@pytest.mark.parametrize("inside", [GZIP, ZSTD])
def test_what_is_compressed_in_secret_is_found_out(inside: Compression) -> None:
    assert read(tar(entries_of(FILES), inside), SNIFFED) == FILES


# --- damaged ones


@pytest.mark.parametrize("compression", FORMS)
@pytest.mark.parametrize("kept", [0.001, 0.1, 0.5, 0.99])
def test_an_archive_that_ends_early_is_damaged(compression: Compression, kept: float) -> None:
    whole = padded(tar([Entry("a", random_bytes(300_000))]).rstrip(b"\0"))
    content = packed(whole, compression)
    with pytest.raises(DamagedArchive):
        read(content[: int(len(content) * kept)], compression)


@pytest.mark.parametrize("compression", FORMS)
def test_cut_off_anywhere_no_file_is_ever_shorter_than_it_says(compression: Compression) -> None:
    """Between two entries nothing tells, but the digest of the archive."""
    files = {"a": random_bytes(700), "long" * 40: b"{}", "b": b"", "c": random_bytes(100)}
    content = tar(entries_of(files), compression)
    step = 7 if compression is NONE else 1
    for size in range(0, len(content), step):
        try:
            found = read(content[:size], compression)
        except DamagedArchive:
            continue
        assert list(found.items()) == list(files.items())[: len(found)]


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("content", [b"<!doctype html>", b"x" * 10_000, b"\x1f\x8b\x08", bytes(99)])
def test_something_else_is_no_archive(compression: Compression, content: bytes) -> None:
    with pytest.raises(DamagedArchive):
        read(content, compression)


@pytest.mark.parametrize(
    ("made", "said"), [(made, said) for made in FORMS for said in FORMS if made is not said]
)
def test_another_compression_than_the_type_says_is_damage(
    made: Compression, said: Compression
) -> None:
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
    with pytest.raises(DamagedArchive):
        read(file("a", b"1") + garbage)


@pytest.mark.parametrize(
    "content",
    [
        header("pax", 8 << 30, tarfile.XHDTYPE),
        header("pax", 2 << 20, tarfile.XGLTYPE) + bytes(2 << 20),
        header("name", 1 << 62, tarfile.GNUTYPE_LONGNAME),
        header("link", 2 << 20, tarfile.GNUTYPE_LONGLINK) + bytes(2 << 20),
        header("tape", 2 << 20, b"V") + bytes(2 << 20),
        header("a", 1 << 62) + bytes(512),
        header("a", 1 << 80) + bytes(512),
        header("a", 0, at_124=b"\xff" * 12) + bytes(512),
        header("a", 0, at_124=b"nonsense") + bytes(512),
        pax({"size": "-5000"}) + header("a", 0) + END,
        pax({"size": str(1 << 70)}) + header("a", 0) + END,
        pax({"size": "9" * 5000}) + header("a", 0) + END,
        pax({"size": "\N{SUPERSCRIPT TWO}"}) + header("a", 0) + END,
        header("pax", 9, tarfile.XHDTYPE) + padded(b"99 path=x") + header("a", 0) + END,
        header("pax", 9, tarfile.XHDTYPE) + padded(b"0 path=x\n") + header("a", 0) + END,
        header("pax", 9, tarfile.XHDTYPE) + padded(b"9 path:x\n") + header("a", 0) + END,
        header("pax", 9, tarfile.XHDTYPE) + padded(b"x path=x\n") + header("a", 0) + END,
        header("a", 0, tarfile.GNUTYPE_SPARSE, at_386=b"nonsense", at_482=b"\1") + END,
        pax({"path": "x"}),
        pax({"path": "x"}) + END,
        header("n", 1, tarfile.GNUTYPE_LONGNAME) + padded(b"x"),
        b"".join(pax({"path": "x"}) for _ in range(3000)) + file("a") + END,
        b"".join(header("n", 1, tarfile.GNUTYPE_LONGNAME) + padded(b"x") for _ in range(2000))
        + END,
    ],
)
def test_headers_that_cannot_be_are_damage_and_nothing_else(content: bytes) -> None:
    with pytest.raises(DamagedArchive):
        read(content)


# --- attacks


@pytest.mark.parametrize("compression", [GZIP, ZSTD])
def test_a_bomb_is_stopped(compression: Compression) -> None:
    size = 100 << 20
    out = io.BytesIO()
    bomb = gzip.GzipFile("", "wb", 9, out) if compression is GZIP else zstd.ZstdFile(out, "wb")
    with bomb:
        bomb.write(header("zeros", size))
        for _ in range(size >> 20):
            bomb.write(bytes(1 << 20))
    assert len(out.getvalue()) < 120_000
    with pytest.raises(DamagedArchive, match="expands to more than"):
        read(out.getvalue(), compression)


def test_what_compresses_well_and_is_not_large_is_no_bomb() -> None:
    content = tar([Entry("zeros", bytes(40 << 20))], ZSTD)
    assert len(content) < 10_000
    assert len(read(content, ZSTD)["zeros"]) == 40 << 20


def test_too_many_entries_are_too_many() -> None:
    content = header("a", 0) * (MAX_ENTRIES + 1)
    found = entries(io.BytesIO(content), NONE, Limits.of(len(content)))
    assert sum(1 for _ in itertools.islice(found, MAX_ENTRIES)) == MAX_ENTRIES
    with pytest.raises(DamagedArchive, match="more than 100000 entries"):
        next(found)


def test_a_million_empty_entries_take_no_memory() -> None:
    """They are a hundred kilobytes, compressed."""
    out = io.BytesIO()
    with zstd.ZstdFile(out, "wb") as bomb:
        for _ in range(1000):
            bomb.write(header("a", 0) * 1000)
    content = out.getvalue()
    limits = Limits(expanded=1 << 30, entries=200_000)
    found = entries(io.BytesIO(content), ZSTD, limits)
    next(found)
    tracemalloc.start()
    try:
        assert sum(1 for _ in itertools.islice(found, 100_000)) == 100_000
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


def test_a_window_that_would_fill_the_memory_is_refused() -> None:
    # A frame header alone that asks for a window of two gigabytes.
    frame = struct.pack("<IBB", 0xFD2FB528, 0, (31 - 10) << 3) + b"\1\0\0"
    with pytest.raises(DamagedArchive):
        read(frame + bytes(100), ZSTD)


def test_the_largest_window_of_the_program_is_none_too_large() -> None:
    options = {int(zstd.CompressionParameter.window_log): 27}
    content = zstd.compress(tar(entries_of(FILES)), options=options)
    assert read(content, ZSTD) == FILES


def random_bytes(size: int) -> bytes:
    """Bytes that do not compress, the same ones every day."""
    return random.Random(7).randbytes(size)

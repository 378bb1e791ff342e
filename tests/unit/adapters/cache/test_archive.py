"""Archives of file sets: what is in them, and what must not be."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable

import pytest

from oci_pull.adapters.cache.archive import files, member
from oci_pull.adapters.cache.tar_stream import Decompressed, Limits
from oci_pull.errors import DamagedArchive, UnsafeArchive, UnsafePath
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import Compression
from tests.archives import Entry, directory, symlink, tar_of
from tests.tar_blocks import END, file, header, pax

FILES = {"config.json": b"{}", "sub/model.safetensors": bytes(range(256)) * 3000, "empty": b""}


def tar(members: Iterable[Entry]) -> bytes:
    content = tar_of(members).content
    assert isinstance(content, bytes)
    return content


def entries_of(files: dict[str, bytes]) -> list[Entry]:
    return [Entry(name, content) for name, content in files.items()]


def read(content: bytes) -> dict[str, bytes]:
    limits = Limits.of(len(content))
    found = {}
    for each in files(Decompressed(io.BytesIO(content), Compression.NONE, limits), limits):
        assert str(each.path) not in found
        found[str(each.path)] = b"".join(each.chunks())
        assert each.size == len(found[str(each.path)])
    return found


def test_every_file_comes_out_as_it_went_in() -> None:
    assert read(tar(entries_of(FILES))) == FILES


@pytest.mark.parametrize("name", ["./config.json", "config.json"])
def test_names_are_taken_from_the_root(name: str) -> None:
    content = tar([directory("./"), directory("."), directory("/"), Entry(name, b"{}")])
    assert read(content) == {"config.json": b"{}"}


def test_directories_are_no_files_and_may_come_late_or_never() -> None:
    content = tar([Entry("sub/a", b"1"), directory("sub"), Entry("other/b", b"2")])
    assert read(content) == {"sub/a": b"1", "other/b": b"2"}


def test_what_only_the_format_needs_is_left_out() -> None:
    """eStargz: a table of contents and a mark are entries like any other."""
    content = tar(
        [
            Entry(".prefetch.landmark", b"\x0f"),
            Entry(".no.prefetch.landmark", b"\x0f"),
            *entries_of(FILES),
            Entry("sub/stargz.index.json", b"a file"),
            Entry("stargz.index.json", b"{}"),
        ]
    )
    assert read(content) == {**FILES, "sub/stargz.index.json": b"a file"}


# --- unsafe ones


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "device"),
    ],
)
def test_what_is_no_file_is_refused(kind: bytes, word: str) -> None:
    with pytest.raises(UnsafeArchive, match=f"a {word}: 'odd'") as caught:
        read(tar([Entry("fine", b"1"), Entry("odd", type=kind, link="fine")]))
    assert caught.value.hint
    assert "--dereference" in caught.value.hint


@pytest.mark.parametrize(
    "attack",
    [
        [symlink("sub", "../../etc"), Entry("sub/passwd", b"x")],
        [symlink("sub", "/etc"), Entry("sub/passwd", b"x")],
        [symlink("file", "/etc/passwd"), Entry("file", b"x")],
        [symlink("out", "/etc"), Entry("hard", type=tarfile.LNKTYPE, link="out/passwd")],
        [Entry("hard", type=tarfile.LNKTYPE, link="/etc/passwd"), Entry("hard", b"x")],
        [Entry("hard", type=tarfile.LNKTYPE, link="../../../etc/passwd")],
        [directory("sub"), symlink("sub", "/etc"), Entry("sub/passwd", b"x")],
    ],
)
def test_a_link_that_leads_out_is_refused(attack: list[Entry]) -> None:
    with pytest.raises(UnsafeArchive):
        read(tar(attack))


DEEP = "/".join(["d"] * 65)
UNSAFE = ["../x", "/etc/passwd", "a/../../x", "a/..", "..", "a\\b", ".oci-pull/receipt.json", "con"]
UNFIT = [DEEP, "n" * 256, "/".join(["n" * 250] * 20), "line\nbreak", "a//b", "."]


@pytest.mark.parametrize("name", [*UNSAFE, *UNFIT])
def test_a_name_that_leaves_the_directory_or_fits_no_disk_is_refused(name: str) -> None:
    with pytest.raises(UnsafePath):
        read(pax({"path": name}) + file("a", b"x") + END)


@pytest.mark.parametrize("name", [b"caf\xe9", b"\xff\xfe"])
def test_a_name_that_is_not_unicode_is_refused(name: bytes) -> None:
    for content in (file(name), pax({"path": name}) + file("a")):
        with pytest.raises(UnsafePath, match="not Unicode"):
            read(content + END)


def test_a_name_with_a_nul_is_refused_where_the_format_can_have_one() -> None:
    with pytest.raises(UnsafePath):
        read(pax({"path": "a\0b"}) + file("a") + END)
    assert list(read(file(b"a\0/etc/passwd") + END)) == ["a"]


@pytest.mark.parametrize("name", ["../x", "..", "../", "./..", "a/../..", "/etc", DEEP])
def test_a_directory_that_leaves_the_directory_is_refused(name: str) -> None:
    with pytest.raises(UnsafePath):
        read(tar([directory(name)]))


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


def test_a_member_that_only_says_that_it_is_long_is_damage() -> None:
    content = header("config.json", 50) + b"{}"
    with pytest.raises(DamagedArchive, match="ends early"):
        member(io.BytesIO(content), CONFIG, len(content), 100)

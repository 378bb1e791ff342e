"""The file sets of archives, unpacked once."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from oci_pull.adapters.cache.layers import DirectoryLayers
from oci_pull.errors import (
    DamagedArchive,
    NoSpace,
    NotWritable,
    OciPullError,
    PathConflict,
    UnsafeArchive,
    UnsafePath,
    UnsupportedDigest,
)
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.verify import Verified, verify
from oci_pull.packaging.layout import Member, arrange
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import Compression, FilePlan, UnpackArchive
from oci_pull.packaging.selection import Selection
from oci_pull.ports import Staged
from tests import builders
from tests.archives import Entry, symlink, tar_of
from tests.fakes.memory import blob_of
from tests.tar_blocks import header
from tests.unit.adapters.support import Shelf, mode_of, names_below, no_file_beyond
from tests.unit.packaging.planning import manifest_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FILES = {"config.json": b"{}", "sub/copy.json": b"{}", "empty": b"", "weights": bytes(300_000)}
ENTRIES = [Entry(name, content) for name, content in FILES.items()]


def packed(entries: list[Entry]) -> tuple[bytes, Descriptor]:
    content = tar_of(entries).content
    assert isinstance(content, bytes)
    return content, blob_of(content)


CONTENT, ARCHIVE = packed(ENTRIES)
OPERATION = UnpackArchive(ARCHIVE)
PROOF = verify(ARCHIVE, CONTENT)


def stage(shelf: Shelf) -> Staged:
    return shelf.layers.unpacker(OPERATION).consume(io.BytesIO(CONTENT))


def unpack(shelf: Shelf) -> None:
    staged = stage(shelf)
    staged.publish(PROOF)
    staged.discard()


def incomplete(shelf: Shelf) -> list[Path]:
    return list(shelf.cache.incomplete.iterdir()) if shelf.cache.incomplete.exists() else []


def test_an_archive_becomes_a_file_set(shelf: Shelf) -> None:
    assert shelf.layers.members(OPERATION) is None
    unpack(shelf)
    assert shelf.layers.members(OPERATION) == tuple(
        Member(RelPath.parse(name), len(content), Digest.of(content))
        for name, content in FILES.items()
    )
    for content in FILES.values():
        path = shelf.layers.path(ARCHIVE, Digest.of(content))
        assert (path.read_bytes(), mode_of(path)) == (content, 0o444)
    assert incomplete(shelf) == []


def test_no_name_of_the_archive_is_a_name_in_the_cache(shelf: Shelf) -> None:
    unpack(shelf)
    digests = {Digest.of(content).hex for content in FILES.values()}
    assert names_below(shelf.cache.layer(ARCHIVE.digest)) == {
        "members.json",
        *(f"files/{each}" for each in digests),
    }


def test_nothing_is_there_before_the_proof(shelf: Shelf) -> None:
    staged = stage(shelf)
    assert shelf.layers.members(OPERATION) is None
    assert not shelf.cache.layer(ARCHIVE.digest).exists()
    staged.discard()
    assert incomplete(shelf) == []
    with pytest.raises(AssertionError):
        stage(shelf).publish(verify(blob_of(b""), b""))


def test_the_same_name_twice_is_two_members(shelf: Shelf) -> None:
    content, archive = packed([Entry("a", b"old"), Entry("a", b"new")])
    staged = shelf.layers.unpacker(UnpackArchive(archive)).consume(io.BytesIO(content))
    staged.publish(Verified(archive))
    members = shelf.layers.members(UnpackArchive(archive))
    assert members
    assert [member.digest for member in members] == [Digest.of(b"old"), Digest.of(b"new")]


def test_of_two_who_publish_the_second_finds_it_there(shelf: Shelf) -> None:
    first, second = stage(shelf), stage(shelf)
    first.publish(PROOF)
    before = (shelf.cache.layer(ARCHIVE.digest) / "members.json").stat().st_ino
    second.publish(PROOF)
    for staged in (first, second):
        staged.discard()
    assert (shelf.cache.layer(ARCHIVE.digest) / "members.json").stat().st_ino == before
    assert shelf.layers.members(OPERATION)
    assert incomplete(shelf) == []


@pytest.mark.parametrize("damage", [None, b"", b"[]", b'{"members": [{}]}', b'{"members": 3}'])
def test_a_damaged_file_set_is_none_and_makes_room(shelf: Shelf, damage: bytes | None) -> None:
    unpack(shelf)
    listing = shelf.cache.layer(ARCHIVE.digest) / "members.json"
    listing.unlink()
    if damage is not None:
        listing.write_bytes(damage)
    assert shelf.layers.members(OPERATION) is None
    unpack(shelf)
    assert shelf.layers.members(OPERATION)
    assert incomplete(shelf) == []


@pytest.mark.parametrize("left", [None, 1], ids=["gone", "short"])
def test_a_file_set_that_lacks_a_file_is_none_and_makes_room(
    shelf: Shelf, left: int | None
) -> None:
    unpack(shelf)
    file = next((shelf.cache.layer(ARCHIVE.digest) / "files").iterdir())
    content = file.read_bytes()
    file.unlink()
    if left is not None:
        file.write_bytes(content[:left])
    assert shelf.layers.members(OPERATION) is None
    unpack(shelf)
    assert shelf.layers.members(OPERATION)
    assert file.read_bytes() == content


@pytest.mark.parametrize("path", ["../x", "/x", ""])
def test_a_listing_is_not_believed(shelf: Shelf, path: str) -> None:
    unpack(shelf)
    listing = shelf.cache.layer(ARCHIVE.digest) / "members.json"
    value = json.loads(listing.read_bytes())
    value["members"][0]["path"] = path
    listing.write_text(json.dumps(value))
    assert shelf.layers.members(OPERATION) is None


@pytest.mark.parametrize(
    ("entries", "kept", "error"),
    [
        (ENTRIES, 3000, DamagedArchive),
        ([*ENTRIES, symlink("link", "config.json")], None, UnsafeArchive),
        ([*ENTRIES, Entry("../x", b"")], None, UnsafePath),
    ],
)
def test_a_failure_leaves_nothing(
    shelf: Shelf, entries: list[Entry], kept: int | None, error: type[OciPullError]
) -> None:
    content, archive = packed(entries)
    with pytest.raises(error):
        shelf.layers.unpacker(UnpackArchive(archive)).consume(io.BytesIO(content[:kept]))
    assert incomplete(shelf) == []
    assert shelf.layers.members(UnpackArchive(archive)) is None


def test_a_full_disk_leaves_nothing(shelf: Shelf) -> None:
    with no_file_beyond(200_000), pytest.raises(NoSpace):
        stage(shelf)
    assert incomplete(shelf) == []


def test_a_cache_that_cannot_be_written_is_told() -> None:
    with pytest.raises(NotWritable):
        stage(Shelf(Path("/sys/cache")))


def test_one_member_is_read_without_unpacking(shelf: Shelf) -> None:
    stored = shelf.store.add(ARCHIVE, CONTENT)
    config, other = RelPath.parse("config.json"), RelPath.parse("other")
    assert shelf.layers.member(stored, config, 10) == b"{}"
    assert shelf.layers.member(stored, other, 10) is None


def test_a_dry_run_finds_what_is_behind_it(shelf: Shelf, tmp_path: Path) -> None:
    dry = DirectoryLayers(Shelf(tmp_path / "scratch").cache, shelf.layers)
    assert dry.members(OPERATION) is None
    unpack(shelf)
    assert dry.members(OPERATION) == shelf.layers.members(OPERATION)


# --- one compressed file that is no archive


def unpacked(shelf: Shelf, operation: UnpackArchive, content: bytes) -> Sequence[Member]:
    staged = shelf.layers.unpacker(operation).consume(io.BytesIO(content))
    staged.publish(verify(operation.blob, content))
    staged.discard()
    members = shelf.layers.members(operation)
    assert members is not None
    return members


COMPRESSED: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.GZIP: gzip.compress,
    Compression.ZSTD: zstd.compress,
}


@pytest.mark.parametrize("said", [None, Compression.SNIFFED])
@pytest.mark.parametrize("compression", COMPRESSED)
def test_a_compressed_file_is_one_member(
    shelf: Shelf, compression: Compression, said: Compression | None
) -> None:
    model = b"GGUF" * 100_000
    content = COMPRESSED[compression](model[:1000]) + COMPRESSED[compression](model[1000:])
    operation = UnpackArchive(
        blob_of(content),
        said or compression,
        hint=RelPath.parse("sub/model.gguf"),
        is_bare=True,
        content=Digest.of(model),
    )
    (member,) = unpacked(shelf, operation, content)
    assert (member.size, member.digest) == (len(model), Digest.of(model))
    assert shelf.layers.path(operation.blob, member.digest).read_bytes() == model
    manifest = manifest_of(builders.artifact(builders.layer("application/x-config", b"{}"), []))
    plan = FilePlan("kitops", manifest, (operation,))
    layout = arrange(plan, Selection(), {operation.blob.digest: [member]})
    assert [str(file.path) for file in layout.files] == ["sub/model.gguf"]


def test_of_one_blob_an_archive_and_a_file_are_two_things(shelf: Shelf) -> None:
    """Two manifests may say so, and each gets what it says."""
    content = gzip.compress(CONTENT)
    blob = blob_of(content)
    archive = UnpackArchive(blob, Compression.GZIP)
    bare = UnpackArchive(blob, Compression.GZIP, hint=RelPath.parse("model.tar"), is_bare=True)
    for first, second in ((archive, bare), (bare, archive)):
        unpacked(shelf, first, content)
        assert shelf.layers.members(second) is None
        unpacked(shelf, second, content)
        assert [len(shelf.layers.members(each) or ()) for each in (archive, bare)] == [4, 1]
        for each in (archive, bare):
            for member in shelf.layers.members(each) or ():
                path = shelf.layers.path(blob, member.digest)
                assert Digest.of(path.read_bytes()) == member.digest
        shutil.rmtree(shelf.root / "layers")


@pytest.mark.parametrize("compression", COMPRESSED)
def test_a_bare_bomb_is_stopped(shelf: Shelf, compression: Compression) -> None:
    content = COMPRESSED[compression](bytes(200 << 20))
    operation = UnpackArchive(
        blob_of(content), compression, hint=RelPath.parse("model.gguf"), is_bare=True
    )
    with pytest.raises(DamagedArchive, match="expands to more than"):
        shelf.layers.unpacker(operation).consume(io.BytesIO(content))
    assert incomplete(shelf) == []


@pytest.mark.parametrize("compression", COMPRESSED)
def test_a_bare_file_that_is_cut_off_is_damaged(shelf: Shelf, compression: Compression) -> None:
    content = COMPRESSED[compression](os.urandom(5000))
    for cut in (0, 1, 10, len(content) // 2, len(content) - 1):
        operation = UnpackArchive(
            blob_of(content), compression, hint=RelPath.parse("m"), is_bare=True
        )
        with pytest.raises(DamagedArchive):
            shelf.layers.unpacker(operation).consume(io.BytesIO(content[:cut]))
    assert incomplete(shelf) == []


# --- what the publisher says of the content


@pytest.mark.parametrize("end", [b"", bytes(5000)])
def test_the_content_may_be_said_and_is_checked_to_the_end(shelf: Shelf, end: bytes) -> None:
    """oras says the digest of the whole archive, with all that follows its last file."""
    inner = CONTENT + end
    content = gzip.compress(inner)
    good = UnpackArchive(blob_of(content), Compression.GZIP, content=Digest.of(inner))
    assert len(unpacked(shelf, good, content)) == len(FILES)
    wrong = UnpackArchive(blob_of(content), Compression.GZIP, content=Digest.of(b"other"))
    with pytest.raises(DamagedArchive) as caught:
        shelf.layers.unpacker(wrong).consume(io.BytesIO(content))
    for digest in (Digest.of(inner), Digest.of(b"other")):
        assert str(digest) in caught.value.message
    assert incomplete(shelf) == []


def test_content_whose_digest_nobody_can_compute_is_told(shelf: Shelf) -> None:
    operation = UnpackArchive(ARCHIVE, content=Digest("sha384", "a" * 96))
    with pytest.raises(UnsupportedDigest):
        shelf.layers.unpacker(operation).consume(io.BytesIO(CONTENT))
    assert incomplete(shelf) == []


# --- space and modes


def test_a_file_that_cannot_fit_is_refused_before_it_is_written(shelf: Shelf) -> None:
    size = 1 << 50
    content = header("model.safetensors", size) + bytes(1 << 20)
    operation = UnpackArchive(blob_of(content))
    with pytest.raises(NoSpace, match=r"in an archive needs 1125\.9 TB") as told:
        shelf.layers.unpacker(operation).consume(io.BytesIO(content))
    assert told.value.needed == size
    assert told.value.free
    assert incomplete(shelf) == []
    unchecked = DirectoryLayers(shelf.cache, is_space_checked=False)
    with pytest.raises(DamagedArchive, match="ends early"):
        unchecked.unpacker(operation).consume(io.BytesIO(content))


@pytest.mark.parametrize("mode", [0o000, 0o600, 0o400, 0o4755, 0o2755, 0o1777])
def test_whatever_its_mode_a_file_can_be_read_and_nothing_else(shelf: Shelf, mode: int) -> None:
    content, archive = packed([Entry("a", b"1", mode=mode)])
    (member,) = unpacked(shelf, UnpackArchive(archive), content)
    assert mode_of(shelf.layers.path(archive, member.digest)) == 0o444


def test_twins_are_two_members_and_a_conflict_only_in_a_tree(shelf: Shelf) -> None:
    content, archive = packed([Entry("A", b"1"), Entry("a", b"2")])
    operation = UnpackArchive(archive)
    members = unpacked(shelf, operation, content)
    assert [str(each.path) for each in members] == ["A", "a"]
    manifest = manifest_of(builders.artifact(builders.layer("application/x-config", b"{}"), []))
    with pytest.raises(PathConflict):
        arrange(FilePlan("oras", manifest, (operation,)), Selection(), {archive.digest: members})

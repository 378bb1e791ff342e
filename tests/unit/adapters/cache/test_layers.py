"""The file sets of archives, unpacked once."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from oci_pull.adapters.cache.layers import DirectoryLayers
from oci_pull.adapters.cache.owner import Owner, this_host
from oci_pull.errors import (
    DamagedArchive,
    NoSpace,
    NotWritable,
    OciPullError,
    UnsafeArchive,
    UnsafePath,
)
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.verify import Verified, verify
from oci_pull.packaging.layout import Member
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import Compression
from oci_pull.ports import Staged
from tests.archives import Entry, symlink, tar_of
from tests.fakes.memory import blob_of
from tests.unit.adapters.support import Shelf, mode_of, names_below, no_file_beyond

FILES = {"config.json": b"{}", "sub/copy.json": b"{}", "empty": b"", "weights": bytes(300_000)}
ENTRIES = [Entry(name, content) for name, content in FILES.items()]


def packed(entries: list[Entry]) -> tuple[bytes, Descriptor]:
    content = tar_of(entries).content
    assert isinstance(content, bytes)
    return content, blob_of(content)


CONTENT, ARCHIVE = packed(ENTRIES)
PROOF = verify(ARCHIVE, CONTENT)


def stage(shelf: Shelf) -> Staged:
    return shelf.layers.unpacker(ARCHIVE, Compression.NONE).consume(io.BytesIO(CONTENT))


def unpack(shelf: Shelf) -> None:
    staged = stage(shelf)
    staged.publish(PROOF)
    staged.discard()


def incomplete(shelf: Shelf) -> list[Path]:
    return list(shelf.cache.incomplete.iterdir()) if shelf.cache.incomplete.exists() else []


def test_an_archive_becomes_a_file_set(shelf: Shelf) -> None:
    assert shelf.layers.members(ARCHIVE) is None
    unpack(shelf)
    assert shelf.layers.members(ARCHIVE) == tuple(
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
    assert shelf.layers.members(ARCHIVE) is None
    assert not shelf.cache.layer(ARCHIVE.digest).exists()
    staged.discard()
    assert incomplete(shelf) == []
    with pytest.raises(AssertionError):
        stage(shelf).publish(verify(blob_of(b""), b""))


def test_the_same_name_twice_is_two_members(shelf: Shelf) -> None:
    content, archive = packed([Entry("a", b"old"), Entry("a", b"new")])
    staged = shelf.layers.unpacker(archive, Compression.NONE).consume(io.BytesIO(content))
    staged.publish(Verified(archive))
    members = shelf.layers.members(archive)
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
    assert shelf.layers.members(ARCHIVE)
    assert incomplete(shelf) == []


@pytest.mark.parametrize("damage", [None, b"", b"[]", b'{"members": [{}]}', b'{"members": 3}'])
def test_a_damaged_file_set_is_none_and_makes_room(shelf: Shelf, damage: bytes | None) -> None:
    unpack(shelf)
    listing = shelf.cache.layer(ARCHIVE.digest) / "members.json"
    listing.unlink()
    if damage is not None:
        listing.write_bytes(damage)
    assert shelf.layers.members(ARCHIVE) is None
    unpack(shelf)
    assert shelf.layers.members(ARCHIVE)
    assert incomplete(shelf) == []


@pytest.mark.parametrize("path", ["../x", "/x", ""])
def test_a_listing_is_not_believed(shelf: Shelf, path: str) -> None:
    unpack(shelf)
    listing = shelf.cache.layer(ARCHIVE.digest) / "members.json"
    value = json.loads(listing.read_bytes())
    value["members"][0]["path"] = path
    listing.write_text(json.dumps(value))
    assert shelf.layers.members(ARCHIVE) is None


@pytest.mark.parametrize(
    ("entries", "kept", "error"),
    [
        (ENTRIES, 2000, DamagedArchive),
        ([*ENTRIES, symlink("link", "config.json")], None, UnsafeArchive),
        ([*ENTRIES, Entry("../x", b"")], None, UnsafePath),
    ],
)
def test_a_failure_leaves_nothing(
    shelf: Shelf, entries: list[Entry], kept: int | None, error: type[OciPullError]
) -> None:
    content, archive = packed(entries)
    with pytest.raises(error):
        shelf.layers.unpacker(archive, Compression.NONE).consume(io.BytesIO(content[:kept]))
    assert incomplete(shelf) == []
    assert shelf.layers.members(archive) is None


def test_what_a_killed_run_left_is_gone_after_the_next(shelf: Shelf) -> None:
    left = shelf.cache.incomplete / f"layer-{Owner(this_host(), 2**22 + 1, 5, 'ab')}"
    left.mkdir(parents=True)
    (left / "new").write_bytes(b"half")
    unpack(shelf)
    assert incomplete(shelf) == []


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
    assert dry.members(ARCHIVE) is None
    unpack(shelf)
    assert dry.members(ARCHIVE) == shelf.layers.members(ARCHIVE)

"""Image layouts on disk as sources."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import sys
import tarfile
import threading
import zlib
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from oci_pull.adapters.layout_archive import Scratch
from oci_pull.adapters.oci_layout import LayoutSource
from oci_pull.adapters.space import DiskSpace
from oci_pull.errors import (
    BlobUnknown,
    Cancelled,
    ConnectionFailed,
    DamagedArchive,
    DigestMismatch,
    InvalidManifest,
    ManifestUnknown,
    NoSpace,
    NotWritable,
    SizeMismatch,
    Unsupported,
)
from oci_pull.events import Counter, Unpacking
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import MAX_BYTES, Index
from oci_pull.oci.ranges import Span
from oci_pull.oci.reference import LayoutReference
from tests.builders import OCI_INDEX, Artifact, IndexEntry, descriptor, docker_v02, encode, index
from tests.fakes.memory import Recorder, blob_of
from tests.unit.adapters.support import no_file_beyond, without_privileges

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from oci_pull.ports import Cancel

#: A frame of zstd that holds nothing of the content.
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00note"
GO_ON = threading.Event()
STOPPED = threading.Event()
STOPPED.set()
CONTENT = b"the configuration of a model"
ARTIFACT = docker_v02({"config.json": CONTENT})
BLOB = blob_of(CONTENT)
WHOLE = Span(0, len(CONTENT))


def blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def files_of(artifact: Artifact, *tags: str | None) -> dict[str, bytes]:
    """The files of a layout that holds the artifact under these names."""
    entries = []
    for tag in tags:
        annotations = {"org.opencontainers.image.ref.name": tag} if tag else None
        entries.append(
            descriptor(artifact.media_type, artifact.digest, len(artifact.manifest), annotations)
        )
    files = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}),
        blob_path(artifact.digest): artifact.manifest,
    }
    for digest, content in artifact.blobs.items():
        assert isinstance(content, bytes)
        files[blob_path(digest)] = content
    for child in artifact.children:
        files |= {name: content for name, content in files_of(child).items() if "blobs" in name}
    return files


def plain(content: bytes) -> bytes:
    return content


def in_frames(compress: Callable[[bytes], bytes], between: bytes = b"") -> Callable[[bytes], bytes]:
    """What parallel compressors write: one frame behind the other."""

    def joined(content: bytes) -> bytes:
        pieces = [content[at : at + 1000] for at in range(0, len(content), 1000)]
        return b"".join(compress(each) + between for each in pieces)

    return joined


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}
FRAMED: dict[str, Callable[[bytes], bytes]] = {
    "pigz": in_frames(gzip.compress),
    "pzstd": in_frames(zstd.compress, SKIPPABLE),
    "pixz": in_frames(lzma.compress, bytes(8)),
    "pbzip2": in_frames(bz2.compress),
    "pzstd header": lambda content: SKIPPABLE + zstd.compress(content),
}


def tar_with(files: Mapping[str, bytes], prefix: str = "") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


class Layouts:
    """Writes layouts, as directories or as archives; what was opened is closed in the end."""

    def __init__(self, path: Path, kind: str, stack: ExitStack, cancel: Cancel = GO_ON) -> None:
        self.path = path
        self.kind = kind
        self.stack = stack
        self.recorder = Recorder()
        self.cancel = cancel

    def at(self, text: str, **space: Any) -> LayoutSource:
        disk = DiskSpace(self.path.parent / "cache", **space)
        scratch = Scratch(disk, self.recorder, self.cancel)
        return LayoutSource.at(LayoutReference.parse(text), scratch, self.stack)

    def archive(self, content: bytes, tag: str = "v1", **space: Any) -> LayoutSource:
        self.path.write_bytes(content)
        return self.at(f"oci-archive:{self.path}:{tag}", **space)

    def __call__(self, files: dict[str, bytes], tag: str = "v1") -> LayoutSource:
        if self.kind == "directory":
            for name, content in files.items():
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                (self.path / name).write_bytes(content)
            return self.at(f"oci:{self.path}:{tag}")
        content = tar_with(files, "./" if self.kind == "dotted archive" else "")
        return self.archive(COMPRESSIONS.get(self.kind, plain)(content), tag)


@pytest.fixture
def layouts(tmp_path: Path) -> Iterator[Callable[..., Layouts]]:
    with ExitStack() as stack:
        yield lambda kind, **words: Layouts(tmp_path / "layout", kind, stack, **words)


@pytest.fixture(params=["directory", "archive", "dotted archive", *COMPRESSIONS])
def layout(request: pytest.FixtureRequest, layouts: Callable[..., Layouts]) -> Layouts:
    return layouts(request.param)


def read(source: LayoutSource, span: Span = WHOLE, blob: Descriptor = BLOB) -> bytes:
    body = source.open(blob, span, cancel=GO_ON)
    found = b""
    view = memoryview(bytearray(7))
    try:
        while count := body.readinto(view):
            found += view[:count]
    finally:
        body.abort()
        body.close()
    assert body.start == span.start
    return found


def test_a_tag_is_found(layout: Layouts) -> None:
    source = layout(files_of(ARTIFACT, "other", "v1"))
    assert source.digest_of("v1") == Digest.parse(ARTIFACT.digest)
    assert source.document("v1").raw == ARTIFACT.manifest
    assert source.document(Digest.parse(ARTIFACT.digest)).raw == ARTIFACT.manifest


def test_without_a_tag_it_is_everything_in_it(layout: Layouts) -> None:
    document = layout(files_of(ARTIFACT, None)).document("")
    assert isinstance(document, Index)
    assert [str(entry.digest) for entry in document.manifests] == [ARTIFACT.digest]


def test_an_index_in_it_is_a_document_too(layout: Layouts) -> None:
    artifact = index([IndexEntry(ARTIFACT)])
    source = layout(files_of(artifact, "v1"))
    assert isinstance(source.document("v1"), Index)
    assert source.document(Digest.parse(ARTIFACT.digest)).raw == ARTIFACT.manifest


@pytest.mark.parametrize("span", [WHOLE, Span(0, 5), Span(5, 20), Span(20, len(CONTENT))])
def test_a_blob_is_read_in_place(layout: Layouts, span: Span) -> None:
    assert read(layout(files_of(ARTIFACT, "v1")), span) == CONTENT[span.start : span.end]


def test_the_size_of_a_blob_is_that_of_its_file(layout: Layouts) -> None:
    source = layout(files_of(ARTIFACT, "v1"))
    assert source.size_of(Descriptor("", BLOB.digest, 3)) == len(CONTENT)
    with pytest.raises(BlobUnknown):
        source.size_of(blob_of(b"other"))


def test_a_tag_that_is_not_in_it_is_told_with_those_that_are(layout: Layouts) -> None:
    with pytest.raises(ManifestUnknown, match="no 'v2'") as caught:
        layout(files_of(ARTIFACT, "v1", None)).document("v2")
    assert f"v1, (no name) {ARTIFACT.digest}" in caught.value.facts[0]


def test_what_is_not_in_it_is_told(layout: Layouts) -> None:
    files = files_of(ARTIFACT, "v1")
    del files[blob_path(str(BLOB.digest))]
    del files[blob_path(ARTIFACT.digest)]
    source = layout(files)
    with pytest.raises(BlobUnknown):
        read(source)
    with pytest.raises(ManifestUnknown):
        source.document("v1")


def test_a_directory_without_an_index_is_no_layout(layout: Layouts) -> None:
    with pytest.raises(ManifestUnknown, match=r"no image layout, or lacks index\.json"):
        layout({"readme": b""}).document("v1")


def test_a_blob_of_another_size_is_told(layout: Layouts) -> None:
    with pytest.raises(SizeMismatch):
        read(layout(files_of(ARTIFACT, "v1") | {blob_path(str(BLOB.digest)): b"short"}))


def test_a_damaged_manifest_is_told(layout: Layouts) -> None:
    files = files_of(ARTIFACT, "v1")
    files[blob_path(ARTIFACT.digest)] = files[blob_path(ARTIFACT.digest)].replace(b"v1", b"v2")
    with pytest.raises(DigestMismatch):
        layout(files).document("v1")


@pytest.mark.parametrize("content", [b"garbage", bytes(MAX_BYTES + 2), b"{}"])
def test_a_damaged_index_is_told(layout: Layouts, content: bytes) -> None:
    with pytest.raises(InvalidManifest):
        layout(files_of(ARTIFACT, "v1") | {"index.json": content}).document("v1")


def test_a_manifest_in_place_of_the_index_has_no_tags(layout: Layouts) -> None:
    source = layout(files_of(ARTIFACT, "v1") | {"index.json": ARTIFACT.manifest})
    with pytest.raises(ManifestUnknown):
        source.document("v1")


@pytest.mark.parametrize("kind", ["oci", "oci-archive"])
def test_a_path_that_is_not_there_is_told(
    tmp_path: Path, layouts: Callable[..., Layouts], kind: str
) -> None:
    with pytest.raises(ManifestUnknown, match="there is no"):
        layouts(kind).at(f"{kind}:{tmp_path}/none:v1")


@pytest.mark.parametrize(
    "content", [b"garbage" * 1000, b"", b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh9", b"\x28\xb5\x2f\xfd"]
)
def test_a_file_that_is_no_archive_is_told(layouts: Callable[..., Layouts], content: bytes) -> None:
    with pytest.raises(DamagedArchive):
        layouts("archive").archive(content)


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_a_compressed_file_that_is_no_archive_is_told(
    layouts: Callable[..., Layouts], kind: str
) -> None:
    with pytest.raises(DamagedArchive, match="no tar archive") as caught:
        layouts(kind).archive(COMPRESSIONS[kind](b"garbage" * 1000))
    assert caught.value.hint


@pytest.mark.parametrize("kind", FRAMED)
def test_an_archive_of_many_frames_is_read_to_its_end(
    layouts: Callable[..., Layouts], kind: str
) -> None:
    source = layouts(kind).archive(FRAMED[kind](tar_with(files_of(ARTIFACT, "v1"))))
    assert source.document("v1").raw == ARTIFACT.manifest
    assert read(source) == CONTENT


@pytest.mark.parametrize("cut", [20, 0.5, -9, -1])
@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_a_compressed_archive_that_is_cut_off_is_told(
    layouts: Callable[..., Layouts], kind: str, cut: float
) -> None:
    content = COMPRESSIONS[kind](tar_with(files_of(ARTIFACT, "v1")))
    with pytest.raises(DamagedArchive):
        layouts(kind).archive(content[: int(cut if cut != 0.5 else len(content) * cut)])


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_what_follows_a_compressed_archive_is_told(
    layouts: Callable[..., Layouts], kind: str
) -> None:
    content = COMPRESSIONS[kind](tar_with(files_of(ARTIFACT, "v1")))
    with pytest.raises(DamagedArchive):
        layouts(kind).archive(content + b"something else")


def test_an_archive_that_is_cut_off_is_told(layouts: Callable[..., Layouts]) -> None:
    content = tar_with({"blobs/sha256/aa": bytes(5000)} | files_of(ARTIFACT, "v1"))
    with pytest.raises(DamagedArchive, match="cut off"):
        layouts("archive").archive(content[:3000])


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_a_bomb_is_told_before_it_fills_the_disk(
    layouts: Callable[..., Layouts], kind: str
) -> None:
    bomb = COMPRESSIONS[kind](bytes(80_000_000))
    with no_file_beyond(80_000_000), pytest.raises(DamagedArchive, match="expands to more than"):
        layouts(kind).archive(bomb)


def test_a_dictionary_that_would_fill_the_memory_is_told(layouts: Callable[..., Layouts]) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**20}]
    content = bytearray(lzma.compress(b"garbage" * 1000, filters=filters))
    # The size of the dictionary, in the header of the block, and the checksum of that header.
    at = content.index(b"\x21\x01", 12) + 2
    content[at] = 40
    size = (content[12] + 1) * 4
    content[12 + size - 4 : 12 + size] = zlib.crc32(content[12 : 12 + size - 4]).to_bytes(
        4, "little"
    )
    with pytest.raises(DamagedArchive, match=r"(?i)memory"):
        layouts("xz").archive(bytes(content))


def test_a_header_that_would_fill_the_memory_is_told(layouts: Callable[..., Layouts]) -> None:
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.XHDTYPE, 2 * 1024 * 1024
    content = info.tobuf(tarfile.USTAR_FORMAT) + bytes(info.size) + bytes(1024)
    with pytest.raises(DamagedArchive, match="claims"):
        layouts("archive").archive(content)


def test_an_archive_of_countless_entries_is_told(
    layouts: Callable[..., Layouts],
) -> None:
    header = tarfile.TarInfo("empty").tobuf(tarfile.USTAR_FORMAT)
    with pytest.raises(DamagedArchive, match="more than 100000 entries"):
        layouts("zstd").archive(zstd.compress(header * 100_001 + bytes(1024)))


def test_a_sparse_file_is_no_blob(layouts: Callable[..., Layouts]) -> None:
    info = tarfile.TarInfo("index.json")
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"00010000000\0"
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:512]) + 8 * 32)
    with pytest.raises(ManifestUnknown):
        layouts("archive").archive(bytes(header) + bytes(1024)).document("v1")


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_a_compressed_archive_is_told_and_leaves_nothing(
    layouts: Callable[..., Layouts], tmp_path: Path, kind: str
) -> None:
    layout = layouts(kind)
    assert read(layout(files_of(ARTIFACT, "v1"))) == CONTENT
    size = layout.path.stat().st_size
    assert layout.recorder.events == [Unpacking("layout beside the cache", size, Counter())]
    assert [path.name for path in tmp_path.iterdir()] == ["layout"]


def test_an_archive_that_is_not_compressed_is_read_in_place(
    layouts: Callable[..., Layouts],
) -> None:
    layout = layouts("archive")
    layout.path.write_bytes(tar_with(files_of(ARTIFACT, "v1")))
    with no_file_beyond(0):
        assert read(layout.at(f"oci-archive:{layout.path}:v1")) == CONTENT
    assert not layout.recorder.events


def test_a_full_disk_is_told(layouts: Callable[..., Layouts]) -> None:
    content = gzip.compress(tar_with({"blob": os.urandom(3_000_000)}))
    layout = layouts("gzip")
    layout.path.write_bytes(content)
    with no_file_beyond(2_000_000), pytest.raises(NoSpace, match="the disk is full"):
        layout.at(f"oci-archive:{layout.path}")


def test_a_quota_counts(layouts: Callable[..., Layouts]) -> None:
    content = gzip.compress(tar_with(files_of(ARTIFACT, "v1")))
    with pytest.raises(NoSpace, match="max-bytes"):
        layouts("gzip").archive(content, quota=8000)


def test_a_cache_that_cannot_be_written_is_told(
    layouts: Callable[..., Layouts], open_path: Path
) -> None:
    cache = open_path / "cache"
    cache.mkdir(mode=0o555)
    file = open_path / "file"
    file.write_bytes(gzip.compress(tar_with(files_of(ARTIFACT, "v1"))))
    scratch = Scratch(DiskSpace(cache), Recorder(), GO_ON)
    with ExitStack() as stack, without_privileges(), pytest.raises(NotWritable) as caught:
        LayoutSource.at(LayoutReference.parse(f"oci-archive:{file}:v1"), scratch, stack)
    assert "--cache-dir" in str(caught.value.hint)


@pytest.mark.parametrize("kind", ["archive", *COMPRESSIONS])
def test_it_is_stopped(layouts: Callable[..., Layouts], kind: str) -> None:
    with pytest.raises(Cancelled):
        layouts(kind, cancel=STOPPED)(files_of(ARTIFACT, "v1"))


def test_what_is_read_after_the_end_is_a_connection_that_broke(
    layouts: Callable[..., Layouts],
) -> None:
    layout = layouts("gzip")
    source = layout(files_of(ARTIFACT, "v1"))
    body = source.open(BLOB, WHOLE, cancel=GO_ON)
    layout.stack.close()
    with pytest.raises(ConnectionFailed):
        source.open(BLOB, WHOLE, cancel=GO_ON)
    # Whoever reads already is not interrupted.
    view = memoryview(bytearray(len(CONTENT)))
    assert body.readinto(view) == len(CONTENT)
    assert bytes(view) == CONTENT
    body.close()


def test_spans_are_read_at_once_without_disturbing_each_other(
    layouts: Callable[..., Layouts],
) -> None:
    source = layouts("xz")(files_of(ARTIFACT, "v1"))
    bodies = [source.open(BLOB, Span(at, at + 4), cancel=GO_ON) for at in (0, 8, 16)]
    found = []
    for _ in range(2):
        for body in bodies:
            view = memoryview(bytearray(2))
            body.readinto(view)
            found.append(bytes(view))
    for body in bodies:
        body.close()
    assert found == [CONTENT[at : at + 2] for at in (0, 8, 16, 2, 10, 18)]


def test_a_directory_in_place_of_an_archive_is_told(
    layouts: Callable[..., Layouts], tmp_path: Path
) -> None:
    with pytest.raises(DamagedArchive) as caught:
        layouts("archive").at(f"oci-archive:{tmp_path}:v1")
    assert caught.value.hint == f"oci-pull oci:{tmp_path}"


def test_an_archive_in_place_of_a_directory_is_told(
    layouts: Callable[..., Layouts], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    source = layouts("directory").at(f"oci:{tmp_path}/file:v1")
    with pytest.raises(ManifestUnknown):
        source.document("v1")
    with pytest.raises(BlobUnknown):
        read(source)


def test_a_disk_that_breaks_is_a_connection_that_breaks(layout: Layouts) -> None:
    body = layout(files_of(ARTIFACT, "v1")).open(BLOB, WHOLE, cancel=GO_ON)
    body.close()
    with pytest.raises(ConnectionFailed):
        body.readinto(memoryview(bytearray(7)))


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_blob_that_is_no_file_is_told(
    layouts: Callable[..., Layouts], make: Callable[[Path], None]
) -> None:
    layout = layouts("directory")
    source = layout(files_of(ARTIFACT, "v1"))
    path = layout.path / blob_path(str(BLOB.digest))
    path.unlink()
    make(path)
    with pytest.raises(BlobUnknown, match="not a regular file"):
        read(source)


def test_a_link_out_of_an_archive_is_not_followed(layouts: Callable[..., Layouts]) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("index.json")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(ManifestUnknown):
        layouts("archive").archive(file.getvalue()).document("v1")


def test_a_layout_of_another_version_is_told(layout: Layouts) -> None:
    files = files_of(ARTIFACT, "v1") | {"oci-layout": b'{"imageLayoutVersion":"2.0.0"}'}
    with pytest.raises(Unsupported, match=r"version 2\.0\.0"):
        layout(files).document("v1")


@pytest.mark.parametrize("content", [b"", b"[]", b'"1.0.0"', b"{}", b"{" * 100_000])
def test_a_version_that_is_damaged_is_told(layout: Layouts, content: bytes) -> None:
    with pytest.raises(InvalidManifest, match="oci-layout"):
        layout(files_of(ARTIFACT, "v1") | {"oci-layout": content}).document("v1")


def test_a_layout_that_does_not_say_its_version_is_read(layout: Layouts) -> None:
    files = files_of(ARTIFACT, "v1")
    del files["oci-layout"]
    assert layout(files).document("v1").raw == ARTIFACT.manifest


def test_json_is_what_it_is_read_as(layout: Layouts) -> None:
    source = layout(files_of(ARTIFACT, "v1"))
    assert json.loads(source.document("v1").raw) == ARTIFACT.document

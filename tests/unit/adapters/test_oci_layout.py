"""Image layouts on disk as sources."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from pathlib import Path

import pytest

from oci_pull.adapters.oci_layout import LayoutSource
from oci_pull.errors import (
    BlobUnknown,
    ConnectionFailed,
    DamagedArchive,
    DigestMismatch,
    InvalidManifest,
    ManifestUnknown,
    SizeMismatch,
)
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import MAX_BYTES, Index
from oci_pull.oci.ranges import Span
from oci_pull.oci.reference import LayoutReference
from tests.builders import OCI_INDEX, Artifact, IndexEntry, descriptor, docker_v02, encode, index
from tests.fakes.memory import blob_of

GO_ON = threading.Event()
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


class Layouts:
    """Writes layouts, as directories or as archives."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        self.kind = kind

    def __call__(self, files: dict[str, bytes], tag: str = "v1") -> LayoutSource:
        if self.kind == "directory":
            for name, content in files.items():
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                (self.path / name).write_bytes(content)
            return LayoutSource.at(LayoutReference.parse(f"oci:{self.path}:{tag}"))
        with tarfile.open(self.path, "w") as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(("./" if self.kind == "dotted archive" else "") + name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return LayoutSource.at(LayoutReference.parse(f"oci-archive:{self.path}:{tag}"))


@pytest.fixture(params=["directory", "archive", "dotted archive"])
def layout(request: pytest.FixtureRequest, tmp_path: Path) -> Layouts:
    return Layouts(tmp_path / "layout", request.param)


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


def test_a_tag_that_is_not_in_it_is_told_with_those_that_are(layout: Layouts) -> None:
    with pytest.raises(ManifestUnknown, match="no 'v2'") as caught:
        layout(files_of(ARTIFACT, "v1", None)).document("v2")
    assert "v1, (no name)" in str(caught.value.hint)


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
def test_a_path_that_is_not_there_is_told(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ManifestUnknown, match="there is no"):
        LayoutSource.at(LayoutReference.parse(f"{kind}:{tmp_path}/none:v1"))


@pytest.mark.parametrize("content", [b"garbage" * 1000, b""])
def test_a_file_that_is_no_archive_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DamagedArchive) as caught:
        LayoutSource.at(LayoutReference.parse(f"oci-archive:{tmp_path}/file:v1"))
    assert caught.value.hint


def test_a_compressed_archive_is_told(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "file", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("index.json"))
    with pytest.raises(DamagedArchive):
        LayoutSource.at(LayoutReference.parse(f"oci-archive:{tmp_path}/file:v1"))


def test_a_directory_in_place_of_an_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(DamagedArchive):
        LayoutSource.at(LayoutReference.parse(f"oci-archive:{tmp_path}:v1"))


def test_an_archive_in_place_of_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    source = LayoutSource.at(LayoutReference.parse(f"oci:{tmp_path}/file:v1"))
    with pytest.raises(ManifestUnknown):
        source.document("v1")
    with pytest.raises(BlobUnknown):
        read(source)


def test_a_disk_that_breaks_is_a_connection_that_breaks(layout: Layouts) -> None:
    body = layout(files_of(ARTIFACT, "v1")).open(BLOB, WHOLE, cancel=GO_ON)
    body.close()
    with pytest.raises(ConnectionFailed):
        body.readinto(memoryview(bytearray(7)))


def test_a_blob_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    source = Layouts(tmp_path / "layout", "directory")(files_of(ARTIFACT, "v1"))
    path = tmp_path / "layout" / blob_path(str(BLOB.digest))
    path.unlink()
    path.mkdir()
    with pytest.raises(BlobUnknown, match="Is a directory"):
        read(source)


def test_a_link_out_of_an_archive_is_not_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "file", "w") as archive:
        info = tarfile.TarInfo("index.json")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    source = LayoutSource.at(LayoutReference.parse(f"oci-archive:{tmp_path}/file:v1"))
    with pytest.raises(ManifestUnknown):
        source.document("v1")


def test_json_is_what_it_is_read_as(layout: Layouts) -> None:
    source = layout(files_of(ARTIFACT, "v1"))
    assert json.loads(source.document("v1").raw) == ARTIFACT.document

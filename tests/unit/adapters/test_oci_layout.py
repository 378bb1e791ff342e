import subprocess
from pathlib import Path

import pytest

from oci_pull.adapters.oci_layout import LayoutSource
from oci_pull.errors import BlobUnknown, DamagedArchive, ManifestUnknown, SizeMismatch
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import Index, Manifest
from oci_pull.oci.ranges import Span
from oci_pull.oci.reference import LayoutReference
from tests.builders import docker_v02, tiny_model
from tests.servers.push import write_layout

_ARTIFACT = docker_v02(tiny_model())


class _Never:
    def is_set(self) -> bool:
        return False


@pytest.fixture(params=["oci", "oci-archive"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A layout as a directory, and the same as an archive."""
    write_layout(tmp_path / "layout", _ARTIFACT, "v1")
    if request.param == "oci":
        return f"oci:{tmp_path / 'layout'}"
    archive = tmp_path / "layout.tar"
    subprocess.run(["tar", "cf", archive, "-C", tmp_path / "layout", "."], check=True)
    return f"oci-archive:{archive}"


def _source(place: str) -> LayoutSource:
    return LayoutSource.at(LayoutReference.parse(place))


def test_a_tag_is_found_by_its_name(place: str) -> None:
    document = _source(place).document("v1")
    assert isinstance(document, Manifest)
    assert str(document.descriptor.digest) == _ARTIFACT.digest
    assert _source(place).digest_of("v1") == document.descriptor.digest


def test_without_a_tag_everything_in_it_is_meant(place: str) -> None:
    assert isinstance(_source(place).document(""), Index)


def test_a_digest_is_found_without_any_name(place: str) -> None:
    digest = Digest.parse(_ARTIFACT.digest)
    assert _source(place).document(digest).raw == _ARTIFACT.manifest


def test_an_unknown_tag_is_told_with_those_that_exist(place: str) -> None:
    with pytest.raises(ManifestUnknown) as caught:
        _source(place).document("v2")
    assert "v1" in (caught.value.hint or "")


def test_a_span_of_a_blob_is_read_in_place(place: str) -> None:
    source = _source(place)
    manifest = source.document("v1")
    assert isinstance(manifest, Manifest)
    blob = max(manifest.layers, key=lambda layer: layer.size)
    body = source.open(blob, Span(10, blob.size), cancel=_Never())
    content = b""
    view = memoryview(bytearray(1000))
    while count := body.readinto(view):
        content += view[:count]
    body.close()
    whole = _ARTIFACT.blobs[str(blob.digest)]
    assert isinstance(whole, bytes)
    assert content == whole[10:]


def test_a_blob_of_another_size_is_refused(place: str) -> None:
    source = _source(place)
    manifest = source.document("v1")
    assert isinstance(manifest, Manifest)
    blob = manifest.layers[0]
    wrong = Descriptor(blob.media_type, blob.digest, blob.size + 1)
    with pytest.raises(SizeMismatch):
        source.open(wrong, Span(0, 1), cancel=_Never())


def test_a_blob_that_is_not_there_is_unknown(place: str) -> None:
    blob = Descriptor("", Digest.of(b"nowhere"), 7)
    with pytest.raises(BlobUnknown):
        _source(place).open(blob, Span(0, 7), cancel=_Never())


def test_what_is_no_layout_is_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestUnknown):
        _source(f"oci:{tmp_path / 'nowhere'}:v1")
    with pytest.raises(ManifestUnknown):
        _source(f"oci:{tmp_path}:v1").document("v1")
    (tmp_path / "x.tar").write_bytes(b"no archive at all")
    with pytest.raises(DamagedArchive):
        _source(f"oci-archive:{tmp_path / 'x.tar'}:v1")

"""What tags were last seen to be, and the index that other tools read the cache by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.references import DirectoryReferences
from oci_pull.adapters.cache.store import DirectoryStore
from oci_pull.adapters.cache.trees import CacheTrees
from oci_pull.errors import NotWritable
from oci_pull.events import Counter
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import Manifest, parse_document
from oci_pull.oci.reference import LayoutReference, Reference
from tests.builders import Artifact, IndexEntry, docker_v02, index
from tests.unit.adapters.support import REFERENCE, Shelf, published, receipt_of

NAME = "registry.example:5000/team/model"
FILES = {"config.json": b"{}"}


@pytest.fixture
def references(shelf: Shelf) -> DirectoryReferences:
    return DirectoryReferences(shelf.cache, shelf.store)


def store(shelf: Shelf, artifact: Artifact) -> Descriptor:
    """All that an artifact is made of, in the cache."""
    document = parse_document(artifact.manifest)
    assert isinstance(document, Manifest)
    assert document.config
    shelf.store.keep(document)
    for blob in (document.config, *document.layers):
        content = artifact.blobs[str(blob.digest)]
        assert isinstance(content, bytes)
        shelf.store.add(blob, content)
    return document.descriptor


def lay_out(
    shelf: Shelf, manifest: Descriptor, reference: str = str(REFERENCE), selection: str = ""
) -> None:
    layout = shelf.layout(FILES)
    trees = CacheTrees(shelf.cache, shelf.contents, shelf.cancel)
    parsed = Reference.parse(reference) if not reference.startswith("oci:") else REFERENCE
    staged = trees.stage(parsed, manifest.digest, selection, layout, Counter())
    receipt = receipt_of(layout, manifest, reference=reference, selection=selection)
    published(staged, receipt)


def index_of(shelf: Shelf) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shelf.root / "index.json").read_bytes())
    return found


def names_of(shelf: Shelf) -> Mapping[str, str]:
    return {
        entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"]
        for entry in index_of(shelf)["manifests"]
    }


# --- tags


def test_what_a_dry_run_remembers_is_forgotten_with_it(
    references: DirectoryReferences, shelf: Shelf, tmp_path: Path
) -> None:
    known, seen = Digest.of(b"known"), Digest.of(b"seen")
    references.remember(REFERENCE, known)
    scratch = Cache(tmp_path / "scratch")
    dry = DirectoryReferences(scratch, DirectoryStore(scratch, shelf.store), references)
    assert dry.recall(REFERENCE) == known
    dry.remember(REFERENCE, seen)
    assert (dry.recall(REFERENCE), references.recall(REFERENCE)) == (seen, known)


def test_a_tag_is_remembered(references: DirectoryReferences) -> None:
    assert references.recall(REFERENCE) is None
    first, second = Digest.of(b"1"), Digest.of(b"2")
    for digest in (first, second):
        references.remember(REFERENCE, digest)
        assert references.recall(REFERENCE) == digest
    other = Reference.parse(f"{NAME}:v2")
    assert references.recall(other) is None


def test_a_digest_needs_no_memory(shelf: Shelf, references: DirectoryReferences) -> None:
    digest = Digest.of(b"1")
    references.remember(replace(REFERENCE, digest=digest), digest)
    assert references.recall(replace(REFERENCE, digest=digest)) is None
    assert not (shelf.root / "refs").exists()


def test_a_layout_on_disk_has_tags_too(references: DirectoryReferences) -> None:
    layout = LayoutReference.parse("oci:/models/dir")
    references.remember(layout, Digest.of(b"1"))
    assert references.recall(layout) == Digest.of(b"1")
    assert references.recall(LayoutReference.parse("oci:/models/other")) is None


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff\xfe", b"sha256:short"])
def test_a_tag_that_cannot_be_read_was_never_seen(
    shelf: Shelf, references: DirectoryReferences, content: bytes
) -> None:
    references.remember(REFERENCE, Digest.of(b"1"))
    path = shelf.cache.ref(REFERENCE, "v1")
    path.write_bytes(content)
    assert references.recall(REFERENCE) is None
    references.remember(REFERENCE, Digest.of(b"1"))
    assert references.recall(REFERENCE) == Digest.of(b"1")
    path.unlink()
    path.mkdir()
    assert references.recall(REFERENCE) is None


def test_the_same_again_writes_nothing(shelf: Shelf, references: DirectoryReferences) -> None:
    references.remember(REFERENCE, Digest.of(b"1"))
    before = {path: path.stat().st_ino for path in shelf.root.rglob("*")}
    references.remember(REFERENCE, Digest.of(b"1"))
    assert {path: path.stat().st_ino for path in shelf.root.rglob("*")} == before


def test_a_cache_that_cannot_be_written_is_told() -> None:
    shelf = Shelf(Path("/sys/cache"))
    with pytest.raises(NotWritable):
        DirectoryReferences(shelf.cache, shelf.store).remember(REFERENCE, Digest.of(b"1"))


# --- the index


def test_the_cache_is_a_valid_image_layout(shelf: Shelf, references: DirectoryReferences) -> None:
    manifest = store(shelf, docker_v02(FILES))
    lay_out(shelf, manifest)
    references.remember(REFERENCE, manifest.digest)
    assert json.loads((shelf.root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert index_of(shelf) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": str(manifest.digest),
                "size": manifest.size,
                "annotations": {"org.opencontainers.image.ref.name": f"{NAME}:v1"},
            }
        ],
    }
    (entry,) = index_of(shelf)["manifests"]
    blob = shelf.root / "blobs" / entry["digest"].replace(":", "/")
    assert len(blob.read_bytes()) == entry["size"]


def test_an_empty_cache_has_an_empty_index(shelf: Shelf, references: DirectoryReferences) -> None:
    references.remember(REFERENCE, Digest.of(b"1"))
    assert index_of(shelf)["manifests"] == []


def test_a_manifest_without_a_tag_is_named_by_its_digest(
    shelf: Shelf, references: DirectoryReferences
) -> None:
    manifest = store(shelf, docker_v02(FILES))
    lay_out(shelf, manifest, f"{NAME}@{manifest.digest}")
    references.remember(replace(REFERENCE, digest=manifest.digest), manifest.digest)
    assert names_of(shelf) == {f"{NAME}@{manifest.digest}": str(manifest.digest)}


def test_every_tag_of_a_manifest_is_a_name(shelf: Shelf, references: DirectoryReferences) -> None:
    manifest = store(shelf, docker_v02(FILES))
    lay_out(shelf, manifest)
    for tag in ("v1", "latest"):
        references.remember(Reference.parse(f"{NAME}:{tag}"), manifest.digest)
    assert names_of(shelf) == {f"{NAME}:{tag}": str(manifest.digest) for tag in ("latest", "v1")}


def test_a_tag_that_moved_names_the_new_manifest(
    shelf: Shelf, references: DirectoryReferences
) -> None:
    old = store(shelf, docker_v02(FILES))
    new = store(shelf, docker_v02({"config.json": b"new"}))
    for manifest in (old, new):
        lay_out(shelf, manifest)
        references.remember(REFERENCE, manifest.digest)
    assert names_of(shelf) == {
        f"{NAME}:v1": str(new.digest),
        f"{NAME}@{old.digest}": str(old.digest),
    }


@pytest.mark.parametrize("gone", ["config", "layer", "manifest"])
def test_only_what_is_here_whole_is_named(
    shelf: Shelf, references: DirectoryReferences, gone: str
) -> None:
    artifact = docker_v02({"config.json": b"of the model"})
    manifest = store(shelf, artifact)
    lay_out(shelf, manifest)
    layer = artifact.document["layers"][0]["digest"]
    config = artifact.document["config"]["digest"]
    digest = {"config": config, "layer": layer, "manifest": str(manifest.digest)}[gone]
    shelf.cache.blob(Digest.parse(digest)).unlink()
    references.remember(REFERENCE, manifest.digest)
    assert names_of(shelf) == {}


@pytest.mark.parametrize("content", [b"{}", b"garbage"])
def test_a_damaged_manifest_is_not_named(
    shelf: Shelf, references: DirectoryReferences, content: bytes
) -> None:
    manifest = store(shelf, docker_v02(FILES))
    lay_out(shelf, manifest)
    path = shelf.cache.blob(manifest.digest)
    path.unlink()
    path.write_bytes(content)
    references.remember(REFERENCE, manifest.digest)
    assert names_of(shelf) == {}


def test_an_index_is_not_named_in_place_of_its_manifest(
    shelf: Shelf, references: DirectoryReferences
) -> None:
    artifact = docker_v02(FILES)
    store(shelf, artifact)
    document = parse_document(index([IndexEntry(artifact)]).manifest)
    shelf.store.keep(document)
    lay_out(shelf, document.descriptor)
    references.remember(REFERENCE, document.descriptor.digest)
    assert names_of(shelf) == {}


def test_a_part_of_a_model_is_not_named(shelf: Shelf, references: DirectoryReferences) -> None:
    manifest = store(shelf, docker_v02(FILES))
    lay_out(shelf, manifest, selection="ab12")
    references.remember(REFERENCE, manifest.digest)
    assert names_of(shelf) == {}


def test_what_came_from_a_layout_is_not_named(
    shelf: Shelf, references: DirectoryReferences
) -> None:
    manifest = store(shelf, docker_v02(FILES))
    lay_out(shelf, manifest, "oci:/models/dir:v1")
    references.remember(REFERENCE, manifest.digest)
    assert names_of(shelf) == {}

import json
from dataclasses import replace

import pytest

from oci_pull.errors import UnsafePath
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.packaging.layer import (
    annotated_name,
    annotated_path,
    annotated_size,
    archive_name,
    compression,
    path_hint,
)
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import Compression

#: Strongest first.
KEYS = (
    "org.cncf.model.filepath",
    "org.cnai.model.filepath",
    "org.cncf.model.file.metadata+json",
    "org.cnai.model.file.metadata+json",
    "org.cnai.model.file.metadata",
    "org.opencontainers.image.title",
)


def layer(annotations: dict[str, str]) -> Descriptor:
    return Descriptor("application/octet-stream", Digest.of(b""), 0, annotations)


def value(key: str, name: str) -> str:
    return json.dumps({"name": name, "mode": 420}) if ".metadata" in key else name


@pytest.mark.parametrize("key", KEYS)
def test_every_annotation_of_a_name_is_read(key: str) -> None:
    assert annotated_name(layer({key: value(key, "a/b.json")})) == "a/b.json"


@pytest.mark.parametrize("position", range(len(KEYS) - 1))
def test_the_stronger_annotation_wins(position: int) -> None:
    notes = {key: value(key, f"name-{number}") for number, key in enumerate(KEYS)}
    for weaker in KEYS[:position]:
        del notes[weaker]
    assert annotated_name(layer(notes)) == f"name-{position}"


@pytest.mark.parametrize(
    "metadata",
    ["", "{", "[]", "null", '"name"', "{}", '{"name":5}', '{"name":""}', "[" * 100_000, "1e999"],
    ids=lambda text: text[:8],
)
def test_metadata_without_a_name_gives_way_to_the_title(metadata: str) -> None:
    notes = {"org.cncf.model.file.metadata+json": metadata, KEYS[-1]: "config.json"}
    assert annotated_name(layer(notes)) == "config.json"


@pytest.mark.parametrize("title", [f"sha256-{'a' * 64}", f"sha256:{'0' * 64}", ""])
def test_a_title_that_is_a_digest_is_nobodys_name(title: str) -> None:
    assert annotated_name(layer({KEYS[-1]: title})) is None


@pytest.mark.parametrize("title", ["sha256-abc", f"sha256-{'a' * 64}.json"])
def test_a_title_that_only_begins_like_a_digest_is_a_name(title: str) -> None:
    assert annotated_name(layer({KEYS[-1]: title})) == title


def test_a_layer_without_annotations_has_no_name() -> None:
    assert annotated_name(layer({})) is None
    assert annotated_path(layer({})) is None
    assert path_hint(layer({})) is None


@pytest.mark.parametrize("name", ["../..", ".", "/etc/passwd", "a\\b", "a\x00"])
def test_an_unsafe_name_is_refused_as_a_path_and_dropped_as_a_hint(name: str) -> None:
    with pytest.raises(UnsafePath):
        annotated_path(layer({KEYS[0]: name}))
    assert path_hint(layer({KEYS[0]: name})) is None


def test_the_name_of_the_descriptor_is_the_weakest() -> None:
    named = Descriptor("a/b", Digest.of(b""), 0, {}, name="config.json")
    assert annotated_name(named) == "config.json"
    assert annotated_name(replace(named, annotations={KEYS[-1]: "a"})) == "a"


@pytest.mark.parametrize("key", KEYS)
def test_a_path_is_a_hint_for_an_archive_and_a_base_name_only_as_a_filepath(key: str) -> None:
    assert path_hint(layer({key: value(key, "a/b")})) == RelPath(("a", "b"))
    expected = RelPath(("b",)) if key in KEYS[:2] else None
    assert path_hint(layer({key: value(key, "b")})) == expected


@pytest.mark.parametrize(("name", "shown"), [("config", "config"), ("a/b", "a/b"), (".", "")])
def test_an_archive_is_shown_under_its_name(name: str, shown: str) -> None:
    assert archive_name(layer({KEYS[0]: name})) == shown


def test_a_safe_name_is_a_path_and_a_hint() -> None:
    found = layer({KEYS[0]: "./sub/a"})
    assert annotated_path(found) == path_hint(found) == RelPath(("sub", "a"))


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [
        (".tar", Compression.NONE),
        (".tar+gzip", Compression.GZIP),
        (".tar.gzip", Compression.GZIP),
        (".tar+zstd", Compression.ZSTD),
        (".tar.zstd", Compression.ZSTD),
        (".raw", Compression.NONE),
    ],
)
def test_the_suffix_of_a_media_type_names_the_compression(
    suffix: str, expected: Compression
) -> None:
    assert compression(f"application/vnd.cncf.model.weight.v1{suffix}") is expected


@pytest.mark.parametrize("key", KEYS[2:5])
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"size": 4096}, 4096),
        ({"size": 0}, 0),
        ({"name": "a"}, None),
        ({"size": -1}, None),
        ({"size": "4096"}, None),
        ({"size": True}, None),
        ({"size": 1e9}, None),
        ([4096], None),
    ],
)
def test_metadata_may_say_how_large_the_files_of_an_archive_are(
    key: str, said: object, expected: int | None
) -> None:
    assert annotated_size(layer({key: json.dumps(said)})) == expected


def test_metadata_that_is_no_json_says_nothing() -> None:
    assert annotated_size(layer({KEYS[2]: "{" * 100_000})) is None
    assert annotated_size(layer({})) is None

import base64
import sys
from collections.abc import Mapping

import pytest

from oci_pull.errors import InvalidManifest, NotAModel, PathConflict, UnsafePath
from oci_pull.packaging import oras as planner
from oci_pull.packaging.layout import arrange
from oci_pull.packaging.plan import Compression, LeftOut, PlaceBlob, RangeNeed, UnpackArchive
from oci_pull.packaging.selection import Selection
from oci_pull.packaging.sniff import LOOK
from tests import builders, file_sets
from tests.file_sets import TAR, TAR_GZIP, UNPACK, file_set, stored_gzip, tar, titled
from tests.unit.packaging.planning import manifest_of, paths, planned, unpacked

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MODEL = builders.tiny_model()
WEIGHTS = MODEL["model.safetensors"]


def tree_of(artifact: builders.Artifact) -> dict[str, str]:
    """The digests of the whole tree, archives unpacked."""
    plan = planned(artifact).plan
    layout = arrange(plan, Selection(), unpacked(artifact, plan))
    return {str(file.path): str(file.digest) for file in layout.files}


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: builders.digest_of(content) for name, content in files.items()}


def only(artifact: builders.Artifact) -> PlaceBlob | UnpackArchive:
    (found,) = planned(artifact).plan.operations
    assert isinstance(found, PlaceBlob | UnpackArchive)
    return found


@pytest.mark.parametrize(
    ("artifact", "expected"),
    [
        (file_sets.oras(MODEL), MODEL),
        (file_sets.oras_python(MODEL), MODEL),
        (file_sets.oras({f"models/tiny/{name}": MODEL[name] for name in MODEL}), MODEL),
        (file_sets.oras_python({f"models/tiny/{name}": MODEL[name] for name in MODEL}), MODEL),
        (file_sets.aikit_files({f"tiny/{name}": MODEL[name] for name in MODEL}), MODEL),
        (file_sets.aikit_archive(tar(MODEL), "allfiles.tar"), MODEL),
        (file_sets.aikit_archive(stored_gzip(tar(MODEL)), "allfiles.tar.gz"), MODEL),
        (file_set(file_sets.unpacked(".", MODEL)), MODEL),
        (file_sets.alone(tar(MODEL)), MODEL),
        (file_sets.alone(stored_gzip(tar(MODEL)), TAR_GZIP), MODEL),
        (file_sets.alone(tar({f"models/{name}": MODEL[name] for name in MODEL})), MODEL),
        (
            file_sets.kaito(MODEL),
            {name: content for name, content in MODEL.items() if "/" not in name},
        ),
    ],
    ids=range(12),
)
def test_what_producers_push_gives_back_the_model(
    artifact: builders.Artifact, expected: Mapping[str, bytes]
) -> None:
    assert tree_of(artifact) == digests(expected)
    assert planned(artifact).plan.packaging == "oras"


def test_a_manifest_without_a_config_has_its_files_in_blobs() -> None:
    kind = "application/vnd.oci.artifact.manifest.v1+json"
    document = {"mediaType": kind, "blobs": [titled("config.json", b"{}").descriptor]}
    artifact = builders.Artifact(builders.encode(document), kind, {})
    assert paths(planned(artifact).plan) == ["config.json"]


# --- which layers are asked about


@pytest.mark.parametrize(
    ("layer", "questions"),
    [
        (titled("model.safetensors", WEIGHTS), 0),
        (titled("weights.tar", tar({"a": b"a"})), 0),
        (titled("dir.tar.gz", stored_gzip(tar({"a": b"a"})), TAR_GZIP), 0),
        (titled("dir.TGZ", stored_gzip(tar({"a": b"a"})), TAR_GZIP), 0),
        (titled("dir", stored_gzip(tar({"a": b"a"})), "application/gzip"), 0),
        (file_sets.unpacked("dir", {"a": b"a"}), 0),
        (titled("allfiles.tar", tar({"a": b"a"})), 0),
        (titled("dir", b"", TAR_GZIP), 0),
        (titled("dir", stored_gzip(tar({"dir/a": b"a"})), TAR_GZIP), 1),
        (titled("vocab", b"text", TAR_GZIP), 1),
    ],
    ids=range(10),
)
def test_only_what_is_not_clear_is_looked_into(layer: builders.Layer, questions: int) -> None:
    found = planned(file_set(layer))
    assert len(found.asked) == questions
    assert all(isinstance(need, RangeNeed) for need in found.asked)


def test_no_more_than_the_first_bytes_are_asked_for_and_those_of_a_blob_once() -> None:
    content = stored_gzip(tar({"dir/a": bytes(1 << 20)}))
    found = planned(
        file_set(titled("dir", content, TAR_GZIP), titled("sub/dir", content, TAR_GZIP))
    )
    (need,) = found.asked
    assert isinstance(need, RangeNeed)
    assert (need.span.start, need.span.end) == (0, LOOK)


def test_what_is_inline_is_not_asked_for() -> None:
    content = stored_gzip(tar({"dir/a": b"a"}))
    inline = titled("dir", content, TAR_GZIP)
    document = file_set(inline).document
    document["layers"][0]["data"] = base64.b64encode(content).decode()
    artifact = builders.Artifact(
        builders.encode(document), builders.OCI_MANIFEST, {inline.digest: content}
    )
    assert planned(artifact).asked == ()
    assert isinstance(only(artifact), UnpackArchive)


# --- directories


def test_a_directory_comes_with_its_name_and_the_digest_of_what_is_in_it() -> None:
    files = {"config.json": b"{}"}
    found = only(file_set(file_sets.unpacked("1_Pooling", files)))
    assert isinstance(found, UnpackArchive)
    archive = tar([builders.directory("1_Pooling"), *entries("1_Pooling/", files)])
    assert (found.name, str(found.content)) == ("1_Pooling", builders.digest_of(archive))
    assert (found.compression, found.hint, found.below) == (Compression.GZIP, None, ())


def entries(prefix: str, files: Mapping[str, bytes]) -> list[builders.Entry]:
    return [builders.Entry(prefix + name, content) for name, content in files.items()]


def test_a_directory_of_a_type_of_its_own_is_compressed_as_it_looks() -> None:
    notes = {file_sets.TITLE: "dir", UNPACK: "true"}
    found = only(file_set(builders.layer("application/vnd.test.dir", b"x", notes)))
    assert isinstance(found, UnpackArchive)
    assert (found.compression, found.content) == (Compression.SNIFFED, None)


def test_a_file_in_a_directory_of_the_same_name_stays_there() -> None:
    artifact = file_set(file_sets.unpacked("a", {"a": b"text"}))
    assert set(tree_of(artifact)) == {"a/a"}


@pytest.mark.parametrize("text", ["false", "True", "1", ""])
def test_a_directory_that_is_not_to_be_unpacked_is_a_file(text: str) -> None:
    notes = {file_sets.TITLE: "dir.tar.gz", UNPACK: text}
    assert isinstance(only(file_set(builders.layer(TAR_GZIP, b"x", notes))), PlaceBlob)


def test_a_digest_of_the_content_that_is_none_is_refused() -> None:
    notes = {file_sets.TITLE: "dir", UNPACK: "true", "io.deis.oras.content.digest": "sha256:no"}
    with pytest.raises(InvalidManifest):
        planned(file_set(builders.layer(TAR_GZIP, b"x", notes)))


def test_an_untold_directory_is_unpacked_beside_its_name() -> None:
    content = stored_gzip(tar({"text_encoder/config.json": b"{}"}))
    artifact = file_set(titled("sub/text_encoder", content, TAR_GZIP))
    assert set(tree_of(artifact)) == {"sub/text_encoder/config.json"}


def test_an_archive_of_no_bytes_has_no_files() -> None:
    notes = {file_sets.TITLE: "empty", UNPACK: "true"}
    artifact = file_set(titled("config.json", b"{}"), builders.layer(TAR_GZIP, b"", notes))
    assert set(tree_of(artifact)) == {"config.json"}


# --- types and names that say something else


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("weights.tar", tar(MODEL)),
        ("allfiles.tar.xz", tar(MODEL)),
        ("sub/allfiles.tar", tar(MODEL)),
        ("config.json", b"{}"),
    ],
)
def test_a_file_is_a_file_whatever_its_type_says(name: str, content: bytes) -> None:
    found = only(file_set(titled(name, content)))
    assert isinstance(found, PlaceBlob)
    assert (str(found.path), found.blob.size) == (name, len(content))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("allfiles.tar", tar(MODEL)),
        ("allfiles.tar", stored_gzip(tar(MODEL))),
        ("allfiles.tar.gz", stored_gzip(tar(MODEL))),
        ("allfiles.tar.zst", zstd.compress(tar(MODEL))),
    ],
    ids=range(4),
)
def test_aikits_archive_is_compressed_as_it_looks(name: str, content: bytes) -> None:
    found = only(file_sets.aikit_archive(content, name))
    assert isinstance(found, UnpackArchive)
    assert found.compression is Compression.SNIFFED


def test_what_olot_annotates_is_an_archive_and_its_title_no_path() -> None:
    archive = tar({"models/1_Pooling/config.json": b"{}"})
    notes = {file_sets.TITLE: "config.json", "olot.layer.content.type": "file"}
    artifact = file_set(
        builders.layer(TAR, archive, notes), titled("models/config.json", b'{"a":1}')
    )
    assert set(tree_of(artifact)) == {"models/config.json", "models/1_Pooling/config.json"}


def test_a_layer_without_a_title_is_left_out_and_told() -> None:
    digest_title = builders.layer(TAR, b"?", {file_sets.TITLE: f"sha256-{'a' * 64}"})
    plan = planned(file_set(titled("a", b"a"), builders.layer("text/x", b"no"), digest_title)).plan
    assert paths(plan) == ["a"]
    assert plan.left_out == (
        LeftOut("text/x", 2, "a layer without a name"),
        LeftOut(TAR, 1, "a layer without a name"),
    )


def test_a_layer_that_stands_for_nothing_is_not_mentioned() -> None:
    plan = planned(file_set(titled("a", b"a"), file_sets.EMPTY)).plan
    assert (paths(plan), plan.left_out) == (["a"], ())


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", ".", "a/../b", "a\\b", "a\x00", "C:x"])
def test_a_title_that_leaves_the_directory_is_refused(name: str) -> None:
    with pytest.raises(UnsafePath) as caught:
        planned(file_set(titled(name, b"x")))
    assert caught.value.exit_code == 10


@pytest.mark.parametrize(
    "name",
    [
        "a file (1).json",
        "model:latest+q4#1%20.json",
        "モデル.json",
        "tokenizer/ä.json",
        ".gitattributes",
        ".cache/huggingface/download/config.json.lock",
        ".DS_Store",
        "x.lock",
        "a" * 255,
    ],
)
def test_odd_names_and_hidden_files_are_files(name: str) -> None:
    assert set(tree_of(file_set(titled(name, b"x")))) == {name}


# --- twins


def test_one_title_for_two_contents_is_a_conflict() -> None:
    artifact = file_set(titled("a", b"1"), titled("a", b"2"))
    with pytest.raises(PathConflict, match="two different files are both a"):
        tree_of(artifact)


def test_one_title_twice_for_one_content_is_one_file() -> None:
    assert set(tree_of(file_set(titled("a", b"1"), titled("a", b"1")))) == {"a"}


def test_one_content_under_two_titles_is_two_files() -> None:
    found = tree_of(file_set(titled("a/LICENSE", b"MIT"), titled("b/LICENSE", b"MIT")))
    assert set(found) == {"a/LICENSE", "b/LICENSE"}
    assert len(set(found.values())) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("a", "a/b"), ("Tokenizer.json", "tokenizer.json"), ("\u00e4.json", "a\u0308.json")],
)
def test_names_that_cannot_be_beside_each_other_are_a_conflict(one: str, other: str) -> None:
    with pytest.raises(PathConflict):
        tree_of(file_set(titled(one, b"1"), titled(other, b"2")))


def test_nothing_of_the_manifest_becomes_a_file() -> None:
    config = builders.layer("application/vnd.test.config+json", b'{"not":"the model"}')
    artifact = file_set(titled("model.safetensors", WEIGHTS), config=config)
    assert set(tree_of(artifact)) == {"model.safetensors"}


# --- one layer without a word


@pytest.mark.parametrize("content", [b"text", b"GGUF" + bytes(600), stored_gzip(b"x" * 1000)])
def test_a_layer_alone_that_is_no_archive_is_no_model(content: bytes) -> None:
    with pytest.raises(NotAModel, match="1 x layer application/octet-stream") as caught:
        planned(file_sets.alone(content))
    assert caught.value.exit_code == 9


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [file_sets.EMPTY],
        [builders.layer("a/b", b"")],
        [builders.layer("a/b", b"1"), builders.layer("a/b", b"2")],
        [builders.layer("a/b", b"1", {"org.example.note": "x"})],
    ],
    ids=range(5),
)
def test_nothing_else_without_a_name_is_a_file_set(layers: list[builders.Layer]) -> None:
    assert not planner.matches(manifest_of(file_set(*layers)))

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.errors import (
    EndlessParents,
    InconsistentModel,
    NotAModel,
    OciPullError,
    PathConflict,
    UnsafePath,
    Unsupported,
)
from oci_pull.packaging import kitops, modelpack
from oci_pull.packaging.detect import planner_for
from oci_pull.packaging.layout import Layout, arrange
from oci_pull.packaging.plan import BlobNeed, Known, Needs, PlaceBlob, UnpackArchive
from oci_pull.packaging.selection import Selection
from tests import builders, kits
from tests.builders import Artifact
from tests.kits import Piece, kit, old_kit
from tests.unit.packaging.planning import manifest_of, planned, unpacked

FILES = {
    "model/config.json": b"{}",
    "model/model.safetensors": b"weights",
    "scripts/a/run.py": b"pass",
    "scripts/b.py": b"b",
    "train.jsonl": b"rows",
}
PIECES = [
    Piece("model", "./model"),
    Piece("code", "scripts/a/"),
    Piece("code", "./scripts/b.py"),
    Piece("datasets", "train.jsonl"),
]
PARENT = "registry.test/team/base:v1"


def laid_out(
    made: Artifact,
    parents: Mapping[str, Artifact] | None = None,
    selection: Selection = Selection(root="."),
) -> Layout:
    parents = parents or {}
    found = planned(made, parents).plan
    blobs: dict[str, builders.Content] = {}
    for each in (*parents.values(), made):
        blobs |= each.blobs
    members = unpacked(Artifact(made.manifest, made.media_type, blobs), found)
    return arrange(found, selection, members)


def contents(layout: Layout) -> dict[str, str]:
    return {str(file.path): str(file.digest) for file in layout.files}


def expected(files: Mapping[str, bytes]) -> dict[str, str]:
    return {path: builders.digest_of(content) for path, content in files.items()}


WITHOUT_ROWS = {path: content for path, content in FILES.items() if path != "train.jsonl"}


@pytest.mark.parametrize(
    "made",
    [kit(FILES, PIECES), kit(FILES, PIECES, form="raw"), old_kit(FILES, PIECES, form="tar")],
    ids=["tar", "raw", "old"],
)
def test_every_file_is_where_it_was_packed_from_and_datasets_only_if_wanted(made: Artifact) -> None:
    assert contents(laid_out(made)) == expected(WITHOUT_ROWS)
    layout = laid_out(made, selection=Selection(root=".", datasets=True))
    assert contents(layout) == expected(FILES)


def test_the_directory_that_is_the_model_is_the_root() -> None:
    layout = laid_out(kit(FILES, PIECES), selection=Selection())
    assert contents(layout).keys() == {"config.json", "model.safetensors"}


@pytest.mark.parametrize("path", [".", "./", "", "././"])
def test_an_old_model_of_the_whole_context_is_at_the_root(path: str) -> None:
    made = old_kit(FILES, [Piece("model", ".")], form="tar")
    document = kits.kitfile_of(made)
    document["model"]["path"] = path
    if not path:
        document["model"]["digest"] = None
        with pytest.raises(InconsistentModel, match="0 x model, and the manifest 1 layers"):
            laid_out(kits.with_kitfile(made, document))
        return
    assert contents(laid_out(kits.with_kitfile(made, document))) == expected(FILES)


def test_prompts_are_packed_as_code_behind_it() -> None:
    files = {"run.py": b"pass", "prompts/a.md": b"A", "b.md": b"B"}
    pieces = [Piece("prompts", "prompts/a.md"), Piece("code", "run.py"), Piece("prompts", "b.md")]
    assert contents(laid_out(old_kit(files, pieces, form="tar"))) == expected(files)
    assert contents(laid_out(kit(files, pieces))) == expected(files)


def test_a_remote_dataset_has_no_layer_and_does_not_shift_the_others() -> None:
    pieces = [Piece("datasets", "far", remote="s3://bucket/far"), *PIECES]
    for made in (kit(FILES, pieces), old_kit(FILES, pieces, form="tar")):
        layout = laid_out(made, selection=Selection(root=".", datasets=True))
        assert contents(layout) == expected(FILES)


def test_files_of_the_same_content_are_two_files() -> None:
    files = {"model.safetensors": b"w", "a/LICENSE": b"MIT", "b/LICENSE": b"MIT"}
    for form in ("raw", "tar"):
        made = kit(files, kits.generated(files), form=form)
        assert contents(laid_out(made)) == expected(files)


def test_a_compressed_file_is_one_bare_file() -> None:
    made = kit({"a/m.safetensors": b"w"}, [Piece("model", "a/m.safetensors")], form="raw+gzip")
    (op,) = planned(made).plan.operations
    assert isinstance(op, UnpackArchive)
    assert (str(op.hint), op.is_bare, op.compression.value) == ("a/m.safetensors", True, "gzip")


def test_a_server_and_what_the_kitfile_does_not_name_are_left_out() -> None:
    extra = [
        builders.layer(f"{kits.TYPE}mcpb.v1.raw", b"zip"),
        builders.layer(f"{kits.TYPE}code.v1.tar", b"tar"),
    ]
    made = kit(FILES, PIECES)
    document = made.document
    document["layers"] += [each.descriptor for each in extra]
    found = planned(Artifact(builders.encode(document), made.media_type, made.blobs)).plan
    assert [each.reason for each in found.left_out] == [
        "an MCP server, no part of a model",
        "not in the Kitfile",
    ]


def test_people_are_told_what_an_archive_is_in_the_words_of_the_kitfile() -> None:
    archives = planned(kit(FILES, PIECES)).plan.archives
    assert [op.title for op in archives] == [piece.path for piece in PIECES]


# Which manifests these are


def test_a_modelpack_of_kits_is_a_modelpack_unless_it_has_a_parent() -> None:
    made = kit(FILES, PIECES, modelpack=True)
    assert planner_for(manifest_of(made)) is modelpack
    assert contents(laid_out(made)) == expected(WITHOUT_ROWS)
    child = kit(FILES, PIECES[1:], modelpack=True, parent=PARENT)
    assert planner_for(manifest_of(child)) is kitops


@pytest.mark.parametrize("text", ["{", '{"model": 3}', "\ud800", "[" * 200_000])
def test_an_annotation_that_is_no_kitfile_is_a_modelpacks_own_affair(text: str) -> None:
    made = builders.modelpack(FILES)
    document = made.document | {"annotations": {kits.KITFILE: text}}
    raw = json.dumps(document).encode()
    assert planner_for(manifest_of(Artifact(raw, made.media_type, made.blobs))) is modelpack


@pytest.mark.parametrize(
    ("config", "kind", "layer"),
    [
        (f"{kits.TYPE}config.v1+json", None, "application/octet-stream"),
        (builders.OCI_EMPTY, f"{kits.TYPE}manifest.v1+json", "application/octet-stream"),
        (builders.OCI_EMPTY, None, f"{kits.TYPE}model.v1.tar"),
    ],
)
def test_one_type_is_enough_to_tell_a_modelkit(config: str, kind: str | None, layer: str) -> None:
    made = builders.artifact(
        builders.layer(config, b"{}"), [builders.layer(layer, b"x")], artifact_type=kind
    )
    assert planner_for(manifest_of(made)) is kitops


# What is wrong


def changed(made: Artifact, **members: Any) -> Artifact:
    return kits.with_kitfile(made, kits.kitfile_of(made) | members)


MADE, OLD = kit(FILES, PIECES), old_kit(FILES, PIECES, form="tar")
SOME_DIGEST = "sha256:" + "0" * 64
BAD: dict[str, tuple[Artifact, type[OciPullError], str]] = {
    "no JSON": (kits.with_kitfile(MADE, b"{"), InconsistentModel, "this ModelKit: .*not JSON"),
    "too deep": (kits.with_kitfile(MADE, b"[" * 200_000), InconsistentModel, "not JSON"),
    "a wrong type": (changed(MADE, code=3), InconsistentModel, "code of the Kitfile"),
    "no Kitfile": (
        builders.artifact(
            builders.layer(builders.OCI_EMPTY, b"{}"),
            [builders.layer(f"{kits.TYPE}model.v1.tar", b"x")],
        ),
        NotAModel,
        "this ModelKit has no Kitfile",
    ),
    "old, more layers than entries": (
        changed(OLD, code=[{"path": "a"}]),
        InconsistentModel,
        "1 x code, and the manifest 2 layers",
    ),
    "old, fewer layers than entries": (
        changed(OLD, code=[{"path": name} for name in "abc"]),
        InconsistentModel,
        "3 x code, and the manifest 2 layers",
    ),
    "old, out of the directory": (
        changed(OLD, code=[{"path": "../a/b"}, {"path": "c"}]),
        UnsafePath,
        r"\.\./a/b",
    ),
    "old, up and down": (
        changed(OLD, code=[{"path": "a/../b/c"}, {"path": "c"}]),
        UnsafePath,
        r"a/\.\./b/c",
    ),
    "old, just up": (changed(OLD, model={"path": ".."}), UnsafePath, r"\.\."),
    "old, absolute": (changed(OLD, model={"path": "/etc/model"}), UnsafePath, "/etc/model"),
    "old, the top": (changed(OLD, model={"path": "/"}), UnsafePath, "'/'"),
    "a layer that is not there": (
        changed(MADE, docs=[{"path": "README.md", "digest": SOME_DIGEST}]),
        InconsistentModel,
        "docs README.md is layer 000000000000 by the Kitfile",
    ),
    "some entries with digests": (
        changed(MADE, docs=[{"path": "README.md"}]),
        InconsistentModel,
        "not that of docs README.md",
    ),
    "no digest of the model alone": (
        changed(MADE, model={"path": "model"}),
        InconsistentModel,
        "not that of model model",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_kitfile_that_cannot_be_true_is_refused(case: str) -> None:
    made, kind, words = BAD[case]
    with pytest.raises(kind, match=words):
        planned(made)


def test_paths_of_entries_with_digests_are_words_alone() -> None:
    document = kits.kitfile_of(MADE)
    document["model"]["path"] = "../../etc"
    assert contents(laid_out(kits.with_kitfile(MADE, document))) == expected(WITHOUT_ROWS)


def test_a_kitfile_is_not_read_beyond_its_limit() -> None:
    answer = kitops.plan(manifest_of(MADE), Known())
    assert isinstance(answer, Needs)
    (need,) = answer.needs
    assert isinstance(need, BlobNeed)
    assert need.limit == 4 * 1024 * 1024


def test_a_file_without_its_path_and_a_layer_of_an_unknown_form_are_refused() -> None:
    made = kit({"m.safetensors": b"w"}, [Piece("model", "m.safetensors")], form="raw")
    document = made.document
    del document["layers"][0]["annotations"]
    with pytest.raises(InconsistentModel, match="does not say where it goes"):
        planned(Artifact(builders.encode(document), made.media_type, made.blobs))
    for kind in ("model.v1.zip", "model.v1.raw+br", "model.v2.tar", "model.v1+tar"):
        document["layers"][0]["mediaType"] = kits.TYPE + kind
        with pytest.raises(Unsupported, match="unknown type"):
            planned(Artifact(builders.encode(document), made.media_type, made.blobs))


def test_a_file_that_leaves_the_directory_is_refused() -> None:
    made = kit({"m.safetensors": b"w"}, [Piece("model", "m.safetensors")], form="raw")
    document = made.document
    document["layers"][0]["annotations"]["org.cncf.model.filepath"] = "../m.safetensors"
    with pytest.raises(UnsafePath):
        planned(Artifact(builders.encode(document), made.media_type, made.blobs))


def test_two_entries_of_one_path_with_different_content_are_refused() -> None:
    one = kit({"m.safetensors": b"w"}, [Piece("model", "m.safetensors")], form="raw")
    two = kit({"m.safetensors": b"v"}, [Piece("parts", "m.safetensors")], form="raw")
    document = one.document
    document["layers"] += two.document["layers"]
    made = Artifact(builders.encode(document), one.media_type, {**one.blobs, **two.blobs})
    kitfile = kits.kitfile_of(one)
    kitfile["model"]["parts"] = kits.kitfile_of(two)["model"]["parts"]
    with pytest.raises(PathConflict, match=r"two different files are both m\.safetensors"):
        laid_out(kits.with_kitfile(made, kitfile))


# Parents

BASE_FILES = {
    "model/config.json": b'{"base": 1}',
    "model/model.safetensors": b"weights",
    "model/tokenizer.json": b"[]",
    "run.py": b"base",
}
BASE_PIECES = [
    Piece("model", "./model"),
    Piece("parts", "model/config.json"),
    Piece("parts", "model/tokenizer.json"),
    Piece("code", "run.py"),
]
BASE = kit(BASE_FILES, BASE_PIECES)
MODEL_OF_BASE = {path: content for path, content in BASE_FILES.items() if path != "run.py"}


@pytest.mark.parametrize(
    "base",
    [
        BASE,
        kit(BASE_FILES, BASE_PIECES, form="raw"),
        old_kit(BASE_FILES, BASE_PIECES, form="tar"),
        kit(BASE_FILES, BASE_PIECES, modelpack=True),
    ],
    ids=["tar", "raw", "old", "modelpack"],
)
@pytest.mark.parametrize("make", ["kit", "old", "modelpack"])
def test_a_parent_gives_its_model_and_the_child_what_it_changes(base: Artifact, make: str) -> None:
    own = {"model/config.json": b'{"tuned": 1}', "README.md": b"tuned"}
    pieces = [Piece("parts", "./model/config.json"), Piece("docs", "README.md")]
    if make == "old":
        child = old_kit(own, pieces, form="tar", parent=PARENT)
    else:
        child = kit(own, pieces, parent=PARENT, modelpack=make == "modelpack")
    assert contents(laid_out(child, {PARENT: base})) == expected(MODEL_OF_BASE | own)


def test_a_child_may_have_nothing_of_its_own() -> None:
    assert contents(laid_out(kit({}, [], parent=PARENT), {PARENT: BASE})) == expected(MODEL_OF_BASE)


def test_of_several_generations_the_nearest_wins() -> None:
    def child(number: int) -> Artifact:
        files = {f"model/{name}": f"{number}".encode() for name in "abc"[: 4 - number]}
        pieces = [Piece("parts", path) for path in files]
        return kit(files, pieces, parent=f"registry.test/team/{number + 1}:v1")

    parents = {
        "registry.test/team/2:v1": child(2),
        "registry.test/team/3:v1": child(3),
        "registry.test/team/4:v1": kit(
            {"model/a": b"4", "model/b": b"4", "model/c": b"4", "model/d": b"4"},
            [Piece("model", "model")],
        ),
    }
    first = kit({"model/a": b"1"}, [Piece("parts", "model/a")], parent="registry.test/team/2:v1")
    wanted = {"model/a": b"1", "model/b": b"2", "model/c": b"4", "model/d": b"4"}
    assert contents(laid_out(first, parents)) == expected(wanted)


def chain(length: int) -> tuple[Artifact, dict[str, Artifact]]:
    """A ModelKit and so many that it is built on, one on the other."""
    names = [f"registry.test/team/kit{number}:v1" for number in range(1, length + 1)]
    parents = {names[-1]: BASE}
    for name, parent in itertools.pairwise(names):
        parents[name] = kit({name[-2:]: name.encode()}, [Piece("docs", name[-2:])], parent=parent)
    return kit({}, [], parent=names[0]), parents


def test_ten_parents_are_followed_and_not_eleven() -> None:
    assert contents(laid_out(*chain(10))) == expected(MODEL_OF_BASE)
    with pytest.raises(EndlessParents, match="more than 10 ModelKits") as caught:
        planned(*chain(11))
    first, *others = caught.value.facts
    assert first == "this ModelKit"
    assert others == [f"registry.test/team/kit{number}:v1" for number in range(1, 12)]


def test_a_modelkit_that_is_its_own_parent_is_told_so() -> None:
    child = kit({}, [], parent=PARENT)
    with pytest.raises(EndlessParents, match="in a circle") as caught:
        planned(child, {PARENT: child})
    assert caught.value.facts == ("this ModelKit", PARENT)
    assert caught.value.exit_code == 9


def test_a_longer_circle_is_told_with_all_who_are_in_it() -> None:
    other = "registry.test/team/other:v1"
    child, parent = kit({}, [], parent=PARENT), kit({}, [], parent=other)
    with pytest.raises(EndlessParents) as caught:
        planned(child, {PARENT: parent, other: child})
    assert caught.value.facts == ("this ModelKit", PARENT, other)


def test_a_parent_that_is_no_modelkit_is_told() -> None:
    with pytest.raises(NotAModel, match=f"{PARENT} has no Kitfile, so it is no ModelKit"):
        planned(kit({}, [], parent=PARENT), {PARENT: builders.docker_v02(FILES)})


@pytest.mark.parametrize(
    "path", ["team/base", "weights", "./a:b c", "Team/Base:v1", "https://host/base:v1", "a:b:c"]
)
def test_what_is_no_reference_is_a_model_that_is_missing(path: str) -> None:
    with pytest.raises(InconsistentModel, match="1 x model, and the manifest 0 layers"):
        planned(kit({}, [], parent=path))


def test_a_path_that_looks_like_a_reference_is_a_path_where_there_is_a_layer() -> None:
    files = {"weights:v1/model.safetensors": b"w"}
    for make in (kit, old_kit):
        made = make(files, [Piece("model", "weights:v1")], form="tar")
        assert contents(laid_out(made)) == expected(files)


def test_a_childs_raw_file_wins_over_the_parents_archive() -> None:
    own = {"model/config.json": b"tuned"}
    child = kit(own, [Piece("parts", "model/config.json")], form="raw", parent=PARENT)
    found = planned(child, {PARENT: BASE}).plan
    assert [type(op) for op in found.operations][:2] == [PlaceBlob, UnpackArchive]
    assert contents(laid_out(child, {PARENT: BASE})) == expected(MODEL_OF_BASE | own)


class _Everybody(dict[str, Artifact]):
    """Every reference there is, all of the same ModelKit."""

    def __missing__(self, reference: str) -> Artifact:
        return BASE


_DIGESTS = [layer["digest"] for layer in MADE.document["layers"]]
_ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "path": st.sampled_from(["a/b", "..", "/", ".", "", PARENT, "a:b"]) | st.text(max_size=6),
        "digest": st.sampled_from([*_DIGESTS, SOME_DIGEST, "", "sha256:1"]),
        "remotePath": st.sampled_from(["", "s3://b"]),
        "parts": st.lists(st.fixed_dictionaries({"path": st.just("a")}), max_size=2),
    },
)
_KITFILES = st.fixed_dictionaries(
    {},
    optional={
        "model": _ENTRY,
        **{name: st.lists(_ENTRY, max_size=3) for name in ("code", "docs", "datasets", "prompts")},
    },
)


@given(_KITFILES, st.sampled_from([MADE, OLD, kit({}, [])]))
def test_any_kitfile_is_a_plan_or_an_error(kitfile: dict[str, Any], made: Artifact) -> None:
    try:
        found = planned(kits.with_kitfile(made, kitfile), _Everybody({PARENT: BASE}))
    except OciPullError:
        return
    own = [op for op in found.plan.operations if not getattr(op, "generation", 0)]
    assert len(own) <= len(made.document["layers"])

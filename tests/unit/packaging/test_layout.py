import unicodedata

import pytest

from oci_pull.errors import InvalidSetting, NotAModel, PathConflict, PickleOnly, SeveralRoots
from oci_pull.oci.digest import Digest
from oci_pull.packaging.layout import (
    FromArchive,
    FromBlob,
    FromImage,
    Layout,
    Members,
    Merged,
    arrange,
)
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import (
    ApplyLayers,
    FilePlan,
    LeftOut,
    Operation,
    PlaceBlob,
    UnpackArchive,
)
from oci_pull.packaging.selection import Selection
from tests.unit.packaging.planning import blob, members, place, plan_of

ARCHIVE = blob(b"archive")
OTHER = blob(b"another archive")
ALL = Selection()
NFC, NFD = (unicodedata.normalize(form, "modèle.json") for form in ("NFC", "NFD"))


def unpack(hint: str = "", *, is_dataset: bool = False) -> UnpackArchive:
    return UnpackArchive(ARCHIVE, hint=RelPath.parse(hint) if hint else None, is_dataset=is_dataset)


def holding(*names: str) -> Members:
    return {ARCHIVE.digest: members({name: name.encode() for name in names})}


def guess(path: str) -> PlaceBlob:
    return PlaceBlob(RelPath.parse(path), blob(b"a guess"), if_absent=True)


def names(layout: Layout) -> list[str]:
    return [str(file.path) for file in layout.files]


def reasons(layout: Layout) -> dict[str, str]:
    return {each.name: each.reason for each in layout.left_out}


def test_the_files_of_blobs_and_archives_are_in_order_with_their_origin() -> None:
    plan = plan_of(place("model.safetensors", b"weights"), unpack())
    layout = arrange(plan, ALL, {ARCHIVE.digest: members({"config.json": b"{}", "a/b": b"c"})})
    assert names(layout) == ["a/b", "config.json", "model.safetensors"]
    assert [file.size for file in layout.files] == [1, 2, 7]
    assert [file.digest for file in layout.files] == [
        blob(content).digest for content in (b"c", b"{}", b"weights")
    ]
    assert [file.origin for file in layout.files] == [
        FromArchive(ARCHIVE),
        FromArchive(ARCHIVE),
        FromBlob(blob(b"weights")),
    ]


# Conflicts


def test_two_different_files_for_one_path_are_refused() -> None:
    with pytest.raises(PathConflict, match=r"two different files are both a\.json") as caught:
        arrange(plan_of(place("a.json", b"1"), place("a.json", b"2")), ALL, {})
    assert caught.value.exit_code == 10


def test_an_archive_and_a_blob_for_one_path_are_refused() -> None:
    with pytest.raises(PathConflict):
        arrange(plan_of(place("a.json", b"1"), unpack()), ALL, holding("a.json"))


def test_the_same_content_twice_for_one_path_is_one_file() -> None:
    plan = plan_of(place("a.json", b"1"), place("a.json", b"1"))
    assert names(arrange(plan, ALL, {})) == ["a.json"]


def test_the_same_content_under_two_names_is_two_files() -> None:
    plan = plan_of(place("a/__init__.py", b""), place("b/__init__.py", b""))
    assert names(arrange(plan, ALL, {})) == ["a/__init__.py", "b/__init__.py"]


@pytest.mark.parametrize(
    ("left", "right"), [("Tokenizer.json", "tokenizer.json"), (NFC, NFD), ("a/B", "A/b")]
)
@pytest.mark.parametrize("content", [b"same", b""])
def test_twins_by_case_or_unicode_form_are_refused(left: str, right: str, content: bytes) -> None:
    with pytest.raises(PathConflict, match="one file on some file systems"):
        arrange(plan_of(place(left, content), place(right, content)), ALL, {})


@pytest.mark.parametrize(
    ("left", "right"), [("a", "a/b"), ("a/b/c", "a/b"), ("A", "a/b"), ("a/b/c/d", "A/B")]
)
def test_a_file_where_another_has_a_directory_is_refused(left: str, right: str) -> None:
    with pytest.raises(PathConflict, match="needs it as a directory"):
        arrange(plan_of(place(left), place(right)), ALL, {})


def test_conflicts_outside_the_root_do_not_matter() -> None:
    plan = plan_of(place("X"), place("x"), place("q/config.json"), is_rooted=False)
    assert names(arrange(plan, Selection(root="q"), {})) == ["config.json"]


# Names


def test_the_only_file_of_an_archive_goes_where_the_hint_says() -> None:
    layout = arrange(plan_of(unpack("sub/a.json")), ALL, holding("a.json"))
    assert names(layout) == ["sub/a.json"]


@pytest.mark.parametrize(
    ("hint", "held"),
    [
        ("config", ("config.json",)),
        ("sub/config", ("a/config", "a/x")),
        ("sub/config", ("a/x", "a/config")),
        ("sub/b.json", ("a.json",)),
        ("", ("a.json",)),
    ],
)
def test_any_other_archive_keeps_the_names_of_its_entries(hint: str, held: tuple[str, ...]) -> None:
    assert names(arrange(plan_of(unpack(hint)), ALL, holding(*held))) == sorted(held)


def test_a_guessed_name_is_taken_where_nothing_else_has_it() -> None:
    plan = plan_of(unpack(), guess("LICENSE"))
    assert names(arrange(plan, ALL, holding("config.json"))) == ["LICENSE", "config.json"]


@pytest.mark.parametrize(
    "operations",
    [(unpack(), guess("LICENSE")), (guess("LICENSE"), unpack())],
    ids=["last", "first"],
)
def test_a_guessed_name_yields_to_any_other(operations: tuple[Operation, Operation]) -> None:
    (found,) = arrange(plan_of(*operations), ALL, holding("LICENSE")).files
    assert found.origin == FromArchive(ARCHIVE)


def test_a_guess_does_not_yield_to_a_guess() -> None:
    plan = plan_of(guess("a"), PlaceBlob(RelPath.parse("a"), blob(b"other"), if_absent=True))
    with pytest.raises(PathConflict):
        arrange(plan, ALL, {})


@pytest.mark.parametrize("is_guess", [False, True])
def test_of_what_it_is_built_on_the_nearest_wins_and_a_guess_only_among_its_own(
    *, is_guess: bool
) -> None:
    near = PlaceBlob(RelPath.parse("A"), blob(b"near"), if_absent=is_guess, generation=1)
    far = PlaceBlob(RelPath.parse("a"), blob(b"far"), generation=2)
    archive = UnpackArchive(ARCHIVE, generation=3)
    found = arrange(plan_of(archive, far, near), ALL, holding("a", "b"))
    assert {str(file.path): file.digest for file in found.files} == {
        "A": Digest.of(b"near"),
        "b": Digest.of(b"b"),
    }


def test_of_one_generation_two_files_for_one_path_are_refused() -> None:
    several = [PlaceBlob(RelPath.parse("a"), blob(each), generation=1) for each in (b"1", b"2")]
    with pytest.raises(PathConflict):
        arrange(plan_of(*several), ALL, {})


# Before the archives are here


def test_a_pending_archive_is_passed_over() -> None:
    plan = plan_of(place("model.safetensors"), unpack())
    assert names(arrange(plan, ALL, {})) == ["model.safetensors"]
    assert arrange(plan_of(unpack()), ALL, {}) == Layout(())


@pytest.mark.parametrize("is_rooted", [True, False])
def test_pickles_are_not_waited_for_whatever_is_pending(is_rooted: bool) -> None:
    plan = plan_of(place("pytorch_model.bin"), unpack(), is_rooted=is_rooted)
    layout = arrange(plan, ALL, {})
    assert names(layout) == []
    assert reasons(layout) == {"pytorch_model.bin": "a pickle (--allow-pickle takes it in)"}
    assert names(arrange(plan, Selection(allow_pickle=True), {})) == ["pytorch_model.bin"]
    with pytest.raises(PickleOnly):
        arrange(plan, ALL, holding("config.json"))
    layout = arrange(plan, ALL, holding("model.safetensors"))
    assert names(layout) == ["model.safetensors"]


def test_pickles_beside_safe_weights_are_left_out_whatever_is_pending() -> None:
    plan = plan_of(place("pytorch_model.bin"), place("model.safetensors"), unpack())
    layout = arrange(plan, ALL, {})
    assert names(layout) == ["model.safetensors"]
    reason = "a pickle beside safer weights (--allow-pickle takes it in)"
    assert reasons(layout) == {"pytorch_model.bin": reason}


@pytest.mark.parametrize("selection", [ALL, Selection(root="a"), Selection(exclude=("a/*", "b/*"))])
def test_a_pending_archive_leaves_the_root_undecided(selection: Selection) -> None:
    operations = (place("a/config.json"), place("a/m.safetensors"), place("b/x"), unpack())
    layout = arrange(plan_of(*operations, is_rooted=False), selection, {})
    assert set(names(layout)) == {"a/config.json", "a/m.safetensors", "b/x"}
    assert layout.left_out == ()


def test_what_no_root_lets_in_is_not_waited_for() -> None:
    operations = (place("a/config.json"), place("a/m.safetensors"), place("b/x"), unpack())
    selection = Selection(exclude=("*.safetensors",))
    layout = arrange(plan_of(*operations, is_rooted=False), selection, {})
    assert set(names(layout)) == {"a/config.json", "b/x"}
    assert reasons(layout) == {"a/m.safetensors": "excluded by --exclude"}


def test_patterns_apply_while_an_archive_is_pending_where_the_root_is_known() -> None:
    plan = plan_of(place("a.json"), unpack())
    layout = arrange(plan, Selection(exclude=("*.json",)), {})
    assert layout == Layout((), (LeftOut("a.json", 6, "excluded by --exclude"),))


def test_an_image_gives_the_files_that_its_layers_make_once_they_are_written_out() -> None:
    image = Digest.of(b"an image")
    plan = plan_of(ApplyLayers(image, ()))
    assert names(arrange(plan, ALL, {})) == []
    outside = LeftOut("the rest", 7, "it is no part of the model")
    merged = Merged("", members({"config.json": b"{}", "m.safetensors": b"m"}), outside)
    layout = arrange(plan, ALL, {}, {image: merged})
    assert names(layout) == ["config.json", "m.safetensors"]
    assert {file.origin for file in layout.files} == {FromImage(image, "")}
    assert outside in layout.left_out


def test_one_archive_of_two_is_pending() -> None:
    plan = plan_of(unpack(), UnpackArchive(OTHER), is_rooted=False)
    assert names(arrange(plan, ALL, holding("q/config.json", "q/m.safetensors"))) == [
        "q/config.json",
        "q/m.safetensors",
    ]


# Roots


def nested() -> FilePlan:
    operations = (place("q/config.json"), place("q/m.safetensors"), place("README.md"))
    return plan_of(*operations, is_rooted=False)


def test_the_root_is_found_and_what_is_outside_is_not_in_the_tree() -> None:
    assert names(arrange(nested(), ALL, {})) == ["config.json", "m.safetensors"]


def test_a_rooted_plan_is_taken_as_it_is() -> None:
    plan = plan_of(place("q/config.json"), place("q/m.safetensors"))
    assert names(arrange(plan, ALL, {})) == ["q/config.json", "q/m.safetensors"]


def test_the_wanted_root_is_taken_even_of_a_rooted_plan() -> None:
    plan = plan_of(place("config.json"), place("q/config.json"))
    assert names(arrange(plan, Selection(root="q"), {})) == ["config.json"]


def test_two_roots_are_an_error() -> None:
    plan = plan_of(*(place(f"{q}/{name}") for q in "ab" for name in ("config.json", "m.gguf")))
    plan = FilePlan(plan.packaging, plan.manifest, plan.operations)
    with pytest.raises(SeveralRoots):
        arrange(plan, ALL, {})


def test_patterns_are_matched_against_the_final_path() -> None:
    layout = arrange(nested(), Selection(include=("config.json",)), {})
    assert names(layout) == ["config.json"]
    assert reasons(layout) == {
        "m.safetensors": "not in --include",
        "README.md": "not in q, which is the model",
    }


# What is left out


def test_what_the_plan_left_out_is_still_said() -> None:
    out = LeftOut("Kitfile", 3, "why")
    plan = plan_of(place("a"))
    plan = FilePlan(plan.packaging, plan.manifest, plan.operations, (out,), is_rooted=True)
    assert arrange(plan, ALL, {}).left_out == (out,)


def datasets() -> FilePlan:
    return plan_of(
        PlaceBlob(RelPath.parse("train.parquet"), blob(b"rows"), is_dataset=True),
        unpack("data", is_dataset=True),
        UnpackArchive(blob(b"x", "application/x-data"), is_dataset=True),
        place("config.json"),
    )


def test_datasets_are_left_out_and_need_no_unpacking() -> None:
    layout = arrange(datasets(), ALL, {})
    assert names(layout) == ["config.json"]
    assert set(reasons(layout)) == {"train.parquet", "data", "application/x-data"}
    assert all("--datasets" in reason for reason in reasons(layout).values())


def test_datasets_are_taken_in_where_they_are_asked_for() -> None:
    held = {**holding("a", "b"), blob(b"x").digest: ()}
    layout = arrange(datasets(), Selection(datasets=True), held)
    assert names(layout) == ["a", "b", "config.json", "train.parquet"]
    assert layout.left_out == ()


def test_pickles_are_kept_where_they_are_allowed() -> None:
    plan = plan_of(place("pytorch_model.bin"), place("config.json"))
    layout = arrange(plan, Selection(allow_pickle=True), {})
    assert names(layout) == ["config.json", "pytorch_model.bin"]


@pytest.mark.parametrize("operations", [(), (unpack(),), (unpack(is_dataset=True),)])
def test_a_model_without_a_file_is_none(operations: tuple[UnpackArchive, ...]) -> None:
    with pytest.raises(NotAModel, match="no file in it"):
        arrange(plan_of(*operations), ALL, holding())


@pytest.mark.parametrize("selection", [Selection(include=("x",)), Selection(exclude=("*",))])
def test_patterns_that_let_nothing_in_are_a_mistake(selection: Selection) -> None:
    with pytest.raises(InvalidSetting, match="--include and --exclude") as caught:
        arrange(plan_of(place("config.json")), selection, {})
    assert caught.value.exit_code == 2


def test_patterns_come_before_the_question_of_pickles() -> None:
    plan = plan_of(place("model.bin", b"pickle"), place("tokenizer.json", b"{}"))
    assert names(arrange(plan, Selection(include=("tokenizer*",)), {})) == ["tokenizer.json"]
    assert names(arrange(plan, Selection(exclude=("*.bin",)), {})) == ["tokenizer.json"]
    with pytest.raises(PickleOnly):
        arrange(plan, ALL, {})


def test_a_guessed_name_yields_to_a_twin_in_an_archive() -> None:
    plan = plan_of(guess("LICENSE"), unpack())
    assert names(arrange(plan, ALL, holding("license", "config.json"))) == [
        "config.json",
        "license",
    ]

import re

import pytest

from oci_pull.errors import PickleOnly
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import LeftOut
from oci_pull.packaging.selection import Selection, leave_out_pickles


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.json", "config.json", True),
        ("*.json", "1_Pooling/config.json", True),
        ("config.json", "1_Pooling/config.json", False),
        ("*/config.json", "1_Pooling/config.json", True),
        ("onnx/", "onnx/model.onnx", True),
        ("onnx/", "onnx/int8/model.onnx", True),
        ("onnx/", "sub/onnx/model.onnx", False),
        ("onnx", "onnx/model.onnx", False),
        ("model-0000[12]-*", "model-00002-of-00003.safetensors", True),
        ("model-?.bin", "model-10.bin", False),
        ("*.JSON", "config.json", False),
        ("", "config.json", False),
    ],
)
def test_a_glob_matches_as_that_of_hf_download(pattern: str, path: str, expected: bool) -> None:
    parsed = RelPath.parse(path)
    include = Selection(include=(pattern,)).reason_against(parsed)
    exclude = Selection(exclude=(pattern,)).reason_against(parsed)
    assert include == (None if expected else "not in --include")
    assert exclude == ("excluded by --exclude" if expected else None)


def test_any_of_several_patterns_is_enough_and_exclude_wins() -> None:
    selection = Selection(include=("*.json", "*.txt"), exclude=("vocab.*",))
    names = ("config.json", "merges.txt", "vocab.json", "README.md")
    assert [selection.reason_against(RelPath.parse(name)) for name in names] == [
        None,
        None,
        "excluded by --exclude",
        "not in --include",
    ]


@pytest.mark.parametrize(
    ("selection", "path", "expected"),
    [
        (Selection(exclude=("*.md",)), "a/b/notes.md", "excluded by --exclude"),
        (Selection(exclude=("notes.md",)), "notes.md", "excluded by --exclude"),
        # It is out if `a/b` is the top, and in otherwise.
        (Selection(exclude=("notes.md",)), "a/b/notes.md", None),
        (Selection(exclude=("onnx/",)), "a/onnx/model.onnx", None),
        (Selection(include=("*.json",)), "a/notes.md", "not in --include"),
        (Selection(include=("notes.md",)), "a/notes.md", None),
        (Selection(include=("a/*",)), "a/notes.md", None),
        (Selection(include=("b/*",)), "a/notes.md", "not in --include"),
        (Selection(), "a/notes.md", None),
    ],
)
def test_under_a_root_that_is_not_known_only_what_is_out_in_any_case_is_out(
    selection: Selection, path: str, expected: str | None
) -> None:
    assert selection.reason_against_any(RelPath.parse(path)) == expected


def test_the_whole_model_has_no_key() -> None:
    assert Selection().key == ""


SELECTIONS = [
    Selection(include=("*.json",)),
    Selection(exclude=("*.json",)),
    Selection(include=("*.json", "*.txt")),
    Selection(include=("*.json *.txt",)),
    Selection(allow_pickle=True),
    Selection(datasets=True),
    Selection(root="a"),
]


def test_the_key_of_every_selection_differs_and_fits_a_directory_name() -> None:
    keys = {selection.key for selection in SELECTIONS}
    assert len(keys) == len(SELECTIONS)
    assert all(re.fullmatch(r"[0-9a-f]{8}", key) for key in keys)


def test_the_key_is_that_of_the_last_release() -> None:
    # Trees are found by it: another key fetches nothing again, and places everything again.
    assert SELECTIONS[0].key == "0b6a8512"
    assert Selection(("a",), ("b",), allow_pickle=True, datasets=True, root="c").key == "06d3f298"


def left_out(*names: str) -> tuple[list[str], list[LeftOut]]:
    return leave_out_pickles(names, RelPath.parse, len)


@pytest.mark.parametrize("suffix", ["bin", "pt", "pth", "ckpt", "pkl", "pickle", "joblib", "dill"])
@pytest.mark.parametrize("safe", ["safetensors", "gguf", "onnx", "dduf", "SAFETENSORS"])
def test_a_pickle_is_left_out_where_safer_weights_are(suffix: str, safe: str) -> None:
    kept, out = left_out(f"model.{safe}", f"sub/x.{suffix.upper()}", "config.json")
    assert kept == [f"model.{safe}", "config.json"]
    name = f"sub/x.{suffix.upper()}"
    assert out == [
        LeftOut(name, len(name), "a pickle beside safer weights (--allow-pickle takes it in)")
    ]


@pytest.mark.parametrize("names", [(), ("config.json",), ("a.safetensors", "bin", "x.bin.json")])
def test_without_a_pickle_everything_stays(names: tuple[str, ...]) -> None:
    assert left_out(*names) == (list(names), [])


def test_pickles_are_left_out_and_not_refused_while_more_may_come() -> None:
    kept, out = leave_out_pickles(["a.bin", "a.json"], RelPath.parse, len, is_all=False)
    assert kept == ["a.json"]
    assert out == [LeftOut("a.bin", 5, "a pickle (--allow-pickle takes it in)")]


def test_pickles_and_nothing_else_are_refused_with_the_way_to_allow_them() -> None:
    with pytest.raises(PickleOnly, match=r"pytorch_model\.bin") as caught:
        left_out("config.json", "pytorch_model.bin")
    assert caught.value.exit_code == 10
    assert "--allow-pickle" in (caught.value.hint or "")

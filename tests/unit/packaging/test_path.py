import posixpath
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.errors import UnsafePath
from oci_pull.packaging.path import RelPath


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("config.json", ("config.json",)),
        ("./config.json", ("config.json",)),
        ("././a", ("a",)),
        ("1_Pooling/config.json", ("1_Pooling", "config.json")),
        ("models/", ("models",)),
        ("a/./b", ("a", "b")),
        ("a b: c+d#e%2F", ("a b: c+d#e%2F",)),
        (".gitattributes", (".gitattributes",)),
        ("..a/b..", ("..a", "b..")),
        ("...", ("...",)),
        ("modèle/重み", ("modèle", "重み")),
        ("console/auxiliary.py", ("console", "auxiliary.py")),
        ("x.oci-pull", ("x.oci-pull",)),
    ],
)
def test_a_name_that_stays_inside_has_its_parts(text: str, parts: tuple[str, ...]) -> None:
    found = RelPath.parse(text)
    assert found.parts == parts
    assert (found.name, found.parent) == (parts[-1], parts[:-1])
    assert RelPath.parse(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "./",
        "/",
        "./.",
        "././.",
        "././",
        "..",
        "../x",
        "a/../b",
        "a/..",
        "../../x/y",
        "/etc/passwd",
        ".//etc/passwd",
        "//host/share",
        "a//b",
        "a//",
        "C:\\windows",
        "C:/windows",
        "c:relative",
        "a/c:x",
        "a\\b",
        "..\\x",
        "a\x00b",
        "a\nb",
        "a\x1bb",
        "a\x7fb",
        "a\x9bb",
        "CON",
        "nul.txt",
        "a/aux",
        "COM1",
        "lpt9.log",
        ".oci-pull",
        ".oci-pull/receipt.json",
        ".OCI-Pull/x",
        "./.oci-pull/x",
        "a/\ud800",
        "a" * 256,
        "é" * 128,
        "/".join("a" * 65),
    ],
)
def test_a_hostile_name_is_refused(text: str) -> None:
    with pytest.raises(UnsafePath) as caught:
        RelPath.parse(text)
    assert caught.value.exit_code == 10
    caught.value.message.encode()
    assert caught.value.message.isprintable()


def test_a_reserved_name_is_refused_at_any_depth_as_a_root_would_bring_it_to_the_top() -> None:
    with pytest.raises(UnsafePath, match="keeps for itself"):
        RelPath.parse("models/q/.oci-pull/receipt.json")


def test_names_are_as_long_and_deep_as_a_file_system_takes_them() -> None:
    assert RelPath.parse("a" * 255)
    assert RelPath.parse("é" * 127)
    assert RelPath.parse("/".join("a" * 64))


@pytest.mark.parametrize("letter", ["a", "é"])
def test_a_path_is_measured_in_bytes(letter: str) -> None:
    part = letter * (255 // len(letter.encode()))
    assert RelPath.parse("/".join([part] * 16))
    with pytest.raises(UnsafePath, match="too deeply"):
        RelPath.parse("/".join([part] * 17))


def test_the_message_about_a_long_name_is_short() -> None:
    for text in ("a" * 100_000, "/".join("a" * 100_000), "/" + "a" * 100_000):
        with pytest.raises(UnsafePath) as caught:
            RelPath.parse(text)
        assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Tokenizer.json", "tokenizer.json"),
        ("A/b", "a/B"),
        (unicodedata.normalize("NFC", "modèle"), unicodedata.normalize("NFD", "modèle")),
        ("STRASSE", "straße"),
    ],
)
def test_names_that_are_one_somewhere_fold_to_one(left: str, right: str) -> None:
    assert RelPath.parse(left) != RelPath.parse(right)
    assert RelPath.parse(left).folded == RelPath.parse(right).folded


def test_a_path_is_seen_from_a_directory_that_it_is_in() -> None:
    path = RelPath.parse("models/q/config.json")
    assert path.below(()) == path
    assert path.below(("models",)) == RelPath.parse("q/config.json")
    assert path.below(("models", "q")) == RelPath.parse("config.json")
    assert path.below(("models", "q", "config.json")) is None
    assert path.below(("model",)) is None


def test_paths_sort_by_their_parts() -> None:
    found = sorted(RelPath.parse(text) for text in ("b", "a/b", "a.b", "a"))
    assert [str(path) for path in found] == ["a", "a/b", "a.b", "b"]


pieces = st.sampled_from(
    ["a", "B", ".", "..", "/", "//", "\\", "C:", "\x00", "é", "~", ".oci-pull"]
)


@given(st.text() | st.lists(pieces, max_size=12).map("".join))
def test_whatever_parses_stays_inside(text: str) -> None:
    try:
        path = RelPath.parse(text)
    except UnsafePath:
        return
    root = "/srv/models/tree"
    joined = posixpath.normpath(posixpath.join(root, str(path)))
    assert joined.startswith(f"{root}/")
    assert joined == f"{root}/{path}"
    assert RelPath.parse(str(path)) == path
    str(path).encode()


@given(st.lists(pieces, max_size=12).map("".join), st.integers(0, 4))
def test_whatever_is_seen_from_below_parses_as_well(text: str, depth: int) -> None:
    try:
        path = RelPath.parse(text)
    except UnsafePath:
        return
    below = path.below(path.parts[:depth])
    assert (below is None) == (depth >= len(path.parts))
    assert below is None or RelPath.parse(str(below)) == below

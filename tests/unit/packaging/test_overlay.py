"""What layers make of each other. `+a` is a file of layer 0, 1, ...; see `entry` for the rest."""

import pytest

from oci_pull.errors import UnsafePath
from oci_pull.packaging.overlay import EntryKind, LayerEntry, Overlay, merge


def entry(text: str) -> LayerEntry:
    """`path`, `path/` (a directory), `path -> target`, `path = target` (hard), `!path` (other)."""
    if text.startswith("!"):
        return LayerEntry(EntryKind.OTHER, text[1:])
    for separator, kind in ((" -> ", EntryKind.SYMLINK), (" = ", EntryKind.HARDLINK)):
        name, found, target = text.partition(separator)
        if found:
            return LayerEntry(kind, name, target)
    if text.endswith("/"):
        return LayerEntry(EntryKind.DIRECTORY, text)
    return LayerEntry(EntryKind.FILE, text, size=1)


def overlay(*layers: list[str]) -> Overlay:
    return merge([entry(text) for text in layer] for layer in layers)


def below(found: Overlay, root: str = "") -> dict[str, str]:
    """Where each file comes from, as `LAYER.ENTRY`."""
    parts = tuple(filter(None, root.split("/")))
    return {
        "/".join(path): f"{file.place.layer}.{file.place.ordinal}"
        for path, file in found.below(parts)
    }


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([["a", "b/c"]], {"a": "0.0", "b/c": "0.1"}),
        ([["./a", "/b", "c//d", "./", "."]], {"a": "0.0", "b": "0.1", "c/d": "0.2"}),
        # A later layer replaces; within one the last counts.
        ([["a"], ["a"]], {"a": "1.0"}),
        ([["a", "a"]], {"a": "0.1"}),
        ([["m/a", "m/b"], ["m/", "m/a"]], {"m/a": "1.1", "m/b": "0.1"}),
        # Whiteouts.
        ([["a", "b"], [".wh.a"]], {"b": "0.1"}),
        ([["m/a", "m/b"], ["m/.wh.a"]], {"m/b": "0.1"}),
        ([["m/a", "m/b"], [".wh.m"]], {}),
        ([["m/a"], [".wh.m", "m/b"]], {"m/b": "1.1"}),
        ([["m/a"], ["m/b", ".wh.m"]], {"m/b": "1.0"}),
        ([["a"], ["a", ".wh.a"]], {"a": "1.0"}),
        ([["a"], [".wh."]], {"a": "0.0"}),
        ([["a"], [".wh.b", "x/.wh.y"]], {"a": "0.0"}),
        ([["a", "b"], ["./", ".wh.a"]], {"b": "0.1"}),
        ([["a", "m/b"], ["./", ".wh..wh..opq", "c"]], {"c": "1.2"}),
        ([["m/a", "m/b"], ["./", "./m/", "./m/.wh.a"]], {"m/b": "0.1"}),
        ([["a"], [".wh..wh.plnk/7", ".wh..wh.aufs"]], {"a": "0.0"}),
        # Opaque directories hide what is below them, and nothing of their own layer.
        ([["m/a", "m/d/b"], ["m/c", "m/.wh..wh..opq"]], {"m/c": "1.0"}),
        ([["m/a"], ["m/.wh..wh..opq"], ["m/b"]], {"m/b": "2.0"}),
        ([["a", "m/b"], [".wh..wh..opq", "c"]], {"c": "1.1"}),
        # Files become directories, and directories files and links.
        ([["m"], ["m/a"]], {"m/a": "1.0"}),
        ([["m"], ["m/", "m/a"]], {"m/a": "1.1"}),
        ([["m/a"], ["m"]], {"m": "1.0"}),
        ([["m/a", "o/b"], ["m -> o"]], {"m/b": "0.1", "o/b": "0.1"}),
        ([["m -> o", "o/b"], ["m/", "m/a"]], {"m/a": "1.1", "o/b": "0.1"}),
        ([["m -> o", "o/b"], ["m/", "m/.wh..wh..opq"]], {"o/b": "0.1"}),
        ([["m -> o", "o/b"], ["m/.wh..wh..opq"]], {}),
        ([["m -> o", "o/b"], ["m/.wh.b", "m/c"]], {"m/c": "1.1", "o/c": "1.1"}),
        # Devices and pipes are no files, and hide what was there.
        ([["a", "!b"], ["!a"]], {}),
        # Hard links share what was there at that time, by a path from the top of the image.
        ([["m/a", "m/b = m/a"]], {"m/a": "0.0", "m/b": "0.0"}),
        ([["m/a"], ["m/b = /m/a"]], {"m/a": "0.0", "m/b": "0.0"}),
        ([["m/a"], ["m/b = ./m/a"], ["m/a"]], {"m/a": "2.0", "m/b": "0.0"}),
        ([["m/a"], ["m/b = m/a"], [".wh.m"]], {}),
        ([["m/a", "l -> m/a", "h = l"]], {"m/a": "0.0", "l": "0.0", "h": "0.0"}),
        ([["d -> m", "m/a", "h = d/a"]], {"d/a": "0.1", "m/a": "0.1", "h": "0.1"}),
        ([["h = nowhere"]], {}),
        ([["h = m/a", "m/a"]], {"h": "0.1", "m/a": "0.1"}),
        ([["h = "]], {}),
        ([["d/a", "h = d"]], {"d/a": "0.0", "h/a": "0.0"}),
        # Symbolic links: absolute ones begin at the top of the image, and `..` ends there.
        ([["m/a", "l -> /m/a"]], {"m/a": "0.0", "l": "0.0"}),
        ([["m/a", "n/l -> ../m/a"]], {"m/a": "0.0", "n/l": "0.0"}),
        ([["a", "m/l -> ../../../../a"]], {"a": "0.0", "m/l": "0.0"}),
        ([["l -> ../../etc/passwd"]], {}),
        ([["etc/passwd", "l -> /etc/passwd"]], {"etc/passwd": "0.0", "l": "0.0"}),
        ([["l -> nowhere"], ["nowhere"]], {"l": "1.0", "nowhere": "1.0"}),
        ([["a", "l -> a/b"]], {"a": "0.0"}),
        ([["l -> l"]], {}),
        ([["l -> m", "m -> l"]], {}),
        ([["d/self -> .", "d/a"]], {"d/a": "0.1"}),
        ([["d/up -> ..", "d/a"]], {"d/a": "0.1"}),
        # Directories behind links are followed, and so are parents of what comes later.
        ([["opt/m/a", "models -> opt/m"]], {"opt/m/a": "0.0", "models/a": "0.0"}),
        ([["models -> /opt"], ["models/a"]], {"models/a": "1.0", "opt/a": "1.0"}),
        ([["models -> models"], ["models/a"]], {"models/a": "1.0"}),
        ([["a -> b", "b -> c", "c/x"]], {"a/x": "0.2", "b/x": "0.2", "c/x": "0.2"}),
    ],
)  # fmt: skip
def test_layers_are_applied_as_everybody_does(
    layers: list[list[str]], expected: dict[str, str]
) -> None:
    assert below(overlay(*layers)) == expected


def test_a_directory_is_seen_from_itself_through_links_too() -> None:
    found = overlay(["opt/m/a", "opt/m/s/b -> ../../../x", "x", "models -> /opt/m"])
    assert below(found, "opt/m") == {"a": "0.0", "s/b": "0.2"}
    assert below(found, "models") == {"a": "0.0", "s/b": "0.2"}
    assert below(found, "nowhere") == {}
    assert below(found, "x") == {}
    assert found.directory(("models",)) == ("opt", "m")
    assert found.directory(("x",)) is None


def test_only_real_directories_are_listed_when_nobody_asked_for_one() -> None:
    found = overlay(["opt/m/a", "models -> /opt/m", "opt/m/l -> a"])
    assert {"/".join(path) for path, _ in found.files()} == {"opt/m/a", "opt/m/l"}


def test_a_chain_of_links_ends_as_it_does_in_the_kernel() -> None:
    def chain(length: int) -> Overlay:
        return overlay([*(f"l{n} -> l{n + 1}" for n in range(length)), f"l{length}"])

    assert chain(40).find(("l0",)) is not None
    assert chain(41).find(("l0",)) is None


@pytest.mark.parametrize("name", ["../a", "a/../b", "a/..", "..", "./../a", "d/" * 300 + "a"])
def test_a_name_that_leaves_the_image_or_has_no_end_is_refused(name: str) -> None:
    with pytest.raises(UnsafePath) as caught:
        overlay([name])
    assert caught.value.exit_code == 10


@pytest.mark.parametrize("kind", ["->", "="])
def test_links_that_multiply_are_refused(kind: str) -> None:
    """Twenty directories with two links each to the next make a million paths."""
    directories = [f"d{n}/" for n in range(20)]
    links = [f"d{n}/{side} {kind} /d{n + 1}" for n in range(20) for side in "ab"]
    found = overlay([*directories, "d20/file", *links])
    assert [path for path, _ in found.files()] == [("d20", "file")]
    with pytest.raises(UnsafePath, match="no end"):
        below(found, "d0")

import pytest

from oci_pull.errors import NotAModel, SeveralRoots
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.root import find_root


def root(*paths: str, wanted: str = "") -> str:
    return "/".join(find_root((RelPath.parse(path) for path in paths), wanted))


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["config.json", "model.safetensors"], ""),
        (["config.json", "sub/config.json", "sub/model.safetensors"], ""),
        (["params.json", "models/config.json", "models/model.safetensors"], ""),
        (["models/config.json", "models/model.safetensors"], "models"),
        (["models/params.json", "models/consolidated.safetensors"], "models"),
        (["a/b/config.json", "a/b/MODEL.GGUF", "README.md"], "a/b"),
        (["q/config.json", "q/pytorch_model.bin"], "q"),
        (["q/config.json", "q/m.safetensors", "q/1_Pooling/config.json"], "q"),
        (["q/config.json", "q/m.safetensors", "q/onnx/config.json", "q/onnx/m.onnx"], "q"),
        (["a/config.json", "b/c/config.json", "b/c/m.safetensors"], "b/c"),
        (["q/config.json", "q/weights/m.safetensors"], ""),
        (["q/config.json"], ""),
        (["models/model.gguf"], ""),
        (["MODELS/Config.json", "MODELS/m.safetensors"], ""),
        ([], ""),
    ],
)
def test_the_root_is_the_shallowest_directory_with_a_configuration_beside_weights(
    paths: list[str], expected: str
) -> None:
    assert root(*paths) == expected


TWO = ("b/config.json", "b/m.safetensors", "a/config.json", "a/m.safetensors", "README.md")


def test_two_roots_are_an_error_that_lists_them_and_names_the_option() -> None:
    with pytest.raises(SeveralRoots) as caught:
        root(*TWO, "a/deeper/config.json", "a/deeper/m.safetensors")
    assert caught.value.message.splitlines()[1:] == ["  a", "  b"]
    assert caught.value.hint == "--root a"
    assert caught.value.exit_code == 9


@pytest.mark.parametrize("wanted", ["b", "/b", "b/", "./b"])
def test_the_wanted_root_decides(wanted: str) -> None:
    assert root(*TWO, wanted=wanted) == "b"


@pytest.mark.parametrize("wanted", [".", "/", "./"])
def test_the_top_can_be_wanted(wanted: str) -> None:
    assert root(*TWO, wanted=wanted) == ""


@pytest.mark.parametrize("wanted", ["c", "b/config.json", "a/deeper"])
def test_a_wanted_root_without_files_is_an_error_that_names_the_top(wanted: str) -> None:
    with pytest.raises(NotAModel, match=rf"--root {wanted}; at the top there are README.md, a, b$"):
        root(*TWO, wanted=wanted)


@pytest.mark.parametrize("wanted", ["..", "a/../b", "//b", "a\\b"])
def test_a_wanted_root_that_is_no_directory_is_an_error(wanted: str) -> None:
    with pytest.raises(NotAModel, match="no directory of a model"):
        root(*TWO, wanted=wanted)

import json
from collections.abc import Mapping
from pathlib import PurePosixPath

import pytest

from oci_pull.errors import InconsistentModel
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import LeftOut
from oci_pull.packaging.servable import Verdict, examine, foresee, serve_command, spelled_out
from tests import builders
from tests.unit.packaging.planning import INDEX_NAME, shard

WEIGHTS = shard("a")
CONFIG = {"config.json": b"{}"}


class Tree:
    """A tree in memory that knows how much of it was read."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = {RelPath.parse(name): content for name, content in files.items()}
        self.most = 0

    def sizes(self) -> Mapping[RelPath, int]:
        return {path: len(content) for path, content in self._files.items()}

    def read(self, path: RelPath, limit: int) -> bytes:
        found = self._files[path][:limit]
        self.most = max(self.most, len(found))
        return found


def verdict(files: Mapping[str, bytes], *left_out: str) -> Verdict:
    return examine(Tree(files), [LeftOut(name, 1, "why") for name in left_out])


def index(*names: str) -> dict[str, bytes]:
    weight_map = {f"tensor{number}": name for number, name in enumerate(names)}
    return {INDEX_NAME: json.dumps({"weight_map": weight_map}).encode()}


@pytest.mark.parametrize("shards", [1, 3])
def test_a_model_that_is_whole_can_be_served(shards: int) -> None:
    assert verdict(builders.tiny_model(shards=shards)) == Verdict(servable=True)


def test_only_headers_of_weights_are_read() -> None:
    data = bytes(1_000_000)
    tree = Tree({"model.safetensors": builders.safetensors({"a": ((250_000,), data)}), **CONFIG})
    assert examine(tree).servable
    assert tree.most < 1000


@pytest.mark.parametrize(
    "files",
    [
        {"params.json": b"{}", "consolidated.safetensors": WEIGHTS},
        CONFIG | {"pytorch_model.bin": b"pickle"},
        CONFIG | {"model.safetensors": WEIGHTS, "model.gguf": b"GGUF"},
        CONFIG | {"model.safetensors": WEIGHTS, "adapter_config.json": b"{}"},
    ],
)
def test_a_configuration_beside_weights_can_be_served(files: Mapping[str, bytes]) -> None:
    assert verdict(files) == Verdict(servable=True)


@pytest.mark.parametrize(
    "files",
    [
        {**CONFIG, "model.safetensors": WEIGHTS},
        {"model-Q4.gguf": b"GGUF"},
        {"onnx/model.onnx": b"", **CONFIG},
        {"adapter_config.json": b"{}", "adapter_model.safetensors": WEIGHTS},
        {"config.json": b"{}", "tokenizer.json": b"{}"},
        {"1_Pooling/config.json": b"{}"},
    ],
)
def test_the_names_alone_foretell_the_verdict(files: Mapping[str, bytes]) -> None:
    tree = Tree(files)
    assert foresee(tree.sizes()) == verdict(files)


# What contradicts itself


def test_a_file_that_the_index_names_and_nobody_left_out_is_inconsistent() -> None:
    files = CONFIG | {"1.safetensors": WEIGHTS} | index("1.safetensors", "2.safetensors")
    with pytest.raises(InconsistentModel, match=rf"{INDEX_NAME} names 2\.safetensors") as caught:
        verdict(files, "README.md")
    assert caught.value.exit_code == 8


def test_a_file_that_the_index_names_and_that_was_left_out_is_a_warning() -> None:
    files = CONFIG | {"1.safetensors": WEIGHTS} | index("1.safetensors", "2.safetensors")
    found = verdict(files, "2.safetensors")
    assert not found.servable
    assert "2.safetensors was left out" in found.warnings[0]


def test_the_index_may_name_files_in_directories() -> None:
    files = CONFIG | {"sub/1.safetensors": WEIGHTS, "0.safetensors": WEIGHTS}
    assert verdict(files | index("sub/1.safetensors")).servable


def test_the_index_of_a_directory_below_says_nothing_of_the_top() -> None:
    below = {f"sub/{INDEX_NAME}": index("absent.safetensors")[INDEX_NAME]}
    assert verdict(CONFIG | {"model.safetensors": WEIGHTS} | below).servable


@pytest.mark.parametrize("content", [b"{", b"{}", b"[]"])
def test_an_index_that_is_none_is_inconsistent(content: bytes) -> None:
    with pytest.raises(InconsistentModel, match=INDEX_NAME):
        verdict(CONFIG | {INDEX_NAME: content})


@pytest.mark.parametrize("path", ["model.safetensors", "2_Dense/model.safetensors"])
@pytest.mark.parametrize("content", [WEIGHTS[:-1], WEIGHTS + b"!"])
def test_weights_of_another_length_than_their_header_says_are_inconsistent(
    path: str, content: bytes
) -> None:
    with pytest.raises(InconsistentModel) as caught:
        verdict(CONFIG | {path: content})
    assert f"{path} has {len(content)} bytes" in caught.value.message
    assert f"says {len(WEIGHTS)}" in caught.value.message


@pytest.mark.parametrize("content", [b"", b"123", b"version https://git-lfs", WEIGHTS[:20]])
def test_weights_without_a_header_are_inconsistent_and_named(content: bytes) -> None:
    with pytest.raises(InconsistentModel, match=r"^model\.safetensors: "):
        verdict(CONFIG | {"model.safetensors": content})


@pytest.mark.parametrize("name", ["config.json", "params.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\xff", b"[" * 100_000])
def test_a_configuration_that_is_not_json_is_inconsistent(name: str, content: bytes) -> None:
    with pytest.raises(InconsistentModel, match=f"{name} is not JSON"):
        verdict({name: content, "model.safetensors": WEIGHTS})


def test_a_configuration_below_the_top_is_not_looked_at() -> None:
    files = {"model.safetensors": WEIGHTS, "1_Pooling/config.json": b"{"}
    assert verdict(CONFIG | files).servable


# What is merely not for vLLM


@pytest.mark.parametrize(
    ("files", "warning", "primary"),
    [
        ({"model.gguf": b"GGUF"}, "GGUF", "model.gguf"),
        (CONFIG | {"model.gguf": b"GGUF"}, "GGUF", "model.gguf"),
        ({"q/model.gguf": b"GGUF", "README.md": b""}, "GGUF", "q/model.gguf"),
        (
            {f"m-0000{n}-of-00002.gguf": b"GGUF" for n in (2, 1)},
            "GGUF",
            "m-00001-of-00002.gguf",
        ),
        (
            {"adapter.gguf": b"", "mmproj-f16.gguf": b"", "the-model.gguf": b""},
            "GGUF",
            "the-model.gguf",
        ),
        ({"mmproj.gguf": b""}, "GGUF", None),
        ({"adapter_config.json": b"{}", "adapter_model.safetensors": WEIGHTS}, "adapter", None),
        (CONFIG | {"onnx/model.onnx": b""}, "ONNX", None),
        ({"model.onnx": b""}, "ONNX", None),
        ({"model.safetensors": WEIGHTS}, "no config.json", None),
        ({"q/config.json": b"{}", "q/model.safetensors": WEIGHTS}, "no config.json", None),
        (CONFIG, "no weights", None),
        (CONFIG | {"q/model.safetensors": WEIGHTS}, "no weights", None),
        ({}, "no config.json", None),
    ],
)
def test_what_an_engine_cannot_serve_is_one_warning_and_no_error(
    files: Mapping[str, bytes], warning: str, primary: str | None
) -> None:
    found = verdict(files)
    assert not found.servable
    (text,) = found.warnings
    assert warning in text
    assert found.primary == (RelPath.parse(primary) if primary else None)


def test_the_warning_about_a_gguf_becomes_the_command_to_type() -> None:
    found = verdict({"draft.gguf": b"GGUF", "model.gguf": b"GGUF"})
    assert found.primary == RelPath.parse("model.gguf")
    directory = PurePosixPath("/models/my model")
    (text,) = spelled_out(found.warnings, directory, directory / "model.gguf")
    assert text.endswith(": vllm serve '/models/my model/model.gguf' --tokenizer ORG/NAME")
    assert text.startswith(found.warnings[0])


def test_other_warnings_stay_as_they_are() -> None:
    directory = PurePosixPath("/m")
    for warnings in ((), ("no weights: vLLM cannot serve this directory",)):
        assert spelled_out(warnings, directory, None) == warnings
        assert spelled_out(warnings, directory, directory / "a.gguf") == warnings


def test_a_directory_is_served_by_its_path() -> None:
    assert serve_command(PurePosixPath("/m"), None) == "vllm serve /m"


def test_there_is_no_primary_file_where_the_directory_can_be_served() -> None:
    files = CONFIG | {"model.safetensors": WEIGHTS, "model.gguf": b"GGUF"}
    assert verdict(files).primary is None


def test_the_case_of_a_suffix_does_not_matter() -> None:
    assert verdict({"M.GGUF": b"GGUF"}).primary == RelPath.parse("M.GGUF")

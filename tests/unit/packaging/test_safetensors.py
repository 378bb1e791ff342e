import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.errors import InconsistentModel
from oci_pull.packaging import safetensors
from tests import builders


def file(header: str, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header.encode())) + header.encode() + data


def test_the_header_names_the_tensors_and_the_length_of_the_file() -> None:
    content = builders.safetensors({"a": ((2,), bytes(8)), "b": ((3,), bytes(12))})
    found = safetensors.parse_header(content)
    assert found.tensors == {"a", "b"}
    assert found.file_size == len(content)


def test_the_header_is_enough_without_the_data() -> None:
    content = builders.safetensors({"a": ((2,), bytes(8))})
    end = safetensors.LENGTH_BYTES + safetensors.header_length(content[:8])
    assert safetensors.parse_header(content[:end]) == safetensors.parse_header(content)


@pytest.mark.parametrize("header", ["{}", '{"__metadata__":{"format":"pt"}}'])
def test_a_file_without_tensors_ends_with_its_header(header: str) -> None:
    found = safetensors.parse_header(file(header))
    assert (found.tensors, found.file_size) == (frozenset(), 8 + len(header))


@pytest.mark.parametrize(
    "start",
    [
        b"",
        bytes(7),
        b"GGUF" + bytes(4),
        *(struct.pack("<Q", n) for n in (0, 1, 100_000_001, 1 << 63)),
    ],
)
def test_what_does_not_start_like_a_safetensors_file_is_inconsistent(start: bytes) -> None:
    with pytest.raises(InconsistentModel, match="does not start like"):
        safetensors.header_length(start)


def test_the_longest_header_of_the_format_is_taken() -> None:
    assert safetensors.header_length(struct.pack("<Q", 100_000_000)) == 100_000_000


@pytest.mark.parametrize("header", ["{x", "[]", "55", '{"a":', "[" * 10_000])
def test_a_header_that_is_no_json_object_is_inconsistent(header: str) -> None:
    with pytest.raises(InconsistentModel, match="header is not JSON"):
        safetensors.parse_header(file(header))


@pytest.mark.parametrize(
    "tensor",
    [
        "null",
        "5",
        '"text"',
        "{}",
        '{"data_offsets":[]}',
        '{"data_offsets":[0]}',
        '{"data_offsets":[0,null]}',
        '{"data_offsets":[0,"x"]}',
        '{"data_offsets":[0,1e999]}',
        '{"data_offsets":[0,NaN]}',
        '{"data_offsets":{"1":2}}',
    ],
)
def test_a_tensor_without_offsets_is_inconsistent(tensor: str) -> None:
    with pytest.raises(InconsistentModel, match="tensor without offsets"):
        safetensors.parse_header(file(f'{{"a":{tensor}}}'))


def test_an_index_names_the_files_in_order_and_the_tensors_in_each() -> None:
    weight_map = {"c": "2.safetensors", "a": "1.safetensors", "b": "1.safetensors"}
    found = safetensors.parse_index(json.dumps({"metadata": {}, "weight_map": weight_map}).encode())
    assert list(found) == ["1.safetensors", "2.safetensors"]
    assert list(found.values()) == [{"a", "b"}, {"c"}]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"a":' * 10_000])
def test_an_index_that_is_no_json_object_is_inconsistent(content: bytes) -> None:
    with pytest.raises(InconsistentModel, match="not JSON"):
        safetensors.parse_index(content)


@pytest.mark.parametrize("content", [b"{}", b'{"weight_map":null}', b'{"weight_map":["a"]}'])
def test_an_index_without_a_weight_map_is_inconsistent(content: bytes) -> None:
    with pytest.raises(InconsistentModel, match="no weight_map"):
        safetensors.parse_index(content)


json_text = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(st.sampled_from(["data_offsets", "weight_map", "a"]), values, max_size=3)
    ),
    max_leaves=6,
).map(json.dumps)


@given(json_text | st.text())
def test_any_header_is_read_or_is_inconsistent(header: str) -> None:
    for parse, content in (
        (safetensors.parse_header, file(header)),
        (safetensors.parse_index, header.encode()),
    ):
        try:
            parse(content)
        except InconsistentModel as error:
            assert error.exit_code == 8  # noqa: PT017 - nothing else may be raised


@given(st.binary(max_size=40))
def test_any_bytes_are_a_header_or_are_inconsistent(content: bytes) -> None:
    try:
        found = safetensors.parse_header(content)
    except InconsistentModel:
        return
    assert found.file_size >= safetensors.LENGTH_BYTES

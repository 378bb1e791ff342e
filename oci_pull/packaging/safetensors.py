"""The header of a safetensors file and the index of a sharded one.

A file is the length of its header in eight bytes (little endian), the header as JSON, and the data
that the header's offsets point into.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oci_pull.errors import InconsistentModel

INDEX_NAME = "model.safetensors.index.json"
#: The format's own limit on a header.
MAX_HEADER = 100_000_000
#: The largest index that is looked into; that of a model with 100,000 tensors has 10 MB.
MAX_INDEX = 64 * 1024 * 1024
LENGTH_BYTES = 8


def header_length(start: bytes) -> int:
    """The length of the header in bytes, from the first eight; raises `InconsistentModel`."""
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if len(start) < LENGTH_BYTES or not 2 <= length <= MAX_HEADER:  # noqa: PLR2004 - {} at least
        raise InconsistentModel("it does not start like a safetensors file")
    return length


@dataclass(frozen=True, slots=True)
class Header:
    """The names of the tensors, and the length in bytes of the whole file."""

    tensors: frozenset[str]
    file_size: int


def parse_header(content: bytes) -> Header:
    """Parse the length and the header at the start of `content`; raises `InconsistentModel`."""
    length = header_length(content)
    header = _object(content[LENGTH_BYTES : LENGTH_BYTES + length], "its header is not JSON")
    header.pop("__metadata__", None)
    try:
        ends = [int(tensor["data_offsets"][1]) for tensor in header.values()]
    except (TypeError, KeyError, IndexError, ValueError, OverflowError) as error:
        raise InconsistentModel("its header has a tensor without offsets") from error
    return Header(frozenset(header), LENGTH_BYTES + length + max(ends, default=0))


def parse_index(content: bytes) -> Mapping[str, frozenset[str]]:
    """File names and the tensors in each, from an index file; raises `InconsistentModel`."""
    weight_map = _object(content, "it is not JSON").get("weight_map")
    if not isinstance(weight_map, dict):
        raise InconsistentModel("it has no weight_map")
    shards: dict[str, set[str]] = {}
    for tensor, name in weight_map.items():
        shards.setdefault(str(name), set()).add(tensor)
    return {name: frozenset(tensors) for name, tensors in sorted(shards.items())}


def _object(content: bytes, complaint: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InconsistentModel(complaint) from error
    if not isinstance(value, dict):
        raise InconsistentModel(complaint)
    return value

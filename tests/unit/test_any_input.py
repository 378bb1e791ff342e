"""Whatever a stranger writes is understood, or refused with an error of ours."""

from __future__ import annotations

import io
import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oci_pull.errors import OciPullError
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import Compression, UnpackArchive
from tests.fakes.memory import blob_of
from tests.fuzz import properties, seeds
from tests.fuzz.strategies import ANSWERS, archives, manifests
from tests.unit.adapters.support import Shelf

THOROUGH = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


@THOROUGH
@given(archives(), st.sampled_from(Compression))
def test_any_archive(content: bytes, compression: Compression) -> None:
    properties.archive_is_read_or_refused(content, compression)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(archives(), st.booleans())
def test_any_archive_is_unpacked_into_its_own_directory(content: bytes, is_bare: bool) -> None:
    operation = UnpackArchive(
        blob_of(content),
        Compression.SNIFFED,
        hint=RelPath.parse("model.gguf"),
        is_bare=is_bare,
    )
    with tempfile.TemporaryDirectory() as directory:
        shelf = Shelf(Path(directory) / "cache")
        with suppress(OciPullError):
            shelf.layers.unpacker(operation).consume(io.BytesIO(content)).discard()
        assert [each.name for each in Path(directory).rglob("*")] == ["cache", "incomplete"]


@THOROUGH
@given(manifests(), ANSWERS)
def test_any_manifest(manifest: dict[str, Any], answer: bytes) -> None:
    properties.manifest(json.dumps(manifest).encode() + b"\0" + answer)


@THOROUGH
@given(st.one_of(st.binary(max_size=200), st.text('aBc =,"\\\n').map(str.encode)))
def test_any_challenge(line: bytes) -> None:
    properties.challenge(line)


@pytest.mark.parametrize(
    ("check", "begin_with"),
    [
        (properties.archive, seeds.archives),
        (properties.manifest, seeds.manifests),
        (properties.challenge, seeds.challenges),
    ],
)
def test_what_the_search_begins_with_is_good(check: Any, begin_with: Any) -> None:
    found = list(begin_with())
    assert found
    for each in found:
        check(each)

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import OCI_MANIFEST
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.receipt import PlacedFile, Receipt
from oci_pull.packaging.selection import Selection
from tests.unit.packaging.planning import blob

RECEIPT = Receipt(
    reference="docker.io/ai/modèle:latest",
    digest=Digest.of(b"index"),
    manifest=blob(b"manifest", OCI_MANIFEST),
    packaging="docker-model",
    selection="0123abcd",
    files=(
        PlacedFile(RelPath.parse("config.json"), 2, Digest.of(b"{}"), is_linked=False),
        PlacedFile(RelPath.parse("q/重み.gguf"), 5 << 40, Digest.of(b"w")),
    ),
    servable=False,
    primary=RelPath.parse("q/重み.gguf"),
    warnings=("GGUF",),
    needs=(Digest.of(b"index"), Digest.of(b"w")),
    chosen=Selection(include=("*.gguf",), exclude=("a*", "b*"), allow_pickle=True, root="q"),
)
#: Members that earlier releases did not write.
_LATER = {"needs", "link", "chosen"}


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECEIPT.to_json())
    return found


def read(value: object) -> Receipt | None:
    return Receipt.from_json(json.dumps(value).encode())


def test_a_receipt_round_trips() -> None:
    assert Receipt.from_json(RECEIPT.to_json()) == RECEIPT
    plain = Receipt(
        **{name: getattr(RECEIPT, name) for name in RECEIPT.__slots__}
        | {"files": (), "primary": None, "warnings": (), "servable": True, "selection": ""}
    )
    assert Receipt.from_json(plain.to_json()) == plain


def test_a_receipt_is_text_that_people_can_read() -> None:
    text = RECEIPT.to_json()
    assert text.endswith(b"}\n")
    assert document()["schema"] == 1
    assert document()["files"][0] == {
        "path": "config.json",
        "size": 2,
        "digest": str(Digest.of(b"{}")),
        "linked": False,
    }


def test_the_size_is_the_sum_of_the_files() -> None:
    assert RECEIPT.size == 2 + (5 << 40)


def test_a_file_is_linked_unless_it_is_said_not_to_be() -> None:
    assert [file.is_linked for file in RECEIPT.files] == [False, True]


def test_the_files_can_be_those_that_were_really_placed() -> None:
    changed = RECEIPT.with_files(RECEIPT.files[:1], "copy")
    assert (changed.files, changed.link) == (RECEIPT.files[:1], "copy")
    assert (changed.digest, changed.primary) == (RECEIPT.digest, RECEIPT.primary)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"5",
        b'"text"',
        b"{}",
        b'{"schema":1}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
    ids=lambda content: content[:12].decode("latin-1"),
)
def test_garbage_is_no_receipt(content: bytes) -> None:
    assert Receipt.from_json(content) is None


@pytest.mark.parametrize("schema", [0, 2, "1", None])
def test_a_receipt_of_another_schema_is_none(schema: object) -> None:
    assert read(document() | {"schema": schema}) is None


def test_a_receipt_of_an_earlier_release_needs_nothing_that_is_known() -> None:
    value = document()
    for member in _LATER:
        del value[member]
    found = read(value)
    assert found
    assert found.needs == ()
    assert found.asked is None, "there is a selection, and nobody knows which"


def test_what_was_asked_for_is_known_if_it_is_what_the_tree_is_of() -> None:
    chosen = Selection(include=("*.json",), datasets=True)
    found = replace(RECEIPT, chosen=chosen, selection=chosen.key)
    again = Receipt.from_json(found.to_json())
    assert again
    assert again.asked == chosen
    assert replace(RECEIPT, chosen=chosen).asked is None
    assert replace(RECEIPT, chosen=None, selection="").asked == Selection()


@pytest.mark.parametrize("member", sorted(set(document()) - {"schema", *_LATER}))
def test_a_receipt_without_a_member_is_none(member: str) -> None:
    value = document()
    del value[member]
    assert read(value) is None


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("digest", "sha256:../../x"),
        ("digest", 5),
        ("manifest", []),
        ("manifest", {"digest": "x", "size": 1}),
        ("primary", "../x"),
        ("files", None),
        ("files", ["config.json"]),
        ("files", [{"path": "a", "size": 1, "digest": str(Digest.of(b""))}]),
        ("warnings", 5),
        ("chosen", 5),
        ("chosen", {"include": []}),
    ],
)
def test_a_member_that_cannot_be_makes_it_no_receipt(member: str, value: object) -> None:
    assert read(document() | {member: value}) is None


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("path", "../../etc/passwd"),
        ("path", ".oci-pull/receipt.json"),
        ("path", None),
        ("size", "x"),
        ("size", float("inf")),
        ("size", float("nan")),
        ("size", None),
        ("digest", ""),
    ],
)
def test_a_file_that_cannot_be_makes_it_no_receipt(member: str, value: object) -> None:
    found = document()
    found["files"][0][member] = value
    assert read(found) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(
            st.sampled_from(["path", "size", "digest", "linked", "mediaType"]), values, max_size=4
        )
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(document())), json_values, max_size=3))
def test_any_json_is_a_receipt_or_none(changes: dict[str, Any]) -> None:
    found = read(document() | changes)
    assert found is None or Receipt.from_json(found.to_json()) == found


@given(st.binary(max_size=100))
def test_any_bytes_are_no_receipt(content: bytes) -> None:
    assert Receipt.from_json(content) is None

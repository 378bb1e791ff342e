import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.errors import InconsistentModel
from oci_pull.oci.digest import Digest
from oci_pull.packaging.kitfile import Entry, Kind, Kitfile

DIGEST = Digest.of(b"layer")


def parse(**members: Any) -> Kitfile:
    return Kitfile.parse(json.dumps({"manifestVersion": "1.0.0", **members}))


def test_entries_are_in_the_order_of_their_kinds_prompts_behind_the_code() -> None:
    found = parse(
        prompts=[{"path": "p.md"}],
        docs=[{"path": "d.md"}],
        code=[{"path": "a.py"}, {"path": "b.py"}],
        model={"path": "m", "parts": [{"path": "q", "digest": str(DIGEST)}]},
    )
    assert found.model == Entry(Kind.MODEL, "m", None)
    assert found.others == (
        Entry(Kind.PART, "q", DIGEST),
        Entry(Kind.CODE, "a.py", None),
        Entry(Kind.CODE, "b.py", None),
        Entry(Kind.CODE, "p.md", None),
        Entry(Kind.DOCS, "d.md", None),
    )
    assert found.has_digests


def test_a_dataset_that_is_elsewhere_is_no_entry() -> None:
    found = parse(datasets=[{"path": "a", "remotePath": "s3://b/c"}, {"path": "d"}])
    assert found.others == (Entry(Kind.DATASET, "d", None),)
    assert not found.has_digests


@pytest.mark.parametrize("members", [{}, {"model": None, "code": None}, {"model": {"name": "m"}}])
def test_a_kitfile_may_have_no_model(members: dict[str, Any]) -> None:
    assert parse(**members) == Kitfile(None, ())


def test_members_that_are_not_needed_may_be_anything() -> None:
    found = parse(package=3, mcpServers="?", model={"path": "m", "parameters": [1], "license": 2})
    assert found.model == Entry(Kind.MODEL, "m", None)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not JSON"),
        (b"manifestVersion: 1\n", "not JSON"),
        (b"\xff\xfe{", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b"null", "not an object"),
        (b"[]", "not an object"),
        (b'{"model": "m"}', "model is not an object"),
        (b'{"model": {"path": 3}}', r"model\.path of the Kitfile is not a text"),
        (b'{"model": {"path": "m", "parts": {}}}', r"model\.parts of the Kitfile is not a list"),
        (b'{"model": {"parts": [{}, 7]}}', r"model\.parts\[1\] is not an object"),
        (b'{"code": [{"path": []}]}', r"code\[0\]\.path of the Kitfile is not a text"),
        (b'{"datasets": [{"remotePath": 1}]}', r"datasets\[0\]\.remotePath of the Kitfile"),
        (b'{"docs": [{"digest": "md5:1"}]}', r"docs\[0\]\.digest of the Kitfile: "),
    ],
)
def test_what_is_no_kitfile_is_refused_with_the_place(raw: bytes, words: str) -> None:
    with pytest.raises(InconsistentModel, match=words) as caught:
        Kitfile.parse(raw)
    assert caught.value.exit_code == 8


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["model", "parts", "path", "digest", "code", "datasets"]), inner
        )
    ),
    max_leaves=12,
)


@given(st.binary() | _JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_is_a_kitfile_or_an_error(raw: bytes) -> None:
    try:
        found = Kitfile.parse(raw)
    except InconsistentModel:
        return
    assert all(isinstance(entry, Entry) for entry in found.others)

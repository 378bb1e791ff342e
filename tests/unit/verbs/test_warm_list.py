"""What a list of models says, line by line."""

from __future__ import annotations

import pytest

from oci_pull.errors import InvalidReference, InvalidSetting
from oci_pull.verbs.warm_list import Wanted, parse_list


def parsed(text: str) -> tuple[Wanted, ...]:
    return parse_list(text, "models.txt", lambda wanted: wanted)


def test_a_line_is_a_reference_with_what_is_for_it_alone() -> None:
    text = """
# ours
ai/one
ai/two:v2   # the second
--include '*.json' ai/three --include=*.txt --exclude "a b" --datasets
ai/four --platform linux/arm64
"""
    assert parsed(text) == (
        Wanted("ai/one"),
        Wanted("ai/two:v2"),
        Wanted("ai/three", {"include": ("*.json", "*.txt"), "exclude": ("a b",), "datasets": True}),
        Wanted("ai/four", {"platform": "linux/arm64"}),
    )


def test_what_is_listed_twice_is_wanted_once_for_each_selection() -> None:
    found = parsed("ai/one\nai/one --datasets\nai/one\n")
    assert found == (Wanted("ai/one"), Wanted("ai/one", {"datasets": True}))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a/b c/d", "it has 2 references, and needs one"),
        ("--datasets", "it has 0 references, and needs one"),
        ("a/b --output x", "--output is not an option of one line; those are --include,"),
        ("a/b --datasets=yes", "--datasets takes no value"),
        ("a/b --include", "--include needs a value"),
        ("a/b --include=", "--include needs a value"),
        ("a/b 'open", "No closing quotation"),
    ],
)
def test_a_line_that_cannot_be_is_told_with_its_number(line: str, said: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        parsed(f"ai/one\n\n{line}\n")
    assert caught.value.message.startswith(f"models.txt line 3: {said}")


def test_what_cannot_be_pulled_is_told_with_its_line_and_its_hint() -> None:
    def check(wanted: Wanted) -> None:
        raise InvalidReference(f"no {wanted.reference}", hint="lower case")

    with pytest.raises(InvalidSetting, match=r"^models.txt line 2: no UPPER$") as caught:
        parse_list("# ours\nUPPER", "models.txt", check)
    assert caught.value.hint == "lower case"

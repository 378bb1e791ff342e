import pytest

from oci_pull.cli.arguments import question_in, rewrite
from oci_pull.errors import UsageError


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ai/smollm2", "pull ai/smollm2"),
        ("pull ai/smollm2", "pull ai/smollm2"),
        ("ai/a ai/b", "pull ai/a ai/b"),
        ("-o DIR ai/smollm2", "pull -o DIR ai/smollm2"),
        ("ai/smollm2 -o DIR", "pull ai/smollm2 -o DIR"),
        ("-o plan ai/smollm2", "pull -o plan ai/smollm2"),
        ("--offline ai/smollm2", "pull --offline ai/smollm2"),
        ("--exclude *.md plan ai/smollm2", "plan ai/smollm2 --exclude *.md"),
        ("-q cache path ai/smollm2", "cache path ai/smollm2 -q"),
        ("--offline plan -- -odd", "plan --offline -- -odd"),
        ("-- plan", "pull -- plan"),
        ("pull -h", "pull -h"),
        ("", ""),
        ("--offline", "pull --offline"),
        ("cahce", "pull cahce"),
        ("cahce/x ai/y", "pull cahce/x ai/y"),
        ("plans", "pull plans"),
    ],
)
def test_the_command_comes_first_and_pull_is_implied(typed: str, meant: str) -> None:
    assert rewrite(typed.split()) == meant.split()


@pytest.mark.parametrize(
    "typed", ["cahce path", "pul ai/x", "plna ai/x", "inspct ai/x", "help plan"]
)
def test_a_slip_before_another_word_is_told_with_the_command_that_was_meant(typed: str) -> None:
    with pytest.raises(UsageError) as caught:
        rewrite(typed.split())
    assert caught.value.hint
    assert typed.split()[1] in caught.value.hint


@pytest.mark.parametrize(
    ("typed", "option"), [("help", "-h"), ("version", "-V"), ("-q help", "-h")]
)
def test_a_command_that_others_have_is_told_with_the_option_that_it_is_here(
    typed: str, option: str
) -> None:
    with pytest.raises(UsageError) as caught:
        rewrite(typed.split())
    assert (caught.value.hint or "").startswith(f"oci-pull {option}\n")


@pytest.mark.parametrize(
    ("typed", "question"),
    [
        ("-h", "-h"),
        ("--help", "-h"),
        ("plan -h", "-h"),
        ("ai/x -q --version", "-V"),
        ("-qV", "-V"),
        ("-vvh", "-h"),
        ("-yh", "-h"),
        ("cache prune --max-size 5G -h", "-h"),
        ("ai/x", None),
        ("", None),
        ("-oh ai/x", None),
        ("-o -h ai/x", None),
        ("--root -V ai/x", None),
        ("ai/x -- -h", None),
        ("help", None),
    ],
)
def test_a_question_is_found_wherever_it_stands_among_the_options(
    typed: str, question: str | None
) -> None:
    assert question_in(typed.split()) == question

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from oci_pull.cli.arguments import plain_pull, question_in, rewrite
from oci_pull.cli.options import ALL, Given, takes
from oci_pull.errors import UsageError

_WORDS = st.sampled_from((
    "ai/a", "ai/b:v1", "", "-", "--", "-o", "DIR", "-oDIR", "-o=DIR", "--output", "--output=DIR",
    "--output=", "-q", "-v", "--verbose", "--no-verbose", "-qj4", "--quiet", "--quiet=1",
    "--no-quiet", "--offline", "--no-offline",
    "--no-cache", "--cache", "--include", "--include=*.json", "--include=a=b", "--exclude",
    "*.md", "-j", "4", "--jobs", "--job", "--dry-run", "-h", "-V", "-x", "--config", "--config=f",
))  # fmt: skip


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


@pytest.mark.parametrize(
    ("typed", "references", "given"),
    [
        ("pull ai/a", ["ai/a"], {}),
        ("pull ai/a ai/b -q", ["ai/a", "ai/b"], {"quiet": True}),
        ("pull -o DIR --jobs=4 ai/a", ["ai/a"], {"output": "DIR", "jobs": "4"}),
        ("pull -o -q ai/a", ["ai/a"], {"output": "-q"}),
        ("pull --include a --include=b ai/a", ["ai/a"], {"include": ["a", "b"]}),
        ("pull --offline --no-offline ai/a", ["ai/a"], {"offline": False}),
        ("pull -q -- -odd --q", ["-odd", "--q"], {"quiet": True}),
    ],
)
def test_a_pull_that_is_typed_out_needs_no_typer(
    typed: str, references: list[str], given: dict[str, object]
) -> None:
    assert plain_pull(typed.split()) == (references, given)


@pytest.mark.parametrize(
    "typed",
    ["pull", "pull -q", "pull -h", "pull ai/a -qj4", "pull ai/a -oDIR", "pull ai/a --jobs",
     "pull ai/a --quiet=1", "pull -v ai/a", "pull ai/a --job 4", "pull ai/a --dry-run",
     "plan ai/a", "-V ai/a"],
)  # fmt: skip
def test_whatever_else_is_typed_is_left_to_typer(typed: str) -> None:
    assert plain_pull(typed.split()) is None


def _by_typer(words: list[str]) -> tuple[list[str], dict[str, object]]:
    app, seen = typer.Typer(add_completion=False), []

    @app.command()
    @takes(ALL)
    def pull(references: list[str], *, given: Given) -> None:
        said = {name: each for name, each in given.items() if each is not None and each != []}
        seen.append((references, said))

    app(args=words, standalone_mode=False)
    return seen[0]


@settings(max_examples=300, deadline=None)
@given(st.lists(_WORDS, max_size=6))
def test_what_is_understood_without_typer_is_what_typer_understands(words: list[str]) -> None:
    if understood := plain_pull(["pull", *words]):
        assert _by_typer(words) == understood

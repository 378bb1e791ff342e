import io
from collections.abc import Mapping

import pytest

from oci_pull.cli.color import PLAIN, Ink, is_colored
from oci_pull.settings import Settings


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("color", "variables", "is_terminal", "answer"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"TERM": "xterm"}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": "0"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "1", "TERM": "dumb"}, False, True),
        ("auto", {"FORCE_COLOR": "0"}, False, False),
        ("auto", {"FORCE_COLOR": ""}, False, False),
        ("auto", {"CLICOLOR_FORCE": "1"}, False, True),
        ("auto", {"CLICOLOR_FORCE": "0"}, True, True),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ("always", {"NO_COLOR": "1", "TERM": "dumb"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_what_was_asked_for_counts_before_the_variables_and_they_before_the_terminal(
    color: str, variables: Mapping[str, str], is_terminal: bool, answer: bool
) -> None:
    assert is_colored(color, variables, is_terminal=is_terminal) is answer


@pytest.mark.parametrize(
    ("environ", "stream", "answer"),
    [
        ({}, _Terminal(), True),
        ({}, io.StringIO(), False),
        ({"CI": "true"}, _Terminal(), False),
        ({"CI": "true", "FORCE_COLOR": "1"}, _Terminal(), True),
        ({"OCI_PULL_COLOR": "never"}, _Terminal(), False),
        ({"NO_COLOR": "1"}, _Terminal(), False),
        ({"OCI_PULL_PROGRESS": "plain"}, _Terminal(), False),
        ({"OCI_PULL_PROGRESS": "none"}, _Terminal(), True),
    ],
)
def test_what_is_written_down_is_not_coloured_unasked(
    environ: Mapping[str, str], stream: io.StringIO, answer: bool
) -> None:
    assert Ink.of(Settings.load(environ), stream).is_colored is answer


@pytest.mark.parametrize(
    ("line", "colored"),
    [
        ("error: it broke", "\x1b[1;31merror:\x1b[0m it broke"),
        ("warning careful", "\x1b[33mwarning\x1b[0m careful"),
        ("warning: careful", "\x1b[33mwarning:\x1b[0m careful"),
        ("Ready       3 B", "\x1b[32mReady\x1b[0m       3 B"),
        ("Up to date  x", "\x1b[32mUp to date\x1b[0m  x"),
        ("plan 3 files, no error: none", "plan 3 files, no error: none"),
        ("", ""),
    ],
)
def test_only_the_word_that_says_how_it_went_is_coloured(line: str, colored: str) -> None:
    assert Ink(is_colored=True).line(line) == colored
    assert PLAIN.line(line) == line

import io

from oci_pull.cli.failure import error_object, report, unexpected
from oci_pull.errors import Cancelled, NoSpace, OciPullError


def said(error: OciPullError) -> str:
    stream = io.StringIO()
    report(error, stream)
    return stream.getvalue()


def test_an_error_for_people_is_a_line_and_what_to_try() -> None:
    assert said(OciPullError("it broke", hint="wait")) == "error: it broke\n  try: wait\n"


def test_facts_stand_between_what_happened_and_what_to_try() -> None:
    error = OciPullError("it broke", facts=["asked as: ana"], hint="wait\ngo away")
    assert said(error) == "error: it broke\n  asked as: ana\n  try: wait\n   or: go away\n"


def test_what_its_user_has_stopped_is_no_error() -> None:
    assert said(Cancelled("stopped")) == "stopped\n"


def test_an_error_for_programs_has_its_facts_and_figures() -> None:
    value = error_object(NoSpace("full", facts=["2 GB can go"], needed=10, free=3))
    assert value["facts"] == ["2 GB can go"]
    assert (value["needed"], value["free"]) == (10, 3)


def test_what_was_stopped_is_told_at_the_beginning_of_a_line_of_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal("^C")
    stream.seek(2)
    report(Cancelled("stopped", facts=["2 GB kept"]), stream)
    assert stream.getvalue() == "^C\rstopped\n  2 GB kept\n"


def test_what_nobody_thought_of_says_where_and_shows_no_signed_url() -> None:
    try:
        raise KeyError("https://ana:secret@cdn.example/blob?Signature=secret")
    except KeyError as error:
        text = said(unexpected(error))
    assert text.startswith("error: unexpected KeyError: 'https://...'\n  at test_failure.py, line ")
    assert "secret" not in text

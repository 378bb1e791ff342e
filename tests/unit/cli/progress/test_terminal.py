import io

import pytest

from oci_pull.cli.progress.bar import BarProgress
from oci_pull.cli.progress.form import NoProgress
from oci_pull.cli.progress.json_lines import JsonProgress
from oci_pull.cli.progress.plain import PlainProgress
from oci_pull.cli.progress.terminal import make_progress
from oci_pull.settings import Settings
from tests.unit.cli.progress.moments import Terminal


@pytest.mark.parametrize(
    ("options", "stream", "expected"),
    [
        ({}, io.StringIO(), PlainProgress),
        ({}, Terminal(), BarProgress),
        ({"progress": "bar"}, io.StringIO(), PlainProgress),
        ({"progress": "bar"}, Terminal(), BarProgress),
        ({"progress": "plain"}, Terminal(), PlainProgress),
        ({"progress": "json"}, Terminal(), JsonProgress),
        ({"progress": "none"}, Terminal(), NoProgress),
        ({"quiet": True}, Terminal(), NoProgress),
    ],
)
def test_the_stream_decides_unless_it_was_said(
    options: dict[str, object], stream: io.StringIO, expected: type
) -> None:
    settings = Settings.load({"HOME": "/home/ada"}, options)
    assert type(make_progress(settings, stream)) is expected


@pytest.mark.parametrize("environ", [{"CI": "true"}, {"JOURNAL_STREAM": "8:1"}, {"TERM": "dumb"}])
def test_a_terminal_that_is_written_down_or_cannot_be_drawn_on_gets_lines(
    environ: dict[str, str],
) -> None:
    settings = Settings.load({"HOME": "/home/ada", **environ})
    assert type(make_progress(settings, Terminal())) is PlainProgress

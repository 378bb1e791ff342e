import io
import json

import pytest

from oci_pull import events
from oci_pull.cli.progress.form import NoProgress
from oci_pull.cli.pull import fail
from oci_pull.errors import Cancelled, TimedOut
from oci_pull.settings import Settings

_PLANNED = events.Planned(
    files=2, archives=0, blobs=2, size=5_200_000_000, reused=1_000_000_000, resumed=300_000_000,
    early=0, to_fetch=3_900_000_000, free=10**10,
)  # fmt: skip


@pytest.mark.parametrize(
    ("told", "kept"),
    [([], "what was fetched is kept"), ([_PLANNED], "1.3 GB of 5.2 GB kept")],
)
def test_an_interruption_says_what_is_kept(told: list[events.Event], kept: str) -> None:
    stream = io.StringIO()
    progress = NoProgress(stream)
    for event in told:
        progress.on(event)
    settings = Settings.load({}, {"cache_dir": "/c"})
    error = fail(Cancelled("stopped"), settings, progress)
    assert isinstance(error, Cancelled)
    assert stream.getvalue() == f"interrupted; the same command continues\n  {kept} in /c\n"


def test_a_failure_is_told_on_both_streams_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    settings = Settings.load({}, {"cache_dir": "/c", "format": "json"})
    error = fail(TimedOut("not done after 10m", hint="longer"), settings, NoProgress(stream))
    assert error.exit_code == 5
    assert stream.getvalue() == "error: not done after 10m\n  try: longer\n"
    value = json.loads(capsys.readouterr().out)["error"]
    assert (value["code"], value["exit"], value["retryable"]) == ("timed_out", 5, True)

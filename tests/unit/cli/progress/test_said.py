import io
import json
from pathlib import Path

import pytest

from oci_pull import events
from oci_pull.cli.progress.json_lines import JsonProgress
from oci_pull.cli.progress.plain import PlainProgress
from oci_pull.cli.progress.said import how_it_went
from oci_pull.oci.reference import Reference
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.receipt import PlacedFile
from oci_pull.pull import PullResult
from tests.unit.cli.progress.moments import A, Clock

_RETRIES = [
    (events.Retrying("x", 1, 8, 0.9, "it broke"), False),
    (events.Retrying("x", 1, 8, 1.0, "it broke"), True),
    (events.Retrying("x", 2, 8, 0.1, "it broke"), True),
]


@pytest.mark.parametrize(("event", "is_told"), _RETRIES)
def test_a_retry_that_nobody_notices_is_no_line(event: events.Event, is_told: bool) -> None:
    plain, lines = io.StringIO(), io.StringIO()
    PlainProgress(plain, clock=Clock(), stamps=False).on(event)
    JsonProgress(lines, clock=Clock()).on(event)
    assert bool(plain.getvalue()) is is_told
    assert json.loads(lines.getvalue())["event"] == "retrying"


def _result(fetched: int, reused: int, *, unchanged: bool = False, link: str = "") -> PullResult:
    size = 60_100_000_000
    return PullResult(
        path=Path("/m"),
        reference=Reference.parse("ai/x"),
        digest=A,
        packaging="docker-model",
        files=(PlacedFile(RelPath.parse("a"), size, A),),
        fetched_bytes=fetched,
        reused_bytes=reused,
        unchanged=unchanged,
        warnings=(),
        servable=True,
        primary=None,
        link=link,
    )


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (
            _result(60_100_000_000, 0, link="hardlink"),
            ("ready", "60.1 GB in 3:14 (309.8 MB/s), verified, by hardlink"),
        ),
        (
            _result(22_700_000_000, 37_400_000_000),
            ("ready", "60.1 GB in 3:14 (22.7 GB at 117.0 MB/s, 37.4 GB were here), verified"),
        ),
        (
            _result(0, 60_100_000_000),
            ("ready", "60.1 GB in 3:14 (60.1 GB were here), verified"),
        ),
        (
            _result(0, 60_100_000_000, unchanged=True),
            (
                "up to date",
                f"docker.io/ai/x:latest  sha256:{A.short}  60.1 GB  (3:14)",
            ),
        ),
    ],
)
def test_how_it_went_is_one_line(result: PullResult, said: tuple[str, str]) -> None:
    assert how_it_went(result, 194) == said

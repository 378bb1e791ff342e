"""What becomes of a list of models, and what Prometheus is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_pull.errors import Cancelled, NotFoundError, RateLimited
from oci_pull.oci.digest import Digest
from oci_pull.oci.reference import Reference
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.receipt import PlacedFile
from oci_pull.pull import PullResult
from oci_pull.verbs.metrics import earlier_successes, metrics_text, write_metrics
from oci_pull.verbs.warm import Outcome, warm
from oci_pull.verbs.warm_list import Wanted

RESULT = PullResult(
    path=Path("/c/models/x"),
    reference=Reference.parse("ai/x"),
    digest=Digest.of(b"m"),
    packaging="docker-model",
    files=(PlacedFile(RelPath.parse("model.safetensors"), 3000, Digest.of(b"w")),),
    fetched_bytes=1200,
    reused_bytes=1800,
    unchanged=False,
    warnings=(),
    servable=True,
    primary=None,
)
GOOD = Outcome("ai/x", RESULT, None, 1.5, 1_700_000_000.25)
BAD = Outcome("ai/y", None, RateLimited("429"), 0.5, 1_700_000_002.0)


def test_one_that_fails_stops_none_of_the_others() -> None:
    def pull(wanted: Wanted) -> PullResult:
        if wanted.reference == "ai/none":
            raise NotFoundError("no such model")
        return RESULT

    found = list(warm([Wanted("ai/none"), Wanted("ai/x")], pull))
    assert [each.reference for each in found] == ["ai/none", "ai/x"]
    assert isinstance(found[0].error, NotFoundError)
    assert (found[0].result, found[1].result, found[1].error) == (None, RESULT, None)


def test_after_a_cancel_nothing_is_begun() -> None:
    begun = []

    def pull(wanted: Wanted) -> PullResult:
        begun.append(wanted.reference)
        raise Cancelled("stopped")

    found = list(warm([Wanted("ai/x"), Wanted("ai/y")], pull))
    assert begun == [each.reference for each in found] == ["ai/x"]


def test_a_run_is_told_to_prometheus() -> None:
    lines = metrics_text([GOOD, BAD], {}).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'oci_pull_last_run_timestamp_seconds{reference="ai/x"} 1700000000.250',
        'oci_pull_last_run_timestamp_seconds{reference="ai/y"} 1700000002',
        'oci_pull_last_success_timestamp_seconds{reference="ai/x"} 1700000000.250',
        'oci_pull_last_exit_code{reference="ai/x"} 0',
        'oci_pull_last_exit_code{reference="ai/y"} 6',
        'oci_pull_model_bytes{reference="ai/x"} 3000',
        'oci_pull_fetched_bytes{reference="ai/x"} 1200',
        'oci_pull_duration_seconds{reference="ai/x"} 1.500',
        'oci_pull_duration_seconds{reference="ai/y"} 0.500',
        "oci_pull_failures 1",
    ]
    # Each is described before its first value.
    named = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert named == list(
        dict.fromkeys(line.split("{")[0].split()[0] for line in lines if line[0] != "#")
    )


def test_the_last_success_outlives_failures(tmp_path: Path) -> None:
    path = tmp_path / "oci_pull.prom"
    for outcomes in ([GOOD], [Outcome("ai/x", None, RateLimited("429"), 1.0, 1_800_000_000.0)] * 2):
        write_metrics(path, outcomes)
    assert earlier_successes(path.read_text()) == {"ai/x": 1_700_000_000.25}
    assert 'oci_pull_last_exit_code{reference="ai/x"} 6' in path.read_text()


@pytest.mark.parametrize("reference", ['oci:/a"b:v1', "oci:/a\\n:v1", "oci:/a\nb:v1", "oci:/\\"])
def test_a_name_with_quotes_is_read_as_it_was_written(reference: str) -> None:
    text = metrics_text([Outcome(reference, RESULT, None, 1.0, 5.0)], {})
    assert earlier_successes(text) == {reference: 5.0}
    assert all(line.startswith(("# ", "oci_pull_")) for line in text.splitlines())


def test_what_somebody_wrote_over_the_file_counts_for_nothing() -> None:
    name = "oci_pull_last_success_timestamp_seconds"
    text = f'{name}{{reference="a"}} never\n{name}{{reference="b"}} 7\n{name} 8\n'
    assert earlier_successes(text) == {"b": 7.0}

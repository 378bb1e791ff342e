"""What became of a list of models, in the text format of Prometheus (exposition format 0.0.4)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oci_pull.adapters.disk import write_file
from oci_pull.verbs.warm import Outcome

_SUCCESS = "oci_pull_last_success_timestamp_seconds"
_LINE = re.compile(rf'^{_SUCCESS}\{{reference="((?:[^"\\]|\\.)*)"\}} (\S+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Metric:
    name: str
    kind: str
    help: str


_METRICS = {
    "run": _Metric("oci_pull_last_run_timestamp_seconds", "gauge", "When it was last tried."),
    "success": _Metric(_SUCCESS, "gauge", "When it was last there, complete and verified."),
    "exit": _Metric("oci_pull_last_exit_code", "gauge", "What the last try ended with; 0 is good."),
    "bytes": _Metric("oci_pull_model_bytes", "gauge", "The size of the model."),
    "fetched": _Metric("oci_pull_fetched_bytes", "gauge", "What came over the network last time."),
    "seconds": _Metric("oci_pull_duration_seconds", "gauge", "How long the last try took."),
}
_FAILURES = _Metric("oci_pull_failures", "gauge", "How many models of the list failed.")


def earlier_successes(text: str) -> Mapping[str, float]:
    """When each reference was last there, from what an earlier run has written."""
    found = {}
    for label, value in _LINE.findall(text):
        try:
            found[_unescaped(label)] = float(value)
        except ValueError:
            continue
    return found


def metrics_text(outcomes: Sequence[Outcome], before: Mapping[str, float]) -> str:
    """All of it; where a model failed, its last success is that of an earlier run."""
    rows: dict[str, dict[str, float]] = {name: {} for name in _METRICS}
    for each in outcomes:
        rows["run"][each.reference] = each.ended
        rows["exit"][each.reference] = each.error.exit_code if each.error else 0
        rows["seconds"][each.reference] = each.seconds
        if each.result:
            rows["success"][each.reference] = each.ended
            rows["bytes"][each.reference] = each.result.size
            rows["fetched"][each.reference] = each.result.fetched_bytes
        elif each.reference in before:
            rows["success"][each.reference] = before[each.reference]
    lines = []
    for name, metric in _METRICS.items():
        lines += _header(metric)
        lines += [
            f'{metric.name}{{reference="{_escaped(reference)}"}} {_number(value)}'
            for reference, value in rows[name].items()
        ]
    failures = sum(each.error is not None for each in outcomes)
    return "\n".join([*lines, *_header(_FAILURES), f"{_FAILURES.name} {failures}", ""])


def write_metrics(path: Path, outcomes: Sequence[Outcome]) -> None:
    """The file has what came of a run, at once and whole; raises `DiskError`."""
    try:
        before = earlier_successes(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        before = {}
    write_file(path.absolute(), metrics_text(outcomes, before).encode())


def _header(metric: _Metric) -> list[str]:
    return [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.3f}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)

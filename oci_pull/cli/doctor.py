"""A report of `doctor`, for people and for programs."""

import json
from typing import Any

from oci_pull.cli.failure import error_object, tries
from oci_pull.cli.units import size
from oci_pull.errors import printable
from oci_pull.settings import DEFAULT
from oci_pull.verbs.finding import Finding, Report

#: The widths of the two words that a line begins with.
_NAME, _STATE = 15, 9
_INDENT = " " * (_NAME + _STATE)


def report_text(report: Report) -> str:
    """A line for each check, with what belongs to it below."""
    return printable("\n".join(line for each in report.findings for line in _lines(each)))


def _lines(finding: Finding) -> list[str]:
    lines = [f"{finding.name:{_NAME}}{finding.state.value:{_STATE}}{finding.message}"]
    if finding.name == "configuration":
        lines += [
            f"{_INDENT}{name} = {_value(fact['value'])}  ({fact['origin']})"
            for name, fact in finding.facts.items()
            if fact["origin"] != DEFAULT
        ]
    if (free := finding.facts.get("free")) is not None:
        lines.append(f"{_INDENT}{size(free)} free of {size(finding.facts['size'])}")
    known = finding.error.facts if finding.error else ()
    lines += [f"{_INDENT}{line}" for line in (*known, *tries(finding.hint))]
    return lines


def _value(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def report_json(report: Report) -> str:
    """One document: the checks in their order, and what a pull would end with."""
    checks = [
        {
            "name": each.name,
            "state": each.state.value,
            "message": printable(each.message),
            "hint": each.hint,
            "facts": dict(each.facts),
        }
        for each in report.findings
    ]
    error = error_object(report.error) if report.error else None
    return json.dumps({"schema": 1, "checks": checks, "error": error})

"""What docs/automation.md says of documents, events and metrics is what there is."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest

from oci_pull import errors, events
from oci_pull.cli.progress.json_lines import JsonProgress
from tests.e2e import pages
from tests.e2e.models import archive_layer, pack_around, put

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakes.registry import FakeRegistry

PAGE = pages.text_of("docs/automation.md")
#: Objects with fields of their own, of which the page promises none.
_OPEN = ("annotations", "model", "facts")
#: The last event of a success and of a failure.
_ENDS = ("done", "error")


def _promised(part: str) -> set[str]:
    """The fields in the first column of the tables of a part."""
    return {"schema"} | {
        field for row in pages.rows(part) for field in re.findall(r"`([^`]+)`", row[0])
    }


def _section(heading: str) -> str:
    return pages.section(PAGE, heading)


def _verb(name: str) -> str:
    """Of the cache verbs: what stands below the line that names this one."""
    return re.split(r"^`cache ", _section("### Cache verbs"), flags=re.MULTILINE)[
        ["ls`", "ls --partial`", "df`", "path`", "verify`", "prune`"].index(name) + 1
    ]


def _fields(value: Any, above: str = "") -> Iterator[str]:
    """Every field of a document, as the page names it; a list of none and null have none below."""
    if isinstance(value, list) and value:
        for each in value:
            yield from _fields(each, f"{above}[]")
    elif isinstance(value, dict) and above.rpartition(".")[2] not in _OPEN:
        for key, inner in value.items():
            yield from _fields(inner, f"{above}.{key}" if above else key)
    elif above:
        yield above.removesuffix("[]")


def _documents(reader: dict[str, str], *commands: str) -> set[str]:
    """The fields of the first document of each command."""
    found: set[str] = set()
    for command in commands:
        done = pages.run(f"oci-pull {command} --format json", reader)
        assert done.stdout, done.stderr
        found |= set(_fields(json.loads(done.stdout.splitlines()[0])))
    return found


def _without_parents(fields: set[str]) -> set[str]:
    """Where a list or an object was empty or null in one document, and not in another."""
    return {
        each
        for each in fields
        if not any(other.startswith((f"{each}[", f"{each}.")) for other in fields)
    }


@pytest.fixture
def filled(reader: dict[str, str]) -> dict[str, str]:
    """The environment of a reader whose cache has a model."""
    assert pages.run("oci-pull acme/llama", reader).returncode == 0
    return reader


@pytest.mark.parametrize(
    ("part", "commands"),
    [
        (_section("### Result of a pull"), ["acme/llama"]),
        (_section("### Plan"), ["plan models/mixed"]),
        (_section("### Doctor"), ["doctor $REGISTRY/acme/llama"]),
        (_verb("ls`"), ["cache ls"]),
        (_verb("df`"), ["cache df"]),
        (_verb("path`"), ["cache path acme/llama"]),
        (_verb("prune`"), ["cache prune --dry-run", "cache rm acme/llama -y"]),
    ],
    ids=["pull", "plan", "doctor", "ls", "df", "path", "prune"],
)
def test_a_document_has_the_fields_that_the_page_promises(
    part: str, commands: list[str], filled: dict[str, str]
) -> None:
    assert _without_parents(_documents(filled, *commands)) == _promised(part)


def test_an_inspection_has_the_fields_that_the_page_promises(
    reader: dict[str, str], registry: FakeRegistry
) -> None:
    archive = put(registry, pack_around(archive_layer({"vocab.txt": b"a"})))
    names = ("models/mixed", "models/variants", "models/image", archive)
    found = _documents(reader, *(f"inspect {name}" for name in names))
    assert _without_parents(found) == _promised(_section("### Inspection"))


def test_an_error_has_the_fields_that_the_page_promises(reader: dict[str, str]) -> None:
    found = _documents(reader, "acme/nope", "models/mixed --max-bytes 1k")
    assert found == _promised(_section("### Error"))


def test_a_damaged_cache_is_told_with_the_fields_that_the_page_promises(
    filled: dict[str, str],
) -> None:
    for blob in (Path(filled["OCI_PULL_CACHE_DIR"]) / "blobs/sha256").iterdir():
        blob.chmod(0o644)
        blob.write_bytes(b"x")
    damaged = _documents(filled, "cache verify")
    lost = _documents(filled, "cache verify --repair --offline")
    assert _without_parents(damaged | lost) == _promised(_verb("verify`"))


def test_unfinished_downloads_have_the_fields_that_the_page_promises(
    reader: dict[str, str],
) -> None:
    left = Path(reader["OCI_PULL_CACHE_DIR"]) / "partial" / ("0" * 64) / "free"
    left.mkdir(parents=True)
    (left / "data").write_bytes(b"begun")
    found = _documents(reader, "cache ls --partial")
    assert found == _promised(_verb("ls --partial`"))


def test_the_checks_of_the_doctor_are_those_of_the_page(reader: dict[str, str]) -> None:
    done = pages.run("oci-pull doctor $REGISTRY/acme/llama --format json", reader)
    names = [each["name"] for each in json.loads(done.stdout)["checks"]]
    (said,) = (row[1] for row in pages.rows(_section("### Doctor")) if row[0] == "`checks[].name`")
    assert names == re.findall(r"`([^`]+)`", said)


def _told() -> dict[str, set[str]]:
    """The fields of each event of the page."""
    return {
        row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1]))
        for row in pages.rows(_section("## Events"))
    }


def _kinds() -> list[type[Any]]:
    """Every event that is written down; a tick says nothing but that time passes."""
    return [kind for kind in get_args(events.Event) if kind is not events.Tick]


def _made(kind: type[Any]) -> Any:
    """An event with something in each of its fields."""
    counters = ("counter", "hashed")
    fields = [each.name for each in dataclasses.fields(kind)]
    return kind(**{name: events.Counter() if name in counters else 1 for name in fields})


def test_every_event_is_on_the_page_with_its_fields() -> None:
    moments = itertools.count()
    stream = io.StringIO()
    progress = JsonProgress(stream, clock=lambda: next(moments))
    for event in [*map(_made, _kinds()), events.Tick()]:
        progress.on(event)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    told = _told()
    # How it ends is seen when the command does.
    assert {line["event"] for line in lines} == told.keys() - set(_ENDS)
    for line in lines:
        assert line.keys() - {"t", "event"} == told[line["event"]], line


def test_what_the_command_writes_is_on_the_page(reader: dict[str, str]) -> None:
    told = _told()
    for command, end in zip(("models/image", "acme/nope"), _ENDS, strict=True):
        done = pages.run(f"oci-pull {command} --progress json", reader)
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        assert lines[-1]["event"] == end
        for line in lines:
            assert line.keys() - {"t", "event"} == told[line["event"]], line


def test_every_metric_is_on_the_page(reader: dict[str, str]) -> None:
    done = pages.run("echo acme/llama > list; oci-pull warm list --metrics-file m; cat m", reader)
    written = re.findall(r"^# TYPE (\w+) gauge$", done.stdout, re.MULTILINE)
    assert [row[0].strip("`") for row in pages.rows(_section("### Metrics"))] == written
    labels = set(re.findall(r"^\w+(\{\w+)?", done.stdout, re.MULTILINE)) - {""}
    assert labels == {"{reference"}


def test_what_a_script_does_is_said_of_every_exit_code() -> None:
    said = [
        int(code)
        for row in pages.rows(_section("## Exit codes"))
        for code in re.findall(r"\d+", row[0])
    ]
    known = {kind.exit_code for kind in _classes(errors.OciPullError)} | {0}
    assert sorted(said) == sorted(known)


def _classes(kind: type[errors.OciPullError]) -> Iterator[type[errors.OciPullError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _classes(each)

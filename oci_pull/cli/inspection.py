"""What is at a reference, as it is told."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from oci_pull.cli.columns import WIDTH, amount_line, left_out_lines, with_note
from oci_pull.cli.failure import error_object, tries
from oci_pull.cli.output import SCHEMA
from oci_pull.cli.units import several, shortened, size
from oci_pull.errors import printable
from oci_pull.look import Inspection
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.manifest import Index
from oci_pull.packaging.layout import FromImage
from oci_pull.packaging.plan import LeftOut, PlaceBlob

_LABEL = 14


def inspection_json(reference: str, inspection: Inspection) -> str:
    """What is at a reference, for programs."""
    return json.dumps(_document(reference, inspection))


def _document(reference: str, inspection: Inspection) -> dict[str, Any]:
    document, manifest, plan = inspection.document, inspection.manifest, inspection.plan
    problem = inspection.problem
    return {
        "schema": SCHEMA,
        "reference": reference,
        "digest": str(document.descriptor.digest),
        "type": document.descriptor.media_type,
        "artifactType": (manifest or document).artifact_type or None,
        "manifest": str(manifest.descriptor.digest) if manifest else None,
        "packaging": plan.packaging if plan else None,
        "model": dict(inspection.facts.said()),
        "files": _files(inspection),
        "archives": [
            {"name": op.title, **_blob(op.blob), "dataset": op.is_dataset}
            for op in (plan.archives if plan else ())
        ],
        "layers": [
            _blob(layer.blob) for image in (plan.images if plan else ()) for layer in image.layers
        ],
        "left_out": [
            {"name": left.name, "size": left.size, "reason": left.reason}
            for left in _left_out(inspection)
        ],
        "annotations": dict((manifest or document).annotations),
        "manifests": [
            {
                "digest": str(each.digest),
                "platform": str(each.platform) if each.platform else None,
                "artifactType": each.artifact_type or None,
                "annotations": dict(each.annotations),
            }
            for each in (document.manifests if isinstance(document, Index) else ())
        ],
        "problem": error_object(problem) if problem else None,
    }


def _blob(blob: Descriptor) -> dict[str, Any]:
    return {"type": blob.media_type, "size": blob.size, "digest": str(blob.digest)}


def _files(inspection: Inspection) -> list[dict[str, Any]] | None:
    """None where nobody knows: of what is no model, and of an image whose layers were not read."""
    plan, layout = inspection.plan, inspection.layout
    if plan is None:
        return None
    if layout is None:
        placed = [(op.path, op.blob) for op in plan.operations if isinstance(op, PlaceBlob)]
        found = [(path, blob.size, blob.digest) for path, blob in placed]
    else:
        found = [(file.path, file.size, file.digest) for file in layout.files]
        merged = any(isinstance(file.origin, FromImage) for file in layout.files)
        if plan.images and not merged:
            return None
    return [
        {"path": str(path), "size": count, "digest": str(digest)} for path, count, digest in found
    ]


def _left_out(inspection: Inspection) -> Sequence[LeftOut]:
    if inspection.layout:
        return inspection.layout.left_out
    return inspection.plan.left_out if inspection.plan else ()


def inspection_text(reference: str, inspection: Inspection) -> str:
    """What is at a reference, for people; two lines to paste, then what is behind them."""
    facts = _document(reference, inspection)
    lines = [reference, facts["digest"], ""]
    if facts["packaging"]:
        lines.append(_labelled("packaging", facts["packaging"]))
    lines.append(_labelled("type", facts["type"]))
    if facts["artifactType"]:
        lines.append(_labelled("artifact type", facts["artifactType"]))
    lines += [_labelled(name, f"{value}") for name, value in inspection.facts.said()]
    sections = [
        # Where it is not clear which is meant, the problem lists them.
        [*_entries(facts["manifests"], facts["manifest"])] if inspection.manifest else [],
        *_contents(facts),
        [*left_out_lines(_left_out(inspection))],
        [*_annotations(facts["annotations"])],
        [*_problem(inspection)],
    ]
    for section in filter(None, sections):
        lines += ["", *section]
    return printable("\n".join(lines))


def _labelled(label: str, value: str) -> str:
    return f"{label:{_LABEL}}{value}"


def _entries(entries: Sequence[Mapping[str, Any]], chosen: str | None) -> Iterator[str]:
    """The entries of an index; a star is at the one that is meant here."""
    if not entries:
        return
    yield f"index of {several(len(entries), 'manifest')}"
    for each in entries:
        mark = "*" if each["digest"] == chosen else " "
        yield f"{mark} {each['platform'] or each['artifactType'] or 'no platform'}"
        yield f"    {each['digest']}"
        if each["platform"] and each["artifactType"]:
            yield f"    {each['artifactType']}"
        yield from (f"    {line.strip()}" for line in _values(each["annotations"]))
    if chosen and chosen not in [each["digest"] for each in entries]:
        yield "* in an index in it"
        yield f"    {chosen}"


def _contents(facts: Mapping[str, Any]) -> Iterator[list[str]]:
    files, layers = facts["files"] or (), facts["layers"]
    archives = [each for each in facts["archives"] if not each["dataset"]]
    if files:
        yield [
            _heading("file", files),
            *(amount_line(each["size"], each["path"]) for each in files),
        ]
    if archives:
        yield [
            f"{_heading('archive', archives)}; what is in them is known once they are unpacked",
            *(amount_line(each["size"], each["name"]) for each in archives),
        ]
    if layers:
        which = "" if files else "; what is in them is known once they are here"
        yield [
            f"{_heading('layer', layers)}{which}",
            *(amount_line(each["size"], each["type"]) for each in layers),
        ]


def _heading(noun: str, blobs: Sequence[Mapping[str, Any]]) -> str:
    return f"{several(len(blobs), noun)}, {size(sum(each['size'] for each in blobs))}"


def _annotations(annotations: Mapping[str, str]) -> Iterator[str]:
    if annotations:
        yield "annotations"
    yield from _values(annotations)


def _values(annotations: Mapping[str, str]) -> Iterator[str]:
    for key, value in sorted(annotations.items()):
        line = " ".join(value.split())
        yield from with_note(f"  {key}", shortened(line, WIDTH - 4), 4)


def _problem(inspection: Inspection) -> Iterable[str]:
    problem = inspection.problem
    if problem is None:
        return
    yield f"it would not be pulled like this (exit code {problem.exit_code})"
    yield from (f"  {line}" for line in (problem.message, *problem.facts, *tries(problem.hint)))

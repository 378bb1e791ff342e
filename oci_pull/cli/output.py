"""What goes to stdout: results. And the one way in which errors are told."""

import json
import sys
from pathlib import Path
from typing import Any

from oci_pull.cli.units import duration, size
from oci_pull.errors import NoSpace, OciPullError, printable
from oci_pull.oci.manifest import Index
from oci_pull.packaging.plan import PlaceBlob
from oci_pull.prepare import Inspection, Preview
from oci_pull.pull import PullResult

SCHEMA = 1


def emit(text: str) -> None:
    """One result on stdout, seen at once by whoever reads it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def tell(text: str) -> None:
    """A line for people."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def error_json(error: OciPullError) -> str:
    """An error for programs."""
    value: dict[str, Any] = {
        "code": error.code,
        "exit": error.exit_code,
        "message": error.message,
        "hint": error.hint,
        "retryable": error.retryable,
    }
    if isinstance(error, NoSpace):
        value |= {"needed": error.needed, "free": error.free}
    return json.dumps({"schema": SCHEMA, "error": value})


def result_json(result: PullResult, seconds: float) -> str:
    """A finished pull for programs."""
    return json.dumps(
        {
            "schema": SCHEMA,
            "reference": str(result.reference),
            "digest": str(result.digest),
            "packaging": result.packaging,
            "path": str(result.path),
            "primary": str(result.primary) if result.primary else None,
            "files": [
                {"path": str(file.path), "size": file.size, "digest": str(file.digest)}
                for file in result.files
            ],
            "bytes": result.size,
            "fetched": result.fetched_bytes,
            "reused": result.reused_bytes,
            "seconds": round(seconds, 3),
            "unchanged": result.unchanged,
            "servable": result.servable,
            "warnings": list(result.warnings),
        }
    )


def result_text(result: PullResult, seconds: float) -> str:
    """A finished pull for people who want more than the path."""
    state = "unchanged" if result.unchanged else f"pulled in {duration(seconds)}"
    lines = [
        f"reference  {result.reference}",
        f"digest     {result.digest}",
        f"packaging  {result.packaging}",
        f"path       {result.path}",
        f"files      {len(result.files)}, {size(result.size)}",
        f"fetched    {size(result.fetched_bytes)}, reused {size(result.reused_bytes)}; {state}",
    ]
    return "\n".join(lines)


def path_json(path: Path) -> str:
    """A directory or a file in the cache, for programs."""
    return json.dumps({"schema": SCHEMA, "path": str(path)})


def preview_text(reference: str, preview: Preview) -> str:
    """A dry run for people."""
    found, supply = preview.resolution, preview.supply
    lines = [
        f"{reference}  {found.digest.algorithm}:{found.digest.short}  {preview.plan.packaging}"
    ]
    width = max((len(item.name) for item in preview.items), default=0)
    width = max([width, *(len(each.name) for each in preview.left_out)])
    for item in preview.items:
        note = f"  ({size(item.present)} here)" if 0 < item.present < item.blob.size else ""
        note += "  archive" if item.is_archive else ""
        amount = size(item.blob.size)
        lines.append(f"  {item.state.value:8}{item.name:{width}}  {amount:>9}{note}")
    lines += [
        f"  {'skip':8}{left.name:{width}}  {size(left.size):>9}  {left.reason}"
        for left in preview.left_out
    ]
    total = f"{len(preview.items)} files or archives, {size(supply.size)}"
    lines.append(f"{total}, {size(supply.to_fetch)} to fetch")
    return printable("\n".join(lines))


def preview_json(reference: str, preview: Preview) -> str:
    """A dry run for programs."""
    supply = preview.supply
    return json.dumps(
        {
            "schema": SCHEMA,
            "reference": reference,
            "digest": str(preview.resolution.digest),
            "packaging": preview.plan.packaging,
            "items": [
                {
                    "name": item.name,
                    "size": item.blob.size,
                    "digest": str(item.blob.digest),
                    "archive": item.is_archive,
                    "state": item.state.value,
                    "present": item.present,
                }
                for item in preview.items
            ],
            "left_out": [
                {"name": left.name, "size": left.size, "reason": left.reason}
                for left in preview.left_out
            ],
            "bytes": supply.size,
            "fetch": supply.to_fetch,
            "reused": supply.reused,
            "resumed": supply.resumed,
            "disk": supply.to_write + supply.unpacked,
        }
    )


def _inspection(reference: str, inspection: Inspection) -> dict[str, Any]:
    document, manifest, plan = inspection.document, inspection.manifest, inspection.plan
    entries = document.manifests if isinstance(document, Index) else ()
    files = [
        {"path": str(op.path), "size": op.blob.size, "digest": str(op.blob.digest)}
        for op in (plan.operations if plan else ())
        if isinstance(op, PlaceBlob)
    ]
    archives = [
        {"type": op.blob.media_type, "size": op.blob.size, "digest": str(op.blob.digest)}
        for op in (plan.archives if plan else ())
    ]
    return {
        "schema": SCHEMA,
        "reference": reference,
        "digest": str(document.descriptor.digest),
        "type": document.descriptor.media_type,
        "manifest": str(manifest.descriptor.digest) if manifest else None,
        "packaging": plan.packaging if plan else None,
        "files": files if plan else None,
        "archives": archives,
        "annotations": dict((manifest or document).annotations),
        "manifests": [
            {
                "digest": str(each.digest),
                "platform": str(each.platform) if each.platform else None,
                "artifactType": each.artifact_type or None,
                "annotations": dict(each.annotations),
            }
            for each in entries
        ],
    }


def inspection_json(reference: str, inspection: Inspection) -> str:
    """What is at a reference, for programs."""
    return json.dumps(_inspection(reference, inspection))


def inspection_text(reference: str, inspection: Inspection) -> str:
    """What is at a reference, for people."""
    facts = _inspection(reference, inspection)
    lines = [
        f"reference  {reference}",
        f"digest     {facts['digest']}",
        f"type       {facts['type']}",
    ]
    if inspection.manifest:
        lines.append(f"packaging  {facts['packaging'] or 'not a model that oci-pull knows'}")
    lines += [
        f"manifest   {each['digest']}  {each['platform'] or each['artifactType'] or ''}"
        for each in facts["manifests"]
    ]
    lines += [
        f"{key}: {value}".replace("\n", " ") for key, value in sorted(facts["annotations"].items())
    ]
    lines += [f"  {size(each['size']):>9}  {each['path']}" for each in facts["files"] or ()]
    lines += [f"  {size(each['size']):>9}  archive {each['type']}" for each in facts["archives"]]
    return printable("\n".join(lines))

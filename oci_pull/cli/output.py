"""What goes to stdout: results. And the one way in which errors are told."""

import json
import sys
from pathlib import Path

from oci_pull.cli.color import PLAIN, Ink
from oci_pull.cli.failure import error_object
from oci_pull.cli.progress.form import Progress
from oci_pull.cli.streams import emit
from oci_pull.cli.units import duration, size
from oci_pull.errors import OciPullError, printable
from oci_pull.pull import PullResult
from oci_pull.settings import Settings

SCHEMA = 1


def tell(text: str, ink: Ink = PLAIN) -> None:
    """A line for people."""
    sys.stderr.write(ink.line(printable(text)) + "\n")
    sys.stderr.flush()


def tell_failure(error: OciPullError, settings: Settings, progress: Progress) -> None:
    """A failure in the forms that are wanted, with what a look at this machine adds."""
    from oci_pull.cli.advice import advise

    advise(error, settings)
    progress.fail(error)
    if settings.format == "json":
        emit(error_json(error))


def error_json(error: OciPullError) -> str:
    """An error for programs."""
    return json.dumps({"schema": SCHEMA, "error": error_object(error)})


def emit_result(result: PullResult, seconds: float, form: str) -> None:
    """A finished pull on stdout; `form` is the value of `--format`."""
    match form:
        case "json":
            emit(result_json(result, seconds))
        case "text":
            emit(result_text(result, seconds))
        case _:
            emit(str(result.path))


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

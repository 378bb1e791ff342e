"""How a failure is told: to people in lines, to programs as an object."""

import re
import traceback
from pathlib import Path
from typing import Any, TextIO

from oci_pull.cli.color import PLAIN, Ink
from oci_pull.errors import Cancelled, NoSpace, OciPullError

#: What stands before the lines of a hint, of which each is worth typing.
_TRY, _OR = "try: ", " or: "
_URL = re.compile(r"([a-z]+://)[^\s'\"]+")


def report(error: OciPullError, stream: TextIO, ink: Ink = PLAIN) -> None:
    """An error for people: what and where, what else is known, and what to type next."""
    is_stopped = isinstance(error, Cancelled)
    # A terminal shows ^C where the line is to begin.
    prefix = "error: " if not is_stopped else "\r" if stream.isatty() else ""
    lines = [ink.line(f"{prefix}{error.message}")]
    lines += [f"  {each}" for each in (*error.facts, *tries(error.hint))]
    stream.write("\n".join(lines) + "\n")
    stream.flush()


def unexpected(error: Exception) -> OciPullError:
    """What nobody has thought of, as far as it can be shown: a URL may be signed."""
    words = _URL.sub(r"\1...", str(error))
    last = traceback.extract_tb(error.__traceback__)[-1:]
    return OciPullError(
        f"unexpected {type(error).__name__}: {words}",
        facts=[f"at {Path(each.filename).name}, line {each.lineno}" for each in last],
        hint="report this, with the command that caused it",
    )


def tries(hint: str | None) -> list[str]:
    """The lines of a hint as they are shown; none where there is none."""
    lines = hint.splitlines() if hint else []
    return [(_OR if number else _TRY) + line for number, line in enumerate(lines)]


def error_object(error: OciPullError) -> dict[str, Any]:
    """An error for programs."""
    value: dict[str, Any] = {
        "code": error.code,
        "exit": error.exit_code,
        "message": error.message,
        "facts": list(error.facts),
        "hint": error.hint,
        "retryable": error.retryable,
    }
    if isinstance(error, NoSpace):
        value |= {"needed": error.needed, "free": error.free}
    return value

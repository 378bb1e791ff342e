"""How a failure is told to people."""

from typing import TextIO

from oci_pull.cli.color import PLAIN, Ink
from oci_pull.errors import Cancelled, OciPullError, printable


def report(error: OciPullError, stream: TextIO, ink: Ink = PLAIN) -> None:
    """An error for people: what and where, and what to type next."""
    prefix = "" if isinstance(error, Cancelled) else "error: "
    stream.write(ink.line(f"{prefix}{printable(error.message)}\n"))
    if error.hint:
        stream.write(f"  try: {printable(error.hint)}\n")
    stream.flush()

"""A command line, from its words to the exit code of the process."""

import sys
from collections.abc import Sequence

from oci_pull.cli.arguments import plain_pull, rewrite
from oci_pull.cli.failure import report, unexpected
from oci_pull.cli.signals import CANCEL, STOPS, leave
from oci_pull.errors import OciPullError


def run(words: Sequence[str]) -> None:
    """Run a command line and end the process with its exit code."""
    CANCEL.install()
    STOPS.install()
    try:
        code = _run(words)
    except BrokenPipeError:
        code = 1
    leave(code)


def _run(words: Sequence[str]) -> int:
    try:
        return _obey(rewrite(words))
    except OciPullError as error:
        report(error, sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the last resort: a line, not a traceback
        report(unexpected(error), sys.stderr)
        return 1


def _obey(words: Sequence[str]) -> int:
    """Do what the words say; Typer and all that it imports are for those that need it."""
    if asked := plain_pull(words):
        from oci_pull.cli.pull import pull

        return pull(*asked)
    from oci_pull.cli.app import obey

    return obey(words)

"""What the verbs of the cache have in common."""

from collections.abc import Callable

import typer

from oci_pull.cli import output
from oci_pull.cli.options import AT_ONCE
from oci_pull.cli.progress.form import Progress
from oci_pull.cli.progress.terminal import make_progress
from oci_pull.cli.signals import CANCEL
from oci_pull.errors import Cancelled, OciPullError
from oci_pull.settings import Settings

#: The options of every verb.
COMMON = ("cache_dir", "config", *AT_ONCE)


def checked(settings: Settings, work: Callable[[Progress], None]) -> None:
    """Do the work of a verb, and tell its failure in the wanted form."""
    progress = make_progress(settings)
    try:
        work(progress)
    except OciPullError as caught:
        # A cancel becomes the signal that asked for it; whoever asks a person knows which it was.
        is_polled = isinstance(caught, Cancelled) and CANCEL.is_set()
        error = CANCEL.error(caught.message) if is_polled else caught
        output.tell_failure(error, settings, progress)
        raise typer.Exit(error.exit_code) from caught
    finally:
        progress.close()

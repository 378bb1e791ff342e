"""`oci-pull REF...`: the work of the command once its words are understood."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from oci_pull import api
from oci_pull.cli import output
from oci_pull.cli.password import with_password
from oci_pull.cli.progress.form import Progress
from oci_pull.cli.progress.terminal import make_progress
from oci_pull.cli.signals import CANCEL
from oci_pull.errors import Cancelled, InvalidSetting, OciPullError
from oci_pull.packaging.servable import serve_command
from oci_pull.settings import Settings
from oci_pull.verbs.pins import Pins
from oci_pull.workshop import locate


def load(given: Mapping[str, object], references: Sequence[str] = ()) -> Settings:
    """What the command line, the environment and stdin say; a password is for `references`."""
    settings = Settings.load(os.environ, given)  # noqa: TID251 - handed to settings
    return with_password(settings, references) if references else settings


def pull(references: Sequence[str], given: Mapping[str, object]) -> int:
    """Fetch, verify and lay out each; the exit code of the first failure."""
    return in_turn(references, load(given, references), _pull)


def in_turn(
    references: Sequence[str],
    settings: Settings,
    work: Callable[[str, Settings, Progress, Pins], None],
) -> int:
    """Do the work for each, past failures but not past a cancel; the first failure's exit code.

    What to pin is written where none failed.

    Raises:
        InvalidSetting: they would all go to one directory.
    """
    if settings.output and len(references) > 1:
        raise InvalidSetting("one -o DIR cannot hold several models")
    code, pins = 0, Pins(settings.digest_file)
    for reference in references:
        progress = make_progress(settings)
        try:
            pins.check(locate(reference, settings))
            work(reference, settings, progress, pins)
        except OciPullError as error:
            failure = fail(error, settings, progress)
            code = code or failure.exit_code
            if isinstance(failure, Cancelled):
                break
    if not code:
        pins.write()
    return code


def fail(error: OciPullError, settings: Settings, progress: Progress) -> OciPullError:
    """Tell a failure in the wanted forms; a cancel becomes the signal that asked for it."""
    if isinstance(error, Cancelled):
        error = CANCEL.error("interrupted; the same command continues")
        error.explain(f"{progress.totals.kept} in {settings.cache}")
    output.tell_failure(error, settings, progress)
    return error


def _pull(reference: str, settings: Settings, progress: Progress, pins: Pins) -> None:
    begun = time.monotonic()
    result = api.pull(reference, settings=settings, observer=progress, cancel=CANCEL)
    seconds = time.monotonic() - begun
    pins.add(result.reference, result.digest)
    progress.succeed(result, seconds)
    output.emit_result(result, seconds, settings.format)
    is_seen = sys.stdout.isatty() and sys.stderr.isatty() and not settings.quiet
    if is_seen and (result.servable or result.primary):
        output.tell(f"Next        {serve_command(result.path, result.primary)}")

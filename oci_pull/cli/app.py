"""The commands: each parses, calls the library, renders, and says how it went."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from oci_pull import api, upkeep
from oci_pull.cli import output
from oci_pull.cli.cache import cache
from oci_pull.cli.doctor import report_json, report_text
from oci_pull.cli.failure import report
from oci_pull.cli.inspection import inspection_json, inspection_text
from oci_pull.cli.login import login, logout
from oci_pull.cli.mistakes import TyperUsageError, mistake
from oci_pull.cli.options import ALL, AT_ONCE, NETWORK, OUTPUT, SELECTION, Given, takes
from oci_pull.cli.plan import plan_json, plan_text
from oci_pull.cli.progress.form import Progress
from oci_pull.cli.progress.terminal import make_progress
from oci_pull.cli.pull import fail, in_turn, load
from oci_pull.cli.pull import pull as pull_each
from oci_pull.cli.signals import CANCEL
from oci_pull.cli.streams import emit, emit_bytes
from oci_pull.cli.warm import warm
from oci_pull.errors import InvalidSetting, OciPullError, UsageError
from oci_pull.settings import Settings
from oci_pull.verbs.pins import Pins
from oci_pull.workshop import locate

app = typer.Typer(
    name="oci-pull",
    help="Pull models from OCI registries into directories that vLLM serves.",
    add_completion=False,
    pretty_exceptions_enable=False,
    # Rich would be imported for -h alone.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cache, name="cache")

References = Annotated[list[str], typer.Argument(metavar="REF...", help="what to pull")]
OneReference = Annotated[str, typer.Argument(metavar="REF", help="what to look at")]


app.command()(login)
app.command()(logout)
app.command()(warm)


def obey(words: Sequence[str]) -> int:
    """Do what the words say; the exit code. A mistake in them is told."""
    try:
        # Without standing alone Typer gives the code back, and raises its errors.
        code: int | None = app(args=list(words), prog_name="oci-pull", standalone_mode=False)
    except TyperUsageError as error:
        report(mistake(error), sys.stderr)
        return UsageError.exit_code
    return code or 0


@app.command()
@takes(ALL)
def pull(
    references: References,
    *,
    given: Given,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would be done, and do nothing")
    ] = False,
) -> None:
    """Fetch, verify and lay out models; print the directory of each."""
    if dry_run:
        raise typer.Exit(in_turn(references, load(given, references), _show_plan))
    raise typer.Exit(pull_each(references, given))


@app.command()
@takes(ALL)
def plan(reference: OneReference, *, given: Given) -> None:
    """Say what a pull would fetch, reuse and leave out; nothing is written."""
    settings = load(given, [reference])
    pins = Pins(settings.digest_file)

    def show(progress: Progress) -> None:
        pins.check(locate(reference, settings))
        _show_plan(reference, settings, progress, pins)
        pins.write()

    _checked(settings, show)


def _show_plan(reference: str, settings: Settings, progress: Progress, pins: Pins) -> None:
    found = api.plan(reference, settings=settings, observer=progress, cancel=CANCEL)
    pins.add(found.reference, found.digest)
    render = plan_json if settings.format == "json" else plan_text
    emit(render(found))


@app.command()
@takes(("platform", "select", *NETWORK, "cache_dir", "offline", *OUTPUT))
def inspect(
    reference: OneReference,
    *,
    given: Given,
    raw: Annotated[
        bool, typer.Option("--raw", help="the manifest's own bytes, and nothing else")
    ] = False,
) -> None:
    """Say what is at a reference."""
    settings = load(given, [reference])
    _checked(settings, lambda progress: _show_inspection(reference, settings, progress, raw=raw))


def _show_inspection(reference: str, settings: Settings, progress: Progress, *, raw: bool) -> None:
    if raw:
        document = api.document(reference, settings=settings, observer=progress, cancel=CANCEL)
        emit_bytes(document.raw)
        return
    inspection = api.inspect(reference, settings=settings, observer=progress, cancel=CANCEL)
    name = str(locate(reference, settings))
    render = inspection_json if settings.format == "json" else inspection_text
    emit(render(name, inspection))


@app.command()
@takes((*NETWORK, "cache_dir", "offline", *OUTPUT))
def doctor(
    named: Annotated[
        str | None,
        typer.Argument(metavar="[REF or REGISTRY]", help="whom to ask; nobody if left out"),
    ] = None,
    *,
    given: Given,
) -> None:
    """Say what a pull would use and from where, and how far it would come."""
    broken = None
    try:
        load(given)
    except InvalidSetting as error:
        # Of the file, it is a finding like others; of anything else, it is raised without it too.
        broken, given = error, {**given, "config": os.devnull}
    settings = load(given, [named] if named else ())
    _checked(settings, lambda progress: _show_report(named, settings, progress, broken))


def _show_report(
    named: str | None, settings: Settings, progress: Progress, broken: UsageError | None
) -> None:
    found = upkeep.doctor(named, settings=settings, observer=progress, cancel=CANCEL, broken=broken)
    render = report_json if settings.format == "json" else report_text
    emit(render(found))
    if found.error:
        progress.fail(found.error)
        raise typer.Exit(found.error.exit_code)


@cache.command("path")
@takes((*SELECTION, "cache_dir", "default_registry", "require_digest", "config", *AT_ONCE))
def cache_path(
    reference: OneReference,
    *,
    given: Given,
    primary: Annotated[
        bool, typer.Option("--primary", help="the one file to hand to the engine (GGUF)")
    ] = False,
) -> None:
    """Print the directory of a model that is complete in the cache, without any request."""
    settings = load(given)
    _checked(settings, lambda _: _show_path(reference, settings, primary=primary))


def _checked(settings: Settings, work: Callable[[Progress], None]) -> None:
    """Do the work of a command that has one reference, and tell its failure in the wanted form."""
    progress = make_progress(settings)
    try:
        work(progress)
    except OciPullError as error:
        raise typer.Exit(fail(error, settings, progress).exit_code) from error
    finally:
        progress.close()


def _show_path(reference: str, settings: Settings, *, primary: bool) -> None:
    tree = upkeep.find(reference, settings=settings)
    path = tree.path
    if primary:
        if tree.receipt.primary is None:
            raise UsageError(f"{reference} is a directory for the engine, not one file")
        path = path.joinpath(*tree.receipt.primary.parts)
    emit(output.path_json(path) if settings.format == "json" else str(path))

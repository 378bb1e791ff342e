"""`oci-pull cache verify`: what in the cache is not what it should be, and what became of it."""

import json
from typing import Annotated

import typer

from oci_pull import upkeep
from oci_pull.adapters.cache.audit import Damage
from oci_pull.cli import output
from oci_pull.cli.cache.verb import checked
from oci_pull.cli.failure import error_object
from oci_pull.cli.options import NETWORK, OUTPUT, Given, takes
from oci_pull.cli.password import with_password_for
from oci_pull.cli.progress.form import Progress
from oci_pull.cli.pull import load
from oci_pull.cli.signals import CANCEL
from oci_pull.cli.streams import emit
from oci_pull.cli.units import several, size
from oci_pull.errors import DamagedCache, DiskError, NotCached, OciPullError, printable
from oci_pull.verbs.usage import registries
from oci_pull.verbs.verify import Examined


@takes((*NETWORK, "cache_dir", "offline", *OUTPUT))
def verify(
    reference: Annotated[
        str | None, typer.Argument(metavar="[REF]", help="one model; else all of the cache")
    ] = None,
    *,
    given: Given,
    repair: Annotated[
        bool, typer.Option("--repair", help="mend what is damaged, fetch what is missing")
    ] = False,
) -> None:
    """Read everything again, and say what is not what it should be."""
    settings = load(given, [reference] if reference else [])
    if reference is None:
        # A repair asks every registry that a damaged model is from.
        settings = with_password_for(settings, registries(settings.cache) if repair else ())

    def work(progress: Progress) -> None:
        found = upkeep.verify(
            reference, repair=repair, settings=settings, observer=progress, cancel=CANCEL
        )
        progress.close()
        error = None if found.is_sound else unsound(found)
        is_json = settings.format == "json"
        emit(examined_json(found, error) if is_json else examined_text(found))
        if error:
            progress.fail(error)
            raise typer.Exit(error.exit_code)

    checked(settings, work)


def unsound(found: Examined) -> OciPullError:
    """What a cache is in which something is wrong still."""
    if not found.is_repaired:
        return DamagedCache(
            f"{several(len(found.damage), 'thing')} in the cache: damaged",
            hint="oci-pull cache verify --repair",
        )
    models = several(len(found.lost), "model")
    errors = [each.error for each in found.lost]
    if full := next((error for error in errors if isinstance(error, DiskError)), None):
        return full
    if all(isinstance(error, NotCached) for error in errors):
        return NotCached(
            f"offline, and the cache has not all of {models}",
            hint="pull what is lost once without --offline; nothing damaged is served",
        )
    return DamagedCache(
        f"{models} could not be brought back",
        hint="the reasons are above; nothing that is damaged is served",
    )


def examined_text(found: Examined) -> str:
    """What is wrong, a line each, and how much was read."""
    lines = [
        f"{_became(found, each):9}  {each.part.value:9}  {each.path}  {each.why}"
        for each in found.damage
    ]
    lines += [f"{'lost':9}  {'model':9}  {each.name}  {each.why}" for each in found.lost]
    state = f"{several(len(found.damage), 'thing')} damaged" if found.damage else "all of it right"
    if found.is_repaired:
        state += f", {len(found.put_back)} put back, {size(found.fetched)} fetched"
    lines.append(f"read {several(found.files, 'file')}, {size(found.size)}: {state}")
    return printable("\n".join(lines))


def _became(found: Examined, damage: Damage) -> str:
    """What a repair made of it."""
    if not found.is_repaired:
        return "damaged"
    return "put back" if damage in found.put_back else "removed"


def examined_json(found: Examined, error: OciPullError | None) -> str:
    """The same for programs."""
    damage = [
        {
            "part": each.part.value,
            "path": str(each.path),
            "digest": str(each.digest) if each.digest else None,
            "reason": each.why,
            "became": _became(found, each),
        }
        for each in found.damage
    ]
    return json.dumps(
        {
            "schema": output.SCHEMA,
            "files": found.files,
            "bytes": found.size,
            "damage": damage,
            "repaired": found.is_repaired,
            "fetched": found.fetched,
            "lost": [{"name": each.name, "reason": each.why} for each in found.lost],
            "error": error_object(error) if error else None,
        }
    )

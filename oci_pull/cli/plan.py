"""A dry run as it is told: what would be fetched, what is here, what is left out and why."""

import json
from collections.abc import Iterator

from oci_pull.cli.columns import with_note
from oci_pull.cli.output import SCHEMA
from oci_pull.cli.units import several, size
from oci_pull.errors import printable
from oci_pull.look import Plan, PlannedArchive, PlannedFile
from oci_pull.packaging.plan import LeftOut

#: A name that is longer pushes what stands behind it.
_NAME = 46
_STATE = 10


def plan_json(plan: Plan) -> str:
    """A dry run for programs."""
    return json.dumps(
        {
            "schema": SCHEMA,
            "reference": str(plan.reference),
            "digest": str(plan.digest),
            "manifest": str(plan.manifest),
            "packaging": plan.packaging,
            "items": [
                {
                    "name": item.name,
                    "size": item.size,
                    "digest": str(item.digest),
                    "archive": isinstance(item, PlannedArchive),
                    "state": item.state.value,
                    "present": item.present,
                }
                for item in plan.items
            ],
            "left_out": [
                {"name": left.name, "size": left.size, "reason": left.reason}
                for left in plan.left_out
            ],
            "bytes": plan.total_bytes,
            "fetch": plan.fetch_bytes,
            "reused": plan.reused_bytes,
            "resumed": plan.resumed_bytes,
            "disk": plan.cache_bytes,
            "added": plan.added_bytes,
            "servable": plan.servable,
            "warnings": list(plan.warnings),
        }
    )


def plan_text(plan: Plan) -> str:
    """A dry run for people."""
    digest = plan.digest
    lines = [f"{plan.reference}  {digest.algorithm}:{digest.short}  {plan.packaging}"]
    names = [each.name for each in (*plan.items, *plan.left_out)]
    width = min(max(map(len, names), default=0), _NAME)
    for item in plan.items:
        lines += _item(item, width)
    for left in plan.left_out:
        lines += _left_out(left, width)
    lines += _totals(plan)
    return printable("\n".join(lines))


def _item(item: PlannedFile | PlannedArchive, width: int) -> Iterator[str]:
    notes = [f"{size(item.present)} here"] if 0 < item.present < item.size else []
    notes += ["archive"] if isinstance(item, PlannedArchive) else []
    line = _line(item.state.value, item.name, item.size, width)
    return with_note(line, ", ".join(notes), _STATE) if notes else iter([line])


def _left_out(left: LeftOut, width: int) -> Iterator[str]:
    return with_note(_line("skip", left.name, left.size, width), left.reason, _STATE)


def _line(state: str, name: str, count: int, width: int) -> str:
    return f"  {state:{_STATE - 2}}{name:{width}}  {size(count):>8}"


def _totals(plan: Plan) -> Iterator[str]:
    counts = {"file": len(plan.files), "archive": len(plan.archives)}
    what = ", ".join(several(count, noun) for noun, count in counts.items() if count)
    named = sum(item.size for item in plan.items)
    yield (
        f"{what or 'nothing'}, {size(named)}: "
        f"{size(plan.fetch_bytes)} to fetch, {size(plan.cache_bytes)} more in the cache"
    )
    if plan.archives:
        yield "What an archive holds, and what of it is left out, is known once it is unpacked."
    yield from plan.warnings

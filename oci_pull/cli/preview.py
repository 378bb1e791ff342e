"""A dry run as it is told: what would be fetched, what is here, what is left out and why."""

import json
from collections.abc import Iterator

from oci_pull.cli.columns import several, with_note
from oci_pull.cli.output import SCHEMA
from oci_pull.cli.units import size
from oci_pull.errors import printable
from oci_pull.look import Item, Preview
from oci_pull.packaging.plan import LeftOut

#: A name that is longer pushes what stands behind it.
_NAME = 46
_STATE = 10


def preview_json(reference: str, preview: Preview) -> str:
    """A dry run for programs."""
    supply = preview.supply
    return json.dumps(
        {
            "schema": SCHEMA,
            "reference": reference,
            "digest": str(preview.resolution.digest),
            "manifest": str(preview.resolution.manifest.descriptor.digest),
            "packaging": preview.plan.packaging,
            "items": [
                {
                    "name": item.name,
                    "size": item.size,
                    "digest": str(item.digest),
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


def preview_text(reference: str, preview: Preview) -> str:
    """A dry run for people."""
    digest = preview.resolution.digest
    lines = [f"{reference}  {digest.algorithm}:{digest.short}  {preview.plan.packaging}"]
    names = [*(item.name for item in preview.items), *(left.name for left in preview.left_out)]
    width = min(max(map(len, names), default=0), _NAME)
    for item in preview.items:
        lines += _item(item, width)
    for left in preview.left_out:
        lines += _left_out(left, width)
    lines += _totals(preview)
    return printable("\n".join(lines))


def _item(item: Item, width: int) -> Iterator[str]:
    notes = [f"{size(item.present)} here"] if 0 < item.present < item.size else []
    notes += ["archive"] if item.is_archive else []
    line = _line(item.state.value, item.name, item.size, width)
    return with_note(line, ", ".join(notes), _STATE) if notes else iter([line])


def _left_out(left: LeftOut, width: int) -> Iterator[str]:
    return with_note(_line("skip", left.name, left.size, width), left.reason, _STATE)


def _line(state: str, name: str, count: int, width: int) -> str:
    return f"  {state:{_STATE - 2}}{name:{width}}  {size(count):>8}"


def _totals(preview: Preview) -> Iterator[str]:
    supply = preview.supply
    archives = sum(item.is_archive for item in preview.items)
    counts = {"file": len(preview.items) - archives, "archive": archives}
    what = ", ".join(several(count, noun) for noun, count in counts.items() if count)
    more = size(supply.to_write + supply.unpacked)
    yield (
        f"{what or 'nothing'}, {size(sum(item.size for item in preview.items))}: "
        f"{size(supply.to_fetch)} to fetch, {more} more in the cache"
    )
    if archives:
        yield "What an archive holds, and what of it is left out, is known once it is unpacked."

import json
from typing import Any

from oci_pull.cli.preview import preview_json, preview_text
from oci_pull.look import Item, Preview, State
from oci_pull.oci.digest import Digest
from oci_pull.packaging.plan import LeftOut
from oci_pull.prepare import Resolution, Supply
from tests import builders
from tests.unit.packaging.planning import planned

REFERENCE = "registry.example.com/team/model:v1"


def item(
    name: str,
    size: int,
    state: State = State.FETCH,
    *,
    present: int = 0,
    is_archive: bool = False,
) -> Item:
    return Item(name, size, Digest.of(name.encode()), is_archive, state, present)


def preview(*items: Item, left_out: tuple[LeftOut, ...] = (), **supply: int) -> Preview:
    plan = planned(builders.docker_v02({"config.json": b"{}"})).plan
    manifest = plan.manifest
    counts = {"size": 0, "reused": 0, "resumed": 0, "to_write": 0, "unpacked": 0} | supply
    resolution = Resolution(manifest.descriptor.digest, manifest, manifest)
    return Preview(resolution, plan, items, left_out, Supply(jobs=(), here=(), **counts))


def lines(found: Preview) -> list[str]:
    return preview_text(REFERENCE, found).splitlines()


EVERYTHING = preview(
    item("config.json", 1100, State.CACHED, present=1100),
    item("model-00003-of-00012.safetensors", 5_000_000_000, State.PARTIAL, present=3_100_000_000),
    item("model-00004-of-00012.safetensors", 5_000_000_000),
    item("vllm-config.tar", 27_000_000, is_archive=True),
    left_out=(
        LeftOut("notes.md", 10, "excluded by --exclude"),
        LeftOut("pytorch_model.bin", 15_000_000_000, "a pickle beside safer weights, and so on"),
    ),
    size=10_027_001_100,
    reused=1100,
    resumed=3_100_000_000,
    to_write=6_927_000_000,
    unpacked=27_000_000,
)


def test_every_file_has_a_line_and_the_totals_are_last() -> None:
    digest = EVERYTHING.resolution.digest
    assert lines(EVERYTHING) == [
        f"{REFERENCE}  sha256:{digest.short}  docker-model",
        "  cached  config.json                         1.1 kB",
        "  partial model-00003-of-00012.safetensors    5.0 GB  3.1 GB here",
        "  fetch   model-00004-of-00012.safetensors    5.0 GB",
        "  fetch   vllm-config.tar                    27.0 MB  archive",
        "  skip    notes.md                              10 B  excluded by --exclude",
        "  skip    pytorch_model.bin                  15.0 GB",
        "          a pickle beside safer weights, and so on",
        "3 files, 1 archive, 10.0 GB: 6.9 GB to fetch, 7.0 GB more in the cache",
        "What an archive holds, and what of it is left out, is known once it is unpacked.",
    ]


def test_what_can_be_known_before_fits_a_terminal() -> None:
    assert max(map(len, lines(EVERYTHING))) <= 80


def test_without_archives_everything_is_known() -> None:
    assert lines(preview(item("a", 1), size=1, to_write=1))[1:] == [
        "  fetch   a       1 B",
        "1 file, 1 B: 1 B to fetch, 1 B more in the cache",
    ]


def test_a_long_name_pushes_what_is_behind_it_and_nothing_else() -> None:
    found = preview(item("x" * 100, 1), item("short", 1, is_archive=True))
    assert lines(found)[1:3] == [
        f"  fetch   {'x' * 100}       1 B",
        f"  fetch   {'short':46}       1 B  archive",
    ]


def test_a_name_cannot_write_to_the_terminal() -> None:
    assert lines(preview(item("\x1b[2J", 1)))[1].startswith("  fetch   ?[2J")


def test_every_member_is_there_for_programs() -> None:
    found: dict[str, Any] = json.loads(preview_json(REFERENCE, EVERYTHING))
    digest = str(EVERYTHING.resolution.digest)
    assert {key: value for key, value in found.items() if key not in ("items", "left_out")} == {
        "schema": 1,
        "reference": REFERENCE,
        "digest": digest,
        "manifest": digest,
        "packaging": "docker-model",
        "bytes": 10_027_001_100,
        "fetch": 6_927_000_000,
        "reused": 1100,
        "resumed": 3_100_000_000,
        "disk": 6_954_000_000,
    }
    assert found["items"][1] == {
        "name": "model-00003-of-00012.safetensors",
        "size": 5_000_000_000,
        "digest": str(Digest.of(b"model-00003-of-00012.safetensors")),
        "archive": False,
        "state": "partial",
        "present": 3_100_000_000,
    }
    assert [each["archive"] for each in found["items"]] == [False, False, False, True]
    assert found["left_out"][0] == {
        "name": "notes.md",
        "size": 10,
        "reason": "excluded by --exclude",
    }

import json
from typing import Any

from oci_pull.cli.plan import plan_json, plan_text
from oci_pull.look import Plan, PlannedArchive, PlannedFile, State
from oci_pull.oci.digest import Digest
from oci_pull.oci.reference import Reference
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import LeftOut

REFERENCE = "registry.example.com/team/model:v1"
DIGEST = Digest.of(b"index")
MANIFEST = Digest.of(b"manifest")


def file(name: str, size: int, state: State = State.FETCH, *, present: int = 0) -> PlannedFile:
    return PlannedFile(RelPath((name,)), size, Digest.of(name.encode()), state, present)


def archive(name: str, size: int) -> PlannedArchive:
    return PlannedArchive(name, size, Digest.of(name.encode()), State.FETCH, 0)


def plan(
    *items: PlannedFile | PlannedArchive,
    left_out: tuple[LeftOut, ...] = (),
    warnings: tuple[str, ...] = (),
    **amounts: int,
) -> Plan:
    nothing = dict.fromkeys(("total", "fetch", "reused", "resumed", "cache", "added"), 0)
    archives = tuple(each for each in items if isinstance(each, PlannedArchive))
    return Plan(
        reference=Reference.parse(REFERENCE),
        digest=DIGEST,
        manifest=MANIFEST,
        packaging="docker-model",
        files=tuple(each for each in items if isinstance(each, PlannedFile)),
        archives=archives,
        left_out=left_out,
        **{f"{name}_bytes": count for name, count in (nothing | amounts).items()},
        servable=None if archives else not warnings,
        warnings=warnings,
    )


def lines(found: Plan) -> list[str]:
    return plan_text(found).splitlines()


EVERYTHING = plan(
    file("config.json", 1100, State.CACHED, present=1100),
    file("model-00003-of-00012.safetensors", 5_000_000_000, State.PARTIAL, present=3_100_000_000),
    file("model-00004-of-00012.safetensors", 5_000_000_000),
    archive("vllm-config.tar", 27_000_000),
    left_out=(
        LeftOut("notes.md", 10, "excluded by --exclude"),
        LeftOut("pytorch_model.bin", 15_000_000_000, "a pickle beside safer weights, and so on"),
    ),
    total=10_027_001_100,
    fetch=6_927_000_000,
    reused=1100,
    resumed=3_100_000_000,
    cache=6_954_000_000,
    added=1100,
)


def test_every_file_has_a_line_and_the_totals_are_last() -> None:
    assert lines(EVERYTHING) == [
        f"{REFERENCE}  sha256:{DIGEST.short}  docker-model",
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
    assert lines(plan(file("a", 1), fetch=1, cache=1))[1:] == [
        "  fetch   a       1 B",
        "1 file, 1 B: 1 B to fetch, 1 B more in the cache",
    ]


def test_what_cannot_be_served_is_told_before_it_is_fetched() -> None:
    found = plan(file("a", 1), warnings=("no weights: vLLM cannot serve this directory",))
    assert lines(found)[-1] == "no weights: vLLM cannot serve this directory"
    assert json.loads(plan_json(found))["servable"] is False


def test_a_long_name_pushes_what_is_behind_it_and_nothing_else() -> None:
    found = plan(file("x" * 100, 1), archive("short", 1))
    assert lines(found)[1:3] == [
        f"  fetch   {'x' * 100}       1 B",
        f"  fetch   {'short':46}       1 B  archive",
    ]


def test_a_name_cannot_write_to_the_terminal() -> None:
    assert lines(plan(file("\x1b[2J", 1)))[1].startswith("  fetch   ?[2J")


def test_every_member_is_there_for_programs() -> None:
    found: dict[str, Any] = json.loads(plan_json(EVERYTHING))
    assert {key: value for key, value in found.items() if key not in ("items", "left_out")} == {
        "schema": 1,
        "reference": REFERENCE,
        "digest": str(DIGEST),
        "manifest": str(MANIFEST),
        "packaging": "docker-model",
        "bytes": 10_027_001_100,
        "fetch": 6_927_000_000,
        "reused": 1100,
        "resumed": 3_100_000_000,
        "disk": 6_954_000_000,
        "added": 1100,
        "servable": None,
        "warnings": [],
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

"""What `cache verify` says, and how it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from oci_pull.adapters.cache.audit import Damage
from oci_pull.adapters.cache.stored import Part
from oci_pull.cli.cache.verification import examined_json, examined_text, unsound
from oci_pull.errors import ConnectionFailed, NoSpace, NotCached, OciPullError
from oci_pull.oci.digest import Digest
from oci_pull.verbs.verify import Examined, Lost

BLOB = Damage(Part.BLOB, Path("/c/blobs/x"), "missing, part of acme/x:v1", Digest.of(b"x"))
TREE = Damage(Part.TREE, Path("/c/models/x"), "config.json: missing, and 2 more")
SOUND = Examined(3, 4_200_000, (), {})
DAMAGED = replace(SOUND, damage=(BLOB, TREE))
REPAIRED = replace(DAMAGED, is_repaired=True, put_back=frozenset([BLOB]), fetched=1_000)


def lost(*errors: OciPullError | None) -> Examined:
    found = tuple(Lost("acme/x:v1", "it is gone", error) for error in errors)
    return replace(REPAIRED, lost=found)


def test_a_line_a_thing_and_one_for_all() -> None:
    assert examined_text(SOUND) == "read 3 files, 4.2 MB: all of it right"
    assert examined_text(DAMAGED).splitlines() == [
        "damaged    blob       /c/blobs/x  missing, part of acme/x:v1",
        "damaged    tree       /c/models/x  config.json: missing, and 2 more",
        "read 3 files, 4.2 MB: 2 things damaged",
    ]
    assert examined_text(lost(None)).splitlines() == [
        "put back   blob       /c/blobs/x  missing, part of acme/x:v1",
        "removed    tree       /c/models/x  config.json: missing, and 2 more",
        "lost       model      acme/x:v1  it is gone",
        "read 3 files, 4.2 MB: 2 things damaged, 1 put back, 1.0 kB fetched",
    ]


def test_names_of_strangers_cannot_write_to_the_terminal() -> None:
    found = replace(SOUND, damage=(replace(TREE, why="\x1b[2Jx: missing"),))
    assert "\x1b" not in examined_text(found)


def test_json_is_one_document_with_the_error_in_it() -> None:
    value = json.loads(examined_json(lost(None), unsound(lost(None))))
    assert (value["schema"], value["files"], value["bytes"], value["fetched"]) == (
        1, 3, 4_200_000, 1_000,
    )  # fmt: skip
    assert [each["became"] for each in value["damage"]] == ["put back", "removed"]
    assert value["lost"] == [{"name": "acme/x:v1", "reason": "it is gone"}]
    assert value["error"]["code"] == "damaged_cache"
    assert json.loads(examined_json(SOUND, None))["error"] is None


_OFFLINE, _FULL = NotCached("offline"), NoSpace("the disk is full")


@pytest.mark.parametrize(
    ("found", "exit_code"),
    [
        (DAMAGED, 8),
        (lost(None), 8),
        (lost(ConnectionFailed("no way")), 8),
        (lost(_OFFLINE), 12),
        (lost(_OFFLINE, _OFFLINE), 12),
        (lost(_OFFLINE, None), 8),
        (lost(_OFFLINE, _FULL), 7),
    ],
)
def test_the_exit_code_says_what_is_in_the_way(found: Examined, exit_code: int) -> None:
    error = unsound(found)
    assert not found.is_sound
    assert error.exit_code == exit_code
    assert error.hint or error is _FULL


def test_what_was_repaired_is_sound() -> None:
    assert SOUND.is_sound
    assert REPAIRED.is_sound

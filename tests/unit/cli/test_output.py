import json
from pathlib import Path

from oci_pull.cli import output
from oci_pull.errors import NoSpace, ServerFailed
from oci_pull.oci.digest import Digest
from oci_pull.oci.reference import Reference
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.receipt import PlacedFile
from oci_pull.pull import PullResult

_RESULT = PullResult(
    path=Path("/c/models/x"),
    reference=Reference.parse("ai/x"),
    digest=Digest.of(b"m"),
    packaging="docker-model",
    files=(PlacedFile(RelPath.parse("config.json"), 3, Digest.of(b"{ }")),),
    fetched_bytes=2,
    reused_bytes=1,
    unchanged=False,
    warnings=("careful",),
    servable=True,
    primary=None,
)


def test_the_result_for_programs_has_the_promised_members() -> None:
    value = json.loads(output.result_json(_RESULT, 1.23456))
    assert value == {
        "schema": 1,
        "reference": "docker.io/ai/x:latest",
        "digest": str(Digest.of(b"m")),
        "packaging": "docker-model",
        "path": "/c/models/x",
        "primary": None,
        "files": [{"path": "config.json", "size": 3, "digest": str(Digest.of(b"{ }"))}],
        "bytes": 3,
        "fetched": 2,
        "reused": 1,
        "seconds": 1.235,
        "unchanged": False,
        "servable": True,
        "warnings": ["careful"],
    }


def test_the_result_for_people_names_what_matters() -> None:
    text = output.result_text(_RESULT, 1.2)
    for fact in ("docker.io/ai/x:latest", "docker-model", "/c/models/x", "1, 3 B"):
        assert fact in text


def test_a_failure_for_programs_has_the_promised_members() -> None:
    value = json.loads(output.error_json(ServerFailed("it broke", hint="wait")))
    assert value == {
        "schema": 1,
        "error": {
            "code": "server_failed",
            "exit": 5,
            "message": "it broke",
            "facts": [],
            "hint": "wait",
            "retryable": True,
        },
    }


def test_a_full_disk_says_how_much_is_missing() -> None:
    value = json.loads(output.error_json(NoSpace("full", needed=10, free=3)))
    assert (value["error"]["needed"], value["error"]["free"]) == (10, 3)

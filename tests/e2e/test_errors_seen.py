"""Every error as a person sees it, provoked with the installed command: `golden/*.txt`.

`pytest tests/e2e/test_errors_seen.py --update-goldens` rewrites them; read the diff. What is never
the same twice (addresses, directories, sizes of disks) has a name there that stays.
"""

from __future__ import annotations

import json
import re
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oci_pull import errors
from tests.conftest import UPDATE
from tests.e2e import isolation
from tests.e2e.failures import SCENES, Stage

if TYPE_CHECKING:
    from tests.e2e.command import Command, Run
    from tests.fakes.registry import FakeRegistry

GOLDEN = Path(__file__).parent / "golden"
#: Those that no command line brings about for certain, with where they are tested.
_ELSEWHERE = {
    errors.Vanished,  # a prune at the very moment: tests/unit/test_pull.py
}


@pytest.mark.parametrize("name", SCENES)
def test_an_error_is_seen_as_it_was(
    name: str, registry: FakeRegistry, oci_pull: Command, pytestconfig: pytest.Config
) -> None:
    if name == "no-permission" and not isolation.obeys_modes():
        pytest.skip("modes do not stop this user, and there is no setpriv")
    kind, arrange = SCENES[name]
    quiet = oci_pull.with_env(
        OCI_PULL_PROGRESS="none", OCI_PULL_RETRIES="0", OCI_PULL_FORMAT="json"
    )
    with ExitStack() as stack:
        stage = Stage(registry, quiet, stack)
        words = arrange(stage)
        stdin = stage.user.home / "stdin"
        stdin.write_text(stage.stdin)
        with stdin.open() as file, stage.user.start(*words, stdin=file) as running:
            if stage.meanwhile:
                stage.meanwhile(stage.user, running.process.pid)
            run = running.wait()
    assert run.code == kind.exit_code, run
    assert "Traceback" not in run.stderr
    told = [json.loads(line) for line in run.stdout.splitlines() if '"error"' in line]
    assert [each["error"]["code"] for each in told if each.get("error")] in ([kind("").code], [])
    _compare(name, stage.smoothed(f"$ oci-pull {shlex.join(words)}\n{run.stderr}"), pytestconfig)


@pytest.mark.parametrize(
    "name",
    [
        "target-of-somebody-else",
        "unknown-tag",
        "no-space",
        "quota",
        "damaged-cache",
        "two-in-an-index",
        "other-platform",
        "two-directories",
        "pickle-only",
        "tag-alone",
        "never-pulled",
    ],
)
def test_what_an_error_says_to_try_helps(
    name: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    kind, arrange = SCENES[name]
    with ExitStack() as stack:
        stage = Stage(registry, oci_pull.with_env(OCI_PULL_FORMAT="json"), stack)
        words = arrange(stage)
        typed = _tried(stage.user(*words).must_fail(kind.exit_code))
        own = typed[1:] if typed[0] == "oci-pull" else [*words, *typed]
        stage.user(*own).must_succeed()


def test_a_cache_that_only_the_command_line_names_is_named_again(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    with ExitStack() as stack:
        stage = Stage(registry, oci_pull.with_env(OCI_PULL_FORMAT="json"), stack)
        _, arrange = SCENES["no-space"]
        words = arrange(stage)
        elsewhere = oci_pull.home / "other place"
        stage.user.cache.rename(elsewhere)
        typed = _tried(stage.user("--cache-dir", elsewhere, *words).must_fail(7))
        assert stage.user(*typed[1:]).must_succeed().json["freed"] > 0


def _tried(run: Run) -> list[str]:
    """The words of the first line to try; what stands behind two spaces is for people."""
    hint = re.findall(r"^  try: (.*?)(?:  .*)?$", run.stderr, re.MULTILINE)[0]
    return shlex.split(hint)


def _compare(name: str, seen: str, config: pytest.Config) -> None:
    path = GOLDEN / f"{name}.txt"
    if config.getoption(UPDATE):
        path.parent.mkdir(exist_ok=True)
        path.write_text(seen)
    assert seen == path.read_text(), f"{path.name} differs; {UPDATE} rewrites it"


def test_every_golden_has_its_scene() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(SCENES)


def test_every_cause_is_seen() -> None:
    seen = {kind for kind, _ in SCENES.values()} | _ELSEWHERE
    every = {each for each in vars(errors).values() if isinstance(each, type)}
    leaves = {
        each
        for each in every
        if issubclass(each, errors.OciPullError) and each.__subclasses__() == []
    }
    assert leaves <= seen

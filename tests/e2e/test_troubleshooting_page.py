"""What docs/troubleshooting.md shows is what the command says: its texts are the goldens.

`--update-goldens` writes the goldens into the page as well, each below its name.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from oci_pull import errors
from tests.conftest import UPDATE
from tests.e2e.command import PATH
from tests.e2e.failures import SCENES
from tests.e2e.test_errors_seen import GOLDEN

CHECKOUT = Path(__file__).parent.parent.parent
PAGE = CHECKOUT / "docs" / "troubleshooting.md"
_SHOWN = re.compile(r"<!-- (\S+) -->\n```text\n(.*?)```\n", re.DOTALL)


def _golden(name: str) -> str:
    return (GOLDEN / f"{name}.txt").read_text()


def _sections() -> dict[int, str]:
    """The part of the page for each exit code."""
    found = re.split(r"^## (.*)$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    titles, parts = found[::2], found[1::2]
    return {
        int(code): part
        for title, part in zip(titles, parts, strict=True)
        for code in re.findall(r"\d+", title)
    }


def test_the_page_shows_every_error_as_it_is_seen(pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption(UPDATE):
        text = _SHOWN.sub(
            lambda shown: f"<!-- {shown[1]} -->\n```text\n{_golden(shown[1])}```\n",
            PAGE.read_text(),
        )
        PAGE.write_text(text)
    shown = dict(_SHOWN.findall(PAGE.read_text()))
    assert shown == {name: _golden(name) for name in SCENES}


@pytest.mark.parametrize("name", SCENES)
def test_an_error_stands_in_the_section_of_its_exit_code(name: str) -> None:
    kind, _ = SCENES[name]
    assert f"<!-- {name} -->" in _sections()[kind.exit_code]


def test_every_exit_code_has_its_section() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    codes = {each.exit_code for each in kinds if issubclass(each, errors.OciPullError)}
    assert set(_sections()) == codes


def test_the_codes_to_try_again_on_are_those_that_are_retryable() -> None:
    table = re.findall(r"^\| \[([\d, ]+)\].*\| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    said = {int(code) for codes, again in table for code in codes.split(", ") if "yes" in again}
    bases = (errors.TransferError, errors.RateLimited, errors.Busy, errors.Cancelled)
    assert said == {each.exit_code for each in (*bases, errors.Terminated)}
    assert all(each.retryable for each in bases)


@pytest.mark.parametrize(("code", "tries"), [(0, 1), (3, 1), (5, 4), (6, 4), (11, 4), (12, 1)])
def test_the_loop_for_scripts_tries_again_where_that_may_help(
    code: int, tries: int, tmp_path: Path
) -> None:
    (loop,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for name, line in {"oci-pull": f"echo x >>{tmp_path}/log; exit {code}", "sleep": ":"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:{PATH}", "REF": "ai/smollm2"}
    run = subprocess.run(["sh", "-c", loop], env=env, check=False)
    assert run.returncode == code
    assert (tmp_path / "log").read_text().count("x") == tries


def test_the_readme_leads_there() -> None:
    assert "(docs/troubleshooting.md)" in (CHECKOUT / "README.md").read_text()

"""What docs/registries.md says: its file is read, and the tests that it names are there."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from oci_pull.settings import Settings
from tests.e2e import pages

if TYPE_CHECKING:
    from pathlib import Path

PAGE = pages.text_of("docs/registries.md")
TESTS = sorted(set(re.findall(r"`(tests/[a-z0-9_/]+\.py)::(test_\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_test_that_the_page_names_is_there(file: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", pages.text_of(file), re.MULTILINE)


def test_every_registry_has_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 12
    assert all("::test_" in row for row in rows)


def test_the_configuration_of_the_page_is_one(tmp_path: Path) -> None:
    (example,) = pages.blocks(PAGE, "toml")
    path = tmp_path / "config.toml"
    path.write_text(example)
    settings = Settings.load({}, {"config": str(path)}, etc=tmp_path / "etc")
    written = tomllib.loads(example)
    assert settings.jobs == written["jobs"]
    assert settings.stall_timeout == 60
    assert settings.keep == tuple(written["keep"])
    mirrors = settings.registry("docker.io").mirrors
    assert [str(each) for each in mirrors] == [
        "https://mirror.corp.example/hub",
        "https://cache.example:5000",
    ]
    assert [each.tags for each in mirrors] == [True, False]
    corp = settings.registry("registry.corp.example:5000")
    assert (str(corp.ca_file), corp.credential_helper, corp.jobs) == (
        "/etc/ssl/corp.pem",
        "corp-login",
        4,
    )

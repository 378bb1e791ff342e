from collections.abc import Mapping

import pytest
import typer
from typer.testing import CliRunner

from oci_pull.cli.options import takes
from oci_pull.settings import Settings


def _given(words: str) -> Mapping[str, object]:
    """What a command with switches and a value gets."""
    seen: list[Mapping[str, object]] = []
    app = typer.Typer()

    @app.command()
    @takes(("offline", "no_space_check", "max_bytes", "verbose"))
    def command(*, given: Mapping[str, object]) -> None:
        seen.append(given)

    assert CliRunner().invoke(app, words.split()).exit_code == 0
    return {name: value for name, value in seen[0].items() if value is not None}


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("", {}),
        ("--offline", {"offline": True}),
        ("--no-offline", {"offline": False}),
        ("--no-space-check", {"no_space_check": True}),
        ("--space-check", {"no_space_check": False}),
        ("--max-bytes 5G", {"max_bytes": "5G"}),
        ("-v", {"verbose": 1}),
        ("-vv", {"verbose": 2}),
        ("-v --verbose", {"verbose": 2}),
    ],
)
def test_a_switch_can_be_said_and_taken_back(words: str, given: Mapping[str, object]) -> None:
    assert _given(words) == given


def test_what_was_given_is_what_the_settings_take() -> None:
    settings = Settings.load({"HOME": "/home/ada"}, _given("--no-space-check --max-bytes 5G"))
    assert (settings.no_space_check, settings.max_bytes) == (True, 5_000_000_000)

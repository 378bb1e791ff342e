import sys

import pytest

from oci_pull import __main__
from oci_pull.cli.arguments import COMMANDS
from oci_pull.cli.help import overview
from oci_pull.settings import OPTIONS, flag_of


def test_every_command_and_every_option_is_listed() -> None:
    page = overview()
    for name in (*COMMANDS, *(flag_of(name) for name in OPTIONS)):
        assert f" {name} " in page


def test_the_page_fits_a_terminal() -> None:
    assert max(map(len, overview().splitlines())) <= 80
    assert overview().endswith("\n")


@pytest.mark.parametrize(
    ("words", "code", "stream", "start"),
    [
        (["-V"], 0, "out", "oci-pull "),
        (["--version"], 0, "out", "oci-pull "),
        (["-h"], 0, "out", "Usage: oci-pull"),
        (["--help"], 0, "out", "Usage: oci-pull"),
        ([], 2, "err", "Usage: oci-pull"),
    ],
)
def test_what_needs_no_imports_is_answered_at_once(
    words: list[str],
    code: int,
    stream: str,
    start: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["oci-pull", *words])
    with pytest.raises(SystemExit) as caught:
        __main__.main()
    assert caught.value.code == code
    assert getattr(capsys.readouterr(), stream).startswith(start)

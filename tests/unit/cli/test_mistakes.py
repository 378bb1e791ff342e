import pytest

from oci_pull.cli.app import app
from oci_pull.cli.mistakes import TyperUsageError, mistake
from oci_pull.errors import UsageError


def _mistake(typed: str) -> UsageError:
    with pytest.raises(TyperUsageError) as caught:
        app(args=typed.split(), prog_name="oci-pull", standalone_mode=False)
    return mistake(caught.value)


@pytest.mark.parametrize(
    ("typed", "message", "near"),
    [
        ("pull --ouput x ai/x", "oci-pull pull has no option --ouput", "--output\n"),
        ("pull ai/x --ofline", "oci-pull pull has no option --ofline", "--offline\n"),
        ("plan ai/x --jbos 3", "oci-pull plan has no option --jbos", "--jobs\n"),
        ("cache prune --max-sizes 3", "oci-pull cache prune has no option --max-sizes",
         "--max-size\n"),
        ("cache ls --jobs 3", "oci-pull cache ls has no option --jobs", "oci-pull cache ls -h"),
        ("pull -x ai/x", "oci-pull pull has no option -x", "oci-pull pull -h"),
        ("cache lss", "no such command 'lss'. Did you mean 'ls'?", "oci-pull cache -h"),
        ("cache", "missing command", "oci-pull cache -h"),
        ("login", "missing argument 'REGISTRY'", "oci-pull login -h"),
        ("pull ai/x --jobs", "option '--jobs' requires an argument", "oci-pull -h"),
    ],
)  # fmt: skip
def test_a_mistake_is_an_error_like_others_with_what_was_meant(
    typed: str, message: str, near: str
) -> None:
    error = _mistake(typed)
    assert error.message == message
    assert (error.hint or "").startswith(near)
    assert error.exit_code == 2

"""What holds for every test: nothing leaks in from outside, and CI skips nothing."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.integration.matrix import write_table

#: Set by `make check`: a skipped test is a failed one.
_NO_SKIPS = "OCI_PULL_TEST_NO_SKIPS"
#: Rewrites what is compared with a golden; the diff is read by whoever asked for it.
UPDATE = "--update-goldens"
_LEAKS = ("OCI_PULL_", "DOCKER_", "REGISTRY_AUTH_FILE", "XDG_", "NO_COLOR", "FORCE_COLOR")


# A machine that is busy is no reason to fail; and `make check` tries the same examples every time,
# so that what it says of a commit is said of the commit. Others are tried by everybody else.
settings.register_profile(
    "suite",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=_NO_SKIPS in os.environ,
    print_blob=True,
)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register what all tests with goldens share."""
    parser.addoption(UPDATE, action="store_true", help="rewrite the goldens of the tests that run")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No option, credential, or proxy of the machine decides how a test ends."""
    for name in list(os.environ):
        if name.startswith(_LEAKS) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show which packagings were pulled."""
    write_table(terminalreporter)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that has skipped something where nothing may be skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get(_NO_SKIPS) or reporter is None or exitstatus:
        return
    if skipped := reporter.stats.get("skipped"):
        reporter.write_line(f"{len(skipped)} tests were skipped, and none may be", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

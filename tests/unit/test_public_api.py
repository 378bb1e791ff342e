import doctest
import inspect
import subprocess
import sys
import typing
from itertools import pairwise

import pytest

import oci_pull
from oci_pull import errors
from oci_pull.api import Options
from oci_pull.oci import reference
from oci_pull.settings import OPTIONS

_NAMES = {
    "pull",
    "plan",
    "inspect",
    "Reference",
    "Digest",
    "Plan",
    "PullResult",
    "Settings",
    "Observer",
    "events",
    "__version__",
}
#: Options that only make sense on a command line.
_COMMAND_LINE_ONLY = {
    "digest_file", "format", "progress", "quiet", "color", "password_stdin",
}  # fmt: skip


def test_the_package_exports_what_is_promised_and_nothing_else() -> None:
    causes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.OciPullError)
    }
    assert set(dir(oci_pull)) == _NAMES | causes
    for name in _NAMES | causes:
        assert getattr(oci_pull, name) is not None


def test_the_function_is_not_hidden_by_the_module_of_its_name() -> None:
    from oci_pull.pull import PullResult

    assert callable(oci_pull.pull)
    assert oci_pull.PullResult is PullResult


def test_what_is_returned_is_what_is_exported() -> None:
    assert typing.get_type_hints(oci_pull.pull)["return"] is oci_pull.PullResult
    assert typing.get_type_hints(oci_pull.plan)["return"] is oci_pull.Plan


def test_every_keyword_says_what_it_is() -> None:
    lines = [line.strip() for line in inspect.getsource(Options).splitlines()]
    above = {line.partition(":")[0]: before for before, line in pairwise(lines)}
    for name in typing.get_type_hints(Options):
        assert above[name].startswith("#: "), name


def test_what_a_docstring_shows_is_true() -> None:
    found = doctest.testmod(reference)
    assert (found.attempted, found.failed) == (3, 0)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="push"):
        _ = oci_pull.push


def test_keyword_names_are_the_names_of_the_options() -> None:
    keywords = OPTIONS.keys() - _COMMAND_LINE_ONLY | {"password"}
    assert set(typing.get_type_hints(Options)) == keywords


def test_an_unknown_option_is_an_error_and_not_ignored() -> None:
    with pytest.raises(TypeError, match="ouput"):
        oci_pull.pull("ai/smollm2", ouput="/tmp")  # type: ignore[call-arg]


#: What takes as long to import as all of the library.
_HEAVY = {
    "asyncio", "certifi", "concurrent", "email", "http", "httpcore", "httpx",
    "logging", "multiprocessing", "rich", "ssl", "truststore", "typer", "typing_extensions",
}  # fmt: skip


def _imported(code: str) -> set[str]:
    program = f"import sys; before = set(sys.modules); {code}; print(*set(sys.modules) - before)"
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(shown.stdout.split())


def test_importing_the_package_imports_nothing_of_it() -> None:
    ours = {name for name in _imported("import oci_pull") if name.partition(".")[0] == "oci_pull"}
    assert ours == {"oci_pull"}
    assert not _imported("import oci_pull") & (_HEAVY | {"dataclasses", "inspect", "threading"})


def test_importing_its_names_imports_nothing_that_a_pull_may_do_without() -> None:
    names = ", ".join(_NAMES)
    assert not _imported(f"from oci_pull import {names}") & _HEAVY


def test_errors_and_references_need_no_engine() -> None:
    found = _imported("from oci_pull import NotFoundError, Reference")
    assert not {name for name in found if name.startswith(("oci_pull.fetch", "oci_pull.adapters"))}

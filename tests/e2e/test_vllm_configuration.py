"""The plugin by its entry point in a process of its own; in vLLM where that is installed."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.command import PATH
from tests.e2e.vllm.configuration import FORMS, check

_STAND_IN = Path(__file__).parent.parent / "fakes" / "vllm_stand_in"
_ENVIRONMENTS = {"stand-in": {"PYTHONPATH": str(_STAND_IN)}}
if find_spec("vllm"):
    _ENVIRONMENTS["installed"] = {"VLLM_NO_USAGE_STATS": "1"}


@pytest.mark.parametrize("environment", _ENVIRONMENTS)
@pytest.mark.parametrize("form", FORMS)
def test_a_model_that_is_named_by_a_reference_is_configured(
    form: str, environment: str, tmp_path: Path
) -> None:
    environ = {"PATH": f"{PATH}{os.pathsep}{os.environ['PATH']}", **_ENVIRONMENTS[environment]}
    check(form, sys.executable, environ, tmp_path)

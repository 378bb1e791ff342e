"""The recipes before those who decide what Kubernetes, KServe, GitHub, GitLab and systemd take."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.recipes import RECIPES
from tests.producers.programs import debian_tool

_SCRIPTS = Path(sys.executable).parent
_KUBERNETES = sorted((RECIPES / "kubernetes").glob("*.yaml"))
_MISSING = "not installed: `make judges` gets it"


def _judged(name: str, *words: str | Path) -> str:
    """What the program said of a file that it takes."""
    program = _SCRIPTS / name
    if not program.exists():
        pytest.skip(f"{name} is {_MISSING}")
    done = subprocess.run([program, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _kubernetes(path: Path) -> str:
    return _judged("kubernetes-validate", "--strict", path)


@pytest.mark.parametrize(
    "path", [path for path in _KUBERNETES if path.name != "kserve.yaml"], ids=lambda path: path.name
)
def test_kubernetes_takes_it(path: Path) -> None:
    kinds = [each["kind"].lower() for each in yaml.safe_load_all(path.read_text())]
    assert re.findall(r"passed for resource (\w+)/", _kubernetes(path)) == kinds


def _members(model: str) -> set[str]:
    """Of a type of KServe, as its package for Python has it."""
    try:
        files = importlib.metadata.files("kserve") or ()
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"kserve is {_MISSING}")
    (path,) = [each for each in files if each.match(f"kserve/models/{model}.py")]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "attribute_map":
            return set(ast.literal_eval(node.value).values())
    raise AssertionError(model)


def test_kserve_takes_it(tmp_path: Path) -> None:
    found: dict[str, Any] = yaml.safe_load((RECIPES / "kubernetes/kserve.yaml").read_text())
    spec = found["spec"]
    assert found["apiVersion"] == "serving.kserve.io/v1alpha1"
    assert found.keys() <= _members("v1alpha1_cluster_storage_container")
    assert spec.keys() <= _members("v1alpha1_storage_container_spec")
    for each in spec["supportedUriFormats"]:
        assert each.keys() <= _members("v1alpha1_supported_uri_format")
    # KServe puts it into a pod, whose arguments are its own then.
    container = {
        **spec["container"],
        "args": ["oci-artifact://ghcr.io/acme/llama:v3", "/mnt/models"],
    }
    pod = tmp_path / "pod.yaml"
    within = {"containers": [{"name": "served", "image": "served"}], "initContainers": [container]}
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "served"}, "spec": within}
    pod.write_text(yaml.safe_dump(document))
    assert "passed for resource pod/served" in _kubernetes(pod)


@pytest.mark.parametrize(
    ("schema", "file"),
    [("github-workflows", "github-actions.yml"), ("gitlab-ci", "gitlab-ci.yml")],
)
def test_a_service_that_runs_pipelines_takes_it(schema: str, file: str) -> None:
    _judged("check-jsonschema", "--builtin-schema", f"vendor.{schema}", RECIPES / "ci" / file)


def test_systemd_takes_the_units_and_the_lines_that_are_left_out(tmp_path: Path) -> None:
    analyze = debian_tool("systemd-analyze")
    for path in (RECIPES / "systemd").iterdir():
        text = path.read_text()
        (tmp_path / path.name).write_text(re.sub(r"(?m)^#(?=[A-Z]\w+=)", "", text))
    done = analyze.run("verify", "--man=no", *tmp_path.iterdir(), check=False)
    # Of what it does not know it says so, and goes on.
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

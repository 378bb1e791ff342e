"""The pods of the recipes, run in the image of `Dockerfile.tool` as a kubelet would run them.

With a root file system of their own that is read-only, a user without an account, no HOME, no
capabilities, and as the first process of the container.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests import builders
from tests.e2e.disk import assert_tidy, assert_tree, bytes_kept, partial_journals
from tests.e2e.isolation import STRANGER
from tests.integration.recipes import GGUF, LLAMA, RECIPES, docker_config, filled_in
from tests.servers.container import Container, Image, Mount, Security, terminate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.command import Command
    from tests.servers.distribution import Distribution


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The volume."""
    path = tmp_path / "models"
    path.mkdir()
    return path


def _document(file: str, kind: str) -> dict[str, Any]:
    documents = yaml.safe_load_all((RECIPES / "kubernetes" / file).read_text())
    found: dict[str, Any] = next(each for each in documents if each["kind"] == kind)
    return found


class _Pod:
    """A `PodSpec`, with a directory for each of its volumes."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        *,
        registry: Distribution,
        image: Image,
        models: Path,
        lists: Mapping[str, str] | None = None,
    ) -> None:
        self._spec = spec
        self._registry = registry
        self._image = image
        self._home = models.parent
        self._group = spec.get("securityContext", {}).get("fsGroup", 0)
        self._volumes = {"models": models}
        # What a kubelet does to a volume of which somebody is to be the group.
        os.chown(models, 0, self._group)
        models.chmod(0o2775 if self._group else 0o755)
        for volume in spec["volumes"]:
            if "secret" in volume:
                self._write(volume["name"], self._secret(volume["secret"]), 0o440)
            if "configMap" in volume:
                self._write(volume["name"], lists or {}, 0o644)

    def _secret(self, secret: Mapping[str, Any]) -> dict[str, str]:
        ((key, path),) = [(each["key"], each["path"]) for each in secret["items"]]
        assert key == ".dockerconfigjson"
        return {path: docker_config(self._registry)}

    def _write(self, volume: str, files: Mapping[str, str], mode: int) -> None:
        directory = self._volumes[volume] = self._home / volume
        directory.mkdir()
        for name, text in files.items():
            (directory / name).write_text(filled_in(text, self._registry))
            os.chown(directory / name, 0, self._group)
            (directory / name).chmod(mode)

    def command(self, container: Mapping[str, Any], **env: str) -> Command:
        """The container with its own arguments, and more variables."""
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert context["capabilities"]["drop"] == ["ALL"]
        given = {each["name"]: each["value"] for each in container["env"]}
        found = Container(
            self._image,
            Security(context["runAsUser"], (self._group,), read_only_root=True),
            [
                Mount(self._volumes[each["name"]], each["mountPath"], each.get("readOnly", False))
                for each in container["volumeMounts"]
            ],
            {**given, **env},
            container.get("command", ()),
        )
        return found.at(self._home)

    def arguments(self, container: Mapping[str, Any]) -> list[str]:
        return [filled_in(each, self._registry) for each in container["args"]]


@pytest.fixture(params=["init-container.yaml", "job.yaml"])
def pod(
    request: pytest.FixtureRequest, ghcr: Distribution, tool_image: Image, models: Path
) -> tuple[_Pod, dict[str, Any]]:
    """Of both that lay one model out on a volume, with the container that does it."""
    if request.param == "job.yaml":
        spec = _document(request.param, "Job")["spec"]["template"]["spec"]
        (container,) = spec["containers"]
    else:
        spec = _document(request.param, "Pod")["spec"]
        (container,) = spec["initContainers"]
    return _Pod(spec, registry=ghcr, image=tool_image, models=models), container


def test_one_copy_is_on_the_volume(
    pod: tuple[_Pod, dict[str, Any]], ghcr: Distribution, models: Path
) -> None:
    spec, container = pod
    run = spec.command(container)(*spec.arguments(container)).must_succeed()
    assert run.stdout == "/models/llama\n"
    assert not set("\x1b\r") & set(run.stderr)
    assert_tree(models / "llama", LLAMA)
    assert [each.name for each in models.iterdir()] == ["llama"]

    before = len(ghcr.access_log())
    assert spec.command(container)(*spec.arguments(container)).path == run.path
    assert not [each for each in ghcr.access_log()[before:] if "/blobs/" in each.path]


def test_a_pod_that_is_ended_is_followed_by_one_that_goes_on(
    pod: tuple[_Pod, dict[str, Any]], models: Path
) -> None:
    spec, container = pod
    slow = spec.command(container, OCI_PULL_LIMIT_RATE="300K")
    with slow.start(*spec.arguments(container)) as running:
        running.until(lambda: bytes_kept(models / "llama/.oci-pull/cache"), "bytes are kept")
        assert terminate(running).code == 143

    again = spec.command(container, OCI_PULL_FORMAT="json")(*spec.arguments(container))
    said = again.must_succeed().json
    assert said["reused"] > 0
    whole = builders.docker_v02(LLAMA).blobs.values()
    assert said["fetched"] + said["reused"] == sum(map(builders.size_of, whole))
    assert_tree(models / "llama", LLAMA)


@pytest.fixture
def node(ghcr: Distribution, tool_image: Image, models: Path) -> tuple[_Pod, dict[str, Any]]:
    """The pod of the DaemonSet."""
    spec = _document("daemonset.yaml", "DaemonSet")["spec"]["template"]["spec"]
    lists = _document("daemonset.yaml", "ConfigMap")["data"]
    (container,) = spec["containers"]
    return _Pod(spec, registry=ghcr, image=tool_image, models=models, lists=lists), container


def test_a_node_is_warm_and_its_pods_find_the_models(
    node: tuple[_Pod, dict[str, Any]], ghcr: Distribution, tool_image: Image, models: Path
) -> None:
    spec, container = node
    metrics = models / "oci-pull.prom"
    with spec.command(container).start(*spec.arguments(container)) as running:
        running.until(metrics.exists, "the list is done")
        assert terminate(running).code == 143
    assert_tidy(models)
    assert "oci_pull_last_success" in metrics.read_text()

    mount = Mount(models, "/models", read_only=True)
    stranger = Security(STRANGER, read_only_root=True)
    reader = Container(tool_image, stranger, [mount]).at(models.parent)
    for words, files in (
        (("acme/llama:v3",), LLAMA),
        (("ai/smollm2", "--include=*.gguf"), GGUF),
    ):
        name, *options = words
        where = (f"{ghcr.host}/{name}", *options, "--cache-dir", "/models")
        found = reader("cache", "path", *where).path
        assert reader("--offline", *where).path == found
        assert_tree(models / found.relative_to("/models"), files)


def test_a_node_that_is_drained_waits_for_nobody(
    node: tuple[_Pod, dict[str, Any]], models: Path
) -> None:
    spec, container = node
    slow = spec.command(container, OCI_PULL_LIMIT_RATE="300K")
    with slow.start(*spec.arguments(container)) as running:
        running.until(lambda: partial_journals(models), "a download is under way")
        assert terminate(running).code == 143


def test_kserve_gets_the_model_where_it_wants_it(
    ghcr: Distribution, tool_image: Image, models: Path, tmp_path: Path
) -> None:
    spec = _document("kserve.yaml", "ClusterStorageContainer")["spec"]
    container = spec["container"]
    # KServe's own arguments, which those of a ClusterStorageContainer would replace.
    assert "args" not in container
    (prefix,) = [each["prefix"] for each in spec["supportedUriFormats"]]
    (variable,) = container["env"]
    assert variable["valueFrom"]["secretKeyRef"]["key"] == ".dockerconfigjson"
    models.chmod(stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)  # an emptyDir
    run = Container(
        tool_image,
        Security(int(tool_image.user)),
        [Mount(models, "/mnt/models")],
        {variable["name"]: docker_config(ghcr)},
        container["command"],
    ).at(tmp_path)(f"{prefix}{ghcr.host}/acme/llama:v3", "/mnt/models")
    assert run.path == Path("/mnt/models")
    models.chmod(0o755)
    assert_tree(models, LLAMA)

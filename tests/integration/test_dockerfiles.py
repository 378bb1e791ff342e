"""The Dockerfiles of the recipes, built by buildah: what is in the layers, and what is not."""

from __future__ import annotations

import json
import re
import tarfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests import builders
from tests.integration.recipes import ANA, LLAMA, RECIPES, docker_config
from tests.servers.push import push, reference

if TYPE_CHECKING:
    from tests.producers.programs import Buildah
    from tests.servers.distribution import Distribution


class _Layer(NamedTuple):
    archive: bytes
    #: Of its regular files.
    sizes: dict[str, int]


class _Image(NamedTuple):
    #: Lowest first.
    layers: list[_Layer]
    configuration: bytes
    #: What the build printed.
    log: str

    @property
    def names(self) -> set[str]:
        return {name for layer in self.layers for name in layer.sizes}


def _build(builder: Buildah, ghcr: Distribution, directory: Path, *words: str) -> _Image:
    secret = directory.with_suffix(".json")
    secret.write_text(docker_config(ghcr))
    image = directory.name
    log = builder.build(
        RECIPES / "Dockerfile",
        f"--secret=id=docker,src={secret}",
        f"--build-arg=MODEL={ghcr.host}/acme/llama:v3",
        f"--tag={image}",
        *words,
    )
    builder("push", "--quiet", "--disable-compression", image, f"oci:{directory}")
    blobs = directory / "blobs/sha256"

    def blob(named: dict[str, str]) -> bytes:
        return (blobs / named["digest"].removeprefix("sha256:")).read_bytes()

    (top,) = json.loads((directory / "index.json").read_bytes())["manifests"]
    manifest = json.loads(blob(top))
    layers = []
    for archive in map(blob, manifest["layers"]):
        with tarfile.open(fileobj=BytesIO(archive)) as members:
            layers.append(_Layer(archive, {each.name: each.size for each in members}))
    return _Image(layers, blob(manifest["config"]), log)


@pytest.fixture(scope="module")
def image(builder: Buildah, ghcr: Distribution, scratch: Path) -> _Image:
    """The whole Dockerfile, with a cache mount that has nothing yet."""
    return _build(builder, ghcr, scratch / "with-model")


@pytest.fixture(scope="module")
def stage(image: _Image, builder: Buildah, ghcr: Distribution, scratch: Path) -> _Image:
    """What has the mounts, built once more."""
    before = len(ghcr.access_log())
    found = _build(builder, ghcr, scratch / "stage", "--target=model")
    asked = [each.path for each in ghcr.access_log()[before:]]
    assert [path for path in asked if "/manifests/" in path]
    assert [path for path in asked if "/blobs/" in path] == []
    return found


def test_the_model_is_once_in_one_layer(image: _Image) -> None:
    *below, top = image.layers
    model_of = {f"models/model/{name}": builders.size_of(text) for name, text in LLAMA.items()}
    files = {name: size for name, size in top.sizes.items() if size}
    receipt = files.pop("models/model/.oci-pull/receipt.json")
    assert files == model_of
    # Headers and padding beside the bytes of the files.
    assert len(top.archive) < sum(model_of.values()) + receipt + 32 * 1024
    assert not [name for layer in below for name in layer.sizes if name.startswith("models")]
    entry = json.loads(image.configuration)["config"]["Entrypoint"]
    assert entry == ["vllm", "serve", "/models/model"]


def test_a_build_with_a_warm_cache_fetches_nothing(stage: _Image) -> None:
    assert "models/model/model.safetensors" in stage.names


def test_neither_the_cache_nor_the_credential_is_in_a_layer(image: _Image, stage: _Image) -> None:
    for each in (image, stage):
        assert not [name for name in each.names if re.match(r"cache/.|root/\.docker/.", name)]
        for secret in (ANA.password, ANA.basic.removeprefix("Basic ")):
            assert not [layer for layer in each.layers if secret.encode() in layer.archive]
            assert secret.encode() not in each.configuration
            assert secret not in each.log


def test_the_log_of_a_build_has_lines_and_nothing_that_moves(image: _Image) -> None:
    assert "to fetch" in image.log
    assert not set("\x1b\r") & set(image.log)


def test_a_public_model_needs_no_secret(builder: Buildah, registry: Distribution) -> None:
    push(registry.url, "acme/public", "v1", builders.docker_v02(LLAMA))
    name = reference(registry.url, "acme/public", "v1")
    words = (f"--build-arg=MODEL={name}", "--target=model", "--tag=public")
    builder.build(RECIPES / "Dockerfile", *words)
    root = Path(builder("mount", builder("from", "public")))
    assert (root / "models/model/config.json").read_bytes() == LLAMA["config.json"]

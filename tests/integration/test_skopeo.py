"""The cache in the hands of a program that nobody here wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.content import encode
from tests.e2e.disk import assert_tree
from tests.integration.models import PACKAGINGS
from tests.servers.distribution import Distribution
from tests.servers.push import push

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.command import Command
    from tests.integration.models import Pulled, Pushed
    from tests.servers.debian import Tool

#: Those whose archives are all small enough to stay in the cache.
_WHOLE = [
    "docker-v0.1",
    "docker-v0.1-shards",
    "docker-v0.2",
    "modelpack-raw",
    "aikit-gzip",
    "index",
]

whole = pytest.mark.parametrize("name", _WHOLE)


@pytest.fixture(scope="module")
def other(scratch: Path) -> Iterator[Distribution]:
    """A second registry, with nothing in it."""
    with Distribution(scratch / "other") as found:
        yield found


def _in_cache(found: Pulled) -> str:
    return f"oci:{found.oci_pull.cache}:{found.model.reference}"


@whole
def test_skopeo_reads_the_manifest_out_of_the_cache(
    name: str, skopeo: Tool, pulled: Callable[[str], Pulled]
) -> None:
    found = pulled(name)
    raw = skopeo.run("inspect", "--raw", _in_cache(found)).stdout
    assert raw.encode() == found.model.manifest.manifest


@whole
def test_what_skopeo_copies_out_of_the_cache_is_pulled_from_elsewhere(
    name: str,
    skopeo: Tool,
    other: Distribution,
    pulled: Callable[[str], Pulled],
    oci_pull: Command,
) -> None:
    found = pulled(name)
    reference = f"{other.host}/copied/{name}:v1"
    skopeo.run("copy", "--dest-tls-verify=false", _in_cache(found), f"docker://{reference}")
    path = oci_pull(*PACKAGINGS[name].words, reference).path
    assert_tree(path, found.model.files)
    digest = oci_pull("inspect", "--format", "json", reference).json["digest"]
    assert digest == found.model.manifest.digest


def test_with_archives_kept_skopeo_copies_what_was_unpacked(
    skopeo: Tool,
    other: Distribution,
    pushed: Callable[[str], Pushed],
    oci_pull: Command,
    scratch: Path,
) -> None:
    model = pushed("aikit-tar")
    cache = scratch / "kept"
    words = ("--keep-archives", "--cache-dir", cache)
    oci_pull(*words, model.reference).must_succeed()
    reference = f"{other.host}/copied/kept:v1"
    source = f"oci:{cache}:{model.reference}"
    skopeo.run("copy", "--dest-tls-verify=false", source, f"docker://{reference}")
    assert_tree(oci_pull("--cache-dir", scratch / "other", reference).path, model.files)


def test_the_index_of_the_cache_names_what_is_whole_and_nothing_else(
    skopeo: Tool, pulled: Callable[[str], Pulled]
) -> None:
    found = pulled("modelpack-tar")
    failed = skopeo.run("inspect", "--raw", _in_cache(found), check=False)
    if sum(each.stat().st_size for each in found.path.rglob("*.safetensors")) > 64_000_000:
        # The archive of the weights is gone, so that a copy of the manifest would be a broken one.
        assert failed.returncode != 0
    else:
        assert failed.returncode == 0


def test_several_models_are_in_one_cache(
    skopeo: Tool, tiny: Callable[..., Pushed], oci_pull: Command
) -> None:
    models = [tiny(f"cache/model-{seed}", seed) for seed in range(3)]
    oci_pull(*(model.reference for model in models)).must_succeed()
    for model in models:
        raw = skopeo.run("inspect", "--raw", f"oci:{oci_pull.cache}:{model.reference}").stdout
        assert raw.encode() == model.artifact.manifest


def test_a_manifest_that_skopeo_converted_to_dockers_format_is_pulled(
    skopeo: Tool,
    other: Distribution,
    registry: Distribution,
    oci_pull: Command,
) -> None:
    """Skopeo converts only what looks like an image: layers of an image's type, and its config."""
    files = builders.tiny_model()
    layers = [
        builders.layer(
            "application/vnd.oci.image.layer.v1.tar",
            content,
            {"org.cncf.model.filepath": name},
        )
        for name, content in files.items()
    ]
    rootfs = {"type": "layers", "diff_ids": [each.digest for each in layers]}
    config = builders.layer(
        "application/vnd.oci.image.config.v1+json",
        encode(
            {
                "architecture": "amd64",
                "os": "linux",
                "rootfs": rootfs,
            }
        ),
    )
    push(registry.url, "converted/from", "v1", builders.artifact(config, layers))
    reference = f"{other.host}/converted/to:v1"
    skopeo.run(
        "copy",
        "--format=v2s2",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        f"docker://{registry.host}/converted/from:v1",
        f"docker://{reference}",
    )
    raw = skopeo.run("inspect", "--raw", "--tls-verify=false", f"docker://{reference}").stdout
    assert "vnd.docker.distribution.manifest.v2+json" in raw
    # An image, which is another packaging than those that are known by now; it is told apart.
    run = oci_pull("inspect", "--format", "json", reference).must_succeed()
    assert run.json["type"] == builders.DOCKER_MANIFEST


@pytest.mark.parametrize("transport", ["oci", "oci-archive"])
def test_a_layout_that_skopeo_wrote_is_pulled(
    transport: str, skopeo: Tool, pushed: Callable[[str], Pushed], oci_pull: Command
) -> None:
    model = pushed("docker-v0.1-shards")
    layout = f"{transport}:{oci_pull.home / 'layout'}:v1"
    skopeo.run("copy", "--src-tls-verify=false", f"docker://{model.reference}", layout)
    path = oci_pull(layout).path
    assert_tree(path, model.files)
    assert "Up to date" in oci_pull(layout).stderr

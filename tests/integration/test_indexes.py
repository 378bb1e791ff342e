"""Several manifests under one tag, copied to a registry by skopeo: which one is pulled."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.content import IndexEntry, encode, index, layer
from tests.e2e.disk import assert_tree
from tests.producers import images
from tests.servers.push import push, reference, write_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tests.content import Artifact, Content
    from tests.e2e.command import Command, Run
    from tests.servers.debian import Tool
    from tests.servers.distribution import Distribution

_PACK = "application/vnd.cncf.model.manifest.v1+json"
_SOCI = "application/vnd.amazon.soci.index.v2+json"
_ATTESTATION = {"vnd.docker.reference.type": "attestation-manifest"}
_MODELCAR = {"io.opendatahub.modelcar.manifest.type": "modelpack"}
_UNKNOWN = {"os": "unknown", "architecture": "unknown"}


def _files(seed: int) -> Mapping[str, Content]:
    return builders.tiny_model(seed=seed)


def _model(seed: int) -> Artifact:
    return builders.modelpack(_files(seed))


def _on(architecture: str) -> dict[str, str]:
    return {"os": "linux", "architecture": architecture}


def _nothing(name: str) -> Artifact:
    """What describes something else: an attestation, a SOCI index."""
    return builders.artifact(builders.layer(builders.OCI_EMPTY, b"{}"), [layer(name, b"it")])


@pytest.fixture
def push_index(
    request: pytest.FixtureRequest, skopeo: Tool, registry: Distribution, tmp_path: Path
) -> Callable[[Sequence[IndexEntry]], str]:
    """An index in the registry, with everything in it."""
    repository = f"indexes/{re.sub(r'[^a-z0-9]+', '-', request.node.name).strip('-')}"

    def copy(entries: Sequence[IndexEntry]) -> str:
        layout = write_layout(tmp_path / "layout", index(entries), "v1")
        found = reference(registry.url, repository, "v1")
        skopeo.run(
            "copy", "--all", "--dest-tls-verify=false", f"oci:{layout}:v1", f"docker://{found}"
        )
        return found

    return copy


@pytest.mark.parametrize(("architecture", "seed"), [("amd64", 0), ("arm64", 1)])
def test_the_wanted_platform_is_pulled(
    architecture: str,
    seed: int,
    push_index: Callable[[Sequence[IndexEntry]], str],
    oci_pull: Command,
) -> None:
    found = push_index([IndexEntry(_model(0), _on("amd64")), IndexEntry(_model(1), _on("arm64"))])
    words = ("--platform", f"linux/{architecture}", found)
    assert_tree(oci_pull(*words).path, _files(seed))
    assert oci_pull("inspect", *words).must_succeed().stdout.count(f"* linux/{architecture}") == 1


def test_a_model_comes_before_images_and_what_describes_them_is_none(
    push_index: Callable[[Sequence[IndexEntry]], str], oci_pull: Command
) -> None:
    entries = [
        IndexEntry(images.image(_files(0)), _on("amd64")),
        IndexEntry(images.image(_files(1)), _on("arm64")),
        IndexEntry(_nothing("application/vnd.in-toto+json"), _UNKNOWN, _ATTESTATION),
        IndexEntry(_nothing("application/octet-stream"), artifact_type=_SOCI),
        IndexEntry(_model(2), _UNKNOWN, _MODELCAR, _PACK),
    ]
    assert_tree(oci_pull(push_index(entries)).path, _files(2))


def test_the_only_one_is_pulled_whatever_its_platform(
    push_index: Callable[[Sequence[IndexEntry]], str], oci_pull: Command
) -> None:
    entries = [
        IndexEntry(_model(0), _UNKNOWN),
        IndexEntry(_nothing("application/vnd.in-toto+json"), _UNKNOWN, _ATTESTATION),
    ]
    assert_tree(oci_pull(push_index(entries)).path, _files(0))


_VARIANTS = [
    IndexEntry(_model(0), annotations={"quantization": "Q4 K"}, artifact_type=_PACK),
    IndexEntry(_model(1), annotations={"quantization": "Q8"}, artifact_type=_PACK),
    IndexEntry(_model(2), artifact_type="application/vnd.kitops.modelkit.manifest.v1+json"),
    IndexEntry(_model(3), {"os": "linux", "architecture": "arm", "variant": "v7"}, None, _PACK),
]


def _options(run: Run) -> list[list[str]]:
    """What an error offers, as a shell takes it apart."""
    lines = re.findall(r"^ *(--(?:select|platform) .*)$", run.stderr, re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_of_several_variants_each_is_pulled_by_what_the_error_offers(
    registry: Distribution, oci_pull: Command
) -> None:
    # Not by skopeo: before 1.14 it loses the artifact types of entries.
    push(registry.url, "indexes/variants", "v1", index(_VARIANTS))
    found = reference(registry.url, "indexes/variants", "v1")
    run = oci_pull(found).must_fail(9)
    options = _options(run)
    assert options == [
        ["--select", "quantization=Q4 K"],
        ["--select", "quantization=Q8"],
        ["--select", "artifactType=application/vnd.kitops.modelkit.manifest.v1+json"],
        ["--platform", "linux/arm/v7"],
    ]
    for seed, option in enumerate(options):
        assert_tree(oci_pull(*option, found).path, _files(seed))
    inspected = oci_pull("inspect", "--format", "json", found).must_succeed().json
    assert inspected["problem"]["code"] == "several_variants"
    assert len(inspected["manifests"]) == len(_VARIANTS)
    oci_pull("--select", "quantization=Q2", found).must_fail(9)
    oci_pull("--platform", "linux/s390x", found).must_fail(9)


def test_variants_of_no_type_are_told_apart_by_annotations(
    push_index: Callable[[Sequence[IndexEntry]], str], oci_pull: Command
) -> None:
    sizes = ("small", "large")
    entries = [IndexEntry(_model(seed), None, {"size": size}) for seed, size in enumerate(sizes)]
    found = push_index(entries)
    assert _options(oci_pull(found).must_fail(9)) == [
        ["--select", f"size={size}"] for size in sizes
    ]
    assert_tree(oci_pull("--select", "size=large", found).path, _files(1))


def test_variants_that_nothing_tells_apart_are_pulled_by_their_digests(
    push_index: Callable[[Sequence[IndexEntry]], str], oci_pull: Command
) -> None:
    found = push_index([IndexEntry(_model(seed), artifact_type=_PACK) for seed in range(2)])
    run = oci_pull(found).must_fail(9)
    digests = re.findall(r"^ *(@sha256:[0-9a-f]{64})$", run.stderr, re.MULTILINE)
    assert len(digests) == 2
    for seed, digest in enumerate(digests):
        assert_tree(oci_pull(found + digest).path, _files(seed))


def test_variants_with_the_same_layers_are_one_model(
    push_index: Callable[[Sequence[IndexEntry]], str],
    registry: Distribution,
    oci_pull: Command,
) -> None:
    plain = _model(0)
    layers = [
        layer(each["mediaType"], plain.blobs[each["digest"]], each["annotations"])
        for each in plain.document["layers"]
    ]
    entries = [
        IndexEntry(
            builders.artifact(
                layer("application/vnd.cncf.model.config.v1+json", encode({"n": number})), layers
            ),
            artifact_type=_PACK,
        )
        for number in range(3)
    ]
    found = push_index(entries)
    path = oci_pull(found).path
    assert_tree(path, _files(0))
    asked = len(registry.manifest_requests())
    again = oci_pull(found)
    assert again.path == path
    assert "Up to date" in again.stderr
    assert len(registry.manifest_requests()) == asked + 1


def _nested(depth: int, innermost: Artifact) -> Artifact:
    found = innermost
    for _ in range(depth):
        found = index([IndexEntry(found)])
    return found


def test_an_index_in_an_index_is_followed_and_not_for_ever(
    registry: Distribution, oci_pull: Command, tmp_path: Path
) -> None:
    shallow = write_layout(tmp_path / "shallow", _nested(3, _model(0)), "v1")
    assert_tree(oci_pull(f"oci:{shallow}:v1").path, _files(0))
    assert "* in an index in it" in oci_pull("inspect", f"oci:{shallow}:v1").must_succeed().stdout
    deep = write_layout(tmp_path / "deep", _nested(9, _model(0)), "v1")
    assert "nested" in oci_pull(f"oci:{deep}:v1").must_fail(8).stderr

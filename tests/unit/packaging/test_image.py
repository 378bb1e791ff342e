import json

import pytest

from oci_pull.errors import Unsupported
from oci_pull.oci.manifest import Manifest
from oci_pull.packaging import image
from oci_pull.packaging.plan import (
    ApplyLayers,
    BlobNeed,
    FilePlan,
    Known,
    Needs,
    PlaceBlob,
    RangeNeed,
)
from tests.content import Layer, artifact, layer
from tests.unit.packaging.planning import manifest_of, planned

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker.image.rootfs."
TAR = f"{OCI}layer.v1.tar"
TITLE = "org.opencontainers.image.title"


def manifest(*layers: Layer, kind: str = f"{OCI}config.v1+json") -> Manifest:
    config = {"rootfs": {"type": "layers", "diff_ids": ["x"] * len(layers)}}
    return manifest_of(artifact(layer(kind, json.dumps(config).encode()), layers))


@pytest.mark.parametrize(
    ("config", "layers", "expected"),
    [
        (f"{OCI}config.v1+json", [TAR], True),
        (f"{OCI}config.v1+json", [f"{TAR}+gzip", f"{TAR}+zstd"], True),
        ("application/vnd.docker.container.image.v1+json", [f"{DOCKER}diff.tar.gzip"], True),
        (f"{OCI}config.v1+json", [f"{DOCKER}foreign.diff.tar.gzip"], True),
        (f"{OCI}config.v1+json", [f"{OCI}layer.nondistributable.v1.tar"], True),
        (f"{OCI}config.v1+json", ["application/vnd.in-toto+json", TAR], True),
        (f"{OCI}config.v1+json", ["application/vnd.in-toto+json"], False),
        (f"{OCI}config.v1+json", [], False),
        ("application/vnd.oci.empty.v1+json", [TAR], False),
        ("application/vnd.cncf.helm.config.v1+json", [TAR], False),
    ],
)
def test_an_image_has_the_config_and_the_layers_of_one(
    config: str, layers: list[str], expected: bool
) -> None:
    found = manifest(*(layer(kind, kind.encode()) for kind in layers), kind=config)
    assert image.matches(found) is expected


def test_all_layers_are_one_operation_that_is_named_after_the_image() -> None:
    layers = [layer(f"{TAR}+gzip", b"below"), layer(TAR, b"above"), layer(TAR, b"")]
    found = manifest(*layers)
    plan = image.plan(found, Known())
    assert isinstance(plan, FilePlan)
    (applied,) = plan.operations
    assert isinstance(applied, ApplyLayers)
    assert applied.image == found.descriptor.digest
    assert [each.blob for each in applied.layers] == list(found.layers[:2])
    assert plan.is_rooted


def asked(found: Manifest) -> BlobNeed:
    needs = image.plan(found, Known())
    assert isinstance(needs, Needs)
    (need,) = needs.needs
    assert isinstance(need, BlobNeed)
    return need


@pytest.mark.parametrize(
    ("config", "is_image"),
    [
        (b'{"rootfs":{"diff_ids":["x"]}}', True),
        (b'{"rootfs":{"diff_ids":[]}}', False),
        (b'{"rootfs":{"diff_ids":["x","y"]}}', False),
        (b'{"rootfs":{"diff_ids":{"x":1}}}', False),
        (b'{"rootfs":[]}', False),
        (b"{}", False),
        (b"[]", False),
        (b"not JSON", False),
        (b"[" * 100_000, False),
    ],
)
def test_titled_layers_are_files_unless_the_config_counts_them(
    config: bytes, is_image: bool
) -> None:
    found = manifest(layer(TAR, b"x", {TITLE: "model.safetensors"}))
    plan = image.plan(found, Known({asked(found): config}))
    assert isinstance(plan, FilePlan)
    (operation,) = plan.operations
    assert isinstance(operation, ApplyLayers if is_image else PlaceBlob)


def test_a_titled_file_that_may_be_a_directory_is_looked_at_first() -> None:
    found = manifest(layer(f"{TAR}+gzip", b"x", {TITLE: "model"}))
    asked_next = image.plan(found, Known({asked(found): b"{}"}))
    assert isinstance(asked_next, Needs)
    (need,) = asked_next.needs
    assert isinstance(need, RangeNeed)
    assert need.blob.digest == found.layers[0].digest


def test_olot_titles_layers_that_are_layers() -> None:
    notes = {TITLE: "model.safetensors", "olot.layer.content.name": "model.safetensors"}
    assert isinstance(image.plan(manifest(layer(TAR, b"x", notes)), Known()), FilePlan)


@pytest.mark.parametrize("kind", [f"{TAR}+gzip+encrypted", "application/vnd.erofs.layer.v1"])
def test_layers_that_nobody_can_read_are_refused(kind: str) -> None:
    found = manifest(layer(TAR, b"x"), layer(kind, b"y"))
    with pytest.raises(Unsupported) as caught:
        image.plan(found, Known())
    assert caught.value.exit_code == 9
    assert caught.value.hint


def test_what_is_no_layer_is_left_out_by_its_type() -> None:
    config = layer(f"{OCI}config.v1+json", b"{}")
    note = layer("application/vnd.in-toto+json", b"{}")
    plan = planned(artifact(config, [layer(TAR, b"x"), note])).plan
    assert [(each.name, each.size) for each in plan.left_out] == [(note.media_type, 2)]

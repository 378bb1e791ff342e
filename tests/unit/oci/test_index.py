from collections.abc import Mapping
from typing import Any

import pytest

from oci_pull.errors import InvalidManifest, PlatformUnknown, SeveralVariants
from oci_pull.oci.descriptor import Descriptor, Platform
from oci_pull.oci.digest import Digest
from oci_pull.oci.index import choose
from oci_pull.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Index

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64", "v8")
ATTESTATION = {"vnd.docker.reference.type": "attestation-manifest"}
MODELCAR = {"io.opendatahub.modelcar.manifest.type": "modelpack"}
UNKNOWN = "unknown/unknown"
MODEL_TYPES = (
    "application/vnd.cncf.model.manifest.v1+json",
    "application/vnd.cnai.model.manifest.v1+json",
    "application/vnd.docker.ai.model.config.v0.1+json",
    "application/vnd.kitops.modelkit.manifest.v1+json",
    "application/x-mlmodel",
)
CNCF = MODEL_TYPES[0]


def entry(name: str, platform: str = "", **members: Any) -> Descriptor:
    """An entry whose digest is that of its name."""
    found = Descriptor(OCI_MANIFEST, Digest.of(name.encode()), len(name))
    members["platform"] = Platform.parse(platform) if platform else None
    return Descriptor(**{field: getattr(found, field) for field in found.__slots__} | members)


def chosen(*entries: Descriptor, host: Platform = AMD64, **options: Any) -> Descriptor:
    index = Index(Descriptor(OCI_INDEX, Digest.of(b"index"), 5), b"", "", entries, {})
    return choose(index, host=host, **options)


def test_the_only_entry_is_it_whatever_its_platform() -> None:
    alien = entry("alien", "windows/s390x")
    assert chosen(alien) == alien


def test_the_same_manifest_listed_twice_is_one() -> None:
    first = entry("same", "linux/arm64")
    assert chosen(first, entry("same", "linux/riscv64")) == first


@pytest.mark.parametrize("kind", [OCI_INDEX, DOCKER_LIST, DOCKER_MANIFEST])
def test_an_index_in_an_index_is_an_entry_like_any_other(kind: str) -> None:
    nested = entry("nested", media_type=kind)
    assert chosen(nested) == nested


@pytest.mark.parametrize(
    "dropped",
    [
        entry("attestation", UNKNOWN, annotations=ATTESTATION),
        entry("attestation", "linux/amd64", annotations=ATTESTATION),
        entry("soci", artifact_type="application/vnd.amazon.soci.index.v1+json"),
        entry("soci", artifact_type="application/vnd.amazon.soci.index.v2+json"),
        entry("layer", media_type="application/vnd.oci.image.layer.v1.tar"),
        entry("untyped", media_type=""),
    ],
    ids=lambda dropped: f"{dropped.media_type or 'none'}-{dropped.artifact_type}",
)
def test_what_only_describes_others_is_dropped(dropped: Descriptor) -> None:
    image = entry("image", "linux/s390x")
    assert chosen(dropped, image) == image
    with pytest.raises(InvalidManifest, match="names no manifest"):
        chosen(dropped)


def test_an_empty_index_names_no_manifest() -> None:
    with pytest.raises(InvalidManifest, match="names no manifest"):
        chosen()


def test_an_unknown_platform_is_passed_over_where_there_is_another() -> None:
    image = entry("image", "linux/s390x")
    assert chosen(entry("unknown", UNKNOWN), image) == image


def test_an_unknown_platform_is_taken_where_it_is_alone() -> None:
    unknown = entry("unknown", UNKNOWN)
    assert chosen(unknown, entry("attestation", UNKNOWN, annotations=ATTESTATION)) == unknown


@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_a_model_comes_before_the_images_even_for_an_unknown_platform(kind: str) -> None:
    model = entry("model", UNKNOWN, artifact_type=kind)
    assert chosen(entry("image", "linux/amd64"), model) == model


def test_the_index_of_olot_gives_the_modelpack_and_not_the_modelcar() -> None:
    model = entry("a2", UNKNOWN, annotations=MODELCAR)
    images = [entry("a0", "linux/amd64"), entry("a1", "linux/arm64")]
    assert chosen(*images, model, entry("a3", UNKNOWN, annotations=ATTESTATION)) == model


def test_several_models_are_an_error_that_lists_what_tells_them_apart() -> None:
    first = entry("q4", artifact_type=CNCF, annotations={"quantization": "Q4"})
    second = entry("q8", "linux/arm64", artifact_type=CNCF, annotations={"quantization": "Q8"})
    with pytest.raises(SeveralVariants) as caught:
        chosen(first, second, entry("image", "linux/amd64"))
    message = caught.value.message
    assert f"{first.digest}  artifactType={CNCF}  quantization=Q4" in message
    assert f"{second.digest}  linux/arm64  artifactType={CNCF}  quantization=Q8" in message
    assert "--select" in (caught.value.hint or "")
    assert str(Digest.of(b"image")) not in message


IMAGES = (
    entry("windows", "windows/amd64"),
    entry("amd64", "linux/amd64"),
    entry("v6", "linux/arm/v6"),
    entry("v7", "linux/arm/v7"),
    entry("arm64", "linux/arm64"),
    entry("arm64v8", "linux/arm64/v8"),
)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (AMD64, "amd64"),
        (ARM64, "arm64v8"),
        (Platform("linux", "arm64"), "arm64"),
        (Platform("linux", "arm64", "v9"), "arm64"),
        (Platform("linux", "arm", "v7"), "v7"),
        (Platform("windows", "amd64"), "windows"),
        (Platform("linux", "s390x"), "amd64"),
        (Platform("darwin", "arm64"), "amd64"),
    ],
    ids=str,
)
def test_of_images_the_hosts_is_taken_else_that_for_linux_amd64(host: Platform, name: str) -> None:
    assert chosen(*IMAGES, host=host).digest == Digest.of(name.encode())


def test_images_for_none_of_these_are_an_error_that_lists_them() -> None:
    with pytest.raises(SeveralVariants) as caught:
        chosen(entry("a", "linux/s390x"), entry("b", "linux/ppc64le"), entry("c"))
    lines = caught.value.message.splitlines()
    assert lines[1:] == [
        f"  {Digest.of(b'a')}  linux/s390x",
        f"  {Digest.of(b'b')}  linux/ppc64le",
        f"  {Digest.of(b'c')}  ",
    ]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [("linux/arm/v6", "v6"), ("linux/arm64", "arm64"), ("windows/amd64", "windows")],
)
def test_the_wanted_platform_is_taken_before_the_hosts(wanted: str, name: str) -> None:
    assert chosen(*IMAGES, wanted=Platform.parse(wanted)).digest == Digest.of(name.encode())


def test_a_platform_without_a_variant_takes_any_variant() -> None:
    image = entry("v7", "linux/arm/v7")
    assert chosen(image, entry("amd64", "linux/amd64"), wanted=Platform("linux", "arm")) == image
    assert chosen(image, entry("amd64", "linux/amd64"), host=Platform("linux", "arm")) == image


def test_a_wanted_platform_chooses_among_models() -> None:
    models = [entry(arch, f"linux/{arch}", artifact_type=CNCF) for arch in ("amd64", "arm64")]
    assert chosen(*models, wanted=Platform("linux", "arm64")) == models[1]


def test_a_wanted_platform_that_is_not_there_is_an_error_that_lists_what_is() -> None:
    with pytest.raises(PlatformUnknown, match="nothing for linux/riscv64") as caught:
        chosen(*IMAGES, wanted=Platform("linux", "riscv64"))
    assert all(str(image.platform) in caught.value.message for image in IMAGES)
    assert caught.value.exit_code == 9


VARIANTS = (
    entry("q4", artifact_type=CNCF, annotations={"quantization": "Q4", "size": "small"}),
    entry("q8", artifact_type=CNCF, annotations={"quantization": "Q8", "size": "small"}),
    entry("kit", "linux/arm/v7", artifact_type=MODEL_TYPES[3]),
)


@pytest.mark.parametrize(
    ("selection", "name"),
    [
        ({"quantization": "Q8"}, "q8"),
        ({"quantization": "Q4", "size": "small"}, "q4"),
        ({"artifactType": MODEL_TYPES[3]}, "kit"),
        ({"os": "linux"}, "kit"),
        ({"architecture": "arm", "variant": "v7"}, "kit"),
    ],
)
def test_a_selection_narrows_by_annotation_type_and_platform(
    selection: Mapping[str, str], name: str
) -> None:
    assert chosen(*VARIANTS, selection=selection).digest == Digest.of(name.encode())


def test_a_selection_that_leaves_several_is_still_an_error() -> None:
    with pytest.raises(SeveralVariants) as caught:
        chosen(*VARIANTS, selection={"size": "small"})
    assert str(VARIANTS[2].digest) not in caught.value.message


def test_a_selection_that_leaves_none_names_what_was_asked_and_what_is_there() -> None:
    with pytest.raises(PlatformUnknown, match="nothing for linux/amd64, quantization=Q2") as caught:
        chosen(*VARIANTS, selection={"quantization": "Q2"}, wanted=AMD64)
    assert all(str(variant.digest) in caught.value.message for variant in VARIANTS)


def test_a_listing_holds_a_bounded_part_of_hostile_annotations() -> None:
    noisy = {f"key{number}": "x" * 10_000 for number in range(100)}
    with pytest.raises(SeveralVariants) as caught:
        chosen(entry("a", annotations=noisy, artifact_type=CNCF), entry("b", artifact_type=CNCF))
    assert len(caught.value.message) < 1000

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from oci_pull.errors import InvalidManifest, PlatformUnknown, SeveralVariants
from oci_pull.oci.descriptor import Descriptor, Platform
from oci_pull.oci.digest import Digest
from oci_pull.oci.index import candidates, only
from oci_pull.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Index
from oci_pull.options import as_pair, as_platform

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
    return only(candidates(index_of(*entries), host=host, **options))


def index_of(*entries: Descriptor) -> Index:
    return Index(Descriptor(OCI_INDEX, Digest.of(b"index"), 5), b"", "", entries, {})


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
    assert list(caught.value.facts) == [
        "--select quantization=Q4",
        f"  {first.digest}",
        f"  artifactType={CNCF}",
        "--platform linux/arm64",
        f"  {second.digest}",
        f"  artifactType={CNCF}",
        "  quantization=Q8",
    ]
    assert caught.value.hint == "--select quantization=Q4"


A_TYPE = "application/vnd.cncf.model.a"
#: What tells the first of two models from the second, and what is to be typed for it.
OPTIONS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("platform", {"platform": AMD64}, {"platform": ARM64}, "--platform linux/amd64"),
    ("one platform", {"platform": AMD64}, {}, "--platform linux/amd64"),
    ("variant", {"platform": Platform("linux", "arm", "v7")},
     {"platform": Platform("linux", "arm", "v6")}, "--platform linux/arm/v7"),
    ("type", {"artifact_type": A_TYPE}, {}, f"--select artifactType={A_TYPE}"),
    ("annotation", {"annotations": {"q": "4"}}, {"annotations": {"q": "8"}}, "--select q=4"),
    ("only annotation", {"annotations": {"q": "4"}}, {}, "--select q=4"),
    ("second annotation", {"annotations": {"a": "x", "q": "4"}},
     {"annotations": {"a": "x", "q": "8"}}, "--select q=4"),
    ("quoted", {"annotations": {"q": "4 bit; rm"}}, {}, "--select 'q=4 bit; rm'"),
    ("nothing", {}, {}, ""),
    ("same", {"platform": AMD64, "annotations": {"q": "4"}},
     {"platform": AMD64, "annotations": {"q": "4"}}, ""),
    ("unknown platform", {"platform": Platform("unknown", "unknown")}, {}, ""),
    ("platform of any variant", {"platform": Platform("linux", "arm64")}, {"platform": ARM64}, ""),
    ("platform that is none", {"platform": Platform("linux", "a b")}, {}, ""),
    ("key that cannot be typed", {"annotations": {"a=b": "4"}}, {}, ""),
    ("value that cannot be typed", {"annotations": {"q": "\x1b[2J"}}, {}, ""),
    ("long value", {"annotations": {"q": "x" * 61}}, {}, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "option"),
    [case[1:] for case in OPTIONS],
    ids=[case[0] for case in OPTIONS],
)
def test_the_listing_says_what_to_type(
    first: dict[str, Any], second: dict[str, Any], option: str
) -> None:
    one = described(entry("one"), first)
    other = described(entry("other"), second)
    with pytest.raises(SeveralVariants) as caught:
        chosen(one, other)
    typed = caught.value.facts[0]
    assert typed == (option or f"@{one.digest}")
    assert typed in (caught.value.hint or "")
    if option:
        assert chosen(one, other, **parsed(option)) == one


def described(plain: Descriptor, members: dict[str, Any]) -> Descriptor:
    return replace(plain, **{"artifact_type": CNCF} | members)


def parsed(option: str) -> dict[str, Any]:
    """The option as the command parses it."""
    flag, value = shlex.split(option)
    if flag == "--platform":
        return {"wanted": as_platform(value)}
    return {"selection": dict([as_pair(value)])}


def test_what_could_be_meant_is_each_digest_once() -> None:
    twice = entry("q4", artifact_type=CNCF, annotations={"n": "1"})
    again = entry("q4", artifact_type=CNCF, annotations={"n": "2"})
    other = entry("q8", artifact_type=CNCF)
    assert candidates(index_of(twice, again, other), host=AMD64) == (twice, other)


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
    assert list(caught.value.facts) == [
        "--platform linux/s390x",
        f"  {Digest.of(b'a')}",
        "--platform linux/ppc64le",
        f"  {Digest.of(b'b')}",
        f"@{Digest.of(b'c')}",
        f"  {Digest.of(b'c')}",
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
    assert all(str(image.platform) in str(caught.value) for image in IMAGES)
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
    assert all(str(variant.digest) in str(caught.value) for variant in VARIANTS)


def test_a_listing_holds_a_bounded_part_of_hostile_annotations() -> None:
    noisy = {f"key{number}": "x" * 10_000 for number in range(100)}
    with pytest.raises(SeveralVariants) as caught:
        chosen(entry("a", annotations=noisy, artifact_type=CNCF), entry("b", artifact_type=CNCF))
    assert len(str(caught.value)) < 1000

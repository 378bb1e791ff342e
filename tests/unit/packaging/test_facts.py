import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import OCI_MANIFEST, Manifest
from oci_pull.packaging.facts import Facts, facts_of
from tests import builders, file_sets, kits
from tests.content import encode
from tests.producers import images
from tests.unit.packaging.planning import content_of, manifest_of

DOCKER = "application/vnd.docker.ai.model.config.v0.2+json"
PACK = "application/vnd.cncf.model.config.v1+json"
KIT = "application/vnd.kitops.modelkit.config.v1+json"
IMAGE = "application/vnd.oci.image.config.v1+json"
KINDS = (DOCKER, PACK, PACK.replace("cncf", "cnai"), KIT, IMAGE, "application/x-config", "")


def facts(kind: str, config: Any, notes: Mapping[str, str] | None = None) -> Facts:
    content = config if isinstance(config, bytes) or config is None else encode(config)
    return facts_of(manifest(kind, notes), content)


def manifest(kind: str, notes: Mapping[str, str] | None = None) -> Manifest:
    config = Descriptor(kind, Digest.of(b"config"), 6)
    return Manifest(Descriptor(OCI_MANIFEST, Digest.of(b"m"), 1), b"m", "", config, (), notes or {})


def of(artifact: builders.Artifact) -> Facts:
    found = manifest_of(artifact)
    assert found.config
    return facts_of(found, content_of(artifact, found.config))


MODEL = builders.tiny_model()


@pytest.mark.parametrize(
    ("artifact", "expected"),
    [
        (
            builders.docker_v02(MODEL),
            Facts(
                format="safetensors", architecture="llama", parameters="6.3K", quantization="F32"
            ),
        ),
        (
            builders.modelpack(MODEL),
            Facts(
                name="tiny",
                family="llama",
                format="safetensors",
                architecture="transformer",
                parameters="6.3K",
            ),
        ),
        (builders.modelpack_aikit(MODEL, form="raw"), Facts()),
        (kits.kit(MODEL, kits.generated(MODEL)), Facts(name="tiny", framework="transformers")),
        (
            file_sets.ollama(("model", b"GGUF")),
            Facts(format="gguf"),
        ),
        (images.image(MODEL), Facts(license="Apache-2.0")),
        (file_sets.oras(MODEL), Facts()),
    ],
    ids=["docker", "modelpack", "aikit", "kitops", "ollama", "image", "oras"],
)
def test_what_a_producer_says_is_found(artifact: builders.Artifact, expected: Facts) -> None:
    assert of(artifact) == expected


def test_a_gguf_of_docker_says_more() -> None:
    gguf = {"general.name": "Tiny", "general.license": "mit", "llama.block_count": "2"}
    config = {"config": {"format": "gguf", "context_size": 8192, "gguf": gguf}}
    assert facts(DOCKER, config) == Facts(name="Tiny", format="gguf", context=8192, license="mit")


def test_a_modelpack_says_all_its_licenses_and_its_precision() -> None:
    config = {
        "descriptor": {"title": "Tiny", "licenses": ["MIT", "Apache-2.0", 7]},
        "config": {"precision": "bf16", "quantization": "awq"},
    }
    assert facts(PACK, config) == Facts(
        name="Tiny", license="MIT, Apache-2.0", precision="bf16", quantization="awq"
    )


def test_a_kitfile_says_what_its_model_is_before_what_its_package_is() -> None:
    config = {
        "package": {"name": "package", "license": "MIT"},
        "model": {"name": "tiny", "framework": "pytorch", "parameters": {"epochs": 3}},
    }
    assert facts(KIT, config) == Facts(name="tiny", framework="pytorch", license="MIT")


def test_an_ollama_model_says_its_size_and_quantization() -> None:
    config = {
        "model_format": "gguf",
        "model_family": "llama",
        "model_type": "3.2B",
        "file_type": "Q4_K_M",
        "architecture": "amd64",
    }
    kind = "application/vnd.docker.container.image.v1+json"
    assert facts(kind, config) == Facts(
        family="llama", format="gguf", parameters="3.2B", quantization="Q4_K_M"
    )


def test_a_kitfile_in_an_annotation_is_read_as_well() -> None:
    kitfile = json.dumps({"package": {"name": "tiny", "license": "MIT"}, "model": {"path": "x"}})
    found = facts(PACK, {}, {"ml.kitops.modelkit.kitfile": kitfile})
    assert found == Facts(name="tiny", license="MIT")


def test_an_omlmd_says_its_format() -> None:
    config = {"name": "m", "model_format_name": "onnx", "customProperties": {"license": "MIT"}}
    assert facts("application/x-config", config) == Facts(name="m", format="onnx", license="MIT")


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_config_lacks_may_be_annotated(kind: str) -> None:
    notes = {
        "org.opencontainers.image.title": "from a note",
        "org.opencontainers.image.licenses": "MIT",
    }
    assert facts(kind, {}, notes) == Facts(name="from a note", license="MIT")
    assert facts(kind, None, notes) == Facts(name="from a note", license="MIT")


def test_the_config_is_believed_before_the_annotations() -> None:
    notes = {"org.opencontainers.image.title": "note", "org.opencontainers.image.licenses": "MIT"}
    config = {"descriptor": {"name": "config"}}
    assert facts(PACK, config, notes) == Facts(name="config", license="MIT")


def test_the_processor_of_an_image_is_no_architecture_of_a_model() -> None:
    config = {"architecture": "amd64", "config": {"Labels": {"maintainer": "me"}}}
    assert facts(IMAGE, config) == Facts()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7B", "7B"),
        (7_000_000_000, "7000000000"),
        (1.5, "1.5"),
        ("  two\n lines\t", "two lines"),
        ("x" * 1000, "x" * 200),
        (["a", "b"], "a, b"),
        (["x"] * 100, ", ".join("x" * 8)),
        ("", None),
        (" \n", None),
        (True, None),
        (None, None),
        ({"a": 1}, None),
        ([], None),
        ([1, [2]], None),
    ],
)
def test_a_text_is_one_short_line(value: Any, expected: str | None) -> None:
    assert facts(DOCKER, {"config": {"parameters": value}}).parameters == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (8192, 8192),
        ("8192", 8192),
        (0, None),
        (-1, None),
        (True, None),
        (1.5, None),
        ("8k", None),
        ("\u0663", None),
        (10**30, None),
        ("9" * 30, None),
        ("9" * 18, 10**18 - 1),
        (None, None),
    ],
)
def test_a_context_is_a_number_that_can_be(value: Any, expected: int | None) -> None:
    assert facts(DOCKER, {"config": {"context_size": value}}).context == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not JSON",
        b"\xff\xfe",
        b"[]",
        b'"text"',
        b"null",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"config":{"parameters":' + b"9" * 10_000 + b"}}",
        b'{"config":[],"descriptor":7,"model":null,"package":"x"}',
        b'{"config":{"Labels":[],"parameters":NaN}}',
    ],
    ids=lambda content: content[:20].decode(errors="replace"),
)
def test_a_config_that_is_something_else_says_nothing(kind: str, content: bytes) -> None:
    assert not [name for name, value in facts(kind, content).said() if value != "nan"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["config", "descriptor", "model", "package", "name", "Labels", "model_format",
                 "licenses", "parameters", "gguf", "context_size", "general.name"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)  # fmt: skip


@given(st.sampled_from(KINDS), JSON, st.text())
def test_whatever_it_is_nothing_but_lines_come_out(kind: str, config: Any, note: str) -> None:
    notes = {"ml.kitops.modelkit.kitfile": note, "org.opencontainers.image.title": note}
    for name, value in facts(kind, json.dumps(config).encode(), notes).said():
        assert isinstance(value, int if name == "context" else str)
        assert len(str(value).splitlines()) == 1
        assert len(str(value)) <= 200

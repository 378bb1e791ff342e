"""Tar archives and manifests that are nearly right: what random bytes would not find in a year."""

from __future__ import annotations

import gzip
import json
import sys
from typing import Any

from hypothesis import strategies as st

from tests.tar_blocks import base_256, checked, header, padded, pax

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NAMES = st.sampled_from(
    [
        *[
            "a",
            "sub/a",
            "sub/",
            "./",
            ".",
            "..",
            "../x",
            "/x",
            "a/../../x",
            "a\\b",
            "sub//a",
            "con",
            ".oci-pull/x",
            "café",
        ],
        *("", "n" * 100, "a\0b", "d/" * 70 + "a"),
        *("config.json", "model.safetensors", "model.gguf"),
    ]
)
_TYPES = st.sampled_from(list(b"\x000123456789DKLMNSVXgxZ\xff"))
_NUMBERS = st.one_of(
    st.integers(0, 4000).map(lambda n: b"%011o\0" % n),
    st.integers(0, 1 << 64).map(base_256),
    st.sampled_from([b"\xff" * 12, b"\0" * 12, b" " * 12, b"nonsense....", b"777777777777"]),
)
_COUNTS = st.one_of(st.integers(-5, 3000), st.integers(0, 1 << 70)).map(str)
_RECORDS = st.one_of(
    st.tuples(st.sampled_from(["path", "linkpath", "GNU.sparse.name"]), NAMES),
    st.tuples(st.sampled_from(["size", "GNU.sparse.size", "GNU.sparse.realsize"]), _COUNTS),
    st.tuples(st.sampled_from(["GNU.sparse.offset", "GNU.sparse.numbytes"]), _COUNTS),
    st.tuples(st.just("GNU.sparse.map"), st.lists(_COUNTS, max_size=6).map(",".join)),
    st.tuples(st.sampled_from(["GNU.sparse.major", "GNU.sparse.minor"]), st.sampled_from("012x")),
    st.tuples(st.text(max_size=5), st.text(max_size=5)),
)
_CONTENT = st.one_of(
    st.binary(max_size=20),
    st.integers(0, 3000).map(bytes),
    st.lists(_COUNTS, max_size=8).map(lambda each: padded("\n".join(each).encode())),
)


@st.composite
def _entries(draw: st.DrawFn) -> bytes:
    content = draw(_CONTENT)
    name = draw(NAMES).encode()[:100]
    fields = {}
    if draw(st.booleans()):
        fields["at_124"] = draw(_NUMBERS)
    if draw(st.booleans()):
        fields["at_257"] = draw(st.sampled_from([b"ustar\x0000", b"ustar  \0", bytes(8)]))
    if draw(st.booleans()):
        fields["at_345"] = draw(st.binary(max_size=150))
    block = bytearray(header(name, len(content), bytes([draw(_TYPES)]), **fields))
    block = bytearray(checked(block, signed=draw(st.booleans())))
    return bytes(block) + (padded(content) if draw(st.booleans()) else content)


_EXTENDED = st.builds(
    pax, st.lists(_RECORDS, max_size=6), st.sampled_from([b"x", b"g", b"X", b"L", b"K", b"S"])
)
_PARTS = st.one_of(_entries(), _EXTENDED, st.just(bytes(512)), st.binary(max_size=600))


def _packed(content: bytes, form: str) -> bytes:
    if form == "tar":
        return content
    return gzip.compress(content) if form == "gzip" else zstd.compress(content)


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """A tar archive, maybe compressed in several pieces, maybe cut off, maybe followed by more."""
    parts = draw(st.lists(_PARTS, max_size=8))
    form = draw(st.sampled_from(["tar", "gzip", "zstd"]))
    if draw(st.booleans()):
        content = b"".join(_packed(each, form) for each in parts)
    else:
        content = _packed(b"".join(parts), form)
    if draw(st.booleans()):
        content = content[: draw(st.integers(0, len(content)))]
    return content + draw(st.one_of(st.just(b""), st.binary(max_size=30)))


_MODELPACK = [
    f"application/vnd.{family}.model.{kind}.v1.{form}"
    for family in ("cncf", "cnai")
    for kind in ("weight", "weight.config", "dataset")
    for form in ("raw", "tar", "tar+gzip", "tar+zstd", "nonsense")
]
_KITOPS = [
    f"application/vnd.kitops.modelkit.{kind}.v1.{form}"
    for kind in ("model", "modelpart", "code", "dataset", "mcpb")
    for form in ("tar", "tar+gzip", "raw", "raw+gzip")
]
_ROOT = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
]
_PLAIN = ["application/octet-stream", "application/vnd.oci.empty.v1+json", "application/x-mlmodel"]
_OLLAMA = [
    f"application/vnd.ollama.image.{kind}"
    for kind in ("model", "params", "template", "projector", "tensor", "license")
]
_DOCKER = [
    f"application/vnd.docker.ai.{kind}"
    for kind in ["safetensors", "vllm.config.tar", "dir.tar", "gguf.v3", "model.file", "license"]
]
#: Of each packaging: the type of the artifact, those of its config, those of its layers.
_KINDS: list[tuple[str | None, list[str], list[str]]] = [
    (None, ["application/vnd.docker.ai.model.config.v0.1+json"], _DOCKER),
    (None, ["application/vnd.docker.ai.model.config.v0.2+json"], _DOCKER),
    (
        "application/vnd.cncf.model.manifest.v1+json",
        ["application/vnd.cncf.model.config.v1+json", "application/vnd.oci.empty.v1+json"],
        _MODELPACK,
    ),
    (None, ["application/vnd.cnai.model.config.v1+json"], _MODELPACK),
    (None, ["application/vnd.kitops.modelkit.config.v1+json"], _KITOPS),
    ("application/x-mlmodel", ["application/vnd.oci.empty.v1+json", "application/x-config"], _ROOT),
    ("application/vnd.unknown.artifact.v1", ["application/vnd.oci.empty.v1+json"], _ROOT),
    (None, ["application/vnd.docker.container.image.v1+json"], _OLLAMA),
    (None, ["application/vnd.oci.image.config.v1+json"], _ROOT),
    (None, ["application/vnd.unknown.config.v1+json"], _PLAIN),
]
_KEYS = [
    "org.cncf.model.filepath",
    "org.cncf.model.file.metadata+json",
    "org.cnai.model.filepath",
    "org.cnai.model.file.metadata",
    "org.opencontainers.image.title",
    "io.deis.oras.content.unpack",
    "io.deis.oras.content.digest",
    "olot.layer.content.inlayerpath",
    "olot.layer.content.type",
    "ml.kitops.modelkit.kitfile",
    "ml.kitops.modelkit.layer-subtype",
]
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        NAMES,
        st.sampled_from(["\ud800", "registry.example/kit:v1", "sha256:" + "a" * 64]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "path",
                    "size",
                    "parts",
                    "model",
                    "digest",
                    "code",
                    "datasets",
                    "docs",
                    "weight_map",
                    "typeflag",
                    "files",
                    "config",
                    "format",
                    "remotePath",
                    "type",
                    "model_format",
                    "__metadata__",
                    "data_offsets",
                    "prompts",
                    "mcpServers",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)
_VALUES = st.one_of(
    NAMES,
    st.text(max_size=20),
    _JSON.map(json.dumps),
    st.sampled_from(["true", "false", "config", "vllm-config-1.tar", "model.safetensors", "\ud800"])
    | st.sampled_from(["sha256:" + "a" * 64, "sha256:x", "model.gguf", "model-00001-of-2.bin"]),
)
_ANNOTATIONS = st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=4)
#: What no descriptor may have; one of them, and nothing behind it is looked at.
_WRONG: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        *({"size": each} for each in (2**63, -1, 1.5, "1", None)),
        *({"digest": each} for each in ("sha256:a", "", None, 1, "md5:" + "a" * 32)),
        {"annotations": []},
        {"annotations": {"key": 1}},
        *({"mediaType": each} for each in (None, 1, "a b")),
        *({"data": each} for each in (1, "!", "e30=")),
        {"urls": 1},
    ]
)


@st.composite
def _descriptors(draw: st.DrawFn, types: list[str]) -> dict[str, Any]:
    digit = draw(st.sampled_from("0123456789abcdef"))
    found: dict[str, Any] = {
        "mediaType": draw(st.sampled_from(types)),
        "digest": f"sha256:{digit * 64}",
        # What has one digest has one size.
        "size": 10**11 if digit == "f" else 200 * int(digit, 16),
        "annotations": draw(_ANNOTATIONS),
    }
    if draw(st.integers(0, 9)) == 0:
        found["name"] = draw(NAMES)
        found["from"] = draw(NAMES)
        found["urls"] = draw(st.lists(st.sampled_from(["https://example.com/x", "file:///etc"])))
    if draw(st.integers(0, 40)) == 0:
        found.update(draw(_WRONG))
    return found


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    """A manifest in one of the packagings, with a layer of another one now and then."""
    artifact_type, configs, layers = draw(st.sampled_from(_KINDS))
    types = layers * 5 + _PLAIN + _MODELPACK[:2] + _ROOT[:2]
    found: dict[str, Any] = {
        "schemaVersion": 2,
        "config": draw(_descriptors(configs)),
        "layers": draw(st.lists(_descriptors(types), max_size=5)),
        "annotations": draw(_ANNOTATIONS),
    }
    if artifact_type:
        found["artifactType"] = artifact_type
    return found


_THING = st.dictionaries(
    st.sampled_from(["path", "name", "type", "remotePath", "digest"]),
    st.one_of(NAMES, _JSON),
    max_size=3,
)
_KITFILES = st.dictionaries(
    st.sampled_from(["model", "code", "datasets", "docs", "prompts", "package"]),
    st.one_of(
        st.builds(
            lambda thing, parts: {**thing, "parts": parts}, _THING, st.lists(_THING, max_size=3)
        ),
        st.lists(_THING, max_size=3),
        _JSON,
    ),
)
#: What a planner gets where it asks for some bytes.
ANSWERS = st.one_of(
    st.binary(max_size=50),
    st.one_of(_JSON, _KITFILES).map(lambda value: json.dumps(value).encode()),
    _JSON.map(lambda value: _as_safetensors_begin(json.dumps(value).encode())),
)


def _as_safetensors_begin(body: bytes) -> bytes:
    return len(body).to_bytes(8, "little") + body

"""Models packaged by Docker Model Runner (`docker model package`, Docker Hub's `ai/`).

Three generations share one shape. v0.2 has one raw layer a file, named by an annotation. v0.1 has
raw safetensors layers and everything else in tar archives; its first releases annotated nothing, so
the shards' names have to be recovered, and its later ones annotated the archives with the names of
temporary files, which are to be ignored.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

from oci_pull.errors import InconsistentModel
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.manifest import Manifest
from oci_pull.oci.ranges import Span
from oci_pull.packaging import safetensors
from oci_pull.packaging.layer import annotated_path
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import (
    BlobNeed,
    FilePlan,
    Known,
    LeftOut,
    MemberNeed,
    Needs,
    Operation,
    PlaceBlob,
    RangeNeed,
    UnpackArchive,
)

NAME = "docker-model"

_PREFIX = "application/vnd.docker.ai."
_CONFIG = _PREFIX + "model.config."
_SAFETENSORS = _PREFIX + "safetensors"
_CONFIG_TAR = _PREFIX + "vllm.config.tar"
_ARCHIVES = (_CONFIG_TAR, _PREFIX + "dir.tar")
_GGUF = (_PREFIX + "gguf.v3", _PREFIX + "gguf", _PREFIX + "gguf.model.v3")
_LICENSE = _PREFIX + "license"
_TEMPLATE = _PREFIX + "chat.template.jinja"
#: What a layer is called that nobody named, where there is one of its type.
_DEFAULT_NAMES = {
    _PREFIX + "mmproj": "model.mmproj",
    _PREFIX + "gguf.v3.mmproj": "model.mmproj",
    _PREFIX + "gguf.v3.lora": "adapter.gguf",
    _PREFIX + "dduf": "model.dduf",
}
#: Enough for the header of nearly every shard: 256 KiB hold some 2,000 tensors.
_FIRST_LOOK = 256 * 1024
#: The largest template that is looked into (bytes); those that there are have 20 KB at most.
_MAX_TEMPLATE = 1024 * 1024


def matches(manifest: Manifest) -> bool:
    """Whether the config or a layer is of a Docker model type."""
    types = (manifest.config_type, *(layer.media_type for layer in manifest.layers))
    return any(each.startswith(_PREFIX) for each in types)


def plan(manifest: Manifest, known: Known) -> FilePlan | Needs:
    """One operation a layer; asks for what names them where no annotation does."""
    unnamed = [
        layer
        for layer in manifest.layers
        if layer.media_type == _SAFETENSORS and annotated_path(layer) is None
    ]
    shard_names = _shard_names(manifest, unnamed, known) if unnamed else {}
    needs = shard_names.needs if isinstance(shard_names, Needs) else ()
    needs += tuple(need for need in _templates(manifest.layers) if need not in known)
    if isinstance(shard_names, Needs) or needs:
        return Needs(needs)
    operations: list[Operation] = []
    left_out: list[LeftOut] = []
    defaults = _default_names(manifest.layers, known)
    has_archives = any(layer.media_type in _ARCHIVES for layer in manifest.layers)
    for position, layer in enumerate(manifest.layers):
        if layer.media_type in _ARCHIVES:
            operations.append(UnpackArchive(layer))
        elif path := annotated_path(layer) or shard_names.get(layer) or defaults.get(position):
            # Model Runner never lets a small file overwrite what an archive has put there.
            yields = has_archives and layer.media_type != _SAFETENSORS
            operations.append(PlaceBlob(path, layer, if_absent=yields))
        else:
            left_out.append(LeftOut(layer.media_type, layer.size, "a layer without a name"))
    return FilePlan(NAME, manifest, tuple(operations), tuple(left_out), is_rooted=True)


def _templates(layers: Sequence[Descriptor]) -> Iterator[BlobNeed]:
    """The chat templates that nobody named: some are `chat_template.json`, which is no template."""
    for layer in layers:
        is_small = layer.size <= _MAX_TEMPLATE
        if layer.media_type == _TEMPLATE and annotated_path(layer) is None and is_small:
            yield _template(layer)


def _template(layer: Descriptor) -> BlobNeed:
    return BlobNeed("the chat template", layer, _MAX_TEMPLATE)


def _template_name(content: bytes | None) -> str:
    try:
        json.loads(content or b"")
    except (ValueError, RecursionError):
        return "chat_template.jinja"
    return "chat_template.json"


def _default_names(layers: Sequence[Descriptor], known: Known) -> Mapping[int, RelPath]:
    """Names by position for the layers of known types that carry none."""
    return {
        position: RelPath.parse(name)
        for position, name in _each_default_name(layers, known)
        if annotated_path(layers[position]) is None
    }


def _each_default_name(layers: Sequence[Descriptor], known: Known) -> Iterator[tuple[int, str]]:
    gguf = [position for position, layer in enumerate(layers) if layer.media_type in _GGUF]
    for number, position in enumerate(gguf, 1):
        several = f"model-{number:05d}-of-{len(gguf):05d}.gguf"
        yield position, several if len(gguf) > 1 else "model.gguf"
    licenses = 0
    for position, layer in enumerate(layers):
        if layer.media_type == _LICENSE:
            yield position, f"LICENSE.{licenses}" if licenses else "LICENSE"
            licenses += 1
        elif layer.media_type == _TEMPLATE:
            yield position, _template_name(known.get(_template(layer)))
        elif layer.media_type in _DEFAULT_NAMES:
            yield position, _DEFAULT_NAMES[layer.media_type]


def _shard_names(
    manifest: Manifest, shards: Sequence[Descriptor], known: Known
) -> Mapping[Descriptor, RelPath] | Needs:
    """The names that the model's own index gives, checked against the tensors in each shard.

    Model Runner itself numbers shards by their order, which is wrong where the repository counted
    from zero or used other names: vLLM then finds no file that its index names.
    """
    index = _index(manifest, known)
    if isinstance(index, Needs):
        return index
    if index is None:
        return _numbered(shards)
    tensors = _tensors(shards, known)
    if isinstance(tensors, Needs):
        return tensors
    names = _numbered(shards)
    remaining = dict(index)
    # In order first, as the producer sorted by name; then by the tensors alone.
    in_order = zip(shards, index, strict=False) if len(shards) == len(index) else ()
    for shard, name in in_order:
        if tensors[shard] == remaining.get(name):
            names[shard] = RelPath.parse(name)
            del remaining[name]
    for shard in shards:
        by_tensors = [name for name, expected in remaining.items() if expected == tensors[shard]]
        if by_tensors:
            names[shard] = RelPath.parse(by_tensors[0])
            del remaining[by_tensors[0]]
    return names


def _numbered(shards: Sequence[Descriptor]) -> dict[Descriptor, RelPath]:
    if len(shards) == 1:
        return {shards[0]: RelPath.parse("model.safetensors")}
    return {
        shard: RelPath.parse(f"model-{number:05d}-of-{len(shards):05d}.safetensors")
        for number, shard in enumerate(shards, 1)
    }


def _index(manifest: Manifest, known: Known) -> Mapping[str, frozenset[str]] | Needs | None:
    archive = next((la for la in manifest.layers if la.media_type == _CONFIG_TAR), None)
    if archive is None:
        return None
    need = MemberNeed(archive, RelPath.parse(safetensors.INDEX_NAME), safetensors.MAX_INDEX)
    if need not in known:
        return Needs((need,))
    content = known[need]
    if content is None:
        return None
    try:
        return safetensors.parse_index(content)
    except InconsistentModel as error:
        raise InconsistentModel(f"{safetensors.INDEX_NAME}: {error.message}") from error


def _tensors(
    shards: Sequence[Descriptor], known: Known
) -> Mapping[Descriptor, frozenset[str]] | Needs:
    """The names of the tensors of each shard, from a first look and, if need be, a longer one."""
    tensors = {}
    needs = []
    for shard in shards:
        try:
            found = _header(shard, known)
        except InconsistentModel as error:
            raise InconsistentModel(f"layer {shard.digest}: {error.message}") from error
        if isinstance(found, RangeNeed):
            needs.append(found)
        else:
            tensors[shard] = found.tensors
    return Needs(tuple(needs)) if needs else tensors


def _header(shard: Descriptor, known: Known) -> safetensors.Header | RangeNeed:
    if shard.size <= safetensors.LENGTH_BYTES:
        raise InconsistentModel("it is too short for a safetensors file")
    look = RangeNeed(shard, Span(0, min(_FIRST_LOOK, shard.size)))
    start = known.get(look)
    if start is None:
        return look
    end = safetensors.LENGTH_BYTES + safetensors.header_length(start)
    if end > len(start):
        look = RangeNeed(shard, Span(0, min(end, shard.size)))
        start = known.get(look)
        if start is None:
            return look
    return safetensors.parse_header(start)

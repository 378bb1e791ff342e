"""Models of Ollama's registry, and of Hugging Face's for it (`hf.co/ORG/REPOSITORY:QUANT`).

A layer is a file whose name is that of its type: weights in GGUF, and texts beside them in Ollama's
own forms, which nobody else reads.
"""

from collections.abc import Iterator, Sequence

from oci_pull.errors import Unsupported
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.manifest import Manifest
from oci_pull.packaging.layer import NAMELESS, annotated_path
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import FilePlan, Known, LeftOut, Needs, Operation, PlaceBlob

NAME = "ollama"

_PREFIX = "application/vnd.ollama.image."
_MODEL = "model"
_JSON = "json"
#: One tensor or a few, cut and joined as Ollama's own engine wants them.
_TENSOR = "tensor"
#: The name of the first layer of a kind, and that of each further one.
_NAMES = {
    "projector": ("mmproj.gguf", "mmproj-{}.gguf"),
    "adapter": ("adapter.gguf", "adapter-{}.gguf"),
    "draft": ("draft.gguf", "draft-{}.gguf"),
    # Go's templates: as chat_template.jinja an engine would read them, and misread them.
    "template": ("ollama/template.txt", "ollama/template.{}.txt"),
    "system": ("ollama/system", "ollama/system.{}"),
    "params": ("ollama/params", "ollama/params.{}"),
    "messages": ("ollama/messages", "ollama/messages.{}"),
    "license": ("ollama/license", "ollama/license.{}"),
}


def matches(manifest: Manifest) -> bool:
    """Whether a layer is of a type of Ollama's; its config is that of any Docker image."""
    return any(layer.media_type.startswith(_PREFIX) for layer in manifest.layers)


def plan(manifest: Manifest, known: Known) -> FilePlan | Needs:  # noqa: ARG001 - as every planner
    """One file a layer.

    Raises:
        Unsupported: the weights are in pieces that only Ollama puts together.
    """
    layers = list({(layer.media_type, layer.digest): layer for layer in manifest.layers}.values())
    if any(_kind(layer) == _TENSOR for layer in layers):
        raise Unsupported(
            "the weights are in Ollama's own pieces, one tensor each, which only Ollama reads",
            hint="pull the safetensors model that it was made of, or a tag of it that is GGUF",
        )
    found = list(_operations(layers))
    operations = tuple(op for op in found if not isinstance(op, LeftOut))
    left_out = tuple(op for op in found if isinstance(op, LeftOut))
    return FilePlan(NAME, manifest, operations, left_out, is_rooted=True)


def _kind(layer: Descriptor) -> str:
    kind = layer.media_type.removeprefix(_PREFIX)
    return "template" if kind == "prompt" else kind


def _operations(layers: Sequence[Descriptor]) -> Iterator[Operation | LeftOut]:
    count = sum(_kind(layer) == _MODEL for layer in layers)
    seen: dict[str, int] = {}
    for layer in layers:
        kind = _kind(layer)
        number = seen.get(kind, 0)
        seen[kind] = number + 1
        if kind == _MODEL:
            name = f"model-{number + 1:05d}-of-{count:05d}.gguf" if count > 1 else "model.gguf"
            yield PlaceBlob(RelPath.parse(name), layer)
        elif kind in _NAMES:
            first, further = _NAMES[kind]
            yield PlaceBlob(RelPath.parse(further.format(number) if number else first), layer)
        elif kind != _JSON:
            yield LeftOut(layer.media_type, layer.size, "nothing that an engine reads")
        elif path := annotated_path(layer):
            yield PlaceBlob(path, layer)
        else:
            yield LeftOut(layer.media_type, layer.size, NAMELESS)

"""What a producer says of its model, for people: it is not checked, and nothing relies on it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from oci_pull.oci.manifest import Manifest

#: The largest config that is read for it, in bytes; those that there are have a few kilobytes.
MAX_CONFIG = 1024 * 1024

_DOCKER = "application/vnd.docker.ai.model.config."
_PACKS = ("application/vnd.cncf.model.config.", "application/vnd.cnai.model.config.")
_KIT = "application/vnd.kitops.modelkit.config."
_OMLMD = "application/x-config"
#: Where KitOps leaves the Kitfile of what it packs as a ModelPack.
_KITFILE = "ml.kitops.modelkit.kitfile"
_OCI = "org.opencontainers.image."
_MAX_TEXT = 200
_MAX_LIST = 8


@dataclass(frozen=True, slots=True)
class Facts:
    """One line of text each; None where nothing is said."""

    name: str | None = None
    family: str | None = None
    format: str | None = None
    framework: str | None = None
    architecture: str | None = None
    parameters: str | None = None
    quantization: str | None = None
    precision: str | None = None
    #: The longest context in tokens.
    context: int | None = None
    license: str | None = None

    def said(self) -> Iterator[tuple[str, str | int]]:
        """Those that are known, by name."""
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None:
                yield each.name, value


def facts_of(manifest: Manifest, config: bytes | None) -> Facts:
    """The facts in a config blob, and for those that it lacks in the annotations of the manifest.

    `config` is None where there is none, or where it could not be read. Never fails: what is not of
    the expected type is not there.
    """
    notes = manifest.annotations
    found = (
        _of_config(manifest.config_type, _object(config)),
        _kit(_object(notes.get(_KITFILE, "").encode(errors="replace"))),
        _labels(notes),
    )
    merged: dict[str, Any] = {}
    for facts in reversed(found):
        merged |= dict(facts.said())
    return Facts(**merged)


def _of_config(kind: str, config: Mapping[str, Any]) -> Facts:
    if kind.startswith(_DOCKER):
        return _docker(config)
    if kind.startswith(_PACKS):
        return _modelpack(config)
    if kind.startswith(_KIT):
        return _kit(config)
    if kind == _OMLMD:
        return _omlmd(config)
    if "model_format" in config:
        return _ollama(config)
    # An image: its architecture is that of a processor, and only its labels speak of a model.
    return _labels(_map(_map(config, "config"), "Labels"))


def _docker(config: Mapping[str, Any]) -> Facts:
    """Model Runner's (model-spec, config.md; the code and the specification differ)."""
    model = _map(config, "config")
    gguf = _map(model, "gguf")
    return Facts(
        name=_text(gguf.get("general.name")),
        format=_text(model.get("format")),
        architecture=_text(model.get("architecture")),
        parameters=_text(model.get("parameters")),
        quantization=_text(model.get("quantization")),
        context=_count(model.get("context_size")),
        license=_text(gguf.get("general.license")),
    )


def _modelpack(config: Mapping[str, Any]) -> Facts:
    """ModelPack's (model-spec, config.md)."""
    said, model = _map(config, "descriptor"), _map(config, "config")
    return Facts(
        name=_text(said.get("name")) or _text(said.get("title")),
        family=_text(said.get("family")),
        format=_text(model.get("format")),
        architecture=_text(model.get("architecture")),
        parameters=_text(model.get("paramSize")),
        quantization=_text(model.get("quantization")),
        precision=_text(model.get("precision")),
        license=_text(said.get("licenses")),
    )


def _kit(kitfile: Mapping[str, Any]) -> Facts:
    """A Kitfile as JSON; its `parameters` are those of a training, and anything at all."""
    package, model = _map(kitfile, "package"), _map(kitfile, "model")
    return Facts(
        name=_text(model.get("name")) or _text(package.get("name")),
        format=_text(model.get("format")),
        framework=_text(model.get("framework")),
        license=_text(model.get("license")) or _text(package.get("license")),
    )


def _omlmd(config: Mapping[str, Any]) -> Facts:
    return Facts(
        name=_text(config.get("name")),
        format=_text(config.get("model_format_name")),
        license=_text(_map(config, "customProperties").get("license")),
    )


def _ollama(config: Mapping[str, Any]) -> Facts:
    """Ollama's; `model_type` is the number of parameters there."""
    return Facts(
        family=_text(config.get("model_family")),
        format=_text(config.get("model_format")),
        parameters=_text(config.get("model_type")),
        quantization=_text(config.get("file_type")),
        context=_count(config.get("context_length")),
    )


def _labels(labels: Mapping[str, Any]) -> Facts:
    """What OCI's annotations say (image-spec, annotations.md), also as the labels of an image."""
    return Facts(
        name=_text(labels.get(f"{_OCI}title")),
        license=_text(labels.get(f"{_OCI}licenses")),
    )


def _object(content: bytes | None) -> Mapping[str, Any]:
    """A JSON object, empty for anything else."""
    try:
        value = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _map(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str | None:
    """One line of a text, a number, or a short list of texts."""
    if isinstance(value, list):
        value = ", ".join(each for each in value[:_MAX_LIST] if isinstance(each, str))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    return " ".join(value[:_MAX_TEXT].split()) or None


def _count(value: Any) -> int | None:
    """A number above 0 that somebody could have meant."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,18}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 10**18:
        return None
    return value

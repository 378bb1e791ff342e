"""Artifacts of files by their names, as oras, omlmd, Podman, AIKit and others push them.

Compressed archives are stored in gzip without being compressed, so that the same input is the same
digest whatever zlib made it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.archives import Entry, directory, tar_of
from tests.content import (
    DOCKER_MANIFEST,
    OCI_EMPTY,
    Artifact,
    Layer,
    artifact,
    descriptor,
    digest_of,
    encode,
    layer,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TITLE = "org.opencontainers.image.title"
FILEPATH = "org.cncf.model.filepath"
UNPACK = "io.deis.oras.content.unpack"
TAR = "application/vnd.oci.image.layer.v1.tar"
TAR_GZIP = f"{TAR}+gzip"
MODEL = "application/x-mlmodel"
CONFIG = "application/x-config"
EMPTY = layer(OCI_EMPTY, b"{}")
UNKNOWN = "application/vnd.unknown.artifact.v1"
OLLAMA = "application/vnd.ollama.image."

_STORED = 0xFFFF


def stored_gzip(content: bytes) -> bytes:
    """A gzip file (RFC 1952) of stored blocks (RFC 1951, 3.2.4)."""
    pieces = [content[at : at + _STORED] for at in range(0, len(content), _STORED)] or [b""]
    blocks = b"".join(
        struct.pack("<BHH", number == len(pieces), len(piece), len(piece) ^ 0xFFFF) + piece
        for number, piece in enumerate(pieces, 1)
    )
    trailer = struct.pack("<II", zlib.crc32(content), len(content))
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + blocks + trailer


def tar(members: Mapping[str, bytes] | Iterable[Entry]) -> bytes:
    content = tar_of(members).content
    assert isinstance(content, bytes)
    return content


def titled(name: str, content: bytes, media_type: str = TAR, **notes: str) -> Layer:
    """A layer with a title, and further annotations (`_` for `.`)."""
    more = {key.replace("_", "."): text for key, text in notes.items()}
    return layer(media_type, content, {TITLE: name} | more)


def file_set(
    *layers: Layer, artifact_type: str | None = UNKNOWN, config: Layer = EMPTY
) -> Artifact:
    return artifact(config, layers, artifact_type=artifact_type)


def unpacked(name: str, files: Mapping[str, bytes]) -> Layer:
    """A directory as `oras push` packs it: its name in front of every entry, a digest beside it."""
    prefix = "" if name == "." else f"{name}/"
    entries = [] if name == "." else [directory(name)]
    archive = tar([*entries, *(Entry(prefix + path, content) for path, content in files.items())])
    notes = {TITLE: name, UNPACK: "true", "io.deis.oras.content.digest": digest_of(archive)}
    return layer(TAR_GZIP, stored_gzip(archive), notes)


def oras(files: Mapping[str, bytes]) -> Artifact:
    """`oras push REF *`."""
    top, directories = _split(files)
    return file_set(
        *(titled(name, content) for name, content in top.items()),
        *(unpacked(name, found) for name, found in directories.items()),
    )


def oras_python(files: Mapping[str, bytes]) -> Artifact:
    """The same by the library for Python, which says nothing of a directory but by its type."""
    top, directories = _split(files)
    archives = (
        titled(
            name,
            stored_gzip(tar({f"{name}/{path}": content for path, content in found.items()})),
            TAR_GZIP,
        )
        for name, found in directories.items()
    )
    return file_set(
        *(titled(name, content) for name, content in top.items()),
        *archives,
        artifact_type=None,
        config=layer("application/vnd.unknown.config.v1+json", b"{}"),
    )


def aikit_files(files: Mapping[str, bytes]) -> Artifact:
    """AIKit's packager for other targets than models, with one layer a file."""
    layers = [titled(name, files[name], "application/octet-stream") for name in files]
    return file_set(*layers)


def aikit_archive(archive: bytes, name: str) -> Artifact:
    """The same with one archive, of whatever compression; its type never says which."""
    return file_set(titled(name, archive))


def kaito(files: Mapping[str, bytes]) -> Artifact:
    """KAITO's presets: `oras push` of the files at the top."""
    return file_set(
        *(
            titled(name, content, "application/vnd.kaito.llm.v1")
            for name, content in _split(files)[0].items()
        )
    )


def omlmd(name: str, content: bytes) -> Artifact:
    """omlmd: the config is one of the layers."""
    metadata = encode({"name": "tiny", "description": "A model"})
    return artifact(
        layer(CONFIG, metadata),
        [
            titled(name, content, MODEL),
            titled("model_metadata.omlmd.json", metadata, CONFIG),
            titled("model_metadata.omlmd.yaml", b"name: tiny\n", CONFIG),
        ],
        annotations={"name": "tiny"},
    )


def konflux(files: Mapping[str, bytes], below: str = "") -> Artifact:
    """Konflux and Red Hat: titled layers of whatever type, often below one directory."""
    layers = [titled(below + name, files[name], "application/octet-stream") for name in files]
    return file_set(*layers, artifact_type=MODEL)


def olot_artifact(files: Mapping[str, bytes]) -> Artifact:
    """olot's OCI artifact: archives under the types and with the sizes of the files in them."""
    return file_set(*(_olot(name, files[name]) for name in files), artifact_type=MODEL)


def _olot(name: str, content: bytes) -> Layer:
    archive = tar({f"models/{name}": content})
    if name.endswith("README.md"):
        archive = stored_gzip(archive)
    kind = "application/json" if name.endswith(".json") else "application/octet-stream"
    return replace(titled(name, archive, kind), size=len(content))


def podman(files: Mapping[str, bytes], media_type: str = "text/plain; charset=utf-8") -> Artifact:
    """RamaLama by `podman artifact add`: types by content, titles that are digests."""
    layers = [
        layer(
            media_type,
            content,
            {
                TITLE: digest_of(content).replace(":", "-"),
                FILEPATH: name,
                "org.cncf.model.file.mediatype.untested": "true",
            },
        )
        for name, content in files.items()
    ]
    return file_set(*layers, artifact_type="application/vnd.cncf.model.manifest.v1+json")


def ollama(*layers: tuple[str, bytes] | tuple[str, bytes, str]) -> Artifact:
    """Ollama: kinds, contents, and names where a kind has one; the config of a Docker image."""
    made = [layer(OLLAMA + kind, content) for kind, content, *_ in layers]
    names = [dict[str, Any](zip(["name"], rest, strict=False)) for _, _, *rest in layers]
    config = layer("application/vnd.docker.container.image.v1+json", b'{"model_format":"gguf"}')
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": config.descriptor,
        "layers": [
            descriptor(each.media_type, each.digest, each.size, **name)
            for each, name in zip(made, names, strict=True)
        ],
    }
    blobs = {each.digest: each.content for each in (config, *made)}
    return Artifact(encode(document), DOCKER_MANIFEST, blobs)


def alone(content: bytes, media_type: str = "application/octet-stream") -> Artifact:
    """One layer of which nothing is said."""
    return file_set(layer(media_type, content))


def _split(
    files: Mapping[str, bytes],
) -> tuple[Mapping[str, bytes], Mapping[str, Mapping[str, bytes]]]:
    """The files at the top, and those of each directory there by their paths in it."""
    directories: dict[str, dict[str, bytes]] = {}
    for path, content in files.items():
        name, slash, rest = path.partition("/")
        if slash:
            directories.setdefault(name, {})[rest] = content
    return {path: files[path] for path in files if "/" not in path}, directories

"""ModelKits as `kit pack` makes them, from a context directory and the words of its Kitfile.

kit(files, generated(files))                          a layer a file, as `kit init` has it
kit(files, [Piece("model", "./model")])               a directory as an archive
old_kit(files, [Piece("model", "./model")])           a release before 0.5
kit({...}, [Piece("parts", "adapter")], parent="ghcr.io/team/base:v1")
"""

from __future__ import annotations

import gzip
import json
import sys
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from tests.archives import Entry, directory, tar_of, typed
from tests.content import Artifact, Content, Layer, artifact, encode, layer, size_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Form = Literal["tar", "tar+gzip", "tar+zstd", "raw", "raw+gzip", "raw+zstd"]
Section = Literal["model", "parts", "code", "docs", "datasets", "prompts", "mcpServers"]

TYPE = "application/vnd.kitops.modelkit."
KITFILE = "ml.kitops.modelkit.kitfile"
_VERSION = "ml.kitops.modelkit.cli-version"
#: In the order in which `kit` packs them.
_KINDS: Mapping[Section, str] = {
    "model": "model",
    "parts": "modelpart",
    "code": "code",
    "datasets": "dataset",
    "docs": "docs",
    "prompts": "code",
    "mcpServers": "mcpb",
}
_MODELPACK_KINDS = {"model": "weight", "modelpart": "weight.config", "docs": "doc"}
_TIME = "2026-03-02T10:11:12Z"


@dataclass(frozen=True)
class Piece:
    """An entry of a Kitfile."""

    section: Section
    path: str
    #: Of a dataset that is somewhere else, and so in no layer.
    remote: str = ""

    @property
    def clean(self) -> str:
        return str(PurePosixPath(self.path))


def generated(files: Mapping[str, Content]) -> list[Piece]:
    """What `kit init` writes for a model directory: every file an entry, the weights the model."""
    weights = [path for path in files if path.endswith(".safetensors")]

    def section(path: str) -> Section:
        name = PurePosixPath(path).name.lower()
        if path in weights[:1]:
            return "model"
        if name.endswith(".py"):
            return "code"
        return "docs" if name.endswith(".md") or "license" in name else "parts"

    return [Piece(section(path), path) for path in files]


def kit(
    files: Mapping[str, Content],
    pieces: Sequence[Piece],
    *,
    form: Form = "tar",
    parent: str = "",
    modelpack: bool = False,
    scratch: Path | None = None,
) -> Artifact:
    """`kit pack` since 0.5: entries with digests, archives with whole paths from the context.

    The raw forms (2026) are for entries that are one file; a directory is an archive all the same.
    `parent` is the reference that the Kitfile has as the path of its model. `modelpack` is its
    ModelPack mode, where the Kitfile is an annotation.
    """
    layers: list[Layer] = []
    described: list[tuple[Piece, Layer | None]] = []
    for piece in _in_order(pieces):
        if piece.remote:
            described.append((piece, None))
            continue
        found = _layer(files, pieces, piece, form, scratch=scratch, modelpack=modelpack)
        layers.append(found)
        described.append((piece, found))
    kitfile = _kitfile(described, parent)
    annotations = {_VERSION: "1.9.0"}
    if modelpack:
        return artifact(
            layer("application/vnd.cncf.model.config.v1+json", b"{}"),
            layers,
            artifact_type="application/vnd.cncf.model.manifest.v1+json",
            annotations=annotations | {KITFILE: encode(kitfile).decode()},
        )
    return artifact(
        layer(f"{TYPE}config.v1+json", encode(kitfile)),
        layers,
        artifact_type=f"{TYPE}manifest.v1+json",
        annotations=annotations,
    )


def old_kit(
    files: Mapping[str, Content],
    pieces: Sequence[Piece],
    *,
    form: Literal["tar", "tar+gzip"] = "tar+gzip",
    parent: str = "",
    scratch: Path | None = None,
) -> Artifact:
    """`kit pack` before 0.5: no digests, names from the directory that an entry is in."""
    layers: list[Layer] = []
    described: list[tuple[Piece, Layer | None]] = []
    for piece in _in_order(pieces):
        described.append((piece, None))
        if not piece.remote:
            found = _old_layer(files, pieces, piece, form, scratch)
            layers.append(found)
    return artifact(
        layer(f"{TYPE}config.v1+json", encode(_kitfile(described, parent))),
        layers,
        annotations={_VERSION: "0.2.5"},
    )


def with_kitfile(made: Artifact, kitfile: object) -> Artifact:
    """The same layers under another Kitfile, which may be anything; text is taken as it is."""
    raw = kitfile if isinstance(kitfile, bytes) else encode(kitfile)
    config = layer(f"{TYPE}config.v1+json", raw)
    document = made.document | {"config": config.descriptor}
    blobs = {**made.blobs, config.digest: raw}
    return replace(made, manifest=encode(document), blobs=blobs)


def kitfile_of(made: Artifact) -> dict[str, Any]:
    content = made.blobs[made.document["config"]["digest"]]
    assert isinstance(content, bytes)
    found: dict[str, Any] = json.loads(content)
    return found


def _in_order(pieces: Sequence[Piece]) -> list[Piece]:
    order = list(_KINDS)
    return sorted(pieces, key=lambda piece: order.index(piece.section))


def _kitfile(described: Sequence[tuple[Piece, Layer | None]], parent: str) -> dict[str, Any]:
    found: dict[str, Any] = {"manifestVersion": "1.0.0", "package": {"name": "tiny"}}
    model: dict[str, Any] = {"name": "tiny", "path": parent} if parent else {}
    for piece, packed in described:
        entry: dict[str, Any] = {"path": piece.path}
        if piece.remote:
            entry["remotePath"] = piece.remote
        if packed:
            entry |= {"digest": packed.digest, "diffId": packed.diff_id}
        if piece.section == "model":
            model |= entry | {"name": "tiny", "framework": "transformers", "parameters": {"n": 1}}
        elif piece.section == "parts":
            model.setdefault("parts", []).append(entry | {"type": "config"})
        else:
            found.setdefault(piece.section, []).append(entry)
    return found | ({"model": model} if model else {})


def _layer(
    files: Mapping[str, Content],
    pieces: Sequence[Piece],
    piece: Piece,
    form: Form,
    *,
    modelpack: bool,
    scratch: Path | None,
) -> Layer:
    kind = _KINDS[piece.section]
    if modelpack:
        start = f"application/vnd.cncf.model.{_MODELPACK_KINDS.get(kind, kind)}.v1."
    else:
        start = f"{TYPE}{kind}.v1."
    notes = {"ml.kitops.modelkit.layer-subtype": "prompt"} if piece.section == "prompts" else {}
    if form.startswith("raw") and piece.clean in files:
        content = files[piece.clean]
        notes |= _annotations(piece.clean, size_of(content))
        return _raw(start + form, content, form, notes)
    tar_form = "tar" if form == "raw" else form.replace("raw", "tar")
    if modelpack:
        notes["org.cncf.model.filepath"] = piece.path
    members = dict(_below(files, pieces, piece))
    packed = tar_of(_with_directories(members), form=tar_form, scratch=scratch)  # type: ignore[arg-type]
    return typed(packed, start + tar_form, notes)


def _raw(media_type: str, content: Content, form: Form, notes: Mapping[str, str]) -> Layer:
    if form == "raw":
        return layer(media_type, content, notes)
    plain = content if isinstance(content, bytes) else content.read_bytes()
    packed = gzip.compress(plain, mtime=0) if form == "raw+gzip" else zstd.compress(plain)
    return replace(layer(media_type, packed, notes), diff_id=layer("", plain).digest)


def _old_layer(
    files: Mapping[str, Content],
    pieces: Sequence[Piece],
    piece: Piece,
    form: Literal["tar", "tar+gzip"],
    scratch: Path | None,
) -> Layer:
    start = PurePosixPath(piece.clean).parent
    members = {
        str(PurePosixPath(path).relative_to(start)): content
        for path, content in _below(files, pieces, piece)
    }
    # The parents of its first entry are not in it.
    entries = [each for each in _with_directories(members) if each.name != "."]
    packed = tar_of(entries, form=form, scratch=scratch)
    return typed(packed, f"{TYPE}{_KINDS[piece.section]}.v1.{form}")


def _below(
    files: Mapping[str, Content], pieces: Sequence[Piece], piece: Piece
) -> Iterator[tuple[str, Content]]:
    """The files of an entry; what a longer path of another entry covers is in that one's layer."""

    def covers(each: Piece, path: str) -> bool:
        return each.clean in (".", path) or path.startswith(each.clean + "/")

    others = [each for each in pieces if each is not piece and len(each.clean) > len(piece.clean)]
    for path in sorted(files):
        if covers(piece, path) and not any(covers(each, path) for each in others):
            yield path, files[path]


def _with_directories(members: Mapping[str, Content]) -> list[Entry]:
    parts = {tuple(path.split("/")): content for path, content in members.items()}
    parents = {path[:depth] for path in parts for depth in range(1, len(path))}
    return [
        Entry("/".join(path), parts[path]) if path in parts else directory("/".join(path))
        for path in sorted(parents | set(parts))
    ]


def _annotations(path: str, size: int) -> dict[str, str]:
    metadata = {"name": PurePosixPath(path).name, "mode": 420, "uid": 0, "gid": 0, "size": size}
    metadata |= {"mtime": _TIME, "typeflag": 0}
    return {
        "org.cncf.model.filepath": path,
        "org.cncf.model.file.metadata+json": encode(metadata).decode(),
    }

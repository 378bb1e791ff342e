"""The models that are pushed to the registries here, in every packaging."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests import builders, kits
from tests.builders import IndexEntry
from tests.content import Artifact, Content
from tests.e2e.command import Command

Files = Mapping[str, Content]


@dataclass(frozen=True)
class Pushed:
    """A model as it is in a registry."""

    reference: str
    artifact: Artifact
    files: Files

    @property
    def digest(self) -> str:
        return self.artifact.digest

    @property
    def repository(self) -> str:
        """With its registry."""
        return self.reference.rpartition(":")[0]

    @property
    def by_digest(self) -> str:
        return f"{self.repository}@{self.digest}"

    @property
    def manifest(self) -> Artifact:
        """What is pulled: of an index the manifest for this test's platform."""
        return self.artifact.children[-1] if self.artifact.children else self.artifact


@dataclass(frozen=True)
class Pulled:
    """The command of a user who has pulled the model, and nothing else."""

    oci_pull: Command
    model: Pushed
    path: Path


@dataclass(frozen=True)
class Packaging:
    build: Callable[[Files, Path], Artifact]
    #: Which model; the real one has 91 MB in one shard.
    shards: int = 0
    words: tuple[str, ...] = ()


def _v01(files: Files, scratch: Path) -> Artifact:
    return builders.docker_v01(files, annotated=False, scratch=scratch)


def _v01_annotated(files: Files, scratch: Path) -> Artifact:
    return builders.docker_v01(files, annotated=True, scratch=scratch)


def _v02(files: Files, _: Path) -> Artifact:
    return builders.docker_v02(files)


def _pack(form: builders.PackForm) -> Packaging:
    return Packaging(lambda files, scratch: builders.modelpack(files, form=form, scratch=scratch))


def _cnai(files: Files, _: Path) -> Artifact:
    return builders.modelpack(files, legacy=True)


def _aikit(form: builders.PackForm, shards: int = 0) -> Packaging:
    return Packaging(
        lambda files, scratch: builders.modelpack_aikit(files, form=form, scratch=scratch), shards
    )


def _kit(form: kits.Form, shards: int = 0, *, modelpack: bool = False) -> Packaging:
    def build(files: Files, scratch: Path) -> Artifact:
        pieces = kits.generated(files)
        return kits.kit(files, pieces, form=form, modelpack=modelpack, scratch=scratch)

    return Packaging(build, shards)


def _old_kit(files: Files, _: Path) -> Artifact:
    """A model two directories down, which is where it is unpacked and found."""
    below = {f"work/model/{path}": content for path, content in files.items()}
    return kits.old_kit(below, [kits.Piece("model", "./work/model/")])


def _index(files: Files, _: Path) -> Artifact:
    """Two platforms; the second is the one that is pulled."""
    other = builders.docker_v02(builders.tiny_model(seed=9))
    entries = {"linux/arm64": other, "linux/amd64": builders.docker_v02(files)}
    return builders.index(
        [
            IndexEntry(each, dict(zip(("os", "architecture"), name.split("/"), strict=True)))
            for name, each in entries.items()
        ]
    )


def _index_of_one(files: Files, _: Path) -> Artifact:
    return builders.index([IndexEntry(builders.modelpack(files))])


def _docker_manifest(files: Files, _: Path) -> Artifact:
    """A manifest of Docker's type, as registries make of one for old clients."""
    artifact = builders.docker_v02(files)
    document = artifact.document | {"mediaType": builders.DOCKER_MANIFEST}
    return replace(
        artifact, manifest=builders.encode(document), media_type=builders.DOCKER_MANIFEST
    )


PACKAGINGS = {
    "docker-v0.1": Packaging(_v01),
    "docker-v0.1-annotated": Packaging(_v01_annotated),
    "docker-v0.1-shards": Packaging(_v01, shards=3),
    "docker-v0.1-annotated-shards": Packaging(_v01_annotated, shards=3),
    "docker-v0.2": Packaging(_v02),
    "docker-v0.2-shards": Packaging(_v02, shards=3),
    "docker-manifest-type": Packaging(_docker_manifest, shards=1),
    "modelpack-raw": _pack("raw"),
    "modelpack-tar": _pack("tar"),
    "modelpack-gzip": _pack("tar+gzip"),
    "modelpack-zstd": _pack("tar+zstd"),
    "modelpack-cnai": Packaging(_cnai, shards=2),
    "aikit-raw": _aikit("raw", shards=1),
    "aikit-tar": _aikit("tar", shards=1),
    "aikit-gzip": _aikit("tar+gzip", shards=1),
    "aikit-zstd": _aikit("tar+zstd", shards=1),
    "kitops-tar": _kit("tar"),
    "kitops-gzip": _kit("tar+gzip", shards=1),
    "kitops-zstd": _kit("tar+zstd", shards=1),
    "kitops-raw": _kit("raw", shards=2),
    "kitops-raw-gzip": _kit("raw+gzip", shards=1),
    "kitops-raw-zstd": _kit("raw+zstd", shards=1),
    "kitops-modelpack": _kit("tar", shards=1, modelpack=True),
    "kitops-old": Packaging(_old_kit, shards=1),
    "index": Packaging(_index, shards=1, words=("--platform", "linux/amd64")),
    "index-of-one": Packaging(_index_of_one, shards=2),
}

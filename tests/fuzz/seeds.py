"""What the search begins with: one good input of every kind."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator

from tests import builders, file_sets, kits
from tests.archives import Entry, directory, symlink, tar_of
from tests.content import Artifact
from tests.tar_blocks import END, file, old_sparse, pax

_FILES = {"config.json": b"{}", "model.safetensors": builders.safetensors({"w": ((2,), bytes(8))})}
_ENTRIES = [directory("sub"), Entry("sub/a", b"1"), symlink("b", "sub/a"), Entry("c" * 120, b"2")]
#: Bits of the first byte of an archive: see `properties.archive`.
_CHECKED = 4


def archives() -> Iterator[bytes]:
    for number, form in enumerate(("tar", "tar+gzip", "tar+zstd")):
        content = tar_of(_ENTRIES, form=form).content  # type: ignore[arg-type]
        assert isinstance(content, bytes)
        yield bytes([number | _CHECKED]) + content
        yield bytes([3]) + content
    sparse_1_0 = {"GNU.sparse.major": "1", "GNU.sparse.realsize": "900"}
    for content in (
        old_sparse("model", 900, [(0, 3), (600, 2)], b"abcde"),
        old_sparse("model", 9000, [(n * 600, 1) for n in range(9)], b"x" * 9),
        pax({"GNU.sparse.size": "900", "GNU.sparse.map": "0,3,600,2"}) + file("m", b"abcde"),
        pax(sparse_1_0) + file("m", b"2\n0\n3\n600\n2\n".ljust(512, b"\0") + b"abcde"),
        pax({"path": "p", "size": "3"}, tarfile.XGLTYPE) + file("m", b"123"),
        file("long", b"name\0", b"L") + file("long", b"target\0", b"K") + file("m", b"", b"1"),
    ):
        yield bytes([_CHECKED]) + content + END


def manifests() -> Iterator[bytes]:
    for artifact in _artifacts():
        yield artifact.manifest
        for content in artifact.blobs.values():
            if isinstance(content, bytes) and len(content) < 10_000:
                yield artifact.manifest + b"\0" + content
    entries = [{"mediaType": "a/b", "digest": "sha256:" + "a" * 64, "size": 1, "platform": {}}]
    yield json.dumps({"schemaVersion": 2, "manifests": entries}).encode()


def _artifacts() -> Iterator[Artifact]:
    yield builders.docker_v01(_FILES, annotated=True)
    yield builders.docker_v01(_FILES, annotated=False)
    yield builders.docker_v02(_FILES)
    yield builders.modelpack(_FILES)
    yield builders.modelpack_aikit(_FILES, form="tar")
    yield file_sets.oras(_FILES)
    yield file_sets.oras_python(_FILES)
    yield file_sets.konflux(_FILES)
    yield file_sets.olot_artifact(_FILES)
    yield file_sets.ollama(("model", b"GGUF"))
    yield kits.kit(_FILES, kits.generated(_FILES))
    yield kits.old_kit(_FILES, kits.generated(_FILES))


def challenges() -> Iterator[bytes]:
    yield b'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a:b:c"'
    yield b'Basic realm="a, \\"b\\"", Bearer realm=token, error="invalid_token"\nNegotiate'

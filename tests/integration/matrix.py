"""Every packaging with a producer of it, and how the outcome of each is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests import builders, file_sets, kits
from tests.content import Artifact, Content
from tests.producers import images, programs
from tests.producers.bench import Bench

if TYPE_CHECKING:
    import pytest

Files = Mapping[str, Content]

#: What a test of the matrix records of itself, under this name, for the table.
CELL = "matrix"
_HEADINGS = ("packaging", "producer", "source", "files", "result")
_BY_HAND = "as by "


@dataclass(frozen=True)
class Row:
    packaging: str
    producer: str
    #: Makes the model at the bench's reference, and says which files a pull of it gives.
    make: Callable[[Bench, Files], Files]
    words: tuple[str, ...] = ()
    servable: bool = True
    shards: int = 1
    #: Whether skopeo can copy it: it refuses types of Docker's manifests that it does not know.
    is_copied: bool = True

    def model(self) -> Files:
        return builders.tiny_model(shards=self.shards)


def _hand(build: Callable[[Files], Artifact]) -> Callable[[Bench, Files], Files]:
    def make(bench: Bench, files: Files) -> Files:
        bench.push(build(files))
        return files

    return make


def _kit(files: Files, *, form: kits.Form = "tar", modelpack: bool = False) -> Artifact:
    """A model in a directory of what was packed, its other files as parts, and more beside it."""
    below = {f"model/{name}": content for name, content in files.items()}
    more = {"NOTES.md": b"# Notes\n", "data/rows.csv": b"a,b\n1,2\n"}
    pieces = [*kits.generated(below), kits.Piece("docs", "NOTES.md")]
    pieces.append(kits.Piece("datasets", "data/rows.csv"))
    return kits.kit({**below, **more}, pieces, form=form, modelpack=modelpack)


def _old_kit(files: Files) -> Artifact:
    below = {f"work/model/{name}": content for name, content in files.items()}
    return kits.old_kit(below, [kits.Piece("model", "./work/model/")])


def _with_parent(bench: Bench, files: Files) -> Files:
    """The weights are in another kit."""
    below = {f"model/{name}": content for name, content in files.items()}
    weights = "model/model.safetensors"
    bench.push(kits.kit(below, [kits.Piece("model", weights)]), "base")
    pieces = [kits.Piece("parts", name) for name in below if name != weights]
    parent = bench.reference.rpartition(":")[0] + ":base"
    bench.push(kits.kit(below, pieces, parent=parent))
    return files


def _of_bytes(build: Callable[[Mapping[str, bytes]], Artifact]) -> Callable[[Bench, Files], Files]:
    return _hand(lambda files: build({name: bytes(files[name]) for name in files}))


def _archive(files: Mapping[str, bytes]) -> Artifact:
    return file_sets.aikit_archive(file_sets.tar(files), "allfiles.tar")


_TEXTS = {
    "model": ("model.gguf", b"GGUF" + bytes(500)),
    "template": ("ollama/template.txt", b"{{ .Prompt }}"),
    "license": ("ollama/license", b"MIT"),
    "params": ("ollama/params", b'{"stop":["x"]}'),
}


def _ollama(bench: Bench, _: Files) -> Files:
    bench.push(file_sets.ollama(*((kind, content) for kind, (_, content) in _TEXTS.items())))
    return dict(_TEXTS.values())


ROWS = {
    "docker-v0.1": Row(
        "docker-model",
        _BY_HAND + "Model Runner v0.1",
        _hand(lambda files: builders.docker_v01(files, annotated=False)),
        shards=2,
    ),
    "docker-v0.1-annotated": Row(
        "docker-model",
        _BY_HAND + "Model Runner v0.1, annotated",
        _hand(lambda files: builders.docker_v01(files, annotated=True)),
    ),
    "docker-v0.2": Row(
        "docker-model",
        _BY_HAND + "Model Runner v0.2",
        _hand(builders.docker_v02),
    ),
    "modelpack-raw": Row(
        "modelpack",
        _BY_HAND + "modctl, raw",
        _hand(lambda files: builders.modelpack(files, form="raw")),
        shards=2,
    ),
    "modelpack-tar": Row(
        "modelpack",
        _BY_HAND + "modctl, tar",
        _hand(lambda files: builders.modelpack(files, form="tar")),
    ),
    "modelpack-gzip": Row(
        "modelpack",
        _BY_HAND + "AIKit, tar+gzip",
        _hand(lambda files: builders.modelpack_aikit(files, form="tar+gzip")),
    ),
    "modelpack-zstd": Row(
        "modelpack",
        _BY_HAND + "AIKit, tar+zstd",
        _hand(lambda files: builders.modelpack_aikit(files, form="tar+zstd")),
    ),
    "modelpack-cnai": Row(
        "modelpack",
        _BY_HAND + "modctl, cnai",
        _hand(lambda files: builders.modelpack(files, legacy=True)),
    ),
    "modelpack-kitops": Row(
        "modelpack",
        _BY_HAND + "kit, as ModelPack",
        _hand(lambda files: _kit(files, modelpack=True)),
    ),
    "modelpack-ramalama": Row(
        "modelpack",
        _BY_HAND + "RamaLama, artifact",
        _of_bytes(file_sets.podman),
    ),
    "modelpack-olot": Row("modelpack", "olot, ModelPack", programs.olot_modelpack),
    "kitops": Row("kitops", _BY_HAND + "kit, tar", _hand(_kit)),
    "kitops-gzip": Row(
        "kitops",
        _BY_HAND + "kit, tar+gzip",
        _hand(lambda files: _kit(files, form="tar+gzip")),
    ),
    "kitops-old": Row("kitops", _BY_HAND + "kit before 0.5", _hand(_old_kit)),
    "kitops-raw": Row(
        "kitops", _BY_HAND + "kit, raw", _hand(lambda files: _kit(files, form="raw"))
    ),
    "kitops-parent": Row("kitops", _BY_HAND + "kit, on a parent", _with_parent),
    "oras": Row("oras", _BY_HAND + "oras, Go", _of_bytes(file_sets.oras)),
    "oras-archive": Row("oras", _BY_HAND + "AIKit, one archive", _of_bytes(_archive)),
    "oras-py": Row("oras", "oras-py", programs.oras_py),
    "omlmd": Row("mlmodel", "omlmd", programs.omlmd, servable=False),
    "mlmodel": Row(
        "mlmodel",
        _BY_HAND + "Konflux",
        _of_bytes(lambda files: file_sets.konflux(files, "tiny/")),
    ),
    "mlmodel-olot": Row("mlmodel", "olot, OCI artifact", programs.olot_artifact, is_copied=False),
    "ollama": Row(
        "ollama",
        _BY_HAND + "ollama",
        _ollama,
        servable=False,
        is_copied=False,
    ),
    "image": Row("image", _BY_HAND + "a Dockerfile, gzip", _hand(images.image)),
    "image-tar": Row(
        "image",
        _BY_HAND + "a Dockerfile, tar",
        _hand(lambda files: images.image(files, form="tar")),
    ),
    "image-zstd": Row(
        "image",
        _BY_HAND + "a Dockerfile, zstd",
        _hand(lambda files: images.image(files, form="tar+zstd")),
    ),
    "image-buildah": Row("image", "buildah, OCI", programs.buildah, shards=2),
    "image-layers": Row("image", "buildah, Docker", programs.buildah_layers),
    "image-ramalama": Row("image", "buildah, as RamaLama", programs.ramalama_image),
    "image-index": Row(
        "image",
        "buildah, two platforms",
        programs.buildah_index,
        words=("--platform", "linux/arm64"),
    ),
    "image-olot": Row("image", "olot, modelcar", programs.olot),
    "image-olot-simple": Row("image", "olot, simple artifact", programs.olot_simple),
}


def write_table(reporter: pytest.TerminalReporter) -> None:
    """What became of each packaging that was tested, at the end of the run."""
    lines = [
        (*value, outcome)
        for outcome in ("passed", "failed", "skipped")
        for report in reporter.stats.get(outcome, ())
        for name, value in getattr(report, "user_properties", ())
        if name == CELL
    ]
    if not lines:
        return
    order = {row.producer: place for place, row in enumerate(ROWS.values())}
    lines.sort(key=lambda line: (order.get(line[1], len(order)), line[2]))
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *lines, strict=True)]
    reporter.section("packagings, their producers, and where they were pulled from")
    for line in (_HEADINGS, *lines):
        cells = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        reporter.write_line("  ".join(cells).rstrip())

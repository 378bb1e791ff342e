"""Producers that nobody here wrote: buildah, oras-py, omlmd and olot.

Each makes a model of these files at the bench's reference, and says which files a pull of it gives.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.archives import tar_of, typed
from tests.content import (
    OCI_MANIFEST,
    Artifact,
    IndexEntry,
    artifact,
    encode,
    index,
    layer,
)
from tests.e2e.command import PATH
from tests.producers.bench import TAG
from tests.servers.debian import Tool, ToolUnavailable, tool
from tests.servers.push import write_layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.content import Content
    from tests.producers.bench import Bench

_SCRIPTS = Path(sys.executable).parent
_ORAS = """
import sys
from oras.provider import Registry
Registry(insecure=True).push(sys.argv[1], files=sys.argv[2:], quiet=True)
"""
_OLOT = """
import sys
from pathlib import Path
from olot import oci_artifact
getattr(oci_artifact, sys.argv[1])(Path(sys.argv[2]), Path(sys.argv[3]))
"""


def debian_tool(name: str) -> Tool:
    """The program, or the test is skipped."""
    try:
        return tool(name)
    except ToolUnavailable as missing:
        pytest.skip(str(missing))


class Buildah:
    """Containers and images in a storage that nobody else sees."""

    def __init__(self, bench: Bench) -> None:
        self._tool = debian_tool("buildah")
        # Only root may make a container, also one that is nothing but a directory.
        self._prefix = () if os.geteuid() == 0 else ("unshare", "--map-root-user")
        if self._prefix and subprocess.run([*self._prefix, "true"], check=False).returncode:
            pytest.skip("buildah wants to be root, or a user name space in which it is")
        storage = bench.directory / "storage"
        self._options = ("--storage-driver=vfs", f"--root={storage}", f"--runroot={storage}-run")
        self._bench = bench

    def __call__(self, *words: str | Path) -> str:
        done = self._run(self._prefix, *words)
        assert done.returncode == 0, f"buildah: {done.stderr}"
        return done.stdout.strip()

    def build(self, dockerfile: Path, *words: str | Path) -> str:
        """Run the instructions of a Dockerfile, with nothing beside it; what all of it said.

        Cache mounts last as long as the bench. It takes root.
        """
        context = self._bench.directory / "context"
        context.mkdir(exist_ok=True)
        command = ("build", "--isolation=chroot", f"--file={dockerfile}", *words, context)
        done = self._run(self._with_libraries(), *command, stderr=subprocess.STDOUT)
        assert done.returncode == 0, f"buildah: {done.stdout}"
        return done.stdout

    def _run(
        self, prefix: Sequence[str | Path], *words: str | Path, stderr: int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[str]:
        temporary = self._bench.directory / "tmp"
        temporary.mkdir(exist_ok=True)
        return subprocess.run(
            [*prefix, self._tool.path, *self._options, *words],
            env=self._tool.environment({"TMPDIR": str(temporary)}),
            check=False,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def _with_libraries(self) -> tuple[str | Path, ...]:
        """What runs buildah so that it finds its libraries once more.

        For RUN it starts itself again with nothing of its environment, so that a package that was
        unpacked needs a linker's cache of its own.
        """
        folders = self._tool.env.get("LD_LIBRARY_PATH")
        if folders is None:
            return ()
        configuration = self._bench.directory / "ld.so.conf"
        known = Path("/etc/ld.so.conf")
        configuration.write_text(
            (known.read_text() if known.exists() else "") + folders.replace(":", "\n") + "\n"
        )
        cache = self._bench.directory / "ld.so.cache"
        linker = shutil.which("ldconfig", path=PATH) or "ldconfig"
        subprocess.run([linker, "-X", "-f", configuration, "-C", cache], check=True)
        script = 'mount --bind "$0" /etc/ld.so.cache && exec "$@"'
        return ("unshare", "--mount", "sh", "-c", script, cache)

    def commit(self, container: str, *words: str) -> str:
        return self("commit", "--quiet", *words, container)

    def push(self, image: str, *words: str) -> None:
        self("push", "--quiet", "--tls-verify=false", *words, image, self.destination)

    @property
    def destination(self) -> str:
        return f"docker://{self._bench.reference}"


def buildah(bench: Bench, files: Mapping[str, Content]) -> Mapping[str, Content]:
    """A modelcar: one layer from nothing, with the files in `/models`."""
    program = Buildah(bench)
    container = program("from", "scratch")
    program("copy", "--quiet", container, bench.write(files), "/models")
    program.push(program.commit(container))
    return files


def buildah_layers(bench: Bench, files: Mapping[str, Content]) -> Mapping[str, Content]:
    """A modelcar of Docker's types that was worked on: removed, replaced, modes changed."""
    program = Buildah(bench)
    container = program("from", "scratch")
    stale = {"models/config.json": b"{}", "models/old/stale.bin": b"pickle", "etc/os-release": b""}
    program("copy", "--quiet", container, bench.write(stale, "stale"), "/")
    program("copy", "--quiet", container, bench.write({"gone.json": b"{}"}, "gone"), "/models")
    container = program("from", program.commit(container, "--format=docker"))
    root = Path(program("mount", container))
    shutil.rmtree(root / "models/old")
    (root / "models/gone.json").unlink()
    program("copy", "--quiet", container, bench.write(files), "/models")
    container = program("from", program.commit(container, "--format=docker"))
    root = Path(program("mount", container))
    for path in (root / "models").rglob("*"):
        path.chmod(0o755)
    program.push(program.commit(container, "--format=docker"), "--format=v2s2")
    return files


def ramalama_image(bench: Bench, files: Mapping[str, Content]) -> Mapping[str, Content]:
    """RamaLama's `raw` image: it writes a Containerfile, and pushes a list of one."""
    program = Buildah(bench)
    root = bench.write(files, "root/models/tiny")
    (root.parent / "model.file").symlink_to("tiny/model.safetensors")
    container = program("from", "scratch")
    program("copy", "--quiet", container, root.parent, "/models")
    program("config", "--label", "org.containers.type=ai.image.model.raw", container)
    image = program.commit(container)
    program("manifest", "create", "list", image)
    program("manifest", "push", "--quiet", "--all", "--tls-verify=false", "list",
            program.destination)  # fmt: skip
    return files


def buildah_index(bench: Bench, files: Mapping[str, Content]) -> Mapping[str, Content]:
    """Images for two platforms that differ; the one for linux/arm64 is the model."""
    program = Buildah(bench)
    program("manifest", "create", "several")
    contents = {"amd64": {"config.json": b"{}"}, "arm64": files}
    for architecture, content in contents.items():
        container = program("from", "--arch", architecture, "scratch")
        source = bench.write(content, architecture)
        program("copy", "--quiet", container, source, "/models")
        program("config", "--arch", architecture, container)
        program("manifest", "add", "several", program.commit(container))
    program("manifest", "push", "--quiet", "--all", "--tls-verify=false", "several",
            program.destination)  # fmt: skip
    return files


def oras_py(bench: Bench, files: Mapping[str, Content]) -> Mapping[str, Content]:
    """oras-py: a layer a file at the top, a tar+gzip layer a directory."""
    root = bench.write(files)
    names = sorted({name.partition("/")[0] for name in files})
    bench.run(sys.executable, "-c", _ORAS, bench.reference, *names, cwd=root)
    return files


def omlmd(bench: Bench, files: Mapping[str, Content]) -> Mapping[str, Content]:
    """omlmd: one file of any kind, and what is said of it in two more."""
    root = bench.write({"model.onnx": b"ONNX, as far as anybody looks"}, "one")
    said = {"name": "tiny", "author": "me", "model_format_name": "onnx", "license": "MIT"}
    metadata = bench.write({"metadata.json": encode(said)}, "said") / "metadata.json"
    program = _SCRIPTS / "omlmd"
    bench.run(program, "push", "--plain-http", bench.reference, root / "model.onnx", "-m", metadata)
    # What it wrote beside the model went with it, and is no longer here.
    return {
        each["annotations"]["org.opencontainers.image.title"]: bench.blob(each["digest"])
        for each in bench.stored().document["layers"]
    }


def _base(bench: Bench) -> Path:
    """The layout of an image that has one file, for two platforms."""
    entries = []
    base = typed(
        tar_of({"etc/os-release": b"NAME=base\n"}), "application/vnd.oci.image.layer.v1.tar"
    )
    for architecture in ("amd64", "arm64"):
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [base.digest]},
            "history": [{"created": "2025-01-01T00:00:00Z", "created_by": "base"}],
        }
        kind = "application/vnd.oci.image.config.v1+json"
        image = artifact(layer(kind, encode(config)), [base])
        entries.append(IndexEntry(image, {"os": "linux", "architecture": architecture}))
    return write_layout(bench.directory / "layout", index(entries), TAG)


def _from_layout(bench: Bench, layout: Path, *words: str) -> None:
    debian_tool("skopeo").run(
        "copy", *words, "--dest-tls-verify=false", f"oci:{layout}", f"docker://{bench.reference}"
    )


def olot(bench: Bench, files: Mapping[str, Content], *words: str) -> Mapping[str, Content]:
    """olot: a layer a file on top of a base image, the model card last."""
    layout, root = _base(bench), bench.write(files)
    names = [root / name for name in sorted(files) if name != "README.md"]
    bench.run(
        _SCRIPTS / "olot", "--root-dir", root, "-m", root / "README.md", *words, layout, *names
    )
    _from_layout(bench, Path(f"{layout}:{TAG}"), "--all")
    return files


def olot_modelpack(bench: Bench, files: Mapping[str, Content]) -> Mapping[str, Content]:
    """The same with a ModelPack manifest beside the images, over the same layers."""
    return olot(bench, files, "--add-modelpack")


def olot_simple(bench: Bench, files: Mapping[str, Content]) -> Mapping[str, Content]:
    """olot's simple artifact: a layer a file, at the top of an image for no platform."""
    layout = bench.directory / "simple"
    layout.mkdir()
    program = (sys.executable, "-c", _OLOT)
    bench.run(*program, "create_simple_oci_artifact", bench.write(files), layout)
    _from_layout(bench, layout)
    return files


def olot_artifact(bench: Bench, files: Mapping[str, Content]) -> Mapping[str, Content]:
    """olot's OCI artifact: an archive a file at the top, as long as the file by its descriptor."""
    flat = {name: content for name, content in files.items() if "/" not in name}
    layout = bench.directory / "artifact"
    program = (sys.executable, "-c", _OLOT)
    bench.run(*program, "create_oci_artifact_from_model", bench.write(flat), layout)
    (named,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    blobs = layout / "blobs/sha256"
    manifest = (blobs / named["digest"].removeprefix("sha256:")).read_bytes()
    document = json.loads(manifest)
    digests = [each["digest"] for each in (document["config"], *document["layers"])]
    contents: dict[str, Content] = {each: blobs / each.removeprefix("sha256:") for each in digests}
    bench.push(Artifact(manifest, OCI_MANIFEST, contents))
    return flat

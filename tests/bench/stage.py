"""The models, and the servers that have them: one registry behind four doors."""

from __future__ import annotations

import os
import random
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.builders import Artifact, docker_v02
from tests.content import encode
from tests.servers.distribution import Distribution
from tests.servers.distribution import Options as RegistryOptions
from tests.servers.nginx import Nginx
from tests.servers.process import HOST
from tests.servers.push import push
from tests.servers.tls import Authority
from tests.servers.wan import WanProcess
from tests.servers.wan_line import Conditions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

FAR = Conditions(rtt=0.05, cap=20e6, slow_start=True)
SMALL_BLOBS = 30
SMALL_LEAST, SMALL_MOST = 1_000, 50_000

_TAG = "v1"
_MIB = 1 << 20
_CONFIG = b'{"architectures":["LlamaForCausalLM"],"model_type":"llama"}\n'


@dataclass(frozen=True)
class Blob:
    """Something that every contender fetches."""

    path: str  # below a door's URL
    name: str  # of a file
    digest: str
    size: int


@dataclass(frozen=True)
class Model:
    repository: str
    blobs: tuple[Blob, ...]

    @property
    def size(self) -> int:
        return sum(blob.size for blob in self.blobs)

    def reference(self, url: str) -> str:
        return f"{url.partition('://')[2]}/{self.repository}:{_TAG}"


@dataclass(frozen=True)
class Stage:
    models: Mapping[str, Model]
    doors: Mapping[str, str]  # URLs
    ca_file: Path


@contextmanager
def stage(directory: Path, *, models: Sequence[str], size: int) -> Iterator[Stage]:
    """Servers with the models, whose large blobs have `size` bytes each."""
    authority = Authority(directory / "ca")
    plain = Distribution(directory / "plain")
    nginx = Nginx(directory / "nginx", plain.storage)
    with plain, nginx:
        options = {
            "tls": RegistryOptions(tls=authority.server()),
            "redirect": RegistryOptions(redirect_to=nginx.url),
        }
        with (
            _another(directory / "tls", plain, options["tls"]) as tls,
            _another(directory / "redirect", plain, options["redirect"]) as redirect,
            WanProcess((HOST, int(plain.host.rpartition(":")[2])), FAR) as far,
        ):
            pushed = _push(plain.url, directory / "content", models, size)
            doors = {
                "plain": plain.url,
                "tls": tls.url,
                "redirect": redirect.url,
                "far": f"http://{far.host}",
            }
            yield Stage(pushed, doors, authority.ca_file)


def _another(directory: Path, first: Distribution, options: RegistryOptions) -> Distribution:
    """A registry that serves what the first one has."""
    directory.mkdir()
    (directory / "storage").symlink_to(first.storage, target_is_directory=True)
    return Distribution(directory, options)


def _push(url: str, scratch: Path, names: Sequence[str], size: int) -> dict[str, Model]:
    scratch.mkdir()
    large = [
        _weights(scratch / f"{number}", size)
        for number in range(4 if "four" in names else int("one" in names))
    ]
    contents = {
        "one": {"model.safetensors": large[:1]},
        "four": {
            f"model-{number:05}-of-00004.safetensors": large[number - 1 : number]
            for number in range(1, 5)
        },
    }
    found = {}
    for name in names:
        if name == "small":
            files = _small(scratch / "small")
        else:
            files = {path: content[0] for path, content in contents[name].items()}
        config = scratch / f"{name}-config.json"
        config.write_bytes(_CONFIG)
        artifact = docker_v02({"config.json": config, **files})
        push(url, f"bench/{name}", _TAG, artifact)
        found[name] = _model(f"bench/{name}", artifact, small=name == "small")
    for path in large:
        path.unlink()
    return found


def _model(repository: str, artifact: Artifact, *, small: bool) -> Model:
    """Of a small model everything but the config, as a client without a plan would fetch it."""
    document = artifact.document
    layers = [each for each in document["layers"] if small or "safetensors" in each["mediaType"]]
    parts = [("blobs", each["digest"], each["size"]) for each in layers]
    if small:
        parts.insert(0, ("manifests", artifact.digest, len(artifact.manifest)))
    return Model(
        repository,
        tuple(
            Blob(f"/v2/{repository}/{kind}/{digest}", f"blob-{number}", digest, size)
            for number, (kind, digest, size) in enumerate(parts)
        ),
    )


def _weights(path: Path, size: int) -> Path:
    """A safetensors file of so many bytes, random ones: nothing makes them fewer."""
    length = 128
    tensor = {"dtype": "U8", "shape": [size - length], "data_offsets": [0, size - length]}
    header = encode({"w": tensor}).ljust(length - 8)
    left = size - length
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        while left:
            left -= file.write(os.urandom(min(left, _MIB)))
    return path


def _small(folder: Path) -> dict[str, Path]:
    """With the configuration that every model has there are thirty."""
    folder.mkdir()
    sizes = random.Random(0)
    found = {"model.safetensors": _weights(folder / "0", SMALL_MOST)}
    for number in range(1, SMALL_BLOBS - 1):
        path = folder / f"{number}"
        path.write_bytes(os.urandom(sizes.randint(SMALL_LEAST, SMALL_MOST)))
        found[f"parts/{number:02}.dat"] = path
    return found

"""Container images that no program here writes, put together as those that do would do it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.archives import Entry, symlink, tar_of, typed
from tests.content import Artifact, Layer, artifact, encode, layer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.archives import Form
    from tests.content import Content


def image(files: Mapping[str, Content], *, form: Form = "tar+gzip") -> Artifact:
    """A Dockerfile's image: a base, the model beside a link to it, and a layer of `chmod`."""
    base = {"etc/os-release": b"NAME=base\n", "models/tiny/.wh..wh.aufs": b""}
    below = {f"models/tiny/{name}": content for name, content in files.items()}
    stale = {"models/tiny/config.json": b"{}", "models/tiny/removed.json": b"{}"}
    entries = [Entry(name, content) for name, content in below.items()]
    layers = [
        _rootfs(tar_of(base | stale, form=form), form),
        _rootfs(
            tar_of(
                [*entries, symlink("models/model.file", "tiny/model.safetensors"),
                 Entry("models/tiny/.wh.removed.json")],
                form=form,
            ),
            form,
        ),
        _rootfs(
            tar_of([replace(each, mode=0o755, name=f"./{each.name}") for each in entries],
                   form=form),
            form,
        ),
    ]  # fmt: skip
    return image_of(*layers)


def image_of(*layers: Layer) -> Artifact:
    """An image of these layers, lowest first."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {"org.opencontainers.image.licenses": "Apache-2.0"}},
        "rootfs": {"type": "layers", "diff_ids": [each.diff_id for each in layers]},
    }
    kind = "application/vnd.oci.image.config.v1+json"
    return artifact(layer(kind, encode(config)), layers)


def image_layer(members: Mapping[str, Content] | Iterable[Entry], form: Form = "tar") -> Layer:
    """One of them."""
    return _rootfs(tar_of(members, form=form), form)


def _rootfs(archive: Layer, form: Form) -> Layer:
    return typed(archive, f"application/vnd.oci.image.layer.v1.{form}")

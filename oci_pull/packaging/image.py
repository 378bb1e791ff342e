"""Container images with a model in them: KServe's modelcars, olot, RamaLama, any Dockerfile.

What is in the layers is known when they have been read; until then there is one operation.
"""

import json
from collections.abc import Sequence

from oci_pull.errors import Unsupported
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.manifest import Manifest
from oci_pull.packaging import titled
from oci_pull.packaging.layer import annotated_name
from oci_pull.packaging.plan import (
    ApplyLayers,
    BlobNeed,
    FilePlan,
    ImageLayer,
    Known,
    LeftOut,
    Needs,
)

NAME = "image"

_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
#: Layers of a root file system, in the words of the OCI and of Docker; what follows says how they
#: are compressed, and is not always right (`docker save` and Docker's own types).
_LAYERS = (
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)
_ENCRYPTED = "+encrypted"
_EROFS = "application/vnd.erofs."
_MAX_CONFIG = 4 * 1024 * 1024
_OLOT = "olot.layer.content."


def matches(manifest: Manifest) -> bool:
    """Whether it has the config of an image and layers of one, and they are not known to be files.

    A file that was pushed with a config of an image looks the same; `plan` tells.
    """
    types = [layer.media_type for layer in manifest.layers]
    return manifest.config_type in _CONFIGS and any(
        each.startswith((*_LAYERS, _EROFS)) for each in types
    )


def plan(manifest: Manifest, known: Known) -> FilePlan | Needs:
    """All layers together; asks for the config where layers have titles as files do.

    Raises:
        Unsupported: a layer that is encrypted, or is no archive.
    """
    if any(_is_titled(layer) for layer in manifest.layers) and manifest.config:
        need = BlobNeed("the image's config", manifest.config, _MAX_CONFIG)
        if need not in known:
            return Needs((need,))
        if _layer_count(known[need]) != len(manifest.layers):
            return _plan_files(manifest, known)
    layers: list[ImageLayer] = []
    left_out: list[LeftOut] = []
    for layer in manifest.layers:
        _refuse_unreadable(layer)
        if not layer.media_type.startswith(_LAYERS):
            left_out.append(LeftOut(layer.media_type, layer.size, "no part of the file system"))
        elif layer.size:
            layers.append(ImageLayer(layer))
    applied = ApplyLayers(manifest.descriptor.digest, tuple(layers))
    return FilePlan(NAME, manifest, (applied,), tuple(left_out), is_rooted=True)


def _plan_files(manifest: Manifest, known: Known) -> FilePlan | Needs:
    """Files under a config that says nothing of them, as `oras push --config` makes them."""
    layers: Sequence[Descriptor] = titled.files_of(manifest.layers)
    if unknown := tuple(look for look in titled.looks(layers) if look not in known):
        return Needs(unknown)
    operations, left_out = titled.operations(layers, known)
    return FilePlan("oras", manifest, tuple(operations), tuple(left_out))


def _is_titled(layer: Descriptor) -> bool:
    """Whether the layer has the name of a file, and nothing that says that it is an archive."""
    is_olots = any(key.startswith(_OLOT) for key in layer.annotations)
    return annotated_name(layer) is not None and not is_olots


def _layer_count(config: bytes) -> int:
    """How many layers the config of an image names, 0 where it names none."""
    try:
        value = json.loads(config)["rootfs"]["diff_ids"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return 0
    return len(value) if isinstance(value, list) else 0


def _refuse_unreadable(layer: Descriptor) -> None:
    if layer.media_type.endswith(_ENCRYPTED):
        raise Unsupported(
            f"layer {layer.digest.short} of the image is encrypted",
            hint="skopeo copy --decryption-key KEY docker://REFERENCE oci:DIR && oci-pull oci:DIR",
        )
    if layer.media_type.startswith(_EROFS):
        raise Unsupported(
            f"layer {layer.digest.short} of the image is an EROFS file system, not an archive",
            hint="ask its publisher for an image with tar layers",
        )

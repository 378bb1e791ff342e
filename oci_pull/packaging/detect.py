"""Which packaging a manifest is of."""

from collections import Counter

from oci_pull.errors import NotAModel
from oci_pull.oci.manifest import Manifest
from oci_pull.packaging import docker_model, modelpack
from oci_pull.packaging.plan import Planner

#: In order, because signals overlap: ModelPack's annotations are in Docker's layers too.
_PLANNERS: tuple[Planner, ...] = (docker_model, modelpack)


def planner_for(manifest: Manifest) -> Planner:
    """The first planner that knows the manifest.

    Raises:
        NotAModel: none does; the message holds what was found in it.
    """
    for planner in _PLANNERS:
        if planner.matches(manifest):
            return planner
    layers = Counter(layer.media_type or "(no type)" for layer in manifest.layers)
    found = [f"  config {manifest.config_type or 'none'}"]
    if manifest.artifact_type:
        found.insert(0, f"  artifact type {manifest.artifact_type}")
    found += [f"  {number} x layer {kind}" for kind, number in layers.most_common(8)]
    raise NotAModel(
        "not a model in a packaging that oci-pull knows; found\n" + "\n".join(found),
        hint="oci-pull understands Docker model artifacts and CNCF ModelPack",
    )

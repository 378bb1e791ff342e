"""Which packaging a manifest is of."""

from oci_pull.oci.manifest import Manifest
from oci_pull.packaging import (
    docker_model,
    foreign,
    image,
    kitops,
    mlmodel,
    modelpack,
    ollama,
    oras,
)
from oci_pull.packaging.plan import Planner

#: In order, because signals overlap: Ollama's config is that of an image, ModelPack's annotations
#: are in Docker's layers too, and a title is on the layers of nearly everybody.
_PLANNERS: tuple[Planner, ...] = (
    kitops,
    ollama,
    docker_model,
    modelpack,
    mlmodel,
    image,
    oras,
)


def planner_for(manifest: Manifest) -> Planner:
    """The first planner that knows the manifest.

    Raises:
        NotAModel: none does; the message says what it is instead, or what was found in it.
    """
    for planner in _PLANNERS:
        if planner.matches(manifest):
            return planner
    raise foreign.not_a_model(manifest)

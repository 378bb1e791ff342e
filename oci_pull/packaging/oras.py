"""File sets as `oras push` makes them, and whatever else names its layers by a title.

Also KAITO, modelbar, and AIKit's packager for other targets than models.
"""

from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.manifest import Manifest
from oci_pull.packaging import foreign, titled
from oci_pull.packaging.layer import annotated_name
from oci_pull.packaging.plan import FilePlan, Known, Needs, UnpackArchive

NAME = "oras"


def matches(manifest: Manifest) -> bool:
    """Whether layers have names, or there is one alone that may be an archive of files."""
    if foreign.kind_of(manifest):
        return False
    is_named = any(annotated_name(layer) for layer in manifest.layers)
    return is_named or _alone(manifest) is not None


def plan(manifest: Manifest, known: Known) -> FilePlan | Needs:
    """One operation a layer; asks what a layer really is where that is not clear.

    Raises:
        NotAModel: there is one layer without a word about it, and it is no archive.
    """
    if alone := _alone(manifest):
        return _plan_alone(manifest, alone, known)
    layers = titled.files_of(manifest.layers)
    looks = titled.looks(layers)
    if unknown := tuple(look for look in looks if look not in known):
        return Needs(unknown)
    operations, left_out = titled.operations(layers, known)
    return FilePlan(NAME, manifest, tuple(operations), tuple(left_out))


def _alone(manifest: Manifest) -> Descriptor | None:
    """The one layer of a manifest, where nothing is said about it."""
    layers = titled.files_of(manifest.layers)
    if len(layers) != 1 or layers[0].annotations or layers[0].name or not layers[0].size:
        return None
    return layers[0]


def _plan_alone(manifest: Manifest, layer: Descriptor, known: Known) -> FilePlan | Needs:
    looks = titled.look_into([layer])
    if any(look not in known for look in looks):
        return Needs(looks)
    packed = titled.seen(layer, known)
    if packed is None:
        raise foreign.not_a_model(manifest)
    return FilePlan(NAME, manifest, (UnpackArchive(layer, packed),))

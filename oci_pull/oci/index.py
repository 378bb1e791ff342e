"""Which manifest of an index is meant (reference for the rules: image-spec, image-index.md)."""

from collections.abc import Mapping, Sequence

from oci_pull.errors import InvalidManifest, PlatformUnknown, SeveralVariants
from oci_pull.oci.descriptor import Descriptor, Platform
from oci_pull.oci.manifest import INDEX_TYPES, MANIFEST_TYPES, Index

#: An index in an index in an index is legal; deeper than this it is an attack.
MAX_DEPTH = 4

_REFERENCE_TYPE = "vnd.docker.reference.type"
_MODELCAR_TYPE = "io.opendatahub.modelcar.manifest.type"
_SOCI = ("application/vnd.amazon.soci.index.v1+json", "application/vnd.amazon.soci.index.v2+json")
_MODEL_TYPES = (
    "application/vnd.cncf.model.",
    "application/vnd.cnai.model.",
    "application/vnd.docker.ai.",
    "application/vnd.kitops.modelkit.",
    "application/x-mlmodel",
)


def choose(
    index: Index,
    *,
    host: Platform,
    wanted: Platform | None = None,
    selection: Mapping[str, str] | None = None,
) -> Descriptor:
    """The one entry that is meant.

    Entries that describe others (attestations, SOCI indexes) are dropped. One that is left is it,
    whatever its platform: model files are data. Entries that say that they are models come before
    images. Then the wanted platform, the host's, linux/amd64. `selection` narrows by the parts of
    a platform, `artifactType` and annotations.

    Raises:
        InvalidManifest: nothing usable is in it.
        PlatformUnknown: nothing for the wanted platform.
        SeveralVariants: several models, listed in the message.
    """
    entries = [entry for entry in index.manifests if _is_usable(entry)]
    if selection:
        entries = [entry for entry in entries if _matches(entry, selection)]
    if wanted:
        entries = [entry for entry in entries if _fits(entry.platform, wanted)]
    if not entries:
        raise _nothing(index, wanted, selection)
    if models := [entry for entry in entries if _is_model(entry)]:
        return _only(models)
    # unknown/unknown is what attestations carry, so such an entry is taken only where it is alone.
    entries = [e for e in entries if not (e.platform and e.platform.is_unknown)] or entries
    by_preference = (
        wanted or host,
        Platform(host.os, host.architecture),
        Platform("linux", "amd64"),
    )
    for platform in by_preference:
        if len(entries) == 1:
            break
        if fitting := [entry for entry in entries if _fits(entry.platform, platform)]:
            entries = fitting[:1]
    return _only(entries)


def _is_usable(entry: Descriptor) -> bool:
    if entry.media_type not in INDEX_TYPES + MANIFEST_TYPES or entry.artifact_type in _SOCI:
        return False
    return entry.annotations.get(_REFERENCE_TYPE) != "attestation-manifest"


def _is_model(entry: Descriptor) -> bool:
    return entry.artifact_type.startswith(_MODEL_TYPES) or _MODELCAR_TYPE in entry.annotations


def _fits(offered: Platform | None, wanted: Platform) -> bool:
    if offered is None or (offered.os, offered.architecture) != (wanted.os, wanted.architecture):
        return False
    return not wanted.variant or offered.variant == wanted.variant


def _matches(entry: Descriptor, selection: Mapping[str, str]) -> bool:
    labels = {**entry.annotations, "artifactType": entry.artifact_type}
    if entry.platform:
        labels |= {
            "os": entry.platform.os,
            "architecture": entry.platform.architecture,
            "variant": entry.platform.variant,
        }
    return all(labels.get(key) == value for key, value in selection.items())


def _only(entries: Sequence[Descriptor]) -> Descriptor:
    if len({entry.digest for entry in entries}) == 1:
        return entries[0]
    raise SeveralVariants(
        f"the index holds several models:\n{_listing(entries)}",
        hint="choose one by --select KEY=VALUE, --platform OS/ARCH, or by its digest",
    )


def _nothing(
    index: Index, wanted: Platform | None, selection: Mapping[str, str] | None
) -> PlatformUnknown | InvalidManifest:
    usable = [entry for entry in index.manifests if _is_usable(entry)]
    if not usable:
        return InvalidManifest("the index names no manifest")
    chosen = [f"{key}={value}" for key, value in (selection or {}).items()]
    asked = ", ".join([str(wanted)] * bool(wanted) + chosen)
    return PlatformUnknown(f"the index has nothing for {asked}; it has\n{_listing(usable)}")


def _listing(entries: Sequence[Descriptor]) -> str:
    """One line an entry, with everything that tells it from its siblings."""
    lines = []
    for entry in entries:
        facts = [str(entry.platform)] if entry.platform else []
        facts += [f"artifactType={entry.artifact_type}"] if entry.artifact_type else []
        facts += [
            f"{key}={value[:60]}".replace("\n", " ")
            for key, value in sorted(entry.annotations.items())[:6]
        ]
        lines.append(f"  {entry.digest}  {'  '.join(facts)}")
    return "\n".join(lines)

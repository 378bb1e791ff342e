"""Which manifest of an index is meant (reference for the rules: image-spec, image-index.md)."""

import shlex
from collections.abc import Iterator, Mapping, Sequence

from oci_pull.errors import InvalidManifest, PlatformUnknown, SeveralVariants
from oci_pull.oci.descriptor import Descriptor, Platform
from oci_pull.oci.manifest import INDEX_TYPES, MANIFEST_TYPES, Index

#: An index in an index in an index is legal; deeper than this it is an attack.
MAX_DEPTH = 4

_REFERENCE_TYPE = "vnd.docker.reference.type"
_MODELCAR_TYPE = "io.opendatahub.modelcar.manifest.type"
_SOCI = ("application/vnd.amazon.soci.index.v1+json", "application/vnd.amazon.soci.index.v2+json")
#: How many annotations of an entry are listed, and how long the value of one is that is typed.
_MAX_LABELS = 6
_MAX_VALUE = 60
_MODEL_TYPES = (
    "application/vnd.cncf.model.",
    "application/vnd.cnai.model.",
    "application/vnd.docker.ai.",
    "application/vnd.kitops.modelkit.",
    "application/x-mlmodel",
)


def candidates(
    index: Index,
    *,
    host: Platform,
    wanted: Platform | None = None,
    selection: Mapping[str, str] | None = None,
) -> tuple[Descriptor, ...]:
    """The entries that could be meant, at least one; each digest once.

    Entries that describe others (attestations, SOCI indexes) are dropped. One that is left is it,
    whatever its platform: model files are data. Entries that say that they are models come before
    images. Then the wanted platform, the host's, linux/amd64. `selection` narrows by the parts of
    a platform, `artifactType` and annotations.

    Raises:
        InvalidManifest: nothing usable is in it.
        PlatformUnknown: nothing for the wanted platform, or for the selection.
    """
    entries = [entry for entry in index.manifests if _is_usable(entry)]
    if selection:
        entries = [entry for entry in entries if _matches(entry, selection)]
    if wanted:
        entries = [entry for entry in entries if _fits(entry.platform, wanted)]
    if not entries:
        raise _nothing(index, wanted, selection)
    if models := [entry for entry in entries if _is_model(entry)]:
        return _distinct(models)
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
    return _distinct(entries)


def only(entries: Sequence[Descriptor]) -> Descriptor:
    """The one candidate; raises `SeveralVariants`, with the option that chooses each."""
    if len(entries) == 1:
        return entries[0]
    first = next(_options(entries[0], entries))
    raise SeveralVariants(
        "the index holds several models; what stands above each chooses it",
        facts=_listing(entries),
        hint=_typed(first),
    )


def _typed(option: str) -> str:
    """An option as a hint; a digest is none."""
    return option if option.startswith("--") else f"the reference with {option} behind it"


def _distinct(entries: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
    return tuple({entry.digest: entry for entry in reversed(entries)}.values())[::-1]


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


def _nothing(
    index: Index, wanted: Platform | None, selection: Mapping[str, str] | None
) -> PlatformUnknown | InvalidManifest:
    usable = [entry for entry in index.manifests if _is_usable(entry)]
    if not usable:
        return InvalidManifest("the index names no manifest")
    chosen = [f"{key}={value}" for key, value in (selection or {}).items()]
    asked = ", ".join([str(wanted)] * bool(wanted) + chosen)
    return PlatformUnknown(
        f"the index has nothing for {asked}; it has",
        facts=_listing(usable),
        hint=_typed(next(_options(usable[0], usable))),
    )


def _listing(entries: Sequence[Descriptor]) -> list[str]:
    """Of each entry the option that chooses it, and what else tells it from its siblings."""
    lines = []
    for entry in entries:
        option = next(_options(entry, entries))
        facts = [str(entry.platform)] if entry.platform else []
        facts += [f"{key}={value[:_MAX_VALUE]}" for key, value in _labels(entry)[:_MAX_LABELS]]
        others = [each for each in facts if option not in (f"--platform {each}", _select(each))]
        lines += [option, *(f"  {part}" for part in (str(entry.digest), *others))]
    return lines


def _select(label: str) -> str:
    return f"--select {shlex.quote(label)}"


def _options(entry: Descriptor, among: Sequence[Descriptor]) -> Iterator[str]:
    """What to type to get this one and no other, the shortest to remember first."""
    others = [each for each in among if each.digest != entry.digest]
    platform = entry.platform
    if (
        platform
        and Platform.parse(str(platform))
        and not platform.is_unknown
        and not any(_fits(other.platform, platform) for other in others)
    ):
        yield f"--platform {platform}"
    for key, value in _labels(entry):
        is_typed = "=" not in key and len(value) <= _MAX_VALUE and (key + value).isprintable()
        if is_typed and not any(_matches(other, {key: value}) for other in others):
            yield _select(f"{key}={value}")
    yield f"@{entry.digest}"


def _labels(entry: Descriptor) -> list[tuple[str, str]]:
    kind = [("artifactType", entry.artifact_type)] if entry.artifact_type else []
    return kind + sorted(entry.annotations.items())

from oci_pull.adapters.family import FamilySource
from oci_pull.oci.ranges import Span
from oci_pull.oci.reference import Reference
from tests import builders
from tests.fakes.memory import MemorySource, blob_of
from tests.unit.packaging.planning import manifest_of

CHILD = Reference.parse("registry.test/team/child:v1")
PARENT = Reference.parse("registry.test/team/parent:v1")
OTHER = Reference.parse("registry.test/team/other:v1")
BLOBS = {name: blob_of(name.encode()) for name in ("own", "shared", "theirs", "last")}


class Never:
    def is_set(self) -> bool:
        return False


def source_of() -> MemorySource:
    return MemorySource({blob: name.encode() for name, blob in BLOBS.items()})


def manifest(*names: str) -> builders.Artifact:
    layers = [builders.layer("application/octet-stream", name.encode()) for name in names]
    return builders.artifact(builders.layer("application/x-config", names[0].encode()), layers)


def test_a_blob_comes_from_where_the_first_manifest_that_names_it_was() -> None:
    own, parents = source_of(), {PARENT: source_of(), OTHER: source_of()}
    opened: list[Reference] = []

    def open_parent(reference: Reference) -> MemorySource:
        opened.append(reference)
        return parents[reference]

    family = FamilySource(CHILD, own, open_parent)
    family.adopt(CHILD, manifest_of(manifest("own", "shared")))
    assert family.source(PARENT) is parents[PARENT]
    family.adopt(PARENT, manifest_of(manifest("shared", "theirs")))
    family.adopt(OTHER, manifest_of(manifest("theirs", "last")))
    family.adopt(CHILD, manifest_of(manifest("last")))
    for blob in BLOBS.values():
        family.open(blob, Span(0, blob.size), cancel=Never())
    asked = {
        name: [digest for digest, _ in source.opened]
        for name, source in {"own": own, "parent": parents[PARENT], "other": parents[OTHER]}.items()
    }
    assert asked == {
        "own": [BLOBS["own"].digest, BLOBS["shared"].digest],
        "parent": [BLOBS["theirs"].digest],
        "other": [BLOBS["last"].digest],
    }
    assert opened == [PARENT, OTHER]


def test_what_no_manifest_names_comes_from_the_artifact_itself() -> None:
    own = source_of()
    family = FamilySource(CHILD, own, lambda _: source_of())
    family.open(BLOBS["own"], Span(0, 3), cancel=Never())
    assert own.spans(BLOBS["own"]) == [Span(0, 3)]


def test_its_own_parent_is_itself() -> None:
    own = source_of()
    assert FamilySource(CHILD, own, lambda _: source_of()).source(CHILD) is own

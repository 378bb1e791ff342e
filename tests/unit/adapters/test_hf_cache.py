"""A model in the Hugging Face hub cache, beside models that somebody else put there."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_pull.adapters.hf_cache import HubCache
from oci_pull.errors import TargetNotUsable
from oci_pull.events import Counter
from oci_pull.ports import Tree
from tests.fakes.memory import blob_of
from tests.unit.adapters.support import (
    REFERENCE,
    WEIGHTS,
    Shelf,
    contents_below,
    published,
    receipt_of,
)

V1 = {"config.json": b"{}", "a/model.safetensors": WEIGHTS}
V2 = {"config.json": b'{"v": 2}', "a/model.safetensors": WEIGHTS}


@pytest.fixture
def hub(shelf: Shelf, tmp_path: Path) -> HubCache:
    return HubCache(tmp_path / "hub", "team/model", "v1", shelf.contents, shelf.cancel)


def fill(hub: HubCache, shelf: Shelf, files: dict[str, bytes]) -> Tree:
    hub.check()
    layout, manifest = shelf.layout(files), blob_of(repr(files).encode())
    if found := hub.find(REFERENCE, manifest.digest, ""):
        return found
    staged = hub.stage(REFERENCE, manifest.digest, "", layout, Counter())
    return published(staged, receipt_of(layout, manifest))


def test_a_snapshot_links_to_blobs_and_the_revisions_name_it(hub: HubCache, shelf: Shelf) -> None:
    tree = fill(hub, shelf, V1)
    assert contents_below(tree.path) == V1
    assert tree.path.parent == hub.path / "snapshots"
    digest = blob_of(WEIGHTS).digest.hex
    link = (tree.path / "a/model.safetensors").readlink()
    assert link == Path("../../../blobs") / digest
    assert {ref.name: ref.read_text() for ref in hub.refs} == dict.fromkeys(
        ("v1", "main"), tree.path.name
    )
    assert list((hub.path / ".oci-pull").iterdir()) == []


def test_a_moved_tag_makes_a_snapshot_beside_the_old_one(hub: HubCache, shelf: Shelf) -> None:
    old, new = fill(hub, shelf, V1), fill(hub, shelf, V2)
    assert contents_below(old.path) == V1
    assert contents_below(new.path) == V2
    assert (hub.path / "refs/main").read_text() == new.path.name
    assert fill(hub, shelf, V1).path == old.path
    assert (hub.path / "refs/main").read_text() == old.path.name


def test_a_damaged_snapshot_is_made_again(hub: HubCache, shelf: Shelf) -> None:
    (fill(hub, shelf, V1).path / "config.json").unlink()
    assert contents_below(fill(hub, shelf, V1).path) == V1


def test_what_is_discarded_leaves_no_snapshot(hub: HubCache, shelf: Shelf) -> None:
    hub.stage(REFERENCE, blob_of(b"m").digest, "", shelf.layout(V1), Counter()).discard()
    assert not (hub.path / "snapshots").exists()
    assert not (hub.path / "refs").exists()


@pytest.mark.parametrize("name", ["main", "v1"])
def test_a_revision_of_somebody_else_is_not_touched(name: str, hub: HubCache, shelf: Shelf) -> None:
    foreign = hub.snapshot("f" * 40)
    foreign.mkdir(parents=True)
    ref = hub.path / "refs" / name
    ref.parent.mkdir()
    ref.write_text(foreign.name)
    with pytest.raises(TargetNotUsable, match=f"refs/{name} is in the way"):
        fill(hub, shelf, V1)
    assert ref.read_text() == foreign.name


def test_a_snapshot_of_somebody_else_is_not_touched(hub: HubCache, shelf: Shelf) -> None:
    path = fill(hub, shelf, V1).path
    (path / ".oci-pull/receipt.json").unlink()
    for ref in hub.refs:
        ref.unlink()
    with pytest.raises(TargetNotUsable, match="is in the way"):
        fill(hub, shelf, V1)

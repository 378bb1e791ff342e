"""What goes from a cache, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from oci_pull.inventory import CachedTree, Inventory, Kind, Piece
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import OCI_MANIFEST
from oci_pull.packaging.receipt import Receipt
from oci_pull.verbs.prune import Limits, Pruning, Surroundings, age, decide
from tests.unit.packaging.planning import blob

NOW = 1_000_000.0
HOUR, DAY = 3600.0, 86400.0
GB = 1_000_000_000


def tree(name: str, needs: str, *, used: float = 0.0, own: int = 0, tag: str = "v1") -> CachedTree:
    """A model whose blobs are named by single letters, last used so many seconds ago."""
    manifest = blob(name.encode(), OCI_MANIFEST)
    receipt = Receipt(
        reference=f"ghcr.io/{name}:{tag}",
        digest=manifest.digest,
        manifest=manifest,
        packaging="modelpack",
        selection="",
        files=(),
        servable=True,
        primary=None,
        warnings=(),
    )
    needed = frozenset(digest(each) for each in needs) | {manifest.digest}
    return CachedTree(Path(name), receipt, NOW - used, needed, (tag,), own)


def digest(name: str) -> Digest:
    return Digest.of(name.encode())


def piece(
    name: str, *, kind: Kind = Kind.BLOB, size: int = GB, old: float = DAY, **more: Any
) -> Piece:
    found = None if kind is Kind.LEFTOVER else digest(name)
    return Piece(kind, Path(name), found, size, NOW - old, **more)


def pruned(
    trees: list[CachedTree],
    pieces: list[Piece],
    limits: Limits,
    *,
    leased: Sequence[str] = "",
    holders: dict[Path, int] | None = None,
) -> Pruning:
    around = Surroundings(NOW, frozenset(map(digest, leased)), holders or {})
    return decide(Inventory(trees, pieces), limits, around)


def gone(found: Pruning) -> set[str]:
    """The names of what goes: trees, and the pieces that go with them or alone."""
    going = [each for each in found.verdicts if each.goes]
    trees = {str(each.tree.path) for each in going if each.tree}
    return trees | {str(each.path) for verdict in going for each in verdict.pieces}


OLD, NEW = tree("acme/old", "ab", used=40 * DAY), tree("acme/new", "bc", used=2 * HOUR)
ABC = [piece(name) for name in "abc"]


@pytest.mark.parametrize(
    ("limits", "expected", "freed"),
    [
        (Limits(), set(), 0),
        (Limits(older_than=30 * DAY), {"acme/old", "a"}, GB),
        (Limits(older_than=HOUR), {"acme/old", "acme/new", "a", "b", "c"}, 3 * GB),
        (Limits(older_than=41 * DAY), set(), 0),
        (Limits(max_size=3 * GB), set(), 0),
        (Limits(max_size=2 * GB), {"acme/old", "a"}, GB),
        (Limits(max_size=GB), {"acme/old", "acme/new", "a", "b", "c"}, 3 * GB),
        (Limits(older_than=HOUR, keep=frozenset({"ghcr.io/acme/new"})), {"acme/old", "a"}, GB),
        (Limits(max_size=1, keep=frozenset({"ghcr.io/acme/old:v1"})), {"acme/new", "c"}, GB),
        (Limits(partials=True), set(), 0),
    ],
)
def test_the_least_recently_used_goes_with_what_nothing_else_needs(
    limits: Limits, expected: set[str], freed: int
) -> None:
    found = pruned([NEW, OLD], ABC, limits)
    assert gone(found) == expected
    assert found.freed == freed
    assert (found.before, found.after) == (3 * GB, 3 * GB - freed)


def test_what_is_shared_is_said() -> None:
    (old, new) = pruned([NEW, OLD], ABC, Limits(older_than=30 * DAY)).verdicts
    assert (old.name, old.frees, old.shared) == ("ghcr.io/acme/old:v1", GB, GB)
    assert old.why == "last used 40 d ago"
    assert (new.goes, new.why) == (False, "last used 2 h ago")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"holders": {Path("acme/old"): 4711}}, "in use: pid 4711 has a file of it open"),
        ({"leased": ["acme/old"]}, "in use by a pull that is under way"),
    ],
)
def test_a_tree_in_use_stays(more: dict[str, Any], why: str) -> None:
    (verdict, *_) = pruned([OLD], ABC[:2], Limits(older_than=HOUR), **more).verdicts
    assert (verdict.goes, verdict.why) == (False, why)


def test_what_a_pull_relies_on_stays_though_its_tree_goes() -> None:
    found = pruned([OLD], ABC[:2], Limits(older_than=HOUR), leased="a")
    assert gone(found) == {"acme/old", "b"}


@pytest.mark.parametrize(
    ("orphan", "limits", "goes"),
    [
        (piece("x"), Limits(), True),
        (piece("x", old=HOUR - 1), Limits(), False),
        (piece("x", kind=Kind.LAYER), Limits(), True),
        (piece("x"), Limits(older_than=2 * DAY), False),
        (piece("x", old=3 * DAY), Limits(older_than=2 * DAY), True),
        (piece("x"), Limits(max_size=1), True),
        (piece("x"), Limits(max_size=GB), False),
        (piece("x"), Limits(partials=True), True),
        (piece("x", kind=Kind.PARTIAL), Limits(), False),
        (piece("x", kind=Kind.PARTIAL), Limits(max_size=1, older_than=1), False),
        (piece("x", kind=Kind.PARTIAL), Limits(partials=True), True),
        (piece("x", kind=Kind.PARTIAL, owner="pid 1 on b"), Limits(partials=True), False),
        (piece("x", kind=Kind.LEFTOVER), Limits(max_size=GB), True),
        (piece("x", kind=Kind.LEFTOVER, old=1), Limits(), False),
    ],
)
def test_what_no_model_needs(orphan: Piece, limits: Limits, *, goes: bool) -> None:
    found = pruned([], [orphan], limits)
    assert gone(found) == ({"x"} if goes else set())
    assert found.freed == (GB if goes else 0)


def test_what_has_an_owner_who_is_dead_goes_at_once() -> None:
    """A container that was killed a minute ago for want of memory; its disk is full as well."""
    left = "layer-nas+00000000-7-1-ab"
    assert gone(pruned([], [piece(left, kind=Kind.LEFTOVER, old=61)], Limits())) == {left}


def test_a_lease_keeps_what_no_model_needs_yet() -> None:
    assert gone(pruned([], [piece("x")], Limits(), leased="x")) == set()


def test_what_a_directory_outside_shares_frees_nothing() -> None:
    found = pruned([OLD], [piece("a", is_shared=True), piece("b")], Limits(older_than=HOUR))
    assert gone(found) == {"acme/old", "a", "b"}
    assert found.freed == GB
    assert found.after == 0, "it is in the cache no more"


def test_what_a_directory_outside_shares_makes_room_in_the_cache_all_the_same() -> None:
    shared = [piece("a", is_shared=True), piece("b", is_shared=True), piece("c")]
    new = tree("acme/new", "c", used=HOUR)
    found = pruned([OLD, new], shared, Limits(max_size=GB))
    assert gone(found) == {"acme/old", "a", "b"}
    assert (found.freed, found.after) == (0, GB)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (0, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (DAY * 41, "41 d")],
)
def test_a_time_that_has_passed_has_one_unit(seconds: float, text: str) -> None:
    assert age(seconds) == text

from oci_pull.inventory import Inventory
from oci_pull.verbs.advice import Room, gentlest
from oci_pull.verbs.prune import Surroundings
from tests.unit.verbs.test_prune import DAY, GB, NOW, piece, tree

OLD, NEWER, NEW = (
    tree("old", "a", used=40 * DAY),
    tree("newer", "b", used=10 * DAY),
    tree("new", "c", used=0.5 * DAY),
)
CACHE = Inventory((OLD, NEWER, NEW), tuple(piece(name, size=GB) for name in "abc"))
AROUND = Surroundings(NOW)


def test_what_was_not_used_for_longest_goes_where_that_is_enough() -> None:
    assert gentlest(CACHE, AROUND, GB) == Room(GB, 30 * DAY)


def test_more_goes_where_more_is_missing() -> None:
    assert gentlest(CACHE, AROUND, 2 * GB) == Room(2 * GB, 7 * DAY)


def test_where_nothing_is_enough_it_is_told_what_there_is() -> None:
    assert gentlest(CACHE, AROUND, 100 * GB) == Room(2 * GB, 7 * DAY)


def test_what_is_kept_is_no_room() -> None:
    assert gentlest(CACHE, AROUND, GB, frozenset({"ghcr.io/old"})) == Room(GB, 7 * DAY)


def test_what_is_in_use_today_is_no_room() -> None:
    assert gentlest(Inventory((NEW,), (piece("c"),)), AROUND, 1) is None

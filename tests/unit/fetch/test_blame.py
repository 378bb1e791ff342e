"""Whom to ask once the bytes of a blob turned out to be wrong."""

from __future__ import annotations

from oci_pull.fetch.blame import Blame


def tries_of(blame: Blame, *origins: set[str]) -> list[frozenset[str]]:
    """Whom it avoids after each of these tries, until it gives up."""
    avoided = []
    for served in origins:
        blame.origins = served
        if not blame.is_wrong():
            break
        avoided.append(blame.avoid)
    return avoided


def test_a_host_that_lied_is_avoided_as_long_as_there_are_tries() -> None:
    assert tries_of(Blame(3), *[{"a:1"}] * 5) == [{"a:1"}] * 2


def test_of_several_hosts_each_is_believed_alone_once() -> None:
    avoided = tries_of(Blame(2), {"a:1", "b:1"}, {"b:1"}, {"a:1"}, {"c:1"})
    assert avoided == [{"a:1"}, {"b:1"}, {"a:1", "b:1"}]


def test_what_comes_from_nowhere_is_nobodys_fault() -> None:
    """All of it was left by an earlier run."""
    assert tries_of(Blame(3), set(), set(), set()) == [frozenset()] * 2


def test_a_crowd_is_not_gone_through_one_by_one() -> None:
    crowd = {f"node-{number}:443" for number in range(50)}
    assert len(tries_of(Blame(2), *[crowd] * 60)) == 4 + 1

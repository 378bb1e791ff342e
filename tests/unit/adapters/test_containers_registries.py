"""What registries.conf says of a reference, as podman reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_pull.adapters.containers_registries import Rule, find_rule
from oci_pull.oci.mirror import Mirror
from oci_pull.oci.reference import Reference

_DIGEST = "sha256:" + "0" * 64


def _rule(
    tmp_path: Path, text: str, reference: str = "a.io/team/model", **dropins: str
) -> tuple[Rule, list[str]]:
    file = tmp_path / "registries.conf"
    file.write_text(text)
    directory = tmp_path / "registries.conf.d"
    directory.mkdir()
    for name, content in dropins.items():
        (directory / f"{name}.conf").write_text(content)
    told: list[str] = []
    files = [tmp_path / "none.conf", file, tmp_path / "never.conf"]
    (tmp_path / "never.conf").write_text("not read [")
    found = find_rule(
        Reference.parse(reference), files, [tmp_path / "no.d", directory], told.append
    )
    return found, told


def _asked(tmp_path: Path, text: str, reference: str = "a.io/team/model") -> list[str]:
    """The hosts and repositories of the mirrors."""
    rule, told = _rule(tmp_path, text, reference)
    assert told == []
    named = Reference.parse(reference)
    return [f"{each.host}/{each.of(named).repository}" for each in rule.mirrors]


def _table(prefix: str, *mirrors: str, more: str = "") -> str:
    lines = [f'[[registry]]\nprefix = "{prefix}"\n{more}\n']
    lines += [f'[[registry.mirror]]\nlocation = "{mirror}"\n' for mirror in mirrors]
    return "".join(lines)


@pytest.mark.parametrize(
    ("prefix", "location", "reference", "asked"),
    [
        ("a.io", "m.io", "a.io/team/model", "m.io/team/model"),
        ("A.io", "m.io:5000", "a.io/team/model", "m.io:5000/team/model"),
        ("a.io", "m.io/proxy", "a.io/team/model", "m.io/proxy/team/model"),
        ("a.io/team", "m.io/proxy", "a.io/team/model", "m.io/proxy/model"),
        ("a.io/team/model", "m.io/proxy/one", "a.io/team/model", "m.io/proxy/one"),
        ("a.io:5000", "m.io", "a.io:5000/model", "m.io/model"),
        ("docker.io", "m.io", "ai/smollm2", "m.io/ai/smollm2"),
        ("docker.io/library", "m.io", "model", "m.io/model"),
        ("index.docker.io", "m.io", "ai/smollm2", "m.io/ai/smollm2"),
        ("*.a.io", "m.io", "x.a.io/team/model", "m.io/team/model"),
        ("*.a.io", "m.io", "y.x.a.io/team/model", "m.io/team/model"),
        ("*.a.io/team", "m.io", "x.a.io/team/model", "m.io/model"),
    ],
)
def test_what_is_below_a_prefix_is_asked_of_its_mirrors(
    tmp_path: Path, prefix: str, location: str, reference: str, asked: str
) -> None:
    assert _asked(tmp_path, _table(prefix, location), reference) == [asked]


@pytest.mark.parametrize(
    ("prefix", "reference"),
    [
        ("a.io", "b.io/team/model"),
        ("a.io", "x.a.io/team/model"),
        ("a.io", "a.io:5000/team/model"),
        ("a.io/tea", "a.io/team/model"),
        ("a.io/team/model/x", "a.io/team/model"),
        ("*.a.io", "a.io/team/model"),
        ("*.a.io", "xa.io/team/model"),
        ("*.a.io/other", "x.a.io/team/model"),
    ],
)
def test_what_is_not_below_it_is_not(tmp_path: Path, prefix: str, reference: str) -> None:
    assert _asked(tmp_path, _table(prefix, "m.io"), reference) == []


def test_the_longest_prefix_counts_and_no_other(tmp_path: Path) -> None:
    text = _table("a.io/team", "long.io") + _table("a.io", "short.io") + _table("*.io", "any.io")
    assert _asked(tmp_path, text) == ["long.io/model"]


def test_the_prefix_is_the_location_where_there_is_none(tmp_path: Path) -> None:
    text = '[[registry]]\nlocation = "a.io"\n[[registry.mirror]]\nlocation = "m.io"\n'
    rule, _ = _rule(tmp_path, text)
    assert (rule.mirrors, rule.location) == ((Mirror("m.io"),), None)


@pytest.mark.parametrize(
    ("key", "pinned", "mirrors"),
    [
        ("", False, [True]),
        ('pull-from-mirror = "all"', True, [True]),
        ('pull-from-mirror = "digest-only"', False, [False]),
        ('pull-from-mirror = "digest-only"', True, [False]),
        ('pull-from-mirror = "tag-only"', False, [True]),
        ('pull-from-mirror = "tag-only"', True, []),
    ],
)
def test_a_mirror_may_be_for_tags_or_for_digests(
    tmp_path: Path, key: str, pinned: bool, mirrors: list[bool]
) -> None:
    reference = f"a.io/team/model@{_DIGEST}" if pinned else "a.io/team/model:v1"
    rule, told = _rule(tmp_path, _table("a.io", "m.io") + key, reference)
    assert [each.tags for each in rule.mirrors] == mirrors
    assert told == []


def test_all_mirrors_may_be_for_digests(tmp_path: Path) -> None:
    rule, _ = _rule(tmp_path, _table("a.io", "m.io", more="mirror-by-digest-only = true"))
    assert [each.tags for each in rule.mirrors] == [False]


def test_what_need_not_be_proved(tmp_path: Path) -> None:
    rule, _ = _rule(tmp_path, _table("a.io", "m.io", "n.io", more="insecure = true"))
    assert (rule.insecure, [each.insecure for each in rule.mirrors]) == (True, [False, False])


def test_a_mirror_that_need_not_prove_anything(tmp_path: Path) -> None:
    rule, _ = _rule(tmp_path, _table("a.io", "m.io") + "insecure = true\n")
    assert (rule.insecure, [each.insecure for each in rule.mirrors]) == (False, [True])


def test_a_registry_may_be_blocked(tmp_path: Path) -> None:
    rule, _ = _rule(tmp_path, _table("a.io/team", more="blocked = true") + _table("a.io", "m.io"))
    assert (rule.is_blocked, rule.file) == (True, tmp_path / "registries.conf")


@pytest.mark.parametrize(
    ("prefix", "location", "reference", "moved"),
    [
        ("a.io", "b.io/a", "a.io/team/model", "b.io/a/team/model"),
        ("a.io/team", "b.io", "a.io/team/model", "b.io/model"),
        ("a.io", "a.io", "a.io/team/model", None),
        ("docker.io", "registry-1.docker.io", "ai/smollm2", None),
        ("docker.io/ai", "docker.io/other", "ai/smollm2", "docker.io/other/smollm2"),
    ],
)
def test_a_registry_may_be_elsewhere(
    tmp_path: Path, prefix: str, location: str, reference: str, moved: str | None
) -> None:
    rule, _ = _rule(tmp_path, _table(prefix, more=f'location = "{location}"'), reference)
    named = Reference.parse(reference)
    found = rule.location and f"{rule.location.host}/{rule.location.of(named).repository}"
    assert found == moved


def test_later_files_count_more(tmp_path: Path) -> None:
    rule, told = _rule(
        tmp_path,
        _table("a.io", "main.io"),
        z=_table("a.io", "last.io"),
        b=_table("a.io", "first.io") + _table("b.io", "m.io"),
    )
    assert (rule.mirrors, told) == ((Mirror("last.io"),), [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[registry", "it is not TOML"),
        (_table("a.io", "not a host"), "a mirror looks like"),
        (_table("a.io", "m.io") + "pull-from-mirror = 'none'", "pull-from-mirror"),
        ("[[registry]]\nprefix = 'a.io'\n[[registry.mirror]]\ninsecure = true\n", "a location"),
        ("[[registry]]\nprefix = 'a.io'\nmirror = ['m.io']\n", "is a table"),
        ("[[registry]]\nprefix = 'a.io'\nmirror = 5\n", "is a table"),
        ("[[registry]]\nprefix = 'a.io'\nlocation = 5\n", "a location"),
        ("[[registry]]\ninsecure = true\n", "without a location"),
    ],
)
def test_what_is_broken_is_told_and_not_used(tmp_path: Path, text: str, words: str) -> None:
    rule, told = _rule(tmp_path, text)
    assert rule == Rule()
    (message,) = told
    assert message.startswith(str(tmp_path / "registries.conf"))
    assert words in message


def test_a_broken_file_leaves_the_others(tmp_path: Path) -> None:
    rule, told = _rule(tmp_path, "[", b=_table("a.io", "m.io"))
    assert rule.mirrors == (Mirror("m.io"),)
    assert len(told) == 1


@pytest.mark.parametrize(
    "text",
    ["", "[registries.search]\nregistries = ['a.io']\n", "[registry]\na = 1\n"],
    ids=["empty", "version 1", "no list"],
)
def test_what_says_nothing_of_it_is_nothing(tmp_path: Path, text: str) -> None:
    assert _rule(tmp_path, text) == (Rule(), [])

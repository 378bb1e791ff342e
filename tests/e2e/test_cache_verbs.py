"""`cache ls`, `df`, `rm` and `prune` as their users type them."""

from __future__ import annotations

import json
import os
import pty
import signal
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from oci_pull.adapters.cache.owner import Owner, this_host
from tests.e2e.disk import assert_sound, snapshot
from tests.e2e.models import MIB, pack_around, put, raw_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.command import Command, Running
    from tests.fakes.registry import FakeRegistry

_DAY = 86400
_SHARED = b"shared" * (MIB // 6)


@pytest.fixture
def names(registry: FakeRegistry, oci_pull: Command) -> dict[str, str]:
    """Two models that share a layer, in the cache; `old` was last used 40 days ago."""
    found = {}
    for seed, name in enumerate(("old", "new")):
        own = raw_layer("own.json", name.encode() * MIB)
        artifact = pack_around(
            own, raw_layer("shared.json", _SHARED), raw_layer("x.json", b"{}" * (seed + 1))
        )
        found[name] = put(registry, artifact, repository=f"team/{name}")
        oci_pull(found[name]).must_succeed()
    past = time.time() - 40 * _DAY
    for path in _stamps(oci_pull.cache, "old"):
        os.utime(path, (past, past))
    return found


def _stamps(cache: Path, name: str) -> list[Path]:
    return list((cache / "used").rglob(f"{name}@*"))


def _references(oci_pull: Command) -> list[str]:
    found = oci_pull("cache", "ls", "--format", "json").must_succeed().json
    return [each["reference"] for each in found["models"]]


@contextmanager
def _at_a_terminal(
    oci_pull: Command, *words: str
) -> Iterator[tuple[Running, Callable[[], str], Callable[[str], None]]]:
    """The command with somebody there to ask: what they have seen, and how they type."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    seen = bytearray()

    def read() -> str:
        with suppress(BlockingIOError):
            seen.extend(os.read(ours, 65536))
        return seen.decode()

    def write(text: str) -> None:
        os.write(ours, text.encode())

    try:
        with oci_pull.start(*words, stdin=theirs, stderr=theirs) as running:
            yield running, read, write
    finally:
        os.close(theirs)
        os.close(ours)


def test_models_are_listed_by_their_last_use(oci_pull: Command, names: dict[str, str]) -> None:
    head, first, second = oci_pull("cache", "ls").must_succeed().stdout.splitlines()
    assert head.split() == ["REFERENCE", "DIGEST", "SIZE", "USED"]
    assert first.startswith(names["new"])
    assert second.startswith(names["old"])
    assert second.endswith("40 d ago")
    assert _references(oci_pull) == [names["new"], names["old"]]


def test_a_selection_is_told_from_the_whole(oci_pull: Command, names: dict[str, str]) -> None:
    oci_pull("--include", "*.json", names["new"]).must_succeed()
    _, first, second, _ = oci_pull("cache", "ls").must_succeed().stdout.splitlines()
    assert first.startswith(f"{names['new']} (selection)")
    assert second.startswith(f"{names['new']}  ")


def test_an_empty_cache_holds_nothing_and_is_not_made(oci_pull: Command) -> None:
    assert _references(oci_pull) == []
    assert oci_pull("cache", "df", "--format", "json").json["models"] == 0
    oci_pull("cache", "prune", "-y").must_succeed()
    assert not oci_pull.cache.exists()


def test_what_is_on_disk_is_counted_once(oci_pull: Command, names: dict[str, str]) -> None:
    found = oci_pull("cache", "df", "--format", "json").must_succeed().json
    assert found["models"] == len(names)
    assert found["partials"] == 0
    blobs = sum(path.stat().st_blocks for path in (oci_pull.cache / "blobs").rglob("*")) * 512
    assert blobs <= found["on_disk"] < blobs + MIB
    assert found["apparent"] > found["on_disk"]


def test_a_model_goes_alone(oci_pull: Command, names: dict[str, str]) -> None:
    run = oci_pull("cache", "rm", "-y", names["old"]).must_succeed()
    assert f"removed       {names['old']}" in run.stdout
    assert _references(oci_pull) == [names["new"]]
    assert oci_pull("--offline", names["new"]).path.is_dir()
    oci_pull("--offline", names["old"]).must_fail(12)
    assert_sound(oci_pull.cache)
    index = json.loads((oci_pull.cache / "index.json").read_bytes())
    assert len(index["manifests"]) == 1
    oci_pull("cache", "rm", "-y", names["new"]).must_succeed()
    left = [path for path in (oci_pull.cache / "blobs").rglob("*") if path.is_file()]
    assert left == []
    assert not list((oci_pull.cache / "refs").rglob("*@*"))


def test_what_is_not_there_is_not_removed(oci_pull: Command, names: dict[str, str]) -> None:
    oci_pull("cache", "rm", "-y", names["old"], "ghcr.io/no/such").must_fail(3)
    assert len(_references(oci_pull)) == len(names)


@pytest.mark.parametrize("verb", [("rm",), ("prune", "--older-than", "30d")], ids=lambda v: v[0])
@pytest.mark.parametrize(
    ("answer", "code", "stays"), [("y\n", 0, False), ("\n", 2, True), ("\x03", 130, True)]
)
def test_at_a_terminal_what_would_go_is_shown_and_then_asked_for(
    verb: tuple[str, ...],
    answer: str,
    code: int,
    stays: bool,
    oci_pull: Command,
    names: dict[str, str],
) -> None:
    words = (*verb, names["old"]) if verb == ("rm",) else verb
    with _at_a_terminal(oci_pull, "cache", *words) as (running, read, write):
        running.until(lambda: "[y/N] " in read(), "the question")
        shown = read()
        assert f"would remove  {names['old']}" in shown
        assert "would free " in shown
        if answer == "\x03":
            running.send(signal.SIGINT)
        else:
            write(answer)
        assert running.wait().code == code
    assert (names["old"] in _references(oci_pull)) is stays


def test_at_a_terminal_nobody_is_asked_about_what_is_not_there(
    oci_pull: Command, names: dict[str, str]
) -> None:
    for words, code in (("rm", "ghcr.io/no/such"), 3), (("prune", "--older-than", "900d"), 0):
        with _at_a_terminal(oci_pull, "cache", *words) as (running, read, _):
            assert running.wait().code == code
            assert "[y/N]" not in read()
    assert len(_references(oci_pull)) == len(names)


def test_a_dry_run_changes_nothing(oci_pull: Command, names: dict[str, str]) -> None:
    before = snapshot(oci_pull.cache)
    run = oci_pull("cache", "prune", "--older-than", "30d", "--dry-run").must_succeed()
    assert f"would remove  {names['old']}" in run.stdout
    assert f"keeps         {names['new']}" in run.stdout
    assert "stay)  last used 40 d ago" in run.stdout
    assert snapshot(oci_pull.cache) == before


def test_what_is_old_goes_and_comes_again(
    registry: FakeRegistry, oci_pull: Command, names: dict[str, str]
) -> None:
    run = oci_pull("cache", "prune", "-y", "--older-than", "30d", "--format", "json")
    found = run.must_succeed().json
    assert [each["name"] for each in found["candidates"] if each["goes"]] == [names["old"]]
    assert found["after"] == found["before"] - found["freed"]
    assert_sound(oci_pull.cache)
    again = oci_pull(names["old"], "--format", "json").must_succeed().json
    # What the other model needs was not fetched again.
    assert again["fetched"] < again["bytes"]


@pytest.mark.parametrize("keep", ["flag", "file"])
def test_what_is_to_be_kept_is_kept(
    oci_pull: Command, names: dict[str, str], tmp_path: Path, keep: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'keep = ["{names["old"]}"]\n')
    words = ("--keep", names["old"]) if keep == "flag" else ("--config", str(file))
    oci_pull("cache", "prune", "-y", "--max-size", "1", *words).must_succeed()
    assert _references(oci_pull) == [names["old"]]


def test_a_tree_with_an_open_file_stays(oci_pull: Command, names: dict[str, str]) -> None:
    tree = oci_pull("--offline", names["old"]).path
    with (tree / "own.json").open("rb"):
        run = oci_pull("cache", "prune", "-y", "--max-size", "1").must_succeed()
        assert f"in use: pid {os.getpid()} has a file of it open" in run.stdout
        refused = oci_pull("cache", "rm", "-y", names["old"]).must_fail(11)
        assert f"pid {os.getpid()}" in refused.stderr
    assert _references(oci_pull) == [names["old"]]


@pytest.mark.parametrize("words", [("prune",), ("rm", "ghcr.io/acme/x")])
def test_nothing_goes_unless_somebody_says_so(oci_pull: Command, words: tuple[str, ...]) -> None:
    run = oci_pull("cache", *words).must_fail(2)
    assert "-y" in run.stderr


def test_a_wrong_limit_is_told(oci_pull: Command) -> None:
    run = oci_pull("cache", "prune", "-y", "--max-size", "much").must_fail(2)
    assert "--max-size" in run.stderr


def test_unfinished_downloads_are_listed_and_go_when_asked(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    from tests.fakes.registry import BlobFaults

    reference = put(registry, pack_around(raw_layer("big.json", b"x" * (4 * MIB))))
    registry.blob_faults = BlobFaults(cut_after=MIB)
    oci_pull("--retries", "0", "-j", "1", reference).must_fail(5)
    registry.blob_faults = BlobFaults()
    (found,) = oci_pull("cache", "ls", "--partial", "--format", "json").json["partials"]
    assert found["reference"] == reference
    assert found["owner"] is None
    oci_pull("cache", "prune", "-y", "--max-size", "1").must_succeed()
    assert len(oci_pull("cache", "ls", "--partial", "--format", "json").json["partials"]) == 1
    oci_pull("cache", "prune", "-y", "--partials").must_succeed()
    assert oci_pull("cache", "ls", "--partial", "--format", "json").json["partials"] == []


def test_what_killed_runs_left_goes_wherever_it_is(
    oci_pull: Command, names: dict[str, str]
) -> None:
    cache, before = oci_pull.cache, set(snapshot(oci_pull.cache))
    dead, elsewhere = Owner(this_host(), 2**22 + 1, 5, "ab"), Owner("nas+00000000", 7, 1, "ab")
    left = [
        cache / "incomplete" / f"tree-{dead}",
        cache / "incomplete" / f"layer-{elsewhere}",
        cache / "locks" / f".{dead}",
        cache / "partial" / f".{dead}",
    ]
    for directory in left:
        (directory / "some").mkdir(parents=True)
    files = [
        cache / "locks" / f".pull-{dead}.0123456789ab",
        cache / "locks" / f"pull-{dead}",
        cache / "partial" / ".ab-01234567",
        cache / "refs" / ".@latest.0123456789ab",
        cache / ".index.json.0123456789ab",
    ]
    for file in files:
        file.write_text("half")
    young = cache / ".version.0123456789ab"
    young.write_text("")
    past = time.time() - 2 * _DAY
    for path in (*left, *(each / "some" for each in left), *files):
        os.utime(path, (past, past))
    lines = oci_pull("cache", "prune", "-y").must_succeed().stdout
    assert lines.count("a run that was killed has left it") == 6
    assert [path for path in (*left, *files) if path.exists()] == []
    assert young.exists()
    young.unlink()
    assert set(snapshot(cache)) == before


def test_a_cache_of_a_newer_release_is_left_alone(oci_pull: Command, names: dict[str, str]) -> None:
    (oci_pull.cache / "version").write_text("99\n")
    before = snapshot(oci_pull.cache)
    for words in (("ls",), ("df",), ("rm", "-y", names["old"]), ("prune", "-y")):
        assert "99" in oci_pull("cache", *words).must_fail(7).stderr
    assert snapshot(oci_pull.cache) == before


def test_a_receipt_of_the_first_release_is_enough(oci_pull: Command, names: dict[str, str]) -> None:
    for path in (oci_pull.cache / "models").rglob("receipt.json"):
        receipt = json.loads(path.read_bytes())
        del receipt["needs"]
        path.chmod(0o644)
        path.write_text(json.dumps(receipt))
    oci_pull("cache", "rm", "-y", names["old"]).must_succeed()
    oci_pull("cache", "prune", "-y").must_succeed()
    assert oci_pull("--offline", names["new"]).path.is_dir()
    assert_sound(oci_pull.cache)

"""The verbs of the cache over a real one, filled from an image layout on disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oci_pull import api, upkeep
from oci_pull.adapters.cache.owner import Owner
from oci_pull.adapters.cache.partial import OwnedPartial
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.removal import Removal
from oci_pull.adapters.cache.store import DirectoryStore
from oci_pull.adapters.cache.stored import Part
from oci_pull.adapters.clock import NEVER
from oci_pull.errors import Busy, InvalidReference, NotCached, NotFoundError
from oci_pull.inventory import Kind
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.ranges import Span
from oci_pull.settings import Settings
from oci_pull.verbs.prune import Limits
from oci_pull.verbs.usage import partials, trees, usage
from oci_pull.verbs.warm_list import Wanted
from tests.builders import docker_v02, modelpack, tiny_model
from tests.fakes.memory import Recorder
from tests.producers.images import image
from tests.servers.push import write_layout

if TYPE_CHECKING:
    from oci_pull.verbs.verify import Examined
    from tests.content import Artifact

_MODEL = tiny_model()
_WEIGHTS = Digest.of(_MODEL["model.safetensors"])
#: Another model with the same weights.
_OTHER = {**_MODEL, "config.json": b'{"model_type": "llama", "architectures": ["L"]}'}
_DAY = 86400.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({"HOME": str(tmp_path), "OCI_PULL_CACHE_DIR": str(tmp_path / "cache")})


def put(tmp_path: Path, tag: str = "v1", artifact: Artifact | None = None) -> str:
    write_layout(tmp_path / "layout", artifact or docker_v02(_MODEL), tag)
    return f"oci:{tmp_path / 'layout'}:{tag}"


def verify(settings: Settings, reference: str | None = None, *, repair: bool = False) -> Examined:
    return upkeep.verify(
        reference, repair=repair, settings=settings, observer=Recorder(), cancel=NEVER
    )


def damaged(found: Examined) -> dict[Part, str]:
    return {each.part: each.why for each in found.damage}


def spoil(path: Path) -> None:
    """Other bytes, as many, under every name of the file."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"!")


def blob(settings: Settings, digest: Digest) -> Path:
    return settings.cache / "blobs" / "sha256" / digest.hex


def of_the_past(settings: Settings) -> None:
    """Everything in the cache was written, and used, two days ago."""
    for parent, directories, files in os.walk(settings.cache):
        for name in (*directories, *files):
            path = Path(parent, name)
            now = path.lstat().st_mtime
            os.utime(path, (now - 2 * _DAY,) * 2, follow_symlinks=False)


def test_what_is_as_it_was_fetched_is_right(tmp_path: Path, settings: Settings) -> None:
    for tag, artifact in {"v1": None, "tar": modelpack(_MODEL, form="tar")}.items():
        api.pull(put(tmp_path, tag, artifact), settings=settings)
    api.pull(put(tmp_path, "image", image(_MODEL)), settings=settings)
    found = verify(settings)
    assert (found.damage, found.is_sound) == ((), True)
    assert found.size >= sum(map(len, _MODEL.values()))


def test_a_damaged_blob_is_found_by_its_content_and_fetched_again(
    tmp_path: Path, settings: Settings
) -> None:
    reference = put(tmp_path)
    tree = api.pull(reference, settings=settings, link_mode="copy").path
    spoil(blob(settings, _WEIGHTS))
    (tree / "config.json").unlink()
    found = verify(settings)
    assert damaged(found).keys() == {Part.BLOB, Part.TREE}
    assert "its content is sha256:" in damaged(found)[Part.BLOB]
    assert damaged(found)[Part.TREE] == "config.json: missing"
    repaired = verify(settings, repair=True)
    # The tree has a copy of the one, and the blobs have the other.
    assert (repaired.is_sound, repaired.fetched, len(repaired.put_back)) == (True, 0, 2)
    assert verify(settings).is_sound
    assert (tree / "config.json").read_bytes() == _MODEL["config.json"]


def test_what_the_cache_has_nowhere_else_is_fetched_again(
    tmp_path: Path, settings: Settings
) -> None:
    tree = api.pull(put(tmp_path), settings=settings).path
    spoil(tree / "model.safetensors")
    repaired = verify(settings, repair=True)
    assert (repaired.is_sound, repaired.lost) == (True, ())
    assert repaired.fetched == len(_MODEL["model.safetensors"])
    assert (tree / "model.safetensors").read_bytes() == _MODEL["model.safetensors"]
    assert verify(settings).is_sound


def test_what_cannot_be_had_any_more_is_lost_and_not_served(
    tmp_path: Path, settings: Settings
) -> None:
    reference = put(tmp_path)
    tree = api.pull(reference, settings=settings).path
    spoil(tree / "model.safetensors")
    shutil.rmtree(tmp_path / "layout")
    repaired = verify(settings, repair=True)
    assert not repaired.is_sound
    assert len(repaired.lost) == 1
    assert not tree.exists()
    assert not blob(settings, _WEIGHTS).exists()


def test_of_one_model_only_what_it_is_made_of_is_looked_at(
    tmp_path: Path, settings: Settings
) -> None:
    one, two = put(tmp_path), put(tmp_path, "v2", docker_v02(_OTHER))
    api.pull(one, settings=settings)
    tree = api.pull(two, settings=settings).path
    spoil(tree / "config.json")
    assert verify(settings, one).is_sound
    assert not verify(settings, two).is_sound
    with pytest.raises(NotFoundError, match="is not in the cache"):
        verify(settings, put(tmp_path, "v3"))


def test_a_tree_that_is_damaged_as_a_whole_is_told(tmp_path: Path, settings: Settings) -> None:
    tree = api.pull(put(tmp_path), settings=settings).path
    blob(settings, _WEIGHTS).unlink()
    found = verify(settings)
    assert [(each.part, each.digest) for each in found.damage] == [(Part.BLOB, _WEIGHTS)]
    assert found.damage[0].why.startswith("missing, part of ")
    receipt = tree / ".oci-pull" / "receipt.json"
    receipt.chmod(0o644)
    receipt.write_bytes(b"{")
    assert damaged(verify(settings))[Part.TREE] == "its receipt cannot be read"
    # From a layout nobody knows any more which, where the receipt is gone.
    (lost,) = verify(settings, repair=True).lost
    assert "nobody knows any more" in lost.why


def test_what_is_no_content_is_looked_at_as_well(tmp_path: Path, settings: Settings) -> None:
    api.pull(put(tmp_path, "tar", modelpack(_MODEL, form="tar")), settings=settings)
    (ref,) = (path for path in (settings.cache / "refs").rglob("*@*") if path.is_file())
    ref.write_text("sha256:0")
    members = next(settings.cache.glob("layers/*/members.json"))
    members.chmod(0o644)
    members.write_text("[")
    (settings.cache / "index.json").write_text("{}")
    (settings.cache / "models" / "a@b").write_text("")
    found = damaged(verify(settings))
    assert found == {
        Part.LAYER: "its list of members cannot be read",
        Part.TREE: "it is a file",
        Part.REFERENCE: "it holds no digest",
        Part.INDEX: "it is not what the cache holds",
    }
    verify(settings, repair=True)
    index = json.loads((settings.cache / "index.json").read_bytes())
    assert index["schemaVersion"] == 2
    assert not (settings.cache / "models" / "a@b").exists()
    assert not ref.exists()


def begun(settings: Settings, content: bytes, reference: str, size: int) -> OwnedPartial:
    found = DirectoryStore(Cache(settings.cache), reference=reference).claim(
        Descriptor("", Digest.of(content), len(content))
    )
    assert isinstance(found, OwnedPartial)
    found.write_at(0, content[:size])
    found.record(Span(0, size))
    return found


def test_what_is_unfinished_is_listed_and_goes_when_asked(
    tmp_path: Path, settings: Settings
) -> None:
    given_up, going = bytes(500_000), bytes(600_000)
    begun(settings, given_up, "ai/x:v1", 1000).release()
    mine = begun(settings, going, "ai/y:v1", 1000)
    found = {each.reference: each for each in partials(settings.cache)}
    assert found["ai/x:v1"].owner == ""
    assert f"pid {os.getpid()}" in found["ai/y:v1"].owner
    assert found["ai/x:v1"].digest == Digest.of(given_up)
    kept = upkeep.prune(Limits(), settings=settings, cancel=NEVER)
    assert not any(verdict.goes for verdict in kept.verdicts)
    pruned = upkeep.prune(Limits(partials=True), settings=settings, cancel=NEVER)
    assert {each.name: each.goes for each in pruned.verdicts} == {
        "partial ai/x:v1": True,
        "partial ai/y:v1": False,
    }
    assert [each.reference for each in partials(settings.cache)] == ["ai/y:v1"]
    mine.discard()


def test_a_damaged_journal_of_what_was_given_up_is_told(settings: Settings) -> None:
    begun(settings, bytes(500_000), "ai/x:v1", 1000).release()
    (journal,) = settings.cache.glob("partial/*/*/journal")
    journal.write_bytes(b"!")
    assert damaged(verify(settings)) == {Part.PARTIAL: "its journal cannot be read"}
    assert verify(settings, repair=True).is_sound
    assert partials(settings.cache) == ()


def test_a_model_goes_with_what_nothing_else_needs(tmp_path: Path, settings: Settings) -> None:
    one, two = put(tmp_path), put(tmp_path, "v2", docker_v02(_OTHER))
    gone, stays = (api.pull(each, settings=settings).path for each in (one, two))
    before = usage(settings.cache).inventory.size
    pruning = upkeep.remove([one], settings=settings, cancel=NEVER)
    (verdict,) = pruning.verdicts
    assert (verdict.goes, verdict.why) == (True, "asked for")
    assert pruning.freed == before - usage(settings.cache).inventory.size > 0
    assert verdict.shared >= len(_MODEL["model.safetensors"])
    assert not gone.exists()
    assert blob(settings, _WEIGHTS).exists()
    assert not blob(settings, Digest.of(_MODEL["config.json"])).exists()
    assert [tree.path for tree in trees(settings.cache)] == [stays]
    assert verify(settings).is_sound
    with pytest.raises(NotFoundError):
        upkeep.remove([two, one], settings=settings, cancel=NEVER)
    assert stays.exists()


def test_the_last_model_leaves_no_directory_of_its_name(tmp_path: Path, settings: Settings) -> None:
    reference = put(tmp_path, "tar", modelpack(_MODEL, form="tar"))
    api.pull(reference, settings=settings)
    upkeep.remove([reference], settings=settings, cancel=NEVER)
    for home in ("models", "used", "layers", "incomplete", "blobs/sha256"):
        assert list((settings.cache / home).iterdir()) == []
    assert not [path for path in (settings.cache / "refs").rglob("*@*") if path.is_file()]
    assert json.loads((settings.cache / "index.json").read_bytes())["manifests"] == []


def test_what_was_not_used_goes_and_what_is_kept_stays(tmp_path: Path, settings: Settings) -> None:
    one, two = put(tmp_path), put(tmp_path, "v2", docker_v02(_OTHER))
    for each in (one, two):
        api.pull(each, settings=settings)
    of_the_past(settings)
    limits = Limits(older_than=_DAY, keep=upkeep.kept_names([two], settings))
    dry = upkeep.prune(limits, settings=settings, cancel=NEVER, dry_run=True)
    assert len(trees(settings.cache)) == 2
    done = upkeep.prune(limits, settings=settings, cancel=NEVER)
    assert done == dry
    assert [verdict.goes for verdict in done.verdicts if verdict.tree] == [True, False]
    assert upkeep.find(two, settings=settings).path.exists()
    with pytest.raises(NotCached):
        upkeep.find(one, settings=settings)


def test_a_model_that_is_used_meanwhile_stays(tmp_path: Path, settings: Settings) -> None:
    reference = put(tmp_path)
    api.pull(reference, settings=settings)
    of_the_past(settings)
    (seen,) = trees(settings.cache)
    api.pull(reference, settings=settings)
    assert Removal(Cache(settings.cache)).tree(seen) is False
    assert seen.path.exists()
    (seen,) = trees(settings.cache)
    assert Removal(Cache(settings.cache)).tree(seen) is True
    # And once more, as two may prune at the same time.
    assert Removal(Cache(settings.cache)).tree(seen) is True


def test_what_killed_runs_left_is_a_leftover_and_goes(tmp_path: Path, settings: Settings) -> None:
    api.pull(put(tmp_path), settings=settings)
    root = settings.cache
    left = [root / f".index.json.{'0' * 12}", root / "refs" / f".x@v1.{'a' * 12}"]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(10_000))
    half = root / "blobs/sha256" / f".{'b' * 64}"
    half.write_bytes(bytes(10_000))
    found = usage(root).inventory.pieces
    assert {each.path for each in found if each.kind is Kind.LEFTOVER} == {*left, half}
    of_the_past(settings)
    done = upkeep.prune(Limits(), settings=settings, cancel=NEVER)
    assert [verdict.goes for verdict in done.verdicts if not verdict.tree] == [True] * 3
    assert not any(path.exists() for path in (*left, half))
    assert done.freed >= 30_000


def test_what_is_left_of_a_blob_that_is_finished_is_no_unfinished_one_and_goes(
    tmp_path: Path, settings: Settings
) -> None:
    """Its run was killed between the final name and the removal of its journal."""
    api.pull(put(tmp_path), settings=settings)
    home = Cache(settings.cache).partial(_WEIGHTS)
    left = home / str(replace(Owner.new(), start=1))
    left.mkdir(parents=True)
    (left / "journal").write_bytes(bytes(100))
    assert partials(settings.cache) == ()
    upkeep.prune(Limits(), settings=settings, cancel=NEVER)
    assert not home.exists()
    assert Cache(settings.cache).blob(_WEIGHTS).exists()


def test_a_model_whose_file_is_open_elsewhere_stays(tmp_path: Path, settings: Settings) -> None:
    reference = put(tmp_path)
    tree = api.pull(reference, settings=settings).path
    # It says when it has the file, and keeps it until its input ends.
    program = "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", program, str(tree / "model.safetensors")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(Busy, match=f"in use: pid {holder.pid} has a file of it open"):
            upkeep.remove([reference], settings=settings, cancel=NEVER)
        assert holder.stdin
        holder.stdin.close()
    upkeep.remove([reference], settings=settings, cancel=NEVER)
    assert not tree.exists()


def test_files_that_share_bytes_are_counted_once(tmp_path: Path, settings: Settings) -> None:
    for tag, files in {"v1": _MODEL, "v2": _OTHER}.items():
        api.pull(put(tmp_path, tag, docker_v02(files)), settings=settings, link_mode="hardlink")
    weights = len(_MODEL["model.safetensors"])
    found = usage(settings.cache)
    assert found.path == settings.cache
    assert sum(tree.size for tree in found.inventory.trees) > 2 * weights
    (piece,) = (each for each in found.inventory.pieces if each.digest == _WEIGHTS)
    assert piece.is_shared is False
    os.link(piece.path, tmp_path / "mine")
    (piece,) = (each for each in usage(settings.cache).inventory.pieces if each.digest == _WEIGHTS)
    assert piece.is_shared is True


def test_an_empty_cache_holds_nothing(settings: Settings) -> None:
    assert (trees(settings.cache), partials(settings.cache)) == ((), ())
    assert usage(settings.cache).inventory.size == 0
    assert verify(settings).is_sound
    assert not settings.cache.exists()


def test_a_list_is_fetched_past_failures(tmp_path: Path, settings: Settings) -> None:
    one, two = put(tmp_path), put(tmp_path, "v2", docker_v02(_OTHER))
    recorders: list[Recorder] = []

    def observer() -> Recorder:
        recorders.append(Recorder())
        return recorders[-1]

    wanted = [Wanted(one), Wanted(f"{one}x"), Wanted(two, {"include": ("*.json",)})]
    outcomes = list(upkeep.warm(wanted, settings=settings, observer=observer, cancel=NEVER))
    assert [each.error is None for each in outcomes] == [True, False, True]
    assert isinstance(outcomes[1].error, NotFoundError)
    assert outcomes[2].result
    assert "model.safetensors" not in {str(file.path) for file in outcomes[2].result.files}
    assert len(recorders) == 3
    assert not list((settings.cache / "locks").glob("warm/*"))


def test_a_line_that_cannot_be_pulled_is_told_before(settings: Settings) -> None:
    upkeep.check_wanted(Wanted("ai/x", {"platform": "linux/arm64"}), settings)
    with pytest.raises(InvalidReference):
        upkeep.check_wanted(Wanted("UPPER/CASE"), settings)


def test_a_name_without_a_tag_is_every_tag_of_it(settings: Settings) -> None:
    names = upkeep.kept_names(["ai/x", "ghcr.io/a/b:v1", "oci:/layout:v1"], settings)
    assert names == {"docker.io/ai/x", "ghcr.io/a/b:v1", "oci:/layout:v1"}

"""The whole library over an image layout on disk: everything but a network is real."""

import json
import shutil
import stat
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from oci_pull import api, events, upkeep
from oci_pull.errors import (
    Cancelled,
    DigestRequired,
    InconsistentModel,
    InvalidManifest,
    InvalidSetting,
    NotAModel,
    NotCached,
    NotFoundError,
    NotWritable,
    PathConflict,
    PickleOnly,
    PlatformUnknown,
    SeveralRoots,
    SeveralVariants,
    TargetNotUsable,
    UnsafePath,
    UnsupportedDigest,
)
from oci_pull.oci.index import MAX_DEPTH
from oci_pull.pull import PullResult
from oci_pull.settings import Settings
from tests.builders import (
    Artifact,
    Content,
    IndexEntry,
    artifact,
    docker_v01,
    docker_v02,
    index,
    layer,
    modelpack,
    modelpack_aikit,
    safetensors,
    tiny_model,
)
from tests.servers.push import write_layout

_MODEL = tiny_model()
_SHARDED = tiny_model(shards=3)
_CASES: Mapping[str, tuple[Mapping[str, bytes], Artifact]] = {
    "docker-v0.1": (_MODEL, docker_v01(_MODEL, annotated=False)),
    "docker-v0.1-sharded": (_SHARDED, docker_v01(_SHARDED, annotated=False)),
    "docker-v0.1-annotated": (_SHARDED, docker_v01(_SHARDED, annotated=True)),
    "docker-v0.2": (_SHARDED, docker_v02(_SHARDED)),
    "modelpack-raw": (_MODEL, modelpack(_MODEL)),
    "modelpack-legacy": (_MODEL, modelpack(_MODEL, legacy=True)),
    "modelpack-tar": (_MODEL, modelpack(_MODEL, form="tar")),
    "modelpack-gzip": (_SHARDED, modelpack(_SHARDED, form="tar+gzip")),
    "modelpack-zstd": (_SHARDED, modelpack(_SHARDED, form="tar+zstd")),
    "aikit-tar": (_SHARDED, modelpack_aikit(_SHARDED, form="tar")),
    "aikit-zstd": (_MODEL, modelpack_aikit(_MODEL, form="tar+zstd")),
    "index": (_MODEL, index([IndexEntry(modelpack(_MODEL))])),
}


class Recorder:
    def __init__(self) -> None:
        self.events: list[events.Event] = []

    def on(self, event: events.Event) -> None:
        self.events.append(event)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({"HOME": str(tmp_path), "OCI_PULL_CACHE_DIR": str(tmp_path / "cache")})


@pytest.fixture
def put(tmp_path: Path) -> "Put":
    return Put(tmp_path / "layout")


class Put:
    """Stores an artifact, and says how it is called."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, stored: Artifact, tag: str = "v1") -> str:
        write_layout(self.directory, stored, tag)
        return f"oci:{self.directory}:{tag}"

    def forget(self) -> None:
        shutil.rmtree(self.directory)


def _files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".oci-pull" not in path.parts
    }


def _snapshot(root: Path) -> dict[str, tuple[int, int, int]]:
    """Everything but the stamps of last use."""
    found = {}
    for path in root.rglob("*"):
        if "used" not in path.relative_to(root).parts:
            status = path.lstat()
            found[str(path)] = (status.st_ino, status.st_mtime_ns, status.st_size)
    return found


@pytest.mark.parametrize("case", _CASES)
def test_a_model_comes_back_byte_for_byte(case: str, put: Put, settings: Settings) -> None:
    files, stored = _CASES[case]
    result = api.pull(put(stored), settings=settings)
    assert _files(result.path) == files
    assert str(result.digest) == stored.digest
    assert result.servable
    assert result.warnings == ()
    assert result.reused_bytes == 0
    assert {str(file.path): file.size for file in result.files} == {
        name: len(content) for name, content in files.items()
    }


@pytest.mark.parametrize("case", _CASES)
def test_everybody_can_read_a_tree_and_nobody_can_write_it(
    case: str, put: Put, settings: Settings
) -> None:
    result = api.pull(put(_CASES[case][1]), settings=settings)
    for path in [result.path, *result.path.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o755 if path.is_dir() else 0o444), path


@pytest.mark.parametrize("case", _CASES)
def test_a_second_pull_writes_nothing(case: str, put: Put, settings: Settings) -> None:
    reference = put(_CASES[case][1])
    first = api.pull(reference, settings=settings)
    before = _snapshot(settings.cache)
    second = api.pull(reference, settings=settings)
    assert second.unchanged
    assert (second.path, second.digest, second.files) == (first.path, first.digest, first.files)
    assert (second.fetched_bytes, second.reused_bytes) == (0, first.size)
    assert _snapshot(settings.cache) == before


def test_a_hit_needs_no_source(put: Put, settings: Settings) -> None:
    reference = put(_CASES["docker-v0.1"][1])
    first = api.pull(reference, settings=settings)
    put.forget()
    assert api.pull(reference, settings=settings, offline=True).path == first.path
    assert upkeep.find(reference, settings=settings).path == first.path
    pinned = f"{reference.removesuffix(':v1')}@{first.digest}"
    assert api.pull(pinned, settings=settings).unchanged


def test_a_cache_can_be_copied_and_used_elsewhere(
    put: Put, settings: Settings, tmp_path: Path
) -> None:
    reference = put(_CASES["modelpack-zstd"][1])
    first = api.pull(reference, settings=settings)
    copy = tmp_path / "elsewhere"
    shutil.copytree(settings.cache, copy)
    shutil.rmtree(settings.cache)
    put.forget()
    second = api.pull(reference, settings=settings, cache_dir=copy, offline=True)
    assert second.path.is_relative_to(copy)
    assert second.path.name == first.path.name
    assert _files(second.path) == _SHARDED


def test_a_tag_that_moved_gives_another_tree_and_leaves_the_old_one(
    put: Put, settings: Settings
) -> None:
    first = api.pull(put(docker_v02(_MODEL)), settings=settings)
    put.forget()
    newer = {**_MODEL, "config.json": b'{"model_type": "llama"}'}
    second = api.pull(put(docker_v02(newer)), settings=settings)
    assert not second.unchanged
    assert second.path != first.path
    assert _files(first.path) == _MODEL
    assert _files(second.path) == newer
    assert second.fetched_bytes < 2000, "only what changed is fetched"


def test_one_copy_is_on_disk_where_the_packaging_allows_it(put: Put, settings: Settings) -> None:
    result = api.pull(put(docker_v02(_MODEL)), settings=settings)
    for file in result.files:
        placed = result.path.joinpath(*file.path.parts)
        blob = settings.cache / "blobs" / "sha256" / file.digest.hex
        assert placed.samefile(blob)


@pytest.mark.parametrize("keep", [False, True])
def test_a_large_archive_stays_only_on_request(keep: bool, put: Put, settings: Settings) -> None:
    data = bytes(65_000_000)
    model = {**_MODEL, "model.safetensors": safetensors({"t": ((len(data),), data)})}
    stored = modelpack(model, form="tar")
    reference = put(stored)
    result = api.pull(reference, settings=settings, keep_archives=keep)
    assert _files(result.path) == model
    large = [
        path for path in (settings.cache / "blobs").rglob("*")
        if path.is_file() and path.stat().st_size > 64_000_000
    ]  # fmt: skip
    assert bool(large) is keep
    assert api.pull(reference, settings=settings).unchanged


def test_patterns_decide_before_anything_is_fetched(put: Put, settings: Settings) -> None:
    result = api.pull(put(docker_v02(_SHARDED)), settings=settings, include=("*.json",))
    assert set(_files(result.path)) == {name for name in _SHARDED if name.endswith(".json")}
    assert result.fetched_bytes < sum(map(len, _SHARDED.values())) / 2
    assert not result.servable
    assert "left out" in result.warnings[0]


def test_a_selection_has_a_tree_of_its_own(put: Put, settings: Settings) -> None:
    reference = put(docker_v02(_MODEL))
    part = api.pull(reference, settings=settings, exclude=("*.md",))
    whole = api.pull(reference, settings=settings)
    assert part.path != whole.path
    assert "README.md" not in _files(part.path)
    assert "README.md" in _files(whole.path)
    assert api.pull(reference, settings=settings, exclude=("*.md",)).unchanged


def test_patterns_that_let_nothing_in_are_a_mistake(put: Put, settings: Settings) -> None:
    with pytest.raises(InvalidSetting):
        api.pull(put(docker_v02(_MODEL)), settings=settings, include=("*.gguf",))


def test_a_model_below_a_directory_is_laid_out_at_the_root(put: Put, settings: Settings) -> None:
    nested = {f"deep/model/{name}": content for name, content in _MODEL.items()}
    result = api.pull(put(modelpack(nested)), settings=settings)
    assert _files(result.path) == _MODEL


def test_two_models_in_one_artifact_need_a_root(put: Put, settings: Settings) -> None:
    both: dict[str, Content] = {f"a/{name}": content for name, content in _MODEL.items()}
    both |= {f"b/{name}": content for name, content in _SHARDED.items()}
    reference = put(modelpack(both))
    with pytest.raises(SeveralRoots) as caught:
        api.pull(reference, settings=settings)
    assert "--root" in (caught.value.hint or "")
    assert _files(api.pull(reference, settings=settings, root="b").path) == _SHARDED


def test_pickles_stay_out_unless_they_are_allowed(put: Put, settings: Settings) -> None:
    reference = put(docker_v02({**_MODEL, "pytorch_model.bin": b"pickle"}))
    assert "pytorch_model.bin" not in _files(api.pull(reference, settings=settings).path)
    allowed = api.pull(reference, settings=settings, allow_pickle=True)
    assert "pytorch_model.bin" in _files(allowed.path)


def test_pickles_alone_are_refused(put: Put, settings: Settings) -> None:
    pickled = {name: c for name, c in _MODEL.items() if not name.endswith(".safetensors")}
    with pytest.raises(PickleOnly):
        api.pull(put(docker_v02({**pickled, "model.pt": b"pickle"})), settings=settings)


def test_datasets_stay_out_unless_they_are_wanted(put: Put, settings: Settings) -> None:
    stored = modelpack({**_MODEL, "train.parquet": b"rows"}, datasets=("train.parquet",))
    reference = put(stored)
    assert _files(api.pull(reference, settings=settings).path) == _MODEL
    wanted = api.pull(reference, settings=settings, datasets=True)
    assert "train.parquet" in _files(wanted.path)


def test_a_dry_run_says_what_a_pull_would_do_and_writes_nothing(
    put: Put, settings: Settings
) -> None:
    reference = put(_CASES["docker-v0.1-sharded"][1])
    found = api.plan(reference, settings=settings)
    assert not settings.cache.exists()
    assert {item.state for item in found.items} == {"fetch"}
    names = {str(file.path) for file in found.files}
    assert {name for name in _SHARDED if name.endswith(".safetensors")} <= names
    result = api.pull(reference, settings=settings)
    before = _snapshot(settings.cache)
    again = api.plan(reference, settings=settings)
    assert _snapshot(settings.cache) == before
    assert all(item.state == "cached" for item in again.items)
    assert (again.fetch_bytes, again.cache_bytes, again.archives) == (0, 0, ())
    assert again.digest == result.digest


@pytest.mark.parametrize("case", _CASES)
def test_a_plan_is_what_the_pull_after_it_does(case: str, put: Put, settings: Settings) -> None:
    reference = put(_CASES[case][1])
    found = api.plan(reference, settings=settings)
    result = api.pull(reference, settings=settings)
    assert (found.reference, found.digest) == (result.reference, result.digest)
    assert found.packaging == result.packaging
    assert found.fetch_bytes == found.total_bytes == result.fetched_bytes
    placed = {(file.path, file.size, file.digest) for file in result.files}
    planned = {(file.path, file.size, file.digest) for file in found.files}
    assert planned == placed if not found.archives else planned <= placed
    assert found.servable in {result.servable, None if found.archives else result.servable}
    again = api.plan(reference, settings=settings)
    assert {(file.path, file.size, file.digest) for file in again.files} == placed
    assert (again.servable, again.archives, again.fetch_bytes) == (True, (), 0)


def test_a_plan_says_what_is_left_out_and_whether_the_rest_can_be_served(
    put: Put, settings: Settings
) -> None:
    reference = put(docker_v02({**_MODEL, "pytorch_model.bin": b"pickle"}))
    whole = api.plan(reference, settings=settings)
    assert whole.servable
    assert [(left.name, left.size) for left in whole.left_out] == [("pytorch_model.bin", 6)]
    part = api.plan(reference, settings=settings, include=("*.json",))
    assert part.servable is False
    assert part.warnings == ("no weights: vLLM cannot serve this directory",)
    assert part.total_bytes < whole.total_bytes
    reasons = {left.name: left.reason for left in part.left_out}
    assert "--include" in reasons["model.safetensors"]


def test_a_plan_says_how_much_room_the_directory_needs(
    put: Put, settings: Settings, tmp_path: Path
) -> None:
    reference = put(docker_v02(_MODEL))
    size = sum(map(len, _MODEL.values()))
    linked = api.plan(reference, settings=settings)
    assert (linked.cache_bytes, linked.added_bytes) == (linked.total_bytes, 0)
    copied = api.plan(reference, settings=settings, output=tmp_path / "m", link_mode="copy")
    assert (copied.cache_bytes, copied.added_bytes) == (copied.total_bytes, size)
    assert not (tmp_path / "m").exists()


def test_an_inspection_tells_what_is_there_and_writes_nothing(put: Put, settings: Settings) -> None:
    inspection = api.inspect(put(docker_v02(_MODEL)), settings=settings)
    assert inspection.plan
    assert inspection.plan.packaging == "docker-model"
    assert len(inspection.plan.operations) == len(_MODEL)
    assert not settings.cache.exists()


def test_an_inspection_of_what_is_no_model_tells_what_it_is(put: Put, settings: Settings) -> None:
    chart = layer("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"chart")
    config = layer("application/vnd.cncf.helm.config.v1+json", b"{}")
    reference = put(artifact(config, [chart]))
    assert api.inspect(reference, settings=settings).plan is None
    with pytest.raises(NotAModel, match="helm"):
        api.pull(reference, settings=settings)


def test_the_events_tell_the_story(put: Put, settings: Settings) -> None:
    recorder = Recorder()
    api.pull(put(docker_v02(_MODEL)), settings=settings, observer=recorder)
    kinds = [type(event) for event in recorder.events if not isinstance(event, events.Tick)]
    assert kinds[:3] == [events.Resolving, events.Resolved, events.Planned]
    assert kinds[-1] is events.LayingOut
    [laid_out] = [event for event in recorder.events if isinstance(event, events.LayingOut)]
    assert laid_out.counter.value == laid_out.size == sum(map(len, _MODEL.values()))
    assert kinds.count(events.Committed) == len(_MODEL) + 1, "each file, and the config"


def test_a_cancel_stops_it_and_the_next_run_goes_on(put: Put, settings: Settings) -> None:
    reference = put(docker_v02(_MODEL))
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        api.pull(reference, settings=settings, cancel=cancel)
    assert not list(settings.cache.glob("models/**/receipt.json"))
    assert _files(api.pull(reference, settings=settings).path) == _MODEL


def test_threads_of_one_program_share_a_download(put: Put, settings: Settings) -> None:
    reference = put(docker_v02(tiny_model(hidden=256)))
    results: list[PullResult] = []

    def work() -> None:
        results.append(api.pull(reference, settings=settings))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({result.path for result in results}) == 1
    needed = api.plan(reference, settings=settings).total_bytes
    assert sum(result.fetched_bytes for result in results) == needed


def test_an_output_directory_is_filled_again_and_again(
    put: Put, settings: Settings, tmp_path: Path
) -> None:
    target = tmp_path / "models" / "m"
    reference = put(docker_v01(_MODEL, annotated=False))
    result = api.pull(reference, settings=settings, output=target)
    assert result.path == target
    assert _files(target) == _MODEL
    (target / "notes.txt").write_text("mine")
    assert api.pull(reference, settings=settings, output=target).unchanged
    put.forget()
    newer = {**_SHARDED, "extra.json": b"{}"}
    again = api.pull(put(docker_v01(newer, annotated=False)), settings=settings, output=target)
    assert not again.unchanged
    assert _files(target) == {**newer, "notes.txt": b"mine"}
    assert list((target / ".oci-pull").iterdir()) == [target / ".oci-pull" / "receipt.json"]


def test_a_target_of_somebody_else_is_refused(put: Put, settings: Settings, tmp_path: Path) -> None:
    reference = put(docker_v02(_MODEL))
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("foreign", "file"):
        with pytest.raises(TargetNotUsable):
            api.pull(reference, settings=settings, output=tmp_path / name)
    assert [path.name for path in (tmp_path / "foreign").iterdir()] == ["thesis.txt"]


def test_variants_of_an_index_are_chosen_by_what_tells_them_apart(
    put: Put, settings: Settings
) -> None:
    entries = [
        IndexEntry(modelpack(_MODEL), annotations={"quant": "int8"}),
        IndexEntry(modelpack(_SHARDED), annotations={"quant": "none"}),
    ]
    marked = [
        IndexEntry(
            each.artifact,
            annotations={
                **(each.annotations or {}),
                "io.opendatahub.modelcar.manifest.type": "modelpack",
            },
        )
        for each in entries
    ]
    reference = put(index(marked))
    with pytest.raises(SeveralVariants, match="quant=int8"):
        api.pull(reference, settings=settings)
    chosen = api.pull(reference, settings=settings, select=("quant=none",))
    assert _files(chosen.path) == _SHARDED
    with pytest.raises(PlatformUnknown, match="quant=fp4"):
        api.pull(reference, settings=settings, select=("quant=fp4",))
    assert api.inspect(reference, settings=settings).manifest is None


def test_indexes_in_indexes_end_somewhere(put: Put, settings: Settings) -> None:
    stored = modelpack(_MODEL)
    for _ in range(MAX_DEPTH):
        stored = index([IndexEntry(stored)])
    assert _files(api.pull(put(stored), settings=settings).path) == _MODEL
    with pytest.raises(InvalidManifest, match="nested more than"):
        api.pull(put(index([IndexEntry(stored)])), settings=settings)


def test_an_inspection_of_a_model_whose_config_is_gone_tells_the_rest(
    put: Put, settings: Settings
) -> None:
    stored = modelpack(_MODEL)
    reference = put(stored)
    config = json.loads(stored.manifest)["config"]["digest"]
    (put.directory / "blobs/sha256" / config.removeprefix("sha256:")).unlink()
    found = api.inspect(reference, settings=settings)
    assert found.layout
    assert {str(file.path) for file in found.layout.files} == set(_MODEL)


def test_a_shard_that_is_missing_is_told_before_anything_is_laid_out(
    put: Put, settings: Settings
) -> None:
    broken = {name: c for name, c in _SHARDED.items() if "00002-of" not in name}
    with pytest.raises(InconsistentModel, match="00002-of"):
        api.pull(put(docker_v02(broken)), settings=settings)
    assert not list(settings.cache.glob("models/**/receipt.json"))
    assert list((settings.cache / "incomplete").iterdir()) == []


@pytest.mark.parametrize(
    ("names", "cause"),
    [
        (["config.json", "Config.json"], PathConflict),
        (["a", "a/b"], PathConflict),
        (["../../etc/passwd"], UnsafePath),
        (["/etc/passwd"], UnsafePath),
        (["caf\u00e9", "cafe\u0301"], PathConflict),
    ],
)
def test_names_that_cannot_be_are_refused_before_the_download(
    names: list[str], cause: type[Exception], put: Put, settings: Settings
) -> None:
    layers = [
        layer(
            "application/vnd.docker.ai.model.file",
            f"{number}".encode(),
            {"org.cncf.model.filepath": name},
        )
        for number, name in enumerate(names)
    ]
    config = layer("application/vnd.docker.ai.model.config.v0.2+json", b'{"config":{}}')
    with pytest.raises(cause):
        api.pull(put(artifact(config, layers)), settings=settings)
    assert not list(settings.cache.glob("partial/*"))


def test_what_is_not_complete_is_not_found(put: Put, settings: Settings) -> None:
    reference = put(docker_v02(_MODEL))
    with pytest.raises(NotCached):
        upkeep.find(reference, settings=settings)
    result = api.pull(reference, settings=settings)
    (result.path / "config.json").unlink()
    with pytest.raises(NotCached):
        upkeep.find(reference, settings=settings)
    assert _files(api.pull(reference, settings=settings).path) == _MODEL, "and it is mended"


class _Pruner(Recorder):
    """Removes from the cache what a pull has just decided to reuse."""

    def __init__(self, cache: Path, what: str) -> None:
        super().__init__()
        self._cache = cache
        self._what = what
        self._left = 1

    def on(self, event: events.Event) -> None:
        super().on(event)
        if isinstance(event, events.LayingOut) and self._left:
            self._left -= 1
            shutil.rmtree(self._cache / self._what)


@pytest.mark.parametrize(("form", "what"), [("raw", "blobs/sha256"), ("tar", "layers")])
def test_what_vanished_from_the_cache_meanwhile_is_fetched_again(
    form: Literal["raw", "tar"], what: str, put: Put, settings: Settings
) -> None:
    pruner = _Pruner(settings.cache, what)
    result = api.pull(put(modelpack(_MODEL, form=form)), settings=settings, observer=pruner)
    assert _files(result.path) == _MODEL
    assert sum(isinstance(event, events.Planned) for event in pruner.events) == 2


def test_a_complete_cache_that_is_read_only_fills_an_output(
    put: Put, settings: Settings, tmp_path: Path
) -> None:
    reference = put(docker_v02(_MODEL))
    api.pull(reference, settings=settings)
    refs = settings.cache / "refs"
    shutil.rmtree(refs)
    refs.write_text("in the way, as a cache without permission is for root as well")
    recorder = Recorder()
    result = api.pull(reference, settings=settings, output=tmp_path / "m", observer=recorder)
    assert _files(result.path) == _MODEL
    assert any(isinstance(event, events.Warned) for event in recorder.events)


def test_a_digest_that_nobody_can_check_is_refused_before_anything_is_fetched(
    put: Put, settings: Settings
) -> None:
    stored = docker_v02(_MODEL)
    value = json.loads(stored.manifest)
    value["layers"][0]["digest"] = "sha384:" + "0" * 96
    reference = put(replace(stored, manifest=json.dumps(value).encode()))
    with pytest.raises(UnsupportedDigest):
        api.pull(reference, settings=settings)
    assert not list(settings.cache.glob("partial/*"))


def test_a_path_is_found_where_nothing_can_be_written_and_a_dry_run_says_what_it_lacks(
    put: Put, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = put(docker_v02(_MODEL))
    path = api.pull(reference, settings=settings).path
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert upkeep.find(reference, settings=settings).path == path
    assert api.pull(reference, settings=settings, offline=True).unchanged
    with pytest.raises(NotWritable) as caught:
        api.plan(reference, settings=settings)
    assert "TMPDIR" in (caught.value.hint or "")


def test_a_tag_alone_is_refused_before_anybody_is_asked(put: Put, settings: Settings) -> None:
    reference = put(docker_v02(_MODEL))
    digest = api.plan(reference, settings=settings).digest
    name = reference.removesuffix(":v1")
    put.forget()
    strict = settings.with_options({"require_digest": True})
    for ask in (api.pull, api.plan):
        with pytest.raises(DigestRequired) as caught:
            ask(reference, settings=strict)
        assert caught.value.hint == f"oci-pull inspect {reference}  says what it is now"
    with pytest.raises(NotFoundError):
        api.pull(f"{name}@{digest}", settings=strict)


def test_the_digest_that_a_tag_was_last_seen_with_is_in_the_hint(
    put: Put, settings: Settings
) -> None:
    reference = put(docker_v02(_MODEL))
    found = api.pull(reference, settings=settings)
    with pytest.raises(DigestRequired) as caught:
        api.pull(reference, settings=settings, require_digest=True)
    assert caught.value.hint
    pinned = caught.value.hint.split()[1]
    assert pinned == f"{reference}@{found.digest}"
    assert api.pull(pinned, settings=settings, require_digest=True).unchanged
    assert api.inspect(reference, settings=settings, require_digest=True).plan


def test_an_archive_has_no_digest_to_require(settings: Settings) -> None:
    with pytest.raises(DigestRequired) as caught:
        api.pull("oci-archive:/x.tar:v1", settings=settings, require_digest=True)
    assert "oci:DIR@DIGEST" in (caught.value.hint or "")

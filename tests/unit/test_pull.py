"""What a pull tells and refuses before the first byte, over a layout on disk and a real cache."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from oci_pull import api, events
from oci_pull.adapters.cache.partial import OwnedPartial
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.store import DirectoryStore
from oci_pull.errors import Cancelled, NoSpace, TimedOut
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.ranges import Span
from oci_pull.settings import Settings
from tests.builders import docker_v02, tiny_model
from tests.servers.push import write_layout

E = TypeVar("E")

_MODEL = tiny_model()
_WEIGHTS = _MODEL["model.safetensors"]


class _Recorder:
    def __init__(self) -> None:
        self.events: list[events.Event] = []

    def on(self, event: events.Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({"HOME": str(tmp_path), "OCI_PULL_CACHE_DIR": str(tmp_path / "cache")})


def _put(tmp_path: Path, files: Mapping[str, bytes], tag: str = "v1") -> str:
    write_layout(tmp_path / "layout", docker_v02(files), tag)
    return f"oci:{tmp_path / 'layout'}:{tag}"


def _begin(settings: Settings, content: bytes, reference: str, size: int = 100) -> None:
    """An earlier run has left so much of a blob."""
    blob = Descriptor("", Digest.of(content), len(content))
    claimed = DirectoryStore(Cache(settings.cache), reference=reference).claim(blob)
    assert isinstance(claimed, OwnedPartial)
    claimed.write_at(0, content[:size])
    claimed.record(Span(0, size))
    claimed.release()


def test_what_is_here_already_is_told_by_the_names_of_its_files(
    tmp_path: Path, settings: Settings
) -> None:
    api.pull(_put(tmp_path, _MODEL), settings=settings)
    newer = {**_MODEL, "config.json": b'{"model_type": "llama"}'}
    recorder = _Recorder()
    api.pull(_put(tmp_path, newer, "v2"), settings=settings, observer=recorder)
    reused = {event.name: event for event in recorder.of(events.Reused)}
    assert set(_MODEL) - {"config.json"} == reused.keys() - {"the config"}
    weights = reused["model.safetensors"]
    assert (weights.digest, weights.size) == (Digest.of(_WEIGHTS), len(_WEIGHTS))
    kinds = [type(event) for event in recorder.events]
    assert kinds.index(events.Planned) + 1 == kinds.index(events.Reused)


def test_an_unfinished_download_of_what_a_tag_was_before_is_told_and_kept(
    tmp_path: Path, settings: Settings
) -> None:
    reference = _put(tmp_path, _MODEL)
    _begin(settings, bytes(5000), reference, 3000)
    _begin(settings, bytes(6000), reference, 400)
    _begin(settings, bytes(7000), f"{reference}2")
    _begin(settings, _WEIGHTS, reference)
    recorder = _Recorder()
    api.pull(reference, settings=settings, observer=recorder)
    assert recorder.of(events.Superseded) == [events.Superseded(2, 3400)]
    left = {path.name for path in (settings.cache / "partial").iterdir()}
    assert left == {Digest.of(bytes(size)).hex for size in (5000, 6000, 7000)}


def test_what_a_selection_leaves_out_is_not_of_an_earlier_time(
    tmp_path: Path, settings: Settings
) -> None:
    reference = _put(tmp_path, _MODEL)
    _begin(settings, _WEIGHTS, reference)
    recorder = _Recorder()
    api.pull(reference, settings=settings, observer=recorder, include=("*.json",))
    assert recorder.of(events.Superseded) == []


def test_no_more_is_written_than_was_allowed(tmp_path: Path, settings: Settings) -> None:
    reference = _put(tmp_path, _MODEL)
    needed = api.plan(reference, settings=settings).cache_bytes
    with pytest.raises(NoSpace, match="--max-bytes") as caught:
        api.pull(reference, settings=settings, max_bytes=needed - 1)
    assert (caught.value.needed, caught.value.free) == (needed, needed - 1)
    assert not list(settings.cache.glob("partial/*"))
    api.pull(reference, settings=settings, max_bytes=needed)


def test_the_space_is_not_looked_at_where_that_is_not_wanted(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = _put(tmp_path, _MODEL)
    full = type("Disk", (), {"free": 0})
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)
    with pytest.raises(NoSpace):
        api.pull(reference, settings=settings)
    api.pull(reference, settings=settings, no_space_check=True)


@pytest.mark.parametrize("verb", [api.pull, api.plan, api.inspect])
def test_the_time_that_was_given_ends_everything(
    verb: object, tmp_path: Path, settings: Settings
) -> None:
    assert callable(verb)
    reference = _put(tmp_path, _MODEL)
    with pytest.raises(TimedOut, match=r"not done after .* is kept") as caught:
        verb(reference, settings=settings, timeout=0.0001)
    assert "--timeout" in (caught.value.hint or "")
    verb(reference, settings=settings, timeout="10m")


def test_who_stops_it_is_not_told_that_the_time_is_over(tmp_path: Path, settings: Settings) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        api.pull(_put(tmp_path, _MODEL), settings=settings, cancel=cancel, timeout=0.0001)


def test_what_was_looked_up_in_the_cache_is_told_to_who_wants_to_know(
    tmp_path: Path, settings: Settings
) -> None:
    reference = _put(tmp_path, _MODEL)
    looked = []
    for verbose in (1, 1, 0):
        recorder = _Recorder()
        api.pull(reference, settings=replace(settings, verbose=verbose), observer=recorder)
        looked.append([event.is_here for event in recorder.of(events.LookedUp)])
    # By its tag it is asked for; then it is known.
    assert looked == [[], [True], []]

"""The library as a guest in a process of somebody else: it can be stopped, and leaves no trace."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pickle
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from oci_pull import events
from oci_pull.api import plan, pull
from oci_pull.errors import Cancelled, ManifestUnknown
from oci_pull.settings import Settings
from tests import builders
from tests.e2e.disk import bytes_kept
from tests.e2e.models import MIB, model, put, weights
from tests.fakes.registry import (
    Auth,
    BlobFaults,
    FakeRegistry,
    ManifestFaults,
    ServerFaults,
    TokenFaults,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from oci_pull.events import Event
    from oci_pull.pull import PullResult

_MODEL = {**model(2 * MIB), "tokenizer.json": b"{}", "README.md": b"of a model"}
_HELD = threading.Event()


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as found:
        yield found


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path / "cache")


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(registry, builders.docker_v02(_MODEL))


# Cancelling


class Polls:
    """A cancel that is set when it was asked so often after something had happened."""

    def __init__(self, has_happened: Callable[[], bool], after: int = 10) -> None:
        self._has_happened = has_happened
        self._left = after

    def is_set(self) -> bool:
        self._left -= self._has_happened()
        return self._left < 0


def _nothing_from_the_token_server(registry: FakeRegistry) -> Callable[[], bool]:
    registry.auth = Auth()
    registry.token_faults = TokenFaults(hold=_HELD)
    return lambda: bool(registry.find(kind="token"))


def _no_manifest(registry: FakeRegistry) -> Callable[[], bool]:
    registry.manifest_faults = ManifestFaults(hold=_HELD)
    return lambda: bool(registry.find(kind="manifest"))


def _half_a_blob(registry: FakeRegistry) -> Callable[[], bool]:
    registry.blob_faults = BlobFaults(stall_after=MIB)
    return lambda: registry.bytes_served >= MIB


def _a_server_that_asks_for_patience(registry: FakeRegistry) -> Callable[[], bool]:
    registry.blob_faults = BlobFaults(status=429, retry_after=60)
    return lambda: bool(registry.find(kind="blob", status=429))


@pytest.mark.parametrize(
    "waits_for",
    [
        _nothing_from_the_token_server,
        _no_manifest,
        _half_a_blob,
        _a_server_that_asks_for_patience,
    ],
)
def test_a_cancel_is_asked_again_and_again_whatever_a_pull_waits_for(
    waits_for: Callable[[FakeRegistry], Callable[[], bool]],
    registry: FakeRegistry,
    reference: str,
    settings: Settings,
) -> None:
    cancel = Polls(waits_for(registry))
    with pytest.raises(Cancelled) as caught:
        pull(reference, settings=settings, cancel=cancel)
    assert caught.value.exit_code == 130
    assert not list(settings.cache.glob("models/**/receipt.json"))


def test_what_was_fetched_before_a_cancel_is_not_fetched_again(
    registry: FakeRegistry, reference: str, settings: Settings
) -> None:
    _half_a_blob(registry)
    with pytest.raises(Cancelled):
        pull(reference, settings=settings, cancel=Polls(lambda: bytes_kept(settings.cache) > 0))
    registry.blob_faults = []
    kept = plan(reference, settings=settings)
    assert kept.reused_bytes + kept.resumed_bytes > 0
    result = pull(reference, settings=settings)
    assert result.fetched_bytes == kept.fetch_bytes < kept.total_bytes
    assert result.fetched_bytes + result.reused_bytes == kept.total_bytes


def test_a_task_that_is_cancelled_stops_its_pull(
    registry: FakeRegistry, reference: str, settings: Settings
) -> None:
    _half_a_blob(registry)
    ended: list[BaseException] = []

    async def fetch(begun: asyncio.Event) -> None:
        loop, cancel = asyncio.get_running_loop(), threading.Event()

        class Started:
            def on(self, event: Event) -> None:
                if isinstance(event, events.Started):
                    loop.call_soon_threadsafe(begun.set)

        def work() -> None:
            try:
                pull(reference, settings=settings, observer=Started(), cancel=cancel)
            except Cancelled as error:
                ended.append(error)

        try:
            await asyncio.to_thread(work)
        finally:
            cancel.set()

    async def main() -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(fetch(begun))
        await begun.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    # `asyncio.run` waits for the threads of `to_thread`.
    asyncio.run(main())
    assert [type(error) for error in ended] == [Cancelled]


# Watching


class Witness:
    """Who told what."""

    def __init__(self) -> None:
        self.tellers: dict[type[Event], set[int]] = {}

    def on(self, event: Event) -> None:
        self.tellers.setdefault(type(event), set()).add(threading.get_ident())


def test_an_observer_is_told_by_the_threads_that_work(reference: str, settings: Settings) -> None:
    witness = Witness()
    pull(reference, settings=settings, observer=witness)
    caller = {threading.get_ident()}
    assert witness.tellers[events.Planned] == witness.tellers[events.LayingOut] == caller
    assert witness.tellers.get(events.Tick, caller) == caller
    assert not witness.tellers[events.Committed] & caller


@pytest.mark.parametrize("at", [events.Resolved, events.Started, events.Committed])
def test_what_an_observer_raises_ends_the_pull_and_spoils_nothing(
    at: type[Event], reference: str, settings: Settings
) -> None:
    class Broken:
        def on(self, event: Event) -> None:
            if isinstance(event, at):
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pull(reference, settings=settings, observer=Broken())
    assert pull(reference, settings=settings).servable


def test_an_interrupt_of_the_calling_thread_is_a_cancel(
    registry: FakeRegistry, reference: str, settings: Settings
) -> None:
    _half_a_blob(registry)

    class Impatient:
        def on(self, event: Event) -> None:
            if isinstance(event, events.Tick) and bytes_kept(settings.cache):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(reference, settings=settings, observer=Impatient())
    registry.blob_faults = []
    result = pull(reference, settings=settings)
    assert result.reused_bytes > 0, "what was there was kept"


# Several at once


def _at_once(*works: Callable[[], PullResult]) -> list[PullResult]:
    results: list[PullResult] = []
    threads = [threading.Thread(target=lambda w=work: results.append(w())) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == len(works)
    return results


def test_threads_that_pull_the_same_and_others_download_each_blob_once(
    registry: FakeRegistry, settings: Settings
) -> None:
    shared = weights(MIB)
    names = [f"team/{name}" for name in ("one", "two", "three")]
    references: list[str] = []
    for name in names:
        files = {**model(MIB, seed=len(references) + 1), "draft.safetensors": shared}
        references.append(put(registry, builders.docker_v02(files), repository=name))
    works = [lambda r=each: pull(r, settings=settings) for each in references * 4]
    results = _at_once(*works)
    assert len({result.path for result in results}) == len(references)
    blobs = {each.path.rpartition("/")[2]: each for each in registry.find("GET", kind="blob")}
    assert registry.bytes_served == sum(
        path.stat().st_size
        for path in (settings.cache / "blobs" / "sha256").iterdir()
        if f"sha256:{path.name}" in blobs
    )
    assert sum(result.fetched_bytes for result in results) == registry.bytes_served


# Looking before the weights


def test_a_part_of_a_model_costs_its_own_bytes_and_all_of_it_later_costs_the_others(
    registry: FakeRegistry, reference: str, settings: Settings
) -> None:
    wanted = settings.with_options({"include": ["*.json", "tokenizer*"]})
    files = {name: content for name, content in _MODEL.items() if name.endswith(".json")}
    before = plan(reference, settings=wanted)
    assert {str(file.path) for file in before.files} == files.keys()
    assert not registry.find("GET", kind="blob")
    part = pull(reference, settings=wanted)
    assert {file.name: file.read_bytes() for file in part.path.glob("[!.]*")} == files
    assert registry.bytes_served == part.fetched_bytes == before.fetch_bytes < MIB
    rest = plan(reference, settings=settings)
    assert rest.reused_bytes == part.fetched_bytes
    whole = pull(reference, settings=settings)
    assert (whole.fetched_bytes, whole.reused_bytes) == (rest.fetch_bytes, part.fetched_bytes)
    assert registry.bytes_served == rest.total_bytes
    assert pull(reference, settings=wanted).path == part.path, "both stay"


def test_a_program_is_told_that_nobody_could_be_asked(
    registry: FakeRegistry, reference: str, settings: Settings
) -> None:
    fresh = pull(reference, settings=settings)
    assert fresh.warnings == ()
    registry.server_faults = ServerFaults(status=503)
    said = f"{reference} is sha256:{fresh.digest.short}, as it was last seen: "
    for look in (plan, pull):
        (warning,) = look(reference, settings=settings, stale_ok=True, retries=0).warnings
        assert warning.startswith(said)


# No trace


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, timeout=120
    )


_TRACES = """
import json, locale, logging, os, signal, socket, sys, threading, warnings
from oci_pull import OciPullError, inspect, plan, pull

def state():
    umask = os.umask(0)
    os.umask(umask)
    return {
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook, sys.displayhook),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "threads": set(threading.enumerate()),
        "files": len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0,
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "umask": umask,
        "logging": (list(logging.root.handlers), logging.root.level),
        "warnings": list(warnings.filters),
        "locale": locale.setlocale(locale.LC_ALL),
        "timeout": socket.getdefaulttimeout(),
        "recursion": sys.getrecursionlimit(),
        "switch": sys.getswitchinterval(),
    }

reference, cache = sys.argv[1:]
def everything():
    inspect(reference, cache_dir=cache)
    plan(reference, cache_dir=cache)
    pull(reference, cache_dir=cache, output=cache + "-out")
    try:
        pull(reference + "-not", cache_dir=cache)
    except OciPullError:
        pass

before = state()
everything()
for thread in set(threading.enumerate()) - before["threads"]:
    thread.join(20)  # one that has done its work may still be on its way out
after = state()
changed = [name for name in before if before[name] != after[name]]
with open(cache + "/changed", "w") as file:
    json.dump(changed, file)
"""


def test_nothing_is_printed_and_nothing_of_the_process_is_changed(
    reference: str, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    done = _run("-W", "error", "-c", _TRACES, reference, str(cache))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert json.loads((cache / "changed").read_text()) == []


def test_a_failure_is_raised_and_ends_no_process(reference: str, settings: Settings) -> None:
    with pytest.raises(ManifestUnknown) as caught:
        pull(f"{reference}-not", settings=settings)
    assert (caught.value.exit_code, caught.value.retryable) == (3, False)


def test_what_a_pull_says_can_be_sent_to_another_process(
    reference: str, settings: Settings
) -> None:
    planned, result = plan(reference, settings=settings), pull(reference, settings=settings)
    assert pickle.loads(pickle.dumps((planned, result))) == (planned, result)


_FORKS = """
import json, multiprocessing, os, sys
import oci_pull

def child(reference, cache):
    sys.exit(not oci_pull.pull(reference, cache_dir=cache).servable)

def by_fork(reference, cache):
    pid = os.fork()
    if not pid:
        try:
            child(reference, cache)
        except SystemExit as end:
            os._exit(end.code)
        finally:
            os._exit(9)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def by_multiprocessing(reference, cache):
    process = multiprocessing.get_context(way).Process(target=child, args=(reference, cache))
    process.start()
    process.join()
    return process.exitcode

if __name__ == "__main__":
    way, reference, other, cache = sys.argv[1:]
    started = by_fork if way == "os" else by_multiprocessing
    before = started(reference, cache)
    mine = oci_pull.pull(reference, cache_dir=cache)
    same, new = started(reference, cache), started(other, cache)
    print(json.dumps([before, mine.unchanged, same, new]))
"""


@pytest.mark.parametrize("way", ["os", "fork", "spawn"])
def test_a_process_that_forks_before_or_after_a_pull_pulls_in_its_children(
    way: str, registry: FakeRegistry, reference: str, settings: Settings, tmp_path: Path
) -> None:
    other = put(registry, builders.docker_v02(model(seed=1)), repository="team/other")
    program = tmp_path / "forks.py"
    program.write_text(_FORKS)
    words = (way, reference, other, str(settings.cache))
    done = _run("-W", "error", str(program), *words)
    assert json.loads(done.stdout or "null") == [0, True, 0, 0], done.stderr
    paths = {each.path for each in registry.find("GET", kind="blob")}
    assert registry.count("GET", kind="blob") == len(paths), "each was downloaded once"

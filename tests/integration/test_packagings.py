"""A real model in every packaging: what comes back, and what a second pull costs."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from tests.e2e import isolation
from tests.e2e.ahead import ahead
from tests.e2e.disk import Snapshot, assert_sound, assert_tidy, assert_tree, snapshot
from tests.integration.models import PACKAGINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from tests.e2e.command import Run
    from tests.integration.models import Pulled
    from tests.servers.distribution import Distribution

every_packaging = pytest.mark.parametrize("name", PACKAGINGS)
_SOME = ["docker-v0.1-shards", "docker-v0.2", "aikit-zstd", "index"]
some_packagings = pytest.mark.parametrize("name", _SOME)
small_packagings = pytest.mark.parametrize(
    "name", [name for name in _SOME if name != "docker-v0.2"]
)


@dataclass(frozen=True)
class _Seen:
    """What happened when a model was pulled again that was there."""

    run: Run
    before: Snapshot
    after: Snapshot
    stamps: tuple[int, int]
    requests: list[str]


@pytest.fixture(scope="module")
def again(
    request: pytest.FixtureRequest, registry: Distribution, pulled: Callable[[str], Pulled]
) -> Iterator[Callable[[object], Future[dict[str, _Seen]]]]:
    """Every packaging pulled again in three ways, several packagings beside each other."""

    def pull(name: str, *words: str) -> _Seen:
        found = pulled(name)
        cache = found.oci_pull.cache
        asked = len(_requests(registry, name))
        before, stamp = snapshot(cache, without="used"), _stamp(cache)
        run = found.oci_pull(*PACKAGINGS[name].words, *words)
        return _Seen(
            run,
            before,
            snapshot(cache, without="used"),
            (stamp, _stamp(cache)),
            _requests(registry, name)[asked:],
        )

    def work(name: str) -> dict[str, _Seen]:
        model = pulled(name).model
        seen = {"tag": pull(name, model.reference)}
        if name in _SOME:
            seen["digest"] = pull(name, model.by_digest)
            seen["offline"] = pull(name, "--offline", model.reference)
        return seen

    with ahead(request, "name", work) as found:
        yield found


def _requests(registry: Distribution, name: str) -> list[str]:
    start = f"/v2/models/{name}/"
    return [each.path for each in registry.access_log() if each.path.startswith(start)]


def _stamp(cache: Path) -> int:
    return max(path.stat().st_mtime_ns for path in (cache / "used").rglob("*@*"))


@every_packaging
@pytest.mark.usefixtures("again")
def test_a_model_comes_back_byte_for_byte(name: str, pulled: Callable[[str], Pulled]) -> None:
    found = pulled(name)
    assert_tree(found.path, found.model.files)
    assert found.path.is_relative_to(found.oci_pull.cache / "models")
    assert_tidy(found.oci_pull.cache)


@every_packaging
def test_a_second_pull_is_one_manifest_request_and_writes_nothing(
    name: str, pulled: Callable[[str], Pulled], again: Callable[[object], Future[dict[str, _Seen]]]
) -> None:
    seen = again(name).result()["tag"]
    assert seen.run.path == pulled(name).path
    assert "Up to date" in seen.run.stderr
    assert seen.requests == [f"/v2/models/{name}/manifests/v1"]
    assert seen.after == seen.before
    # But for the stamp of the last use.
    assert seen.stamps[1] > seen.stamps[0]


@some_packagings
@pytest.mark.parametrize("how", ["digest", "offline"])
def test_by_digest_or_offline_there_is_no_request_at_all(
    how: str,
    name: str,
    pulled: Callable[[str], Pulled],
    again: Callable[[object], Future[dict[str, _Seen]]],
) -> None:
    seen = again(name).result()[how]
    assert seen.run.path == pulled(name).path
    assert seen.requests == []
    assert seen.after == seen.before


def _copied(found: Pulled, directory: Path) -> Path:
    """The cache somewhere else, as an administrator would take it there."""
    subprocess.run(["cp", "-a", found.oci_pull.cache, directory], check=True)
    return directory


def _hit(found: Pulled, cache: Path, name: str, prefix: tuple[str | Path, ...] = ()) -> Path:
    user = replace(found.oci_pull, prefix=prefix).with_env(OCI_PULL_CACHE_DIR=str(cache))
    run = user(*PACKAGINGS[name].words, found.model.reference)
    assert "Up to date" in run.stderr
    assert user(*PACKAGINGS[name].words, found.model.by_digest).path == run.path
    return run.path


@small_packagings
def test_a_cache_that_was_copied_elsewhere_is_a_cache(
    name: str, registry: Distribution, pulled: Callable[[str], Pulled], scratch: Path
) -> None:
    found = pulled(name)
    cache = _copied(found, scratch / f"copied-{name}")
    before, requests = snapshot(cache, without="used"), len(registry.manifest_requests())
    path = _hit(found, cache, name)
    assert path.is_relative_to(cache)
    assert_tree(path, found.model.files)
    assert snapshot(cache, without="used") == before
    assert len(registry.manifest_requests()) == requests + 1
    assert_sound(cache)


@small_packagings
@pytest.mark.skipif(not isolation.obeys_modes(), reason="modes do not stop this user")
def test_a_cache_that_nobody_may_write_is_a_cache(
    name: str, registry: Distribution, pulled: Callable[[str], Pulled], scratch: Path
) -> None:
    found = pulled(name)
    cache = _copied(found, scratch / f"closed-{name}")
    subprocess.run(["chmod", "-R", "a-w", cache], check=True)
    # Its owner may set the time of a file even so.
    before, requests = snapshot(cache, without="used"), len(registry.manifest_requests())
    try:
        path = _hit(found, cache, name, isolation.without_privileges())
        assert snapshot(cache, without="used") == before
    finally:
        subprocess.run(["chmod", "-R", "u+w", cache], check=True)
    assert path.is_relative_to(cache)
    assert len(registry.manifest_requests()) == requests + 1


@small_packagings
@pytest.mark.skipif(not isolation.private_mounts(), reason="no private mount name space")
def test_a_cache_on_a_read_only_file_system_is_a_cache(
    name: str, registry: Distribution, pulled: Callable[[str], Pulled], scratch: Path
) -> None:
    found = pulled(name)
    cache = _copied(found, scratch / f"mounted-{name}")
    before, requests = snapshot(cache), len(registry.manifest_requests())
    path = _hit(found, cache, name, isolation.read_only(cache))
    assert snapshot(cache) == before
    assert path.is_relative_to(cache)
    assert len(registry.manifest_requests()) == requests + 1


@small_packagings
def test_an_output_directory_from_a_warm_cache_fetches_nothing(
    name: str, registry: Distribution, pulled: Callable[[str], Pulled], scratch: Path
) -> None:
    found = pulled(name)
    target = scratch / f"out-{name}"
    blobs = len(registry.blob_requests())
    cache = _copied(found, scratch / f"warm-{name}")
    user = found.oci_pull.with_env(OCI_PULL_CACHE_DIR=str(cache))
    for said in ("Ready", "Up to date"):
        run = user(*PACKAGINGS[name].words, "-o", target, found.model.reference)
        assert run.path == target
        assert said in run.stderr
        assert_tree(target, found.model.files)
    # An archive of 64 MB and more leaves the cache once it is unpacked, and is not needed again.
    assert len(registry.blob_requests()) == blobs

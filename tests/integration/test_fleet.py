"""Fifty machines behind one pull-through cache: Debian's docker-registry, twice."""

from __future__ import annotations

import re
import signal
from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests import builders
from tests.e2e.command import until
from tests.e2e.disk import assert_tree, bytes_kept, digest_of
from tests.e2e.models import MIB, model
from tests.integration.recipes import RECIPES
from tests.servers import process
from tests.servers.debian import tool
from tests.servers.distribution import Distribution, Options, Upstream
from tests.servers.process import HOST
from tests.servers.push import push, reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.e2e.command import Command

_MACHINES, _AT_ONCE = 50, 10
_PATIENCE = 300.0  # seconds, for all of them beside each other


def test_the_origin_serves_no_blob_for_each_machine(
    oci_pull: Command, registry: Distribution, tmp_path: Path
) -> None:
    files = model(4 * MIB)
    artifact = builders.docker_v02(files)
    push(registry.url, "fleet/model", "v1", artifact)
    name = reference(registry.url, "fleet/model", "v1")
    with Distribution(tmp_path / "mirror", Options(upstream=Upstream(registry.url))) as mirror:
        words = ("--mirror", mirror.url, "--progress", "none", name)
        for first in range(0, _MACHINES, _AT_ONCE):
            # One that asks before the others, as a warmed node does, is one of the fifty.
            sizes = (1, _AT_ONCE - 1) if first == 0 else (_AT_ONCE,)
            number = first
            for size in sizes:
                caches = [oci_pull.home / f"machine-{number + each}" for each in range(size)]
                runs = oci_pull.at_once(*[("--cache-dir", cache, *words) for cache in caches])
                number += size
                for run in runs:
                    weights = run.path / "model.safetensors"
                    assert digest_of(weights) == digest_of(files["model.safetensors"])
                _until_kept(mirror.storage, "fleet/model", artifact.blobs)
        got = _fetched(registry, "fleet/model")
    # Distribution 2.8 asks twice for what it does not have, once to keep it and once to hand it on,
    # and for nobody's sake ever again.
    assert got
    assert set(got.values()) <= {1, 2}


def test_machines_that_begin_together_cost_the_origin_at_most_two_fetches_each(
    oci_pull: Command, tmp_path: Path
) -> None:
    files = model(4 * MIB, seed=1)
    artifact = builders.docker_v02(files)
    with _origin_and_cache(tmp_path) as (origin, mirror), ExitStack() as stack:
        push(origin.url, "fleet/cold", "v1", artifact)
        name = reference(origin.url, "fleet/cold", "v1")
        words = ("--mirror", mirror.url, "--progress", "none", name)
        caches = [oci_pull.home / f"machine-{number}" for number in range(_MACHINES)]
        started = [
            stack.enter_context(oci_pull.start("--cache-dir", cache, *words)) for cache in caches
        ]
        for running in started:
            weights = running.wait(_PATIENCE).path / "model.safetensors"
            assert digest_of(weights) == digest_of(files["model.safetensors"])
        got, asked = _fetched(origin, "fleet/cold"), _fetched(mirror, "fleet/cold")
        # Nobody went past the cache. Whoever asks it before it has a blob is handed the origin's
        # bytes; one more fetch is kept, and again one for each that asked before it was done and
        # was served after.
        assert len(got) == len(asked) == 3
        assert all(got[blob] <= 2 * asked[blob] for blob in got)

        _until_kept(mirror.storage, "fleet/cold", artifact.blobs)
        _restart(origin, mirror)
        before = len(origin.access_log())
        oci_pull("--cache-dir", oci_pull.home / "late", *words).must_succeed()
        assert not _fetched(origin, "fleet/cold", before)


def test_the_rest_of_a_large_blob_comes_in_a_range_from_the_cache(
    oci_pull: Command, tmp_path: Path
) -> None:
    files = model(24 * MIB, seed=2)
    weights = digest_of(files["model.safetensors"])
    with _origin_and_cache(tmp_path) as (origin, mirror):
        push(origin.url, "fleet/large", "v1", builders.docker_v02(files))
        words = ("--mirror", mirror.url, reference(origin.url, "fleet/large", "v1"))
        with oci_pull.start("--limit-rate", "800K", *words) as running:
            running.until(
                lambda: bytes_kept(oci_pull.cache, weights), "bytes of the weights are kept"
            )
            running.send(signal.SIGKILL)
            assert running.wait().code == -signal.SIGKILL
        # Though nobody waits for it.
        _until_kept(mirror.storage, "fleet/large", [weights])
        _restart(origin, mirror)

        before, asked = len(origin.access_log()), len(mirror.access_log())
        said = oci_pull("--format", "json", *words).must_succeed().json
        assert said["reused"] > 0
        # What is small may not have been asked for before the end came.
        assert not [each for each in _fetched(origin, "fleet/large", before) if weights in each]
        statuses = {each.status for each in mirror.access_log()[asked:] if weights in each.path}
        assert statuses == {206}
        assert_tree(Path(said["path"]), files)


def test_the_configuration_of_the_page_makes_it_a_cache(
    oci_pull: Command, registry: Distribution, tmp_path: Path
) -> None:
    files = model(seed=3)
    artifact = builders.docker_v02(files)
    push(registry.url, "fleet/page", "v1", artifact)
    name = reference(registry.url, "fleet/page", "v1")
    (text, *_) = re.findall(r"```yaml\n(.*?)```", (RECIPES / "fleets.md").read_text(), re.DOTALL)
    text = text.replace("/var/lib/registry", str(tmp_path / "storage"))
    text = text.replace("https://registry-1.docker.io", registry.url)
    program = tool("docker-registry")

    def command(port: int) -> list[str | Path]:
        config = tmp_path / "config.yml"
        config.write_text(text.replace(":5000", f"{HOST}:{port}"))
        return [program.path, "serve", config]

    server = process.start(command, log=tmp_path / "log", env=program.environment())
    try:
        mirror = f"http://{HOST}:{server.port}"
        assert_tree(oci_pull("--mirror", mirror, name).path, files)
        _until_kept(tmp_path / "storage", "fleet/page", artifact.blobs)
        before = len(registry.access_log())
        other = oci_pull("--mirror", mirror, "--cache-dir", oci_pull.home / "other", name)
        assert_tree(other.path, files)
        assert not _fetched(registry, "fleet/page", before)
    finally:
        server.stop()


@contextmanager
def _origin_and_cache(directory: Path) -> Iterator[tuple[Distribution, Distribution]]:
    """Of a test's own, so that it may stop them."""
    with Distribution(directory / "origin") as origin:
        options = Options(upstream=Upstream(origin.url))
        with Distribution(directory / "mirror", options) as mirror:
            yield origin, mirror


def _restart(*servers: Distribution) -> None:
    """End whatever they do for somebody who is gone: it would be in their logs at any time."""
    for each in servers:
        each.stop()
    for each in servers:
        each.start()


def _until_kept(storage: Path, repository: str, digests: Iterable[str]) -> None:
    """Wait for the cache, which keeps what it has handed on when it comes to it."""
    layers = storage / "docker/registry/v2/repositories" / repository / "_layers/sha256"
    for digest in digests:
        link = layers / digest.removeprefix("sha256:") / "link"
        until(partial(_says, link, digest), "the cache keeps what it fetched", limit=_PATIENCE)


def _says(file: Path, text: str) -> bool:
    return file.exists() and file.read_text() == text


def _fetched(origin: Distribution, repository: str, since: int = 0) -> Counter[str]:
    """How often each blob was sent by the origin, or by a cache before it."""
    return Counter(
        each.path.partition("?")[0]  # which registry is meant, for a cache of several
        for each in origin.access_log()[since:]
        if f"/{repository}/blobs/" in each.path and each.method == "GET" and each.status < 400
    )

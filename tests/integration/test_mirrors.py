"""A pull-through cache in front of a registry, both Debian's docker-registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_sound, assert_tree, bytes_kept, digest_of
from tests.e2e.models import MIB, model
from tests.integration.models import Pushed
from tests.servers.distribution import Distribution, Htpasswd, Options, Upstream
from tests.servers.process import HOST
from tests.servers.push import push, reference
from tests.servers.wan import Wan
from tests.servers.wan_line import Conditions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.command import Command

_LARGE = 24 * MIB
#: Half a minute of it: nobody comes too late to see it under way.
_LINE = Conditions(link=800_000)


@pytest.fixture
def mirror(registry: Distribution, tmp_path: Path) -> Iterator[Distribution]:
    """A cache of the registry that has nothing yet."""
    with Distribution(tmp_path / "mirror", Options(upstream=Upstream(registry.url))) as found:
        yield found


@pytest.fixture
def large(registry: Distribution) -> Pushed:
    """A model that takes a while over the line."""
    files = model(_LARGE)
    artifact = builders.docker_v02(files)
    push(registry.url, "mirrored/large", "v1", artifact)
    return Pushed(reference(registry.url, "mirrored/large", "v1"), artifact, files)


def _asked_for(registry: Distribution, name: str) -> int:
    """How often the command asked, and not the cache in front."""
    return sum(
        name in request.path and request.agent.startswith("oci-pull")
        for request in registry.access_log()
    )


def test_a_pull_through_cache_has_the_model_the_first_time_and_the_second(
    oci_pull: Command,
    registry: Distribution,
    mirror: Distribution,
    tiny: Callable[[str, int], Pushed],
) -> None:
    pushed = tiny("mirrored/tiny", 5)
    words = ("--mirror", mirror.url, pushed.reference)
    assert_tree(oci_pull(*words).path, pushed.files)
    assert_sound(oci_pull.cache)
    other = oci_pull.with_env(OCI_PULL_CACHE_DIR=str(oci_pull.home / "other"))
    assert_tree(other(*words).path, pushed.files)
    assert _asked_for(registry, "mirrored/tiny") == 0
    assert _asked_for(mirror, "mirrored/tiny") > 0


def test_tags_come_from_the_registry_behind_a_cache_that_is_not_believed(
    oci_pull: Command,
    registry: Distribution,
    mirror: Distribution,
    tiny: Callable[[str, int], Pushed],
) -> None:
    old = tiny("mirrored/moving", 1)
    oci_pull("--mirror", mirror.url, old.reference).must_succeed()
    new = tiny("mirrored/moving", 2)
    config = oci_pull.home / "config.toml"
    config.write_text(
        f'[registry."{registry.host}"]\nmirrors = [{{url = "{mirror.url}", tags = false}}]\n'
    )
    assert_tree(oci_pull("--config", config, new.reference).path, new.files)
    blobs = [
        request
        for request in registry.access_log()
        if "mirrored/moving/blobs" in request.path and request.agent.startswith("oci-pull")
    ]
    assert blobs == []


def test_a_cache_that_is_stopped_is_passed_over(
    oci_pull: Command, mirror: Distribution, tiny: Callable[[str, int], Pushed]
) -> None:
    pushed = tiny("mirrored/stopped", 6)
    mirror.stop()
    run = oci_pull("--progress", "plain", "--mirror", mirror.url, pushed.reference)
    assert_tree(run.path, pushed.files)
    assert run.stderr.count("asking the next") == 1


def test_a_cache_that_is_stopped_in_the_middle_is_carried_on_by_the_registry(
    oci_pull: Command, registry: Distribution, mirror: Distribution, large: Pushed
) -> None:
    # Once before, so that the cache has all of it and serves ranges.
    oci_pull("--mirror", mirror.url, large.reference).must_succeed()
    cache = oci_pull.home / "other"
    weights = digest_of(large.files["model.safetensors"])
    port = int(mirror.host.rpartition(":")[2])
    with Wan((HOST, port), _LINE) as wan:
        words = ("--progress", "plain", "--mirror", f"http://{wan.host}", "--cache-dir", cache)
        with oci_pull.start(*words, large.reference) as running:
            running.until(lambda: bytes_kept(cache, weights), "some of it was recorded")
            wan.stop()
            run = running.wait()
    assert_tree(run.path, large.files)
    assert _asked_for(registry, "mirrored/large/blobs") > 0
    assert "asking the next" in run.stderr


def test_a_cache_that_wants_to_know_who_asks_is_passed_over(
    oci_pull: Command, registry: Distribution, tmp_path: Path, tiny: Callable[[str, int], Pushed]
) -> None:
    pushed = tiny("mirrored/guarded", 7)
    auth = Htpasswd({"ada": "secret"})
    options = Options(upstream=Upstream(registry.url), auth=auth)
    with Distribution(tmp_path / "guarded", options) as guarded:
        run = oci_pull("--progress", "plain", "--mirror", guarded.url, pushed.reference)
    assert_tree(run.path, pushed.files)
    assert run.stderr.count("asking the next") == 1

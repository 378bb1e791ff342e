"""From a machine with a network to one without, as docs/air-gapped.md has it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.e2e.disk import assert_tree
from tests.e2e.models import MIB, archive_layer, model, pack_around, weights
from tests.servers.distribution import Distribution
from tests.servers.push import push, reference

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.command import Command
    from tests.servers.debian import Tool


def test_a_model_goes_over_in_one_file(
    registry: Distribution, skopeo: Tool, oci_pull: Command, tmp_path: Path
) -> None:
    # Of a size that is dropped once it is unpacked, unless it is to be kept.
    packed = {"draft/model.safetensors": weights(65 * MIB), "tokenizer.json": b"{}" * 1000}
    push(registry.url, "gap/model", "v1", pack_around(archive_layer(packed, form="tar")))
    name = reference(registry.url, "gap/model", "v1")
    file = tmp_path / "model.tar"
    oci_pull(name).must_succeed()
    copy = ("copy", f"oci:{oci_pull.cache}:{name}", f"oci-archive:{file}")
    assert skopeo.run(*copy, check=False).returncode != 0
    oci_pull(name, "--keep-archives").must_succeed()
    skopeo.run(*copy)

    there = tmp_path / "there"
    there.mkdir()
    alone = replace(oci_pull, home=there)
    path = alone(f"oci-archive:{file}", "-o", there / "model").path
    assert_tree(path, {**model(), **packed})
    assert_tree(alone(f"oci-archive:{file}", "--offline").path, {**model(), **packed})


def test_a_whole_cache_can_be_carried_over(
    registry: Distribution, oci_pull: Command, tmp_path: Path
) -> None:
    push(registry.url, "gap/other", "v1", pack_around())
    name = reference(registry.url, "gap/other", "v1")
    oci_pull(name).must_succeed()
    oci_pull.cache.rename(tmp_path / "usb")
    moved = oci_pull.with_env(OCI_PULL_CACHE_DIR=str(tmp_path / "usb"))
    assert_tree(moved(name, "--offline").path, model())
    moved("cache", "verify", name, "--offline").must_succeed()
    assert_tree(moved("cache", "path", name).path, model())


def test_a_registry_on_the_other_side_keeps_the_name(
    registry: Distribution, skopeo: Tool, oci_pull: Command, tmp_path: Path
) -> None:
    push(registry.url, "gap/third", "v3", pack_around())
    name = reference(registry.url, "gap/third", "v3")
    oci_pull(name).must_succeed()
    file = tmp_path / "llama.tar"
    skopeo.run("copy", f"oci:{oci_pull.cache}:{name}", f"oci-archive:{file}")
    with Distribution(tmp_path / "inside") as inside:
        to = f"docker://{inside.host}/acme/llama:v3"
        skopeo.run("copy", "--dest-tls-verify=false", f"oci-archive:{file}", to)
        there = tmp_path / "there"
        there.mkdir()
        words = ("--mirror", f"ghcr.io={inside.url}", "ghcr.io/acme/llama:v3")
        assert_tree(replace(oci_pull, home=there)(*words).path, model())

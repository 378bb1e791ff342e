"""From a machine with a network to one without, as docs/air-gapped.md has it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.e2e.disk import assert_tree
from tests.e2e.models import archive_layer, model, pack_around
from tests.servers.push import push, reference

if TYPE_CHECKING:
    from pathlib import Path

    from tests.content import Content
    from tests.e2e.command import Command
    from tests.servers.debian import Tool
    from tests.servers.distribution import Distribution


def test_a_model_goes_over_in_one_file(
    registry: Distribution, skopeo: Tool, oci_pull: Command, tmp_path: Path
) -> None:
    packed: dict[str, Content] = {"tokenizer.json": b"{}" * 1000}
    push(registry.url, "gap/model", "v1", pack_around(archive_layer(packed, form="tar+gzip")))
    name = reference(registry.url, "gap/model", "v1")
    oci_pull(name, "--keep-archives").must_succeed()
    file = tmp_path / "model.tar"
    skopeo.run("copy", f"oci:{oci_pull.cache}:{name}", f"oci-archive:{file}")

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

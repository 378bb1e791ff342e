"""Image layouts as skopeo writes them, and as people compress them afterwards."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import shutil
import signal
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_tree
from tests.servers.push import write_layout

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.command import Command
    from tests.servers.debian import Tool

FILES = builders.tiny_model()
MODEL = builders.docker_v01(FILES, annotated=True)
OTHER = builders.docker_v01(builders.tiny_model(seed=1), annotated=True)

OPEN: dict[str, Callable[..., object]] = {
    "gz": gzip.open,
    "zst": zstd.open,
    "xz": lzma.open,
    "bz2": bz2.open,
}


@pytest.fixture
def archive(skopeo: Tool, tmp_path: Path) -> Path:
    """An archive that skopeo made of the model."""
    layout, archive = write_layout(tmp_path / "layout", MODEL, "v1"), tmp_path / "model.tar"
    skopeo.run("copy", f"oci:{layout}:v1", f"oci-archive:{archive}:v1")
    return archive


def compressed(archive: Path, kind: str) -> Path:
    target = archive.with_suffix(f".tar.{kind}")
    with archive.open("rb") as reader, OPEN[kind](target, "wb") as writer:  # type: ignore[attr-defined]
        shutil.copyfileobj(reader, writer)
    return target


@pytest.mark.parametrize("kind", OPEN)
def test_an_archive_of_skopeo_is_pulled_when_it_is_compressed(
    kind: str, archive: Path, oci_pull: Command
) -> None:
    reference = f"oci-archive:{compressed(archive, kind)}:v1"
    run = oci_pull(reference, "--progress", "json")
    assert_tree(run.path, FILES)
    assert '"event": "unpacking"' in run.stderr
    assert "Up to date" in oci_pull(reference).stderr
    left = {path.name for path in oci_pull.cache.parent.iterdir()}
    assert left == {"oci-pull"}
    assert not list(oci_pull.temporary.iterdir())


@pytest.mark.parametrize("kind", ["", *OPEN])
def test_a_dry_run_of_an_archive_leaves_nothing(
    kind: str, archive: Path, oci_pull: Command
) -> None:
    path = compressed(archive, kind) if kind else archive
    plan = oci_pull("plan", "--format", "json", f"oci-archive:{path}:v1").must_succeed().json
    assert plan["bytes"] > 0
    assert not oci_pull.cache.exists()


def test_a_damaged_archive_ends_with_its_exit_code(archive: Path, oci_pull: Command) -> None:
    path = compressed(archive, "zst")
    path.write_bytes(path.read_bytes()[:-100])
    oci_pull(f"oci-archive:{path}:v1").must_fail(8)


def test_a_layout_of_several_models_lists_them(tmp_path: Path, oci_pull: Command) -> None:
    layout = write_layout(tmp_path / "layout", MODEL, "v1")
    write_layout(layout, OTHER, "v2")
    failed = oci_pull(f"oci:{layout}").must_fail(9)
    for said in ("=v1", "=v2", MODEL.digest, OTHER.digest):
        assert said in failed.stderr
    assert "it has: v1, v2" in oci_pull(f"oci:{layout}:v3").must_fail(3).stderr
    assert_tree(oci_pull(f"oci:{layout}@{MODEL.digest}").path, FILES)


def test_a_layout_with_an_index_in_its_index_is_pulled(tmp_path: Path, oci_pull: Command) -> None:
    inner = builders.index([builders.IndexEntry(MODEL)])
    layout = write_layout(tmp_path / "layout", builders.index([builders.IndexEntry(inner)]), "v1")
    assert_tree(oci_pull(f"oci:{layout}:v1").path, FILES)


def test_a_layout_without_one_of_its_blobs_is_told(tmp_path: Path, oci_pull: Command) -> None:
    layout = write_layout(tmp_path / "layout", MODEL, "v1")
    lost = next(iter(MODEL.blobs))
    (layout / "blobs" / lost.replace(":", "/")).unlink()
    assert lost in oci_pull(f"oci:{layout}:v1").must_fail(3).stderr


_TO_BITS = bytes(each & 1 for each in range(256))


def _layer_alone(directory: Path, count: int) -> Path:
    """An archive with the same frame so many times, of which each takes a tenth of a second."""
    # Bits, so that it is small where it takes long.
    block = random.Random(0).randbytes(2_000_000).translate(_TO_BITS)
    header = tarfile.TarInfo("blobs/sha256/large")
    header.size = len(block) * count
    archive = directory / "slow.tar.bz2"
    pieces = [
        bz2.compress(header.tobuf()),
        *[bz2.compress(block)] * count,
        bz2.compress(bytes(1024)),
    ]
    archive.write_bytes(b"".join(pieces))
    return archive


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_whatever_ends_it_nothing_of_a_large_archive_is_left(
    tmp_path: Path, oci_pull: Command, number: signal.Signals, code: int
) -> None:
    slow = _layer_alone(tmp_path, 250)
    with oci_pull.start(f"oci-archive:{slow}:v1", "--progress", "json") as running:
        running.until(lambda: '"event": "unpacking"' in running.stderr, "it is decompressed")
        running.send(number)
        assert running.wait().code == code
    files = [path for path in oci_pull.home.rglob("*") if path.is_file()]
    assert not [path for path in files if path.stat().st_size > 1000]


def test_it_is_told_that_an_archive_is_none(tmp_path: Path, oci_pull: Command) -> None:
    archive = _layer_alone(tmp_path, 10)
    assert "lacks index.json" in oci_pull(f"oci-archive:{archive}:v1").must_fail(3).stderr

"""Whatever the file system does not do: an error of ours or none, nothing held, and a next run."""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oci_pull.api import pull
from oci_pull.errors import OciPullError
from oci_pull.settings import Settings
from tests.builders import docker_v01, tiny_model
from tests.e2e.command import until
from tests.fakes.failing_disk import FailingDisk, Site
from tests.servers.push import write_layout

if TYPE_CHECKING:
    from collections.abc import Iterator


def _held(root: Path) -> Iterator[Path]:
    """The files below a directory that this process has open."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            if (named := descriptor.readlink()).is_relative_to(root):
                yield named


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("output", [None, "out"])
def test_an_input_output_error_anywhere_is_told_as_such_or_does_no_harm(
    output: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_layout(tmp_path / "layout", docker_v01(tiny_model(), annotated=False), "v1")
    reference, work = f"oci:{tmp_path / 'layout'}:v1", tmp_path / "work"
    place = work / output if output else None
    settings = Settings(cache_dir=work / "cache", output=place, lock_timeout=20)
    problems: list[tuple[Site, object]] = []
    with monkeypatch.context() as patch:
        disk = FailingDisk(patch, work)
        pull(reference, settings=settings)
        for site in sorted(disk.sites):
            shutil.rmtree(work, ignore_errors=True)
            with disk.failing(site):
                try:
                    pull(reference, settings=settings)
                except OciPullError:
                    pass
                except OSError as error:
                    problems.append((site, error))
            # Who was in a call when another one failed leaves after it, however slow the disk is.
            until(lambda: not list(_held(work)), f"{site}: nothing is open")
            # A claim that was not given up would let it wait for itself.
            pull(reference, settings=settings)
    assert problems == []

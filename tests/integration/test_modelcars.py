"""Images that buildah has put together in several steps: the tree is what it shows of them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_tidy, assert_tree
from tests.producers.bench import Bench
from tests.producers.programs import Buildah

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.content import Content
    from tests.e2e.command import Command
    from tests.servers.distribution import Distribution

FILES = builders.tiny_model(shards=2)


def _write(root: Path) -> None:
    for name, content in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert isinstance(content, bytes)
        path.write_bytes(content)


def _copied(root: Path) -> None:
    """`FROM base` and `COPY`, with what an operating system has beside it."""
    _write(root / "models")
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    (root / "usr/bin/X11").symlink_to(".")
    (root / "usr/bin/sh").write_bytes(b"\x7fELF")
    (root / "models/stale").mkdir()
    (root / "models/stale/old.json").write_bytes(b"{}")
    (root / "models/unused.txt").write_bytes(b"unused")


def _changed_modes(root: Path) -> None:
    """`RUN chmod -R`, which repeats every weight."""
    for path in (root / "models").rglob("*"):
        path.chmod(0o750 if path.is_dir() else 0o600)


def _cleaned(root: Path) -> None:
    """`RUN rm`: a whiteout, and a directory that is replaced by another one."""
    (root / "models/unused.txt").unlink()
    shutil.rmtree(root / "models/stale")
    (root / "models/stale").mkdir()
    (root / "models/stale/new.json").write_bytes(b"[]")


def _linked(root: Path) -> None:
    """Files that are elsewhere, hard links, and a directory that becomes a link."""
    models = root / "models"
    store = root / "var/store"
    store.mkdir(parents=True)
    (models / "config.json").rename(store / "config.json")
    (models / "config.json").symlink_to("/var/store/config.json")
    (models / "README.md").unlink(missing_ok=True)
    os.link(models / "tokenizer.json", models / "README.md")
    shutil.move(models / "stale", root / "var/moved")
    (models / "stale").symlink_to("../var/moved")
    (models / "gone").symlink_to("nowhere")


def _moved(root: Path) -> None:
    """`/models` itself becomes a link."""
    (root / "opt").mkdir()
    shutil.move(root / "models", root / "opt/models")
    (root / "models").symlink_to("opt/models")


def _shown(root: Path) -> dict[str, Content]:
    """The files below `/models`, links being what they lead to inside the image."""

    def real(path: Path) -> Path:
        """As in a root file system of its own."""
        done = root
        left = list(path.relative_to(root).parts)
        while left:
            part = left.pop(0)
            if part == "..":
                done = done.parent if done != root else root
                continue
            here = done / part
            if here.is_symlink():
                target = Path(os.readlink(here))  # noqa: PTH115 - what it says, not where it leads
                done = root if target.is_absolute() else done
                left = [each for each in target.parts if each != "/"] + left
            else:
                done = here
        return done

    found: dict[str, Content] = {}
    directories = [("", real(root / "models"))]
    while directories:
        name, directory = directories.pop()
        for entry in directory.iterdir():
            target = real(entry)
            path = f"{name}{entry.name}"
            if target.is_dir():
                directories.append((f"{path}/", target))
            elif target.exists():
                found[path] = target.read_bytes()
    return found


@pytest.mark.parametrize(
    "steps",
    [
        [_copied],
        [_copied, _changed_modes],
        [_copied, _changed_modes, _cleaned],
        [_copied, _cleaned, _linked],
        [_copied, _linked, _moved],
        [_copied, _changed_modes, _cleaned, _linked, _moved],
    ],
    ids=["copied", "chmod", "rm", "links", "moved", "everything"],
)
@pytest.mark.parametrize("form", ["gzip", "zstd"])
def test_the_tree_is_what_buildah_shows(
    form: str,
    steps: list[Callable[[Path], None]],
    registry: Distribution,
    oci_pull: Command,
    tmp_path: Path,
) -> None:
    name = f"modelcars/{form}-{'-'.join(step.__name__.strip('_') for step in steps)}"
    bench = Bench(registry, name.replace("_", "-"), tmp_path / "bench")
    bench.directory.mkdir()
    program = Buildah(bench)
    image = "scratch"
    for step in steps:
        container = program("from", image)
        step(Path(program("mount", container)))
        image = program.commit(container)
    shown = _shown(Path(program("mount", program("from", image))))
    assert "config.json" in shown
    program.push(image, f"--compression-format={form}")
    run = oci_pull(bench.reference)
    assert_tree(run.path, shown)
    assert_tidy(oci_pull.cache)

"""A container without a container engine: a root, mounts, a user and processes of its own.

What an engine adds (cgroups, seccomp, a network of its own) is not here.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.e2e.command import PATH, Command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.e2e.command import Run, Running
    from tests.producers.programs import Buildah

#: Root directory and its mode, then what is mounted there: source, target, mode.
_SCRIPT = """
set -e
root=$1 mode=$2
shift 2
mount --bind "$root" "$root"
while [ "$1" != -- ]; do
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  mount -o "remount,bind,$3" "$root$2"
  shift 3
done
shift
mkdir -p "$root/proc" "$root/dev"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -o "remount,bind,$mode" "$root"
exec "$@"
"""
_CHROOT = shutil.which("chroot", path=PATH) or "chroot"
_SPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _SCRIPT, "sh")


@dataclass(frozen=True)
class Mount:
    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Image:
    """The root file system of an image, and what its configuration says."""

    root: Path
    env: Mapping[str, str]
    entry_point: Sequence[str]
    user: str


@dataclass(frozen=True)
class Security:
    """A `securityContext`; without capabilities in any case."""

    user: int
    groups: Sequence[int] = ()
    read_only_root: bool = False


@dataclass(frozen=True)
class Container:
    image: Image
    security: Security
    mounts: Sequence[Mount] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    #: Instead of the entry point.
    command: Sequence[str] = ()

    def at(self, home: Path) -> Command:
        """What runs it with arguments; its process is the first of its container.

        `home` is a directory of the test's, which it does not see.
        """
        image, security = self.image, self.security
        mounts: list[str | Path] = []
        for each in self.mounts:
            mounts += [each.source, each.target, "ro" if each.read_only else "rw"]
        groups = ",".join(map(str, security.groups))
        become = (
            "/bin/setpriv",
            f"--reuid={security.user}",
            f"--regid={security.user}",
            f"--groups={groups}" if groups else "--clear-groups",
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--no-new-privs",
            "--",
        )
        mode = "ro" if security.read_only_root else "rw"
        return Command(
            home,
            env={"HOME": "", "TMPDIR": "", "LC_ALL": "", **image.env, **self.env},
            prefix=(*_SPACES, image.root, mode, *mounts, "--", _CHROOT, image.root, *become),
            program=tuple(self.command or image.entry_point),
        )


def image(builder: Buildah, name: str) -> Image:
    """A container's own copy of the image."""
    container = builder("from", name)
    said: dict[str, Any] = json.loads(builder("inspect", "--type=image", name))
    configuration = said["OCIv1"]["config"]
    variables = (each.partition("=") for each in configuration.get("Env", ()))
    return Image(
        Path(builder("mount", container)),
        {variable: text for variable, _, text in variables},
        configuration.get("Entrypoint", ()),
        configuration.get("User", ""),
    )


def terminate(running: Running) -> Run:
    """End a container as whoever runs it does: SIGTERM to its first process, which has half a
    minute."""
    parent = running.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children")
    running.until(children.read_text, "the container starts")
    os.kill(int(children.read_text()), signal.SIGTERM)
    return running.wait(limit=25.0)

"""Other file systems and other users for one command, without touching the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import oci_pull
from tests.e2e.command import PATH
from tests.servers import debian

if TYPE_CHECKING:
    from collections.abc import Iterator

IS_ROOT = os.geteuid() == 0

STRANGER = 54321
"""A user and group that no machine knows."""

_MOUNT_PROBE = 'mount -t tmpfs tmpfs "$1"'
_READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" "$1" && shift && exec "$@"'
_READ_ONLY_ROOT = 'mount --bind "$1" "$1" && mount -o remount,ro,bind / && shift && exec "$@"'
_IMAGE = 256 * 1024 * 1024
"""The size of a disk in a file, in bytes: btrfs wants more than 100 MiB."""


@cache
def private_mounts() -> tuple[str, ...]:
    """What runs a program where it can mount and nobody else sees it; empty where it cannot be."""
    # Not root: a name space in which one is.
    options = ("-m",) if IS_ROOT else ("-r", "-m")
    prefix = ("unshare", *options, "--")
    if shutil.which("unshare", path=PATH) is None:
        return ()
    with tempfile.TemporaryDirectory() as folder:
        command = [*prefix, "sh", "-c", _MOUNT_PROBE, "sh", folder]
        probe = subprocess.run(command, check=False, capture_output=True)
    return prefix if probe.returncode == 0 else ()


class Unmountable(Exception):
    """This machine does not mount that."""


@dataclass(frozen=True)
class Disk:
    """A small file system that only programs behind `prefix` see under its path."""

    prefix: tuple[str, ...]
    #: The same directory as it is reached from here.
    seen: Path
    #: Where those programs have it.
    directory: Path

    def fill(self, leave: int) -> None:
        """Let somebody else's file take the space but for `leave` bytes."""
        status = os.statvfs(self.seen)
        filler = os.open(self.seen / "filler", os.O_WRONLY | os.O_CREAT)
        try:
            os.posix_fallocate(filler, 0, status.f_bavail * status.f_frsize - leave)
        finally:
            os.close(filler)

    def make_room(self) -> None:
        (self.seen / "filler").unlink()

    def used(self) -> tuple[int, int]:
        """Bytes and files."""
        found = os.statvfs(self.seen)
        return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree

    def resize(self, size: int, files: int) -> None:
        """From now on it has room for so many bytes, and so many files and directories."""
        options = f"remount,size={size},nr_inodes={files}"
        command = [*self.prefix, "mount", "-o", options, str(self.directory)]
        subprocess.run(command, check=True, capture_output=True)


@contextmanager
def small_disk(directory: Path, size: int) -> Iterator[Disk]:
    """A disk of `size` bytes, mounted at the directory in a name space of its own."""
    with _mounted(directory, "-t", "tmpfs", "-o", f"size={size}", "tmpfs") as disk:
        yield disk


@contextmanager
def sharing_disk(directory: Path) -> Iterator[Disk]:
    """A disk whose files can share blocks (btrfs); raises `ToolUnavailable`, `Unmountable`."""
    image = directory.with_suffix(".btrfs")
    with image.open("wb") as file:
        file.truncate(_IMAGE)
    debian.tool("mkfs.btrfs").run("-q", image)
    with _mounted(directory, "-o", "loop", image) as disk:
        yield disk


@contextmanager
def _mounted(directory: Path, *what: str | Path) -> Iterator[Disk]:
    directory.mkdir()
    script = 'mount "$@" && echo mounted && exec cat'
    with subprocess.Popen(
        [*private_mounts(), "sh", "-c", script, "sh", *what, directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        if holder.stdout.readline() != b"mounted\n":
            raise Unmountable
        spaces = ("-m",) if IS_ROOT else ("-U", "-m", "--preserve-credentials")
        prefix = ("nsenter", "-t", str(holder.pid), *spaces, "--")
        seen = Path(f"/proc/{holder.pid}/root") / directory.relative_to("/")
        yield Disk(prefix, seen, directory)
        holder.stdin.close()


def read_only(directory: Path) -> tuple[str | Path, ...]:
    """What runs a program that sees the directory on a read-only file system."""
    return (*private_mounts(), "sh", "-c", _READ_ONLY, "sh", directory)


def read_only_but_for(directory: Path) -> tuple[str | Path, ...]:
    """What runs a program that can write to the directory and to nothing else on the disk."""
    return (*private_mounts(), "sh", "-c", _READ_ONLY_ROOT, "sh", directory)


def on_host(name: str) -> tuple[str, ...]:
    """What runs a program on a machine that is called so; for root alone."""
    return ("unshare", "--uts", "--", "sh", "-c", 'hostname "$1" && shift && exec "$@"', "sh", name)


def without_privileges() -> tuple[str, ...]:
    """What runs a program that is stopped by the modes of files, even if root runs the tests.

    Without capabilities root is a user like every other, and all that is here is its own.
    """
    if not IS_ROOT:
        return ()
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--")


def obeys_modes() -> bool:
    """Whether that works here."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        test = [*without_privileges(), "sh", "-c", ': > "$1/file"', "sh", folder]
        try:
            return subprocess.run(test, check=False, capture_output=True).returncode != 0
        except OSError:
            return False


def as_stranger() -> tuple[str, ...]:
    """What runs a program as a user that has no account."""
    ids = (f"--reuid={STRANGER}", f"--regid={STRANGER}")
    return ("setpriv", *ids, "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--")


def as_member(user: int, group: int) -> tuple[str, ...]:
    """What runs a program as a user that has no account and is of a group."""
    ids = (f"--reuid={user}", f"--regid={user}", f"--groups={group}")
    return ("setpriv", *ids, "--bounding-set=-all", "--inh-caps=-all", "--")


@contextmanager
def public_directory() -> Iterator[Path]:
    """A directory that every user can enter and write to, as no directory of pytest is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o777)
        yield path


def python_for_everybody() -> tuple[tuple[str, ...], str] | None:
    """A Python that a stranger can run, with the PYTHONPATH on which it finds the product.

    The environment's own may be in somebody's home; the system's of the same version does as well.
    None where there is neither.
    """
    if not IS_ROOT:
        return None
    packages = Path(oci_pull.__file__).parents[1]
    site = next(Path(entry) for entry in sys.path if entry.endswith("site-packages"))
    search = f"{packages}:{site}"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, shutil.which(version, path=PATH)):
        if candidate is None:
            continue
        command = [*as_stranger(), candidate, "-c", "import httpx, typer, oci_pull"]
        try:
            env = {"PATH": PATH, "PYTHONPATH": search}
            probe = subprocess.run(command, env=env, check=False, capture_output=True, cwd="/")
        except OSError:
            return None
        if probe.returncode == 0:
            return (candidate, "-m", "oci_pull"), search
    return None

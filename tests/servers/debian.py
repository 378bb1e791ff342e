"""The programs that the tests run beside the product: installed ones, else Debian's packages.

Where a program is not installed, its package and the libraries it misses are downloaded with
`apt-get download` and unpacked below `.tools/` of the checkout. That needs no root, changes
nothing outside of the checkout and works on Debian and Ubuntu.

    python -m tests.servers.debian docker-registry nginx skopeo
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

TOOLS = Path(__file__).parents[2] / ".tools"
_SEARCH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'


class ToolUnavailable(Exception):
    """The message is one line that says what to do."""


@dataclass(frozen=True)
class Tool:
    path: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The caller's environment, what the tool needs, and `more`, the later ones winning."""
        return {**os.environ, **self.env, **(more or {})}  # of a foreign program

    def run(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Runs to the end with its output captured as text; raises where it failed."""
        given: dict[str, Any] = {"check": True, "capture_output": True, "text": True} | options
        found: subprocess.CompletedProcess[str] = subprocess.run(  # noqa: PLW1510
            [self.path, *arguments], env=self.environment(env), **given
        )
        return found


@dataclass(frozen=True)
class _Recipe:
    packages: tuple[str, ...]
    # Beside shared libraries: packages whose files the program needs as well.
    follow: tuple[str, ...] = ()
    # containers/image refuses to do anything without a policy, which it also seeks in HOME.
    policy: bool = False
    # Empty ones that the program wants to see.
    folders: tuple[str, ...] = ()
    # systemd builds on units that are in its package.
    units: bool = False


_RECIPES = {
    "docker-registry": _Recipe(("docker-registry",)),
    # In older releases `nginx` is an empty package that depends on one of its flavours.
    "nginx": _Recipe(("nginx",), follow=("nginx-core", "nginx-light")),
    "skopeo": _Recipe(("skopeo",), policy=True),
    "buildah": _Recipe(("buildah",), policy=True),
    "aria2c": _Recipe(("aria2",)),
    "zsh": _Recipe(("zsh", "zsh-common")),
    # It takes its data from beside itself where it finds both of its directories there.
    "fish": _Recipe(("fish", "fish-common"), folders=("usr/etc/fish",)),
    "tinyproxy": _Recipe(("tinyproxy-bin",)),
    "systemd-analyze": _Recipe(("systemd",), units=True),
    "mkfs.btrfs": _Recipe(("btrfs-progs",)),
}


@cache
def tool(name: str) -> Tool:
    """The program, ready to run; raises ToolUnavailable."""
    recipe = _RECIPES[name]
    installed = shutil.which(name) or shutil.which(name, path=_SEARCH)
    if installed:
        return Tool(Path(installed))
    root = TOOLS / "root" / name
    if not root.exists():
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise ToolUnavailable(f"{name}: not installed, and there is no apt-get; install it")
        _unpack(name, recipe, root)
    found = next((root / folder / name for folder in _BIN if (root / folder / name).exists()), None)
    if found is None:
        raise ToolUnavailable(f"{name}: not in its package; remove {root} and install {name}")
    env = {}
    if libraries := ":".join(map(str, _library_folders(root))):
        env["LD_LIBRARY_PATH"] = libraries
    if recipe.policy:
        env["HOME"] = str(root / "home")
    if recipe.units:
        folders = (root / folder / "systemd/system" for folder in ("usr/lib", "lib"))
        env["SYSTEMD_UNIT_PATH"] = ":".join(map(str, folders))
    return Tool(found, env)


_BIN = ("usr/bin", "usr/sbin", "bin", "sbin")


def _library_folders(root: Path) -> Iterator[Path]:
    for folder in ("usr/lib", "lib"):
        yield from sorted(root.glob(f"{folder}/*-linux-*"))
        yield from sorted(root.glob(f"{folder}/*-linux-*/systemd"))


def _unpack(name: str, recipe: _Recipe, root: Path) -> None:
    """`root` holds the packages' files; it appears whole, by a rename of which one wins."""
    root.parent.mkdir(parents=True, exist_ok=True)
    (TOOLS / "deb").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TOOLS / "deb", prefix=f"{name}-") as folder:
        download, stage = Path(folder, "deb"), Path(folder, "root")
        download.mkdir()
        stage.mkdir()
        _download(name, recipe, download)
        for package in sorted(download.glob("*.deb")):
            _run(["dpkg-deb", "-x", package, stage], name)
        if recipe.policy:
            policy = stage / "home/.config/containers/policy.json"
            policy.parent.mkdir(parents=True)
            policy.write_text(_POLICY)
        for directory in recipe.folders:
            (stage / directory).mkdir(parents=True)
        try:
            stage.rename(root)
        except OSError:
            if not root.exists():
                raise
            # Another process was faster, with the same files.


def _download(name: str, recipe: _Recipe, folder: Path) -> None:
    """With the machine's package lists; where they are empty or old, with fresh ones of ours."""
    try:
        _fetch(name, recipe, folder, ())
    except ToolUnavailable:
        options = _own_lists()
        # A source that cannot be reached is no reason to give up: the download decides.
        subprocess.run(
            ["apt-get", *options, "-q", "update"],
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )
        _fetch(name, recipe, folder, options)


def _fetch(name: str, recipe: _Recipe, folder: Path, options: Sequence[str]) -> None:
    packages = _closure(name, recipe, options)
    _run(["apt-get", *options, "-q", "download", *packages], name, cwd=folder)


def _own_lists() -> tuple[str, ...]:
    """Options that keep apt's state in the checkout, so that no root is needed to update it."""
    state = TOOLS / "apt"
    (state / "lists/partial").mkdir(parents=True, exist_ok=True)
    (state / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
    return (
        f"-oDir::State={state}",
        f"-oDir::State::Lists={state / 'lists'}",
        f"-oDir::Cache={state / 'cache'}",
        "-oDir::State::status=/var/lib/dpkg/status",
        # As root apt would download as user _apt, who need not be able to enter the checkout.
        "-oAPT::Sandbox::User=root",
        "-oDebug::NoLocking=1",
    )


def _closure(name: str, recipe: _Recipe, options: Sequence[str]) -> list[str]:
    """The packages to unpack: the named ones, and what libraries they need and miss."""
    found = dict.fromkeys(recipe.packages)
    queue = list(found)
    while queue:
        wanted = _dependencies(queue, name, options)
        queue = [
            package
            for package in wanted
            if package not in found
            and (package.startswith("lib") or package in recipe.follow)
            and not _is_installed(package)
        ]
        found |= dict.fromkeys(queue)
    return list(found)


def _dependencies(packages: Sequence[str], name: str, options: Sequence[str]) -> list[str]:
    """Names that the packages depend on; of alternatives the first."""
    command = ["apt-cache", *options, "depends", "--important", "--no-recommends", *packages]
    found = []
    alternative = False
    for line in _run(command, name).splitlines():
        kind, _, package = line.strip().partition(": ")
        if kind.lstrip("|") in {"Depends", "PreDepends"} and not alternative:
            found.append(package)
        alternative = kind.startswith("|")
    return [package for package in found if not package.startswith("<")]


def _is_installed(package: str) -> bool:
    query = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status}", package],
        check=False,
        capture_output=True,
        text=True,
    )
    return query.returncode == 0 and "installed" in query.stdout.split()


def _run(command: Sequence[str | Path], name: str, cwd: Path | None = None) -> str:
    result = subprocess.run(
        command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=cwd
    )
    if result.returncode != 0:
        reason = next(iter(result.stderr.strip().splitlines()[-1:]), "no message")
        raise ToolUnavailable(f"{name}: {command[0]} failed ({reason}); install {name} yourself")
    return result.stdout


def main(names: Iterable[str]) -> int:
    """Prints a path a line; the exit status is 1 where one cannot be had."""
    status = 0
    for name in names:
        if name not in _RECIPES:
            print(f"{name}: unknown; known are {', '.join(_RECIPES)}", file=sys.stderr)
            status = 1
            continue
        try:
            print(tool(name).path)
        except ToolUnavailable as error:
            print(error, file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

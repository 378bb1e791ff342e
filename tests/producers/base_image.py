"""The root of an image that stands in for `python:3.12-slim`, from what is on this machine.

A shell, a few programs, the Python that runs the tests with its pip, and the wheels that pip
installs from, because a build here has no index to ask.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pip

from tests.e2e.command import PATH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CHECKOUT = Path(__file__).parents[2]
_PROGRAMS = ("sh", "cat", "chmod", "env", "id", "ls", "setpriv", "sleep")
_LIBRARY = re.compile(r"(/\S+) \(0x")
#: Of the standard library, what is large and not used, and what keeps pip from installing.
_LEFT_OUT = shutil.ignore_patterns(
    "__pycache__",
    "config-*",
    "EXTERNALLY-MANAGED",
    "*-packages",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "test",
    "tkinter",
    "turtledemo",
    "unittest",
)
_PIP = '#!/bin/sh\nexec python3 -m pip "$@"\n'


def write_root(root: Path, wheels: Path) -> Mapping[str, str]:
    """Fill the directory; the variables that the image has. Raises where a program is missing."""
    python = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    programs = [_which(name) for name in _PROGRAMS]
    for program in programs:
        _copy(program.resolve(), root / "bin" / program.name)
    _copy(python, root / python.relative_to("/"))
    inside = root / library.relative_to("/")
    shutil.copytree(library, inside, ignore=_LEFT_OUT, symlinks=True)
    shutil.copytree(Path(pip.__file__).parent, inside / "pip", ignore=_LEFT_OUT)
    # Of what pip will install, this one wants a library that Python does not.
    compiled = Path(pip.__file__).parents[1].glob("pydantic_core/*.so")
    for needed in _libraries([python, *programs, *library.glob("lib-dynload/*.so"), *compiled]):
        _copy(needed.resolve(), root / needed.relative_to("/"))
    shutil.copytree(wheels, root / "wheels")
    scripts = root / "usr/local/bin"
    scripts.mkdir(parents=True)
    (scripts / "python3").symlink_to(python)
    (scripts / "pip").write_text(_PIP)
    (scripts / "pip").chmod(0o755)
    (root / "usr/bin").mkdir(exist_ok=True)
    (root / "usr/bin/env").symlink_to("/bin/env")
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    return {
        # Where pip puts scripts is beside Python, or in /usr/local where Python is Debian's.
        "PATH": f"/usr/local/bin:{python.parent}:/usr/bin:/bin",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "/wheels",
        "PIP_ROOT_USER_ACTION": "ignore",
    }


def write_wheels(directory: Path) -> None:
    """The product of this checkout and what it depends on; raises where they cannot be had."""
    command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", directory, _CHECKOUT)
    subprocess.run(command, check=True, capture_output=True)


def _which(name: str) -> Path:
    found = shutil.which(name, path=PATH)
    if found is None:
        raise FileNotFoundError(name)
    return Path(found)


def _libraries(programs: Iterable[Path]) -> set[Path]:
    """What the dynamic linker loads for them, by the names under which it looks."""
    said = subprocess.run(["ldd", *programs], check=False, capture_output=True, text=True).stdout
    return {Path(each) for each in _LIBRARY.findall(said)}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    os.chmod(target, 0o755)  # noqa: PTH101

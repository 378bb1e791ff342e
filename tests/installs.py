"""The wheel as a user has it: in an environment of its own, with each Python that is here.

Once more with the lowest version of every dependency that `pyproject.toml` says is enough, and then
the tests of the command line as well.

    python -m tests.installs dist/*.whl
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from tests.builders import docker_v01, tiny_model
from tests.e2e.command import Command
from tests.e2e.models import put
from tests.fakes.registry import FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CHECKOUT = Path(__file__).parent.parent
_VERSIONS = ("3.11", "3.12", "3.13", "3.14")
_SHARED = (
    "share/man/man1/oci-pull.1",
    "share/bash-completion/completions/oci-pull",
    "share/zsh/site-functions/_oci-pull",
    "share/fish/vendor_completions.d/oci-pull.fish",
)
#: What the tests of the command line import.
_FOR_TESTS = ("pytest", "pytest-cov", "hypothesis", "respx", "trustme", "pyyaml")
_LEAST = re.compile(r"([\w.-]+)(?:\[\w+\])?>=([\d.]+)")


def lowest() -> list[str]:
    """The dependencies, each at the lowest version that is said to be enough."""
    project = tomllib.loads((_CHECKOUT / "pyproject.toml").read_text())["project"]
    found = [_LEAST.match(each) for each in project["dependencies"]]
    assert all(found), "every dependency has a lowest version"
    return [f"{each[1]}=={each[2]}" for each in found if each]


def pythons() -> Iterator[tuple[str, Path | None]]:
    """Each version that is promised, and where it is."""
    for version in _VERSIONS:
        places = [shutil.which(f"python{version}")]
        if f"{sys.version_info[0]}.{sys.version_info[1]}" == version:
            places.insert(0, sys.executable)
        managed = Path.home() / ".pyenv/versions"
        places += [str(path) for path in sorted(managed.glob(f"{version}.*/bin/python"))]
        yield version, next((Path(each) for each in places if each and _is(each, version)), None)


def _is(python: str, version: str) -> bool:
    program = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False)
    return done.stdout.strip() == version


def install(python: Path, wheel: Path, home: Path, *more: str) -> Path:
    """The Python of a fresh environment with the wheel in it, and nothing that conflicts."""
    subprocess.run([python, "-m", "venv", home], check=True)
    inside = home / "bin/python"
    pip(inside, "install", wheel, *more)
    pip(inside, "check")
    missing = [path for path in _SHARED if not (home / path).is_file()]
    assert not missing, missing
    return inside


def pip(python: Path, *words: str | Path) -> None:
    subprocess.run([python, "-m", "pip", "-q", "--disable-pip-version-check", *words], check=True)


def pull(program: Sequence[str | Path], home: Path) -> None:
    """A model comes from a registry, twice, and what was pulled is offered at a Tab."""
    home.mkdir()
    command = Command(home, program=program)
    with FakeRegistry() as registry:
        reference = put(registry, docker_v01(tiny_model(), annotated=True))
        path = command(reference).path
        assert (path / "config.json").is_file()
        assert command(reference).path == path
        assert command("cache", "verify").must_succeed()
        assert reference in command("__complete", "references", "").stdout.split()
    assert command("-h").stdout.startswith("Usage: oci-pull")
    assert command("pull", "-h").must_succeed().stdout


def copied(python: Path, wheel: Path, home: Path) -> Sequence[str | Path]:
    """The command from a directory that is copied into an image, as `Dockerfile.tool` has it."""
    recipe = (_CHECKOUT / "docs/recipes/Dockerfile.tool").read_text()
    line = re.search(r"^ *'(exec python3 .*)' \\$", recipe, re.MULTILINE)
    assert line
    target = home / "opt/oci-pull"
    pip(python, "install", "--target", target, wheel)
    script = home / "oci-pull"
    inside = line[1].replace("/opt/oci-pull", str(target)).replace("python3", str(python), 1)
    script.write_text(f"#!/bin/sh\n{inside}\n")
    script.chmod(0o755)
    return (script,)


def main(wheel: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for version, python in pythons():
            if python is None:
                print(f"Python {version}: not here, not tried")
                continue
            inside = install(python, wheel, home / version)
            pull((inside.with_name("oci-pull"),), home / f"home-{version}")
            print(f"Python {version}: installed, pulled")
        here = Path(sys.executable)
        pull(copied(here, wheel, home / "image"), home / "home-image")
        print("copied into an image: pulled")
        inside = install(here, wheel, home / "lowest", *lowest())
        pull((inside.with_name("oci-pull"),), home / "home-lowest")
        pip(inside, "install", *lowest(), *_FOR_TESTS)
        environment = {**os.environ, "OCI_PULL_TEST_NO_SKIPS": ""}
        # What an old Typer is warned of by a new Click is theirs to mend.
        # The pages are made by what develops, and that is the newest.
        words = ["-m", "pytest", "-q", "-W", "default", "-p", "no:cacheprovider", "tests/unit/cli"]
        words += ["--ignore", "tests/unit/cli/manual"]
        subprocess.run([inside, *words], check=True, cwd=_CHECKOUT, env=environment)
        print(f"{', '.join(lowest())}: installed, pulled, tested")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())

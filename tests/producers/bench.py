"""Where a producer works: a directory of its own, and a repository that it fills."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.content import Artifact, chunks_of
from tests.servers.push import push, reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.content import Content
    from tests.servers.distribution import Distribution

TAG = "v1"

_STORE = "docker/registry/v2"


@dataclass(frozen=True)
class Bench:
    """One model that is made by one producer."""

    registry: Distribution
    repository: str
    #: For the producer alone; it is there.
    directory: Path

    @property
    def reference(self) -> str:
        """Under which the model is in the registry in the end."""
        return reference(self.registry.url, self.repository, TAG)

    def push(self, artifact: Artifact, tag: str = TAG) -> None:
        """For what a test has put together itself."""
        push(self.registry.url, self.repository, tag, artifact)

    def stored(self) -> Artifact:
        """What is at the reference now, whoever put it there."""
        tags = self.registry.storage / _STORE / "repositories" / self.repository / "_manifests/tags"
        return self._stored((tags / TAG / "current/link").read_text())

    def _stored(self, digest: str) -> Artifact:
        manifest = self.blob(digest).read_bytes()
        document = json.loads(manifest)
        children = [each["digest"] for each in document.get("manifests", ())]
        blobs = [each["digest"] for each in document.get("layers", ())]
        blobs += [document["config"]["digest"]] if "config" in document else []
        return Artifact(
            manifest,
            document["mediaType"],
            {each: self.blob(each) for each in blobs},
            tuple(self._stored(each) for each in children),
        )

    def blob(self, digest: str) -> Path:
        """The registry's own file."""
        name = digest.removeprefix("sha256:")
        return self.registry.storage / _STORE / "blobs/sha256" / name[:2] / name / "data"

    def write(self, files: Mapping[str, Content], below: str = "files") -> Path:
        """The files on disk, in a directory."""
        root = self.directory / below
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.writelines(chunks_of(content))
        return root

    def run(self, *words: str | Path, cwd: Path | None = None) -> str:
        """A program of this environment; what it printed. Raises where it failed."""
        done = subprocess.run(
            [str(word) for word in words],
            cwd=cwd or self.directory,
            env={"PATH": os.environ["PATH"], "HOME": str(self.directory), "LC_ALL": "C.UTF-8"},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{words[0]}: {done.stderr}"
        return done.stdout

"""A registry on this machine with a model of yours in it, packaged in two ways.

    python -m examples.local_registry DIR NAME

DIR is a Hugging Face directory. The references that can be pulled are printed, and the registry
runs until it is interrupted. From a checkout in which `make setup` was run.
"""

import signal
import sys
import tempfile
from pathlib import Path

from tests.builders import docker_v01, modelpack
from tests.servers.distribution import Distribution, Options
from tests.servers.push import push


def main(directory: Path, name: str) -> None:
    """Serve the directory as `NAME:docker` and `NAME:modelpack`."""
    files = {
        path.relative_to(directory).as_posix(): path
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    with (
        tempfile.TemporaryDirectory() as scratch,
        Distribution(Path(scratch), Options()) as registry,
    ):
        push(registry.url, name, "docker", docker_v01(files, annotated=False))
        push(registry.url, name, "modelpack", modelpack(files))
        for tag in ("docker", "modelpack"):
            print(f"{registry.host}/{name}:{tag}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main(Path(sys.argv[1]), sys.argv[2])

"""`make demo`: a registry on this machine that demands a token, a real model, and a pull."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.builders import Content, docker_v02, tiny_model
from tests.servers.distribution import Distribution, Options
from tests.servers.minilm import model_files
from tests.servers.nginx import Nginx
from tests.servers.nginx import Options as NginxOptions
from tests.servers.push import Credentials, push
from tests.servers.token_service import Policy, TokenService

_HOME = Path(__file__).parent.parent / "build" / "demo"
_USER, _PASSWORD = "ada", "correct horse"
_REPOSITORY = "sentence-transformers/all-minilm-l6-v2"
#: Of the storage, for each connection: slow enough for the bar to be seen.
_RATE = 30_000_000


def main() -> int:
    """Run it; the exit code is that of the pull."""
    shutil.rmtree(_HOME, ignore_errors=True)
    storage = _HOME / "registry" / "storage"
    storage.mkdir(parents=True)
    files, what = _model()
    with (
        TokenService(_HOME / "tokens", Policy({_USER: _PASSWORD}, anonymous_pull=False)) as tokens,
        Nginx(_HOME / "nginx", storage, NginxOptions(rate=_RATE)) as nginx,
        Distribution(_HOME / "registry", Options(auth=tokens, redirect_to=nginx.url)) as registry,
    ):
        push(
            registry.url,
            _REPOSITORY,
            "latest",
            docker_v02(files),
            credentials=Credentials(_USER, _PASSWORD),
        )
        print(f"# {registry.host} demands a token, and sends blobs by redirect to {nginx.host}.")
        print(f"# In it: {what}, packaged as Docker does it.\n")
        reference = f"{registry.host}/{_REPOSITORY}"
        code, path = _pull(reference)
        if code:
            return code
        print("\n# Once more, now that it is here:\n")
        _pull(reference)
    print(f"\n$ ls -lR {path}")
    sys.stdout.flush()
    subprocess.run(["ls", "-lR", path], check=False)
    print(f"\n# To serve it:\n\n  vllm serve {path}\n")
    return 0


def _model() -> tuple[dict[str, Content], str]:
    real = model_files()
    if real:
        return dict(real), "all-MiniLM-L6-v2 (91 MB)"
    print("# The real model could not be had from PyPI; this is a small generated one.")
    return dict(tiny_model(hidden=1024, layers=2)), "a generated model"


def _pull(reference: str) -> tuple[int, str]:
    """Pull as a user would who has logged in; progress goes where it goes for them."""
    docker = _HOME / "docker"
    docker.mkdir(exist_ok=True)
    pair = base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()
    host = reference.partition("/")[0]
    (docker / "config.json").write_text(json.dumps({"auths": {host: {"auth": pair}}}))
    cache = _HOME / "cache"
    environment = {
        **os.environ,
        "DOCKER_CONFIG": str(docker),
        "OCI_PULL_CACHE_DIR": str(cache),
    }
    print(f"$ oci-pull {reference}")
    sys.stdout.flush()
    command = [sys.executable, "-m", "oci_pull", reference]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    print(done.stdout, end="")
    return done.returncode, done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())

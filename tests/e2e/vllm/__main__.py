"""`make e2e-vllm`: a real registry, a real model in four packagings, and vLLM on the CPU.

Each packaging is served through the path that `oci-pull` prints and through the plugin, and is
asked a question. Then an embedding model, and what is said of models that vLLM cannot serve.
"""

from __future__ import annotations

import base64
import json
import math
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.vllm import configuration, models
from tests.e2e.vllm.installation import VENV, Installation, install_oci_pull, installed
from tests.e2e.vllm.serving import DidNotServe, Server, serving
from tests.servers.distribution import Distribution, Options
from tests.servers.push import Credentials, push
from tests.servers.token_service import Policy, TokenService

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_HOME = Path(__file__).parents[3] / "build" / "e2e-vllm"
_USER, _PASSWORD = "ada", "correct horse"
_CHAT = "aistaging/smollm2-vllm"
_EMBEDDING = "sentence-transformers/all-minilm-l6-v2"
_GGUF = "ai/smollm2-gguf"
#: In bfloat16 two first words are so near to each other that the kernels of a processor decide.
_SMALL = ("--max-num-batched-tokens", "8192", "--max-model-len", "2048", "--enforce-eager",
          "--dtype", "float32")  # fmt: skip
_QUESTION, _ANSWER = "What is the capital of France?", "Paris"
#: How each packaging is named to the plugin, and whether vLLM may ask the Hub.
_FORMS: Mapping[str, tuple[str, Sequence[str]]] = {
    "docker-model": ("0", ("oci://{name}:docker-model",)),
    "modelpack": ("1", ("{name}:modelpack", "--load-format", "oci")),
    "kitops": ("1", ("oci://{name}@{digest}", "--api-server-count", "2")),
    "modelcar": ("0", ("oci://{name}", "--revision", "modelcar")),
}
_POOLED = """
import sys
import torch
from transformers import AutoModel, AutoTokenizer

model, words = AutoModel.from_pretrained(sys.argv[1]), AutoTokenizer.from_pretrained(sys.argv[1])
with torch.no_grad():
    tokens = model(**words(sys.argv[2], return_tensors="pt")).last_hidden_state[0]
print(*torch.nn.functional.normalize(tokens.mean(0), dim=0).tolist())
"""


@dataclass
class Story:
    """What is done, with how long it took (seconds)."""

    vllm: Installation
    registry: str
    docker_config: Path
    times: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        print(f"# {name}", flush=True)
        begun = time.monotonic()
        yield
        self.times.append((name, time.monotonic() - begun))
        print(f"  {self.times[-1][1]:.0f} s", flush=True)

    def environ(self, cache: str, offline: str = "0") -> dict[str, str]:
        """What the processes have, and nothing of whoever runs this."""
        return {
            "PATH": f"{self.vllm.bin}:{os.environ['PATH']}",
            "HOME": str(_HOME),
            "DOCKER_CONFIG": str(self.docker_config),
            "OCI_PULL_CACHE_DIR": str(_HOME / "caches" / cache),
            "HF_HUB_OFFLINE": offline,
            "VLLM_CPU_KVCACHE_SPACE": "2",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "TQDM_DISABLE": "1",
        }

    def pull(self, reference: str, environ: Mapping[str, str]) -> str:
        """The path that the command prints."""
        return _output(environ, self.vllm.bin / "oci-pull", reference).strip()

    @contextmanager
    def serve(self, words: Sequence[str], environ: Mapping[str, str], log: str) -> Iterator[Server]:
        print(f"  $ vllm serve {' '.join(words)}", flush=True)
        command: list[str | Path] = [self.vllm.bin / "vllm", "serve", *words]
        with serving(command, environ, _HOME / f"{log}.log") as server:
            yield server


def main() -> int:
    """Run it; an assertion or the end of a log says what went wrong."""
    shutil.rmtree(_HOME, ignore_errors=True)
    for name in ("registry/storage", "scratch", "wheel"):
        (_HOME / name).mkdir(parents=True)
    begun = time.monotonic()
    vllm = installed()
    times = [(f"vLLM for the CPU ({VENV} or .tools)", time.monotonic() - begun)]
    with (
        TokenService(_HOME / "tokens", Policy({_USER: _PASSWORD}, anonymous_pull=False)) as tokens,
        Distribution(_HOME / "registry", Options(auth=tokens)) as registry,
    ):
        story = Story(vllm, registry.host, _logged_in(registry.host), times)
        with story.step("oci-pull into the environment of vLLM"):
            print(f"  added: {', '.join(sorted(install_oci_pull(vllm, _HOME / 'wheel'))) or '-'}")
        with story.step("models into the registry, which demands a token"):
            digests = _publish(vllm, registry.url)
        with story.step("configurations without an engine"):
            configuration.main(str(vllm.python))
        for packaging in _FORMS:
            _by_path(story, packaging)
            _by_plugin(story, packaging, digests[packaging])
        _embedding(story)
        _failures(story)
    for name in ("caches", "registry", "scratch"):
        shutil.rmtree(_HOME / name)
    print("\n# All of it works. Seconds:")
    for name, seconds in story.times:
        print(f"  {seconds:6.0f}  {name}")
    return 0


def _logged_in(host: str) -> Path:
    """What `oci-pull login` would have written."""
    docker = _HOME / "docker"
    docker.mkdir()
    pair = base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()
    (docker / "config.json").write_text(json.dumps({"auths": {host: {"auth": pair}}}))
    return docker


def _publish(vllm: Installation, url: str) -> Mapping[str, str]:
    """The digests of the packagings; everything is in the registry."""
    made = models.packagings(models.smollm2(vllm), _HOME / "scratch")
    who = Credentials(_USER, _PASSWORD)
    push(url, _EMBEDDING, "latest", models.minilm(), credentials=who)
    push(url, _GGUF, "latest", models.gguf(vllm), credentials=who)
    return {tag: push(url, _CHAT, tag, each, credentials=who) for tag, each in made.items()}


def _by_path(story: Story, packaging: str) -> None:
    with story.step(f"{packaging}, by path"):
        environ = story.environ("path", "1")
        path = story.pull(f"{story.registry}/{_CHAT}:{packaging}", environ)
        words = (path, "--served-model-name", packaging, *_SMALL)
        with story.serve(words, environ, f"{packaging}-path") as server:
            _ask(server, packaging)


def _by_plugin(story: Story, packaging: str, digest: str) -> None:
    offline, form = _FORMS[packaging]
    with story.step(f"{packaging}, by the plugin"):
        environ = story.environ(f"plugin-{packaging}", offline)
        name = f"{story.registry}/{_CHAT}"
        words = [word.format(name=name, digest=digest) for word in form]
        with story.serve([*words, *_SMALL], environ, f"{packaging}-plugin") as server:
            _ask(server, words[0])


def _ask(server: Server, name: str) -> None:
    assert server.models() == [name], server.models()
    answer = server.chat(_QUESTION)
    print(f"  {name}: {answer}", flush=True)
    assert _ANSWER in answer, answer


def _embedding(story: Story) -> None:
    """Of the mean of the tokens, as `1_Pooling` wants it: transformers says the same."""
    reference = f"{story.registry}/{_EMBEDDING}"
    with story.step("all-MiniLM-L6-v2 with 1_Pooling, by the plugin"):
        environ = story.environ("plugin-embedding")
        words = (f"oci://{reference}", "--runner", "pooling", "--dtype", "float32")
        text = "A registry keeps models."
        with story.serve(words, environ, "embedding") as server:
            (found,) = server.embed(text)
        path = story.pull(reference, environ)
        shown = _output(environ, story.vllm.python, "-c", _POOLED, path, text)
        expected = [float(word) for word in shown.split()]
        alike = sum(a * b for a, b in zip(found, expected, strict=True)) / math.hypot(*found)
        print(f"  {len(found)} numbers, cosine to those of transformers {alike:.4f}", flush=True)
        assert alike > 0.999


def _failures(story: Story) -> None:
    """What cannot be served is said in the last line, before any process of the engine."""
    gguf, chat = f"oci://{story.registry}/{_GGUF}", f"oci://{story.registry}/{_CHAT}"
    without = story.environ("failures") | {"VLLM_PLUGINS": ""}
    cases = [
        (gguf, story.environ("failures"), "Try: pip install vllm-gguf-plugin"),
        (f"{chat}:nope", story.environ("failures"), "tag 'nope' does not exist"),
        # This is vLLM, without us.
        (
            chat,
            without,
            "OSError: Repo id must be in the form 'repo_name' or 'namespace/repo_name'",
        ),
        (chat, without | {"HF_HUB_OFFLINE": "1"}, "HFValidationError: Repo id must be in the form"),
    ]
    for reference, environ, said in cases:
        with story.step(f"what is said: {said}"):
            try:
                with story.serve((reference,), environ, "failure"):
                    raise AssertionError(f"{reference} was served")
            except DidNotServe as error:
                log = str(error)
            line = log.splitlines()[-1]
            print(f"  {line}", flush=True)
            assert said in line, line
            assert "EngineCore" not in log


def _output(environ: Mapping[str, str], *command: str | Path) -> str:
    done = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())

"""The plugin in a stand-in of vLLM, against a registry on loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import oci_pull
from oci_pull.errors import (
    Cancelled,
    ConnectionFailed,
    DigestRequired,
    InvalidReference,
    InvalidSetting,
    ManifestUnknown,
    OciPullError,
    Unsupported,
)
from tests.builders import docker_v02, tiny_model
from tests.e2e.models import model, pack, put, raw_layer
from tests.fakes.registry import FakeRegistry
from tests.file_sets import ollama
from tests.servers.push import write_layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.content import Artifact

STAND_IN = Path(__file__).parent.parent / "fakes" / "vllm_stand_in"
PINS = "OCI_PULL_VLLM_PINS"
MODEL = docker_v02(tiny_model())
DRAFT = docker_v02(tiny_model(seed=1))
GGUF = ollama(("model", b"GGUF" + bytes(500)))
ADAPTER = pack([raw_layer("adapter_config.json", b"{}"), raw_layer("adapter.safetensors",
               model()["model.safetensors"], "weight")])  # fmt: skip


@dataclass
class Vllm:
    """One process of vLLM, and a registry that it can reach."""

    registry: FakeRegistry
    cache: Path
    log: list[str]

    def put(self, artifact: Artifact = MODEL, name: str = "team/model", tag: str = "v1") -> str:
        return put(self.registry, artifact, repository=name, tag=tag)

    def args(self, **given: Any) -> Any:
        return import_module("vllm.engine.arg_utils").EngineArgs(**given)

    def config(self, **given: Any) -> Any:
        """What all processes of the engine get."""
        return self.args(**given).create_engine_config()

    def load(self, config: Any) -> list[str]:
        """What a worker reads."""
        loaders = import_module("vllm.model_executor.model_loader")
        loader = loaders.get_model_loader(config.load_config)
        read: list[str] = loader.load_model(
            vllm_config=config, model_config=config.model_config, prefix=""
        )
        return read

    def tree(self, artifact: Artifact = MODEL, name: str = "team/model") -> str:
        """Where the model is in the cache."""
        host = self.registry.address.replace(":", "+")
        return f"{self.cache}/models/{host}/{name}@{artifact.digest.removeprefix('sha256:')[:12]}"

    def pinned(self, artifact: Artifact = MODEL, name: str = "team/model") -> str:
        return f"{self.registry.address}/{name}@{artifact.digest}"


class _Kept(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"{record.levelname} {record.getMessage()}")


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Vllm]:
    monkeypatch.syspath_prepend(str(STAND_IN))
    for name, value in {"HOME": tmp_path, "OCI_PULL_CACHE_DIR": tmp_path / "cache"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv(PINS, "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    logger, lines = logging.getLogger("vllm"), list[str]()
    kept = _Kept(lines)
    logger.addHandler(kept)
    logger.setLevel(logging.INFO)
    with FakeRegistry() as registry:
        yield Vllm(registry, tmp_path / "cache", lines)
    logger.removeHandler(kept)
    logger.setLevel(logging.NOTSET)
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm"]:
        del sys.modules[name]


# --- what it costs those who do not want it


def test_importing_the_plugin_loads_itself_and_nothing_that_takes_time() -> None:
    program = (
        "import sys; before = set(sys.modules); import oci_pull.vllm_plugin\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(shown.stdout.split())
    assert {name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names} == {
        "oci_pull",
        "oci_pull.vllm_plugin",
        "oci_pull.vllm_plugin.arguments",
        "oci_pull.vllm_plugin.loader",
    }
    assert not loaded & {"asyncio", "http", "socket", "ssl", "subprocess", "urllib.request"}


@pytest.mark.parametrize("offline", ["0", "1"])
@pytest.mark.parametrize(
    "given",
    [
        {"model": "s3://bucket/model"},
        {"model": "{here}"},
        {"model": "{here}", "load_format": "oci"},
        {"model": "{here}", "tokenizer": "{here}", "speculative_config": {"method": "ngram"}},
        {"model": "{here}", "speculative_config": '{"model": "org/draft"}'},
        {"model": "{here}", "speculative_config": "no JSON"},
        {"model": "{here}", "hf_config_path": "org/name", "spec_model": "org/draft"},
    ],
    ids=str,
)
def test_what_is_no_reference_stays_as_it_is(
    given: dict[str, Any], offline: str, vllm: Vllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    given = {
        name: value.replace("{here}", str(tmp_path)) if isinstance(value, str) else value
        for name, value in given.items()
    }
    args = vllm.args(**given)
    args.create_engine_config()
    assert {name: getattr(args, name) for name in given} == given
    assert args.served_model_name is None
    assert args.model_loader_extra_config == {}
    assert vllm.registry.requests == []


def test_a_bare_name_is_the_hubs(vllm: Vllm, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vllm.config(model="org/name").model_config.model == "org/name"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(LookupError, match="LocalEntryNotFoundError: org/name"):
        vllm.config(model="org/name")


def test_a_list_of_plugins_without_it_leaves_it_out(
    vllm: Vllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_PLUGINS", "")
    assert vllm.config(model="oci://team/model").model_config.model == "oci://team/model"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("vllm.engine.arg_utils", "EngineArgs"),
        ("vllm.model_executor.model_loader", "register_model_loader"),
        ("vllm.model_executor.model_loader", "DefaultModelLoader"),
    ],
)
def test_a_vllm_without_the_hooks_is_told_and_left_alone(
    module: str, name: str, vllm: Vllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oci_pull.vllm_plugin import register

    arguments = import_module("vllm.engine.arg_utils")
    before = arguments.EngineArgs.create_engine_config, arguments.get_model_path
    kind = arguments.EngineArgs
    monkeypatch.delattr(import_module(module), name)
    register()
    assert (kind.create_engine_config, arguments.get_model_path) == before
    (line,) = vllm.log
    assert line.startswith(f"WARNING oci-pull {oci_pull.__version__} does not fit vLLM 0.32.0 (")
    assert name in line


def test_a_vllm_that_is_not_there_is_told() -> None:
    program = (
        "import sys, logging; logging.basicConfig(stream=sys.stdout); sys.modules['vllm'] = None\n"
        "from oci_pull.vllm_plugin import register; register()"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "does not fit vLLM of an unknown version (ModuleNotFoundError" in shown.stdout


def test_registering_twice_changes_nothing_more(vllm: Vllm) -> None:
    from oci_pull.vllm_plugin import register

    vllm.args()
    kind = import_module("vllm.engine.arg_utils").EngineArgs
    before = kind.create_engine_config
    register()
    assert kind.create_engine_config is before


# --- references


@pytest.mark.parametrize("offline", ["0", "1"])
@pytest.mark.parametrize(
    ("typed", "load_format"),
    [
        ("oci://{ref}", "auto"),
        ("oci://{ref}", "oci"),
        ("{ref}", "oci"),
        ("{ref}", "OCI"),
        ("oci://{name}@{digest}", "auto"),
        ("{ref}@{digest}", "oci"),
    ],
)
def test_a_reference_becomes_its_directory_and_stays_the_name(
    typed: str, load_format: str, offline: str, vllm: Vllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    ref = vllm.put()
    named = typed.format(ref=ref, name=ref.removesuffix(":v1"), digest=MODEL.digest)
    config = vllm.config(model=named, tokenizer=named, load_format=load_format)
    assert config.model_config.model == vllm.tree()
    assert config.model_config.tokenizer == vllm.tree()
    assert config.model_config.served_model_name == [named]
    assert config.load_config.load_format == "oci"
    assert config.load_config.model_loader_extra_config == {"oci": {vllm.tree(): vllm.pinned()}}
    assert vllm.load(config) == [f"config of {vllm.tree()}", f"weights of {vllm.tree()}"]


def test_a_name_that_was_given_is_kept(vllm: Vllm) -> None:
    config = vllm.config(model=f"oci://{vllm.put()}", served_model_name="smollm")
    assert config.model_config.served_model_name == "smollm"


def test_another_load_format_stays(vllm: Vllm) -> None:
    config = vllm.config(model=f"oci://{vllm.put()}", load_format="runai_streamer")
    assert config.model_config.model == vllm.tree()
    assert config.load_config.load_format == "runai_streamer"
    assert config.load_config.model_loader_extra_config == {}


def test_options_of_the_loader_reach_that_of_vllm(vllm: Vllm) -> None:
    extra = {"num_threads": 4}
    config = vllm.config(model=f"oci://{vllm.put()}", model_loader_extra_config=extra)
    loaders = import_module("vllm.model_executor.model_loader")
    loader = loaders.get_model_loader(config.load_config)
    assert loader.load_config.model_loader_extra_config == extra
    assert config.load_config.load_format == "oci"
    assert extra == {"num_threads": 4}


@pytest.mark.parametrize("offline", ["0", "1"])
@pytest.mark.parametrize("main", ["oci://{ref}", "s3://bucket/model"])
def test_a_tokenizer_is_pulled_without_weights(
    main: str, offline: str, vllm: Vllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    other = vllm.put(DRAFT, "team/other")
    given = {"tokenizer": f"oci://{other}", "hf_config_path": f"oci://{other}"}
    args = vllm.args(model=main.format(ref=vllm.put()), **given)
    there = Path(args.create_engine_config().model_config.tokenizer)
    assert args.hf_config_path == str(there)
    assert str(there).startswith(f"{vllm.tree(DRAFT, 'team/other')}-")
    assert (there / "tokenizer.json").exists()
    assert not (there / "model.safetensors").exists()
    assert not any("no weights" in line for line in vllm.log)


def test_a_tokenizer_of_the_hub_stays_beside_a_reference(vllm: Vllm) -> None:
    args = vllm.args(model=vllm.put(), load_format="oci", tokenizer="org/name",
                     tokenizer_revision="main")  # fmt: skip
    assert args.create_engine_config().model_config.tokenizer == "org/name"
    assert args.tokenizer_revision == "main"


@pytest.mark.parametrize("revision", ["v1", MODEL.digest])
def test_a_revision_is_the_tag_or_the_digest(revision: str, vllm: Vllm) -> None:
    name = vllm.put().removesuffix(":v1")
    args = vllm.args(model=f"oci://{name}", revision=revision)
    config = args.create_engine_config()
    assert config.model_config.model == vllm.tree()
    assert config.model_config.served_model_name == [f"oci://{name}"]
    assert args.revision is None


def test_a_revision_beside_a_tag_is_ignored_and_that_is_told(vllm: Vllm) -> None:
    ref = vllm.put()
    assert vllm.config(model=f"oci://{ref}", revision="main").model_config.model == vllm.tree()
    said = f"WARNING oci-pull: --revision main is ignored: {ref} says which one it is"
    assert said in vllm.log


def test_what_speculates_is_pulled_too(vllm: Vllm) -> None:
    main, draft = f"oci://{vllm.put()}", f"oci://{vllm.put(DRAFT, 'team/draft')}"
    given = {"model": draft, "num_speculative_tokens": 3}
    args = vllm.args(model=main, speculative_config=given, spec_model=draft)
    config = args.create_engine_config()
    there = vllm.tree(DRAFT, "team/draft")
    assert args.spec_model == there
    assert args.speculative_config == {**given, "model": there}
    assert given["model"] == draft
    assert config.load_config.model_loader_extra_config == {
        "oci": {vllm.tree(): vllm.pinned(), there: vllm.pinned(DRAFT, "team/draft")}
    }
    # Also where it is still text, and beside a model that is none of ours.
    args = vllm.args(model="s3://bucket/model", speculative_config=json.dumps(given))
    args.create_engine_config()
    assert json.loads(args.speculative_config) == {**given, "model": there}
    assert args.model_loader_extra_config == {}


def test_the_verifier_that_a_speculator_names_is_the_hubs(vllm: Vllm) -> None:
    config = vllm.config(model=vllm.put(), load_format="oci", verifier="org/verifier")
    assert config.model_config.model == "org/verifier"


def test_a_layout_on_disk_is_a_reference_too(vllm: Vllm, tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "layout", MODEL, "v1")
    config = vllm.config(model=f"oci:{layout}:v1", load_format="oci")
    origins = config.load_config.model_loader_extra_config["oci"]
    assert origins == {config.model_config.model: f"oci:{layout}@{MODEL.digest}"}
    archive = shutil.make_archive(str(tmp_path / "layout"), "tar", layout)
    config = vllm.config(model=f"oci-archive:{archive}:v1", load_format="oci")
    origins = config.load_config.model_loader_extra_config["oci"]
    assert origins == {config.model_config.model: f"oci-archive:{archive}:v1"}


def test_the_output_of_the_environment_is_not_for_engines(
    vllm: Vllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCI_PULL_OUTPUT", str(tmp_path / "models"))
    monkeypatch.setenv("OCI_PULL_LAYOUT", "hf")
    assert vllm.config(model=f"oci://{vllm.put()}").model_config.model == vllm.tree()


# --- one digest for all


def test_a_tag_that_moves_gives_the_processes_of_one_engine_one_digest(
    vllm: Vllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = vllm.put()
    first = vllm.config(model=f"oci://{ref}")
    assert json.loads(os.environ[PINS]) == {ref: vllm.pinned()}
    vllm.put(DRAFT)
    asked = len(vllm.registry.requests)
    assert vllm.config(model=f"oci://{ref}").model_config == first.model_config
    assert len(vllm.registry.requests) == asked
    # A process that none of these has started.
    monkeypatch.setenv(PINS, "")
    assert vllm.config(model=f"oci://{ref}").model_config.model == vllm.tree(DRAFT)


def test_a_worker_on_another_node_fetches_by_that_digest(
    vllm: Vllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = vllm.put()
    config = vllm.config(model=f"oci://{ref}")
    vllm.put(DRAFT)
    vllm.cache.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("OCI_PULL_CACHE_DIR", str(tmp_path / "node"))
    monkeypatch.setenv(PINS, "")
    there = vllm.tree().replace(str(vllm.cache), str(tmp_path / "node"))
    assert vllm.load(config) == [f"config of {there}", f"weights of {there}"]
    assert config.model_config.tokenizer == there


def test_a_worker_leaves_alone_what_is_not_of_a_registry(vllm: Vllm) -> None:
    config = vllm.config(model=f"oci://{vllm.put()}")
    config.model_config.model = "org/draft"
    assert vllm.load(config) == ["config of org/draft", "weights of org/draft"]
    loaders = import_module("vllm.model_executor.model_loader")
    loaders.get_model_loader(config.load_config).download_model(config.model_config)


# --- what is said


def test_what_happens_is_in_the_log_of_vllm(vllm: Vllm) -> None:
    ref = vllm.put()
    vllm.config(model=f"oci://{ref}")
    digest = MODEL.digest
    assert vllm.log[0] == f"INFO oci-pull: resolved {ref} -> {digest[:19]} (docker-model)"
    assert vllm.log[1].startswith("INFO oci-pull: plan ")
    assert vllm.log[-1] == f"INFO oci-pull: {ref} is {digest}, in {vllm.tree()}"


def test_the_log_is_there_before_vllm_opens_it(vllm: Vllm) -> None:
    """In a process where nobody has touched the log yet."""
    program = (
        "import sys; from vllm.engine.arg_utils import EngineArgs\n"
        "EngineArgs(model=sys.argv[1]).create_engine_config()"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program, f"oci://{vllm.put()}"],
        env={**os.environ, "PYTHONPATH": str(STAND_IN)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.startswith("oci-pull: resolved ")


@pytest.mark.parametrize(
    ("artifact", "typed", "environ", "kind", "line"),
    [
        (MODEL, "{name}:nope", {}, ManifestUnknown,
         "tag 'nope' does not exist in {name} (404); tags there: v1. Try: check the spelling of"),
        (MODEL, "team/Model", {}, InvalidReference, "'team/Model': 'Model' cannot be part of"),
        (MODEL, "127.0.0.1:1/team/model", {"OCI_PULL_RETRIES": "0"}, ConnectionFailed, ""),
        (MODEL, "{name}:v1", {"OCI_PULL_JOBS": "many"}, InvalidSetting, "OCI_PULL_JOBS: "),
        (MODEL, "{name}:v1", {"OCI_PULL_REQUIRE_DIGEST": "1"}, DigestRequired,
         "a tag without a digest, and that is required. Try: oci-pull inspect "),
        (GGUF, "{name}:v1", {}, Unsupported,
         "this vLLM does not read that. Try: pip install vllm-gguf-plugin in the environment of"),
        (ADAPTER, "{name}:v1", {}, Unsupported,
         "an adapter: serve its base model, load this beside it (/"),
    ],
    ids=["tag", "name", "registry", "setting", "policy", "gguf", "adapter"],
)  # fmt: skip
def test_a_failure_is_one_line(
    artifact: Artifact,
    typed: str,
    environ: dict[str, str],
    kind: type[OciPullError],
    line: str,
    vllm: Vllm,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    named = typed.format(name=vllm.put(artifact).removesuffix(":v1"))
    with pytest.raises(kind) as caught:
        vllm.config(model=f"oci://{named}")
    said = str(caught.value)
    assert "\n" not in said
    assert said.removeprefix("cannot serve ").startswith(f"{named}: ")
    assert line.format(name=named.rpartition(":")[0]) in said
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ("--plain-http  if that is meant", "OCI_PULL_PLAIN_HTTP=1 if that is meant"),
        ("--ca-file FILE", "OCI_PULL_CA_FILE=FILE"),
        ("--client-cert FILE --client-key FILE",
         "OCI_PULL_CLIENT_CERT=FILE OCI_PULL_CLIENT_KEY=FILE"),
        ("a larger --max-bytes SIZE,  or not", "a larger OCI_PULL_MAX_BYTES=SIZE, or not"),
        ("pull it once without --offline", "pull it once without OCI_PULL_OFFLINE=1"),
        ("oci-pull login HOST --username USER", "oci-pull login HOST --username USER"),
        ("skopeo copy --decryption-key KEY", "skopeo copy --decryption-key KEY"),
    ],
)  # fmt: skip
def test_what_to_type_next_is_a_variable_and_no_option(hint: str, said: str) -> None:
    from oci_pull.vllm_plugin.provide import told

    error = told("ai/model", OciPullError("it failed", hint=hint))
    assert str(error) == f"cannot serve ai/model: it failed. Try: {said}"


@pytest.mark.parametrize("load_format", ["auto", "gguf"])
def test_a_gguf_is_handed_over_as_its_file_where_that_is_read(load_format: str, vllm: Vllm) -> None:
    vllm.args()
    loaders = import_module("vllm.model_executor.model_loader")
    loaders._LOAD_FORMAT_TO_MODEL_LOADER["gguf"] = loaders.DefaultModelLoader
    config = vllm.config(model=f"oci://{vllm.put(GGUF)}", load_format=load_format)
    assert config.model_config.model == f"{vllm.tree(GGUF)}/model.gguf"
    assert config.load_config.load_format == load_format
    assert any("--tokenizer ORG/NAME" in line for line in vllm.log)
    config = vllm.config(model=vllm.put(GGUF), load_format="oci")
    assert config.load_config.load_format == "auto"


def test_a_loader_of_ones_own_may_know_better_what_can_be_served(vllm: Vllm) -> None:
    config = vllm.config(model=f"oci://{vllm.put(ADAPTER)}", load_format="dummy")
    assert config.model_config.model == vllm.tree(ADAPTER)
    assert any("an adapter: serve its base model" in line for line in vllm.log)


def test_ctrl_c_in_an_event_loop_ends_a_pull(vllm: Vllm) -> None:
    """The loop takes the signal, and all it does is to cancel the task."""
    named = f"oci://{vllm.put()}"

    async def serve() -> None:
        task = asyncio.current_task()
        assert task
        task.cancel()
        vllm.config(model=named)

    with pytest.raises(Cancelled, match=r"^cannot serve "):
        asyncio.run(serve())


def test_a_model_of_one_process_is_that_of_its_children(vllm: Vllm) -> None:
    ref = vllm.put()
    vllm.config(model=f"oci://{ref}")
    vllm.put(DRAFT)
    program = (
        "import sys; from vllm.engine.arg_utils import EngineArgs\n"
        "print(EngineArgs(model=sys.argv[1]).create_engine_config().model_config.model)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program, f"oci://{ref}"],
        env={**os.environ, "PYTHONPATH": str(STAND_IN)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines()[-1] == vllm.tree()

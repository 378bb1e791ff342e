"""File sets and Ollama's models from a real registry: what comes, what it costs, what is said."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests import builders, file_sets
from tests.e2e.disk import assert_tidy, assert_tree
from tests.file_sets import TAR, TAR_GZIP, file_set, stored_gzip, tar, titled
from tests.servers.push import push, reference

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.content import Artifact
    from tests.e2e.command import Command
    from tests.servers.access_log import Request
    from tests.servers.distribution import Distribution

Put = Callable[["Artifact"], str]

_MODEL = {**builders.tiny_model(), "empty.txt": b"", "copy.txt": b""}
_EMPTY = builders.digest_of(b"")


@pytest.fixture
def put(registry: Distribution, request: pytest.FixtureRequest) -> Put:
    """Push an artifact to a repository of the test's own; its reference."""
    made = 0

    def push_it(artifact: Artifact) -> str:
        nonlocal made
        made += 1
        name = f"sets/{abs(hash(request.node.name)):x}-{made}"
        push(registry.url, name, "v1", artifact)
        return reference(registry.url, name, "v1")

    return push_it


@pytest.fixture
def asked(registry: Distribution) -> Callable[[], list[Request]]:
    """What was asked about blobs since the test began, beside what the test itself has pushed."""
    early = len(registry.blob_requests())

    def find() -> list[Request]:
        found = registry.blob_requests()[early:]
        return [each for each in found if each.agent.startswith("oci-pull")]

    return find


def _below(directory: str) -> Mapping[str, bytes]:
    return {f"{directory}/{name}": content for name, content in _MODEL.items()}


CASES = {
    "oras": lambda: file_sets.oras(_MODEL),
    "oras-dot": lambda: file_set(file_sets.unpacked(".", _MODEL)),
    "oras-below": lambda: file_sets.oras(_below("models/tiny")),
    "oras-python": lambda: file_sets.oras_python(_MODEL),
    "oras-python-below": lambda: file_sets.oras_python(_below("models/tiny")),
    "aikit": lambda: file_sets.aikit_files(_MODEL),
    "aikit-tar": lambda: file_sets.aikit_archive(tar(_MODEL), "allfiles.tar"),
    "aikit-gzip": lambda: file_sets.aikit_archive(stored_gzip(tar(_MODEL)), "allfiles.tar.gz"),
    "aikit-zstd": lambda: file_sets.aikit_archive(zstd.compress(tar(_MODEL)), "allfiles.tar.zst"),
    "aikit-hidden": lambda: file_sets.aikit_archive(zstd.compress(tar(_MODEL)), "allfiles.tar"),
    "alone": lambda: file_sets.alone(tar(_below("models"))),
    "alone-gzip": lambda: file_sets.alone(stored_gzip(tar(_MODEL))),
    "alone-zstd": lambda: file_sets.alone(zstd.compress(tar(_MODEL))),
    "konflux": lambda: file_sets.konflux(_MODEL, "tiny/"),
    "podman": lambda: file_sets.podman(_MODEL),
    "podman-gzip": lambda: file_sets.podman(_MODEL, "application/x-gzip"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_was_pushed_comes_back_byte_for_byte(
    name: str, put: Put, oci_pull: Command, asked: Callable[[], list[Request]]
) -> None:
    artifact = CASES[name]()
    run = oci_pull("--format", "json", put(artifact)).must_succeed()
    assert_tree(oci_pull.cache / "models" / run.json["path"], _MODEL)
    assert run.json["servable"], run.json["warnings"]
    assert_tidy(oci_pull.cache)
    # No byte comes twice, not of what was looked into, and nobody is asked for no bytes.
    blobs = {digest: builders.size_of(content) for digest, content in artifact.blobs.items()}
    sent = dict.fromkeys(blobs, 0)
    for each in asked():
        sent[each.path.rpartition("/")[2]] += each.size if each.method == "GET" else 0
    assert all(sent[digest] <= blobs[digest] for digest in blobs), sent
    assert not any(_EMPTY in each.path for each in asked())


def test_only_what_is_not_clear_is_asked_about_before_the_plan(
    put: Put, oci_pull: Command, asked: Callable[[], list[Request]]
) -> None:
    artifact = file_sets.oras_python(_MODEL)
    run = oci_pull("plan", "--format", "json", put(artifact)).must_succeed()
    directory = next(each for each in artifact.document["layers"] if each["mediaType"] == TAR_GZIP)
    assert [each.path.rpartition("/")[2] for each in asked()] == [directory["digest"]]
    assert run.json["packaging"] == "oras"


def test_a_manifest_that_may_lie_costs_one_question(
    put: Put, oci_pull: Command, asked: Callable[[], list[Request]]
) -> None:
    oci_pull("plan", put(file_sets.konflux(_MODEL))).must_succeed()
    assert [each.method for each in asked()] == ["HEAD"]


def test_an_archive_that_says_it_is_a_file_is_told_by_its_size(put: Put, oci_pull: Command) -> None:
    flat = {name: content for name, content in _MODEL.items() if "/" not in name}
    run = oci_pull("--format", "json", put(file_sets.olot_artifact(flat))).must_succeed()
    assert run.json["packaging"] == "mlmodel"
    assert_tree(oci_pull.cache / "models" / run.json["path"], flat)


def test_the_config_of_omlmd_is_fetched_once(
    put: Put, oci_pull: Command, asked: Callable[[], list[Request]]
) -> None:
    artifact = file_sets.omlmd("model.onnx", b"ONNX" * 100)
    run = oci_pull("--format", "json", put(artifact)).must_succeed()
    assert {file["path"] for file in run.json["files"]} == {
        "model.onnx", "model_metadata.omlmd.json", "model_metadata.omlmd.yaml",
    }  # fmt: skip
    paths = [each.path for each in asked()]
    assert len(paths) == len(set(paths)) == 3


def test_a_pickle_of_omlmd_is_refused_unless_it_is_allowed(put: Put, oci_pull: Command) -> None:
    name = put(file_sets.omlmd("model.joblib", b"pickle"))
    assert "--allow-pickle" in oci_pull(name).must_fail(10).stderr
    assert (oci_pull("--allow-pickle", name).path / "model.joblib").read_bytes() == b"pickle"


# --- Ollama


def test_a_gguf_is_one_file_and_one_warning_with_the_command_to_type(
    put: Put, oci_pull: Command
) -> None:
    weights = b"GGUF" + bytes(2000)
    name = put(
        file_sets.ollama(
            ("model", weights),
            ("template", b"{{ .Prompt }}"),
            ("license", b"MIT"),
            ("license", b"Apache-2.0"),
            ("params", b"{}"),
        )
    )
    run = oci_pull(name)
    assert_tree(
        run.path,
        {
            "model.gguf": weights,
            "ollama/template.txt": b"{{ .Prompt }}",
            "ollama/license": b"MIT",
            "ollama/license.1": b"Apache-2.0",
            "ollama/params": b"{}",
        },
    )
    command = f"vllm serve {run.path}/model.gguf --tokenizer ORG/NAME"
    assert run.stderr.count("warning") == 1
    assert run.stderr.count(command) == 1
    again = oci_pull("--format", "json", name).json
    assert (again["unchanged"], again["servable"], again["packaging"]) == (True, False, "ollama")
    assert again["primary"] == f"{run.path}/model.gguf"
    (warning,) = again["warnings"]
    assert warning.endswith(command)
    assert oci_pull("cache", "path", "--primary", name).path == run.path / "model.gguf"
    receipt = (run.path / ".oci-pull" / "receipt.json").read_text()
    assert str(oci_pull.cache) not in receipt


def test_a_gguf_laid_out_elsewhere_is_served_from_there(put: Put, oci_pull: Command) -> None:
    target = oci_pull.home / "my models"
    run = oci_pull("-o", target, put(file_sets.ollama(("model", b"GGUF"))))
    assert f"vllm serve '{target}/model.gguf' --tokenizer ORG/NAME" in run.stderr


def test_tensors_of_ollamas_are_refused_with_what_to_do(put: Put, oci_pull: Command) -> None:
    name = put(file_sets.ollama(("tensor", b"x", "model.embed"), ("json", b"{}", "config.json")))
    run = oci_pull(name).must_fail(9)
    assert "only Ollama reads" in run.stderr
    assert "GGUF" in run.stderr


# --- what is refused


def test_two_contents_under_one_title_are_refused(put: Put, oci_pull: Command) -> None:
    name = put(file_set(titled("config.json", b"{}"), titled("config.json", b'{"a": 1}')))
    assert "two different files are both config.json" in oci_pull(name).must_fail(10).stderr


def test_a_title_that_leaves_the_directory_is_refused(put: Put, oci_pull: Command) -> None:
    assert "../up" in oci_pull(put(file_set(titled("../up", b"x")))).must_fail(10).stderr
    assert list(oci_pull.home.glob("**/up")) == []


def test_a_directory_that_is_not_what_its_digest_says_is_damaged(
    put: Put, oci_pull: Command
) -> None:
    notes = {
        file_sets.TITLE: "dir",
        file_sets.UNPACK: "true",
        "io.deis.oras.content.digest": builders.digest_of(b"other"),
    }
    lying = builders.layer(TAR_GZIP, stored_gzip(tar({"dir/config.json": b"{}"})), notes)
    run = oci_pull("--format", "json", put(file_set(lying, titled("a", b"a"))))
    assert run.code == 8, run


def test_what_is_no_model_is_called_by_its_name(put: Put, oci_pull: Command) -> None:
    chart = builders.artifact(
        builders.layer("application/vnd.cncf.helm.config.v1+json", b'{"name":"chart"}'),
        [builders.layer("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"chart")],
    )
    name = put(chart)
    run = oci_pull(name).must_fail(9)
    assert "this is a Helm chart, not a model" in run.stderr
    assert "helm pull" in run.stderr
    error = oci_pull("--format", "json", name).must_fail(9).json["error"]
    assert error["code"] == "not_a_model"


def test_one_file_that_nobody_named_is_no_model(put: Put, oci_pull: Command) -> None:
    run = oci_pull(put(file_sets.alone(b"some text", TAR))).must_fail(9)
    assert f"1 x layer {TAR}" in run.stderr

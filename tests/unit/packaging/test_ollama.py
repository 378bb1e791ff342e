import pytest

from oci_pull.errors import PathConflict, UnsafePath, Unsupported
from oci_pull.packaging import ollama as planner
from oci_pull.packaging.layout import arrange
from oci_pull.packaging.plan import LeftOut
from oci_pull.packaging.selection import Selection
from tests import builders, file_sets
from tests.unit.packaging.planning import manifest_of, paths, planned

MODEL = ("model", b"GGUF")


def files(*layers: tuple[str, bytes] | tuple[str, bytes, str]) -> list[str]:
    found = planned(file_sets.ollama(*layers))
    assert found.asked == ()
    return paths(found.plan)


def test_it_is_told_by_its_layers_for_its_config_is_that_of_an_image() -> None:
    assert planner.matches(manifest_of(file_sets.ollama(MODEL)))
    assert not planner.matches(manifest_of(file_sets.ollama()))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("model", "model.gguf"),
        ("projector", "mmproj.gguf"),
        ("adapter", "adapter.gguf"),
        ("draft", "draft.gguf"),
        ("template", "ollama/template.txt"),
        ("prompt", "ollama/template.txt"),
        ("system", "ollama/system"),
        ("params", "ollama/params"),
        ("messages", "ollama/messages"),
        ("license", "ollama/license"),
    ],
)
def test_a_layer_has_the_name_of_its_kind(kind: str, expected: str) -> None:
    assert files((kind, b"x")) == [expected]
    assert files((f"{kind}; a=b; c=d", b"x")) == [expected]


def test_layers_of_one_kind_are_numbered() -> None:
    assert files(("license", b"1"), MODEL, ("license", b"2"), ("license", b"3")) == [
        "ollama/license",
        "model.gguf",
        "ollama/license.1",
        "ollama/license.2",
    ]
    assert files(("model", b"1"), ("model", b"2")) == [
        "model-00001-of-00002.gguf",
        "model-00002-of-00002.gguf",
    ]


def test_a_layer_that_is_there_twice_is_one_file() -> None:
    assert files(MODEL, MODEL, ("license", b"MIT"), ("license", b"MIT")) == [
        "model.gguf",
        "ollama/license",
    ]


def test_one_content_of_two_kinds_is_two_files() -> None:
    assert files(("system", b"x"), ("license", b"x")) == ["ollama/system", "ollama/license"]


def test_a_template_of_gos_is_never_a_chat_template() -> None:
    assert not any("chat_template" in name for name in files(("template", b"{{ .Prompt }}")))


def test_a_json_file_has_the_name_of_its_descriptor() -> None:
    assert files(MODEL, ("json", b"{}", "config.json"), ("json", b"[]", "sub/b.json")) == [
        "model.gguf",
        "config.json",
        "sub/b.json",
    ]


@pytest.mark.parametrize("name", ["../config.json", "/config.json", "a\\b"])
def test_a_name_that_leaves_the_directory_is_refused(name: str) -> None:
    with pytest.raises(UnsafePath):
        files(("json", b"{}", name))


def test_two_json_files_of_one_name_are_a_conflict() -> None:
    plan = planned(
        file_sets.ollama(("json", b"{}", "config.json"), ("json", b"[]", "config.json"))
    ).plan
    with pytest.raises(PathConflict):
        arrange(plan, Selection(), {})


def test_what_no_engine_reads_is_left_out_and_told() -> None:
    plan = planned(
        file_sets.ollama(MODEL, ("embed", b"old"), ("json", b"{}"), ("future", b"new"))
    ).plan
    assert paths(plan) == ["model.gguf"]
    assert plan.left_out == (
        LeftOut("application/vnd.ollama.image.embed", 3, "nothing that an engine reads"),
        LeftOut("application/vnd.ollama.image.json", 2, "a layer without a name"),
        LeftOut("application/vnd.ollama.image.future", 3, "nothing that an engine reads"),
    )


@pytest.mark.parametrize("kind", ["tensor", "tensor; name=a; dtype=BF16; shape=2,2"])
def test_tensors_are_refused_with_what_to_do(kind: str) -> None:
    with pytest.raises(Unsupported) as caught:
        planned(file_sets.ollama((kind, b"x", "a"), ("json", b"{}", "config.json")))
    assert caught.value.exit_code == 9
    assert "safetensors" in str(caught.value.hint)


def test_nothing_has_to_be_looked_for() -> None:
    assert planned(file_sets.ollama(MODEL)).plan.is_rooted


def test_unknown_members_of_a_descriptor_do_no_harm() -> None:
    artifact = file_sets.ollama(MODEL)
    document = artifact.document
    document["layers"][0] |= {"from": "/root/.ollama/blobs/x", "name": 7, "urls": None}
    made = builders.Artifact(builders.encode(document), artifact.media_type, artifact.blobs)
    assert paths(planned(made).plan) == ["model.gguf"]

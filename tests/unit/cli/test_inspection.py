import json
from dataclasses import replace
from typing import Any

import pytest

from oci_pull.cli.inspection import inspection_json, inspection_text
from oci_pull.errors import NotAModel, SeveralVariants
from oci_pull.look import Inspection
from oci_pull.oci.manifest import Index, parse_document
from oci_pull.packaging.facts import Facts
from oci_pull.packaging.layout import Members, Merged, arrange
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import ApplyLayers, FilePlan, ImageLayer, LeftOut
from oci_pull.packaging.selection import Selection
from tests import builders
from tests.content import IndexEntry, index
from tests.unit.packaging.planning import blob, manifest_of, members, plan_of, planned, unpacked

REFERENCE = "registry.example.com/team/model:v1"
MODEL = builders.tiny_model()


def inspected(artifact: builders.Artifact, known: Members | None = None) -> Inspection:
    plan = planned(artifact).plan
    layout = arrange(plan, Selection(), known or {})
    return Inspection(plan.manifest, plan.manifest, plan, layout)


def document(inspection: Inspection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(inspection_json(REFERENCE, inspection))
    return found


def text(inspection: Inspection) -> list[str]:
    return inspection_text(REFERENCE, inspection).splitlines()


def image_plan() -> FilePlan:
    layers = (ImageLayer(blob(b"base" * 100)), ImageLayer(blob(b"model" * 1000)))
    image = ApplyLayers(blob(b"image").digest, layers)
    return replace(plan_of(image), packaging="image")


def test_every_member_is_there_for_programs() -> None:
    inspection = inspected(builders.docker_v02({"config.json": b"{}"}))
    manifest = inspection.document
    (layer,) = planned(builders.docker_v02({"config.json": b"{}"})).plan.manifest.layers
    assert document(inspection) == {
        "schema": 1,
        "reference": REFERENCE,
        "digest": str(manifest.descriptor.digest),
        "type": builders.OCI_MANIFEST,
        "artifactType": None,
        "manifest": str(manifest.descriptor.digest),
        "packaging": "docker-model",
        "model": {},
        "files": [{"path": "config.json", "size": 2, "digest": str(layer.digest)}],
        "archives": [],
        "layers": [],
        "left_out": [],
        "annotations": {},
        "manifests": [],
        "problem": None,
    }


def test_the_first_lines_are_to_be_pasted() -> None:
    inspection = inspected(builders.docker_v02(MODEL))
    assert text(inspection)[:3] == [REFERENCE, str(inspection.document.descriptor.digest), ""]


def test_facts_are_lines_for_people_and_an_object_for_programs() -> None:
    facts = Facts(name="tiny", format="gguf", context=8192, license="MIT")
    inspection = replace(inspected(builders.docker_v02(MODEL)), facts=facts)
    lines = text(inspection)
    assert lines[3:5] == [
        "packaging     docker-model",
        f"type          {builders.OCI_MANIFEST}",
    ]
    assert lines[5:9] == [
        "name          tiny",
        "format        gguf",
        "context       8192",
        "license       MIT",
    ]
    assert document(inspection)["model"] == {
        "name": "tiny",
        "format": "gguf",
        "context": 8192,
        "license": "MIT",
    }


def test_files_and_archives_are_listed_with_their_sizes() -> None:
    inspection = inspected(builders.docker_v01(MODEL, annotated=True))
    lines = text(inspection)
    start = lines.index("2 files, 31.1 kB")
    assert lines[start + 1 : start + 3] == [
        "       41 B  LICENSE",
        "    31.1 kB  model.safetensors",
    ]
    assert lines[start + 3] == ""
    assert lines[start + 4].startswith("2 archives, 20.5 kB; what is in them is known once")
    found = document(inspection)
    assert [each["size"] for each in found["archives"]] == [10240, 10240]
    assert [each["dataset"] for each in found["archives"]] == [False, False]
    assert [each["path"] for each in found["files"]] == ["LICENSE", "model.safetensors"]


def test_the_files_of_an_archive_that_was_unpacked_are_files() -> None:
    artifact = builders.docker_v01(MODEL, annotated=True)
    inspection = inspected(artifact, unpacked(artifact, planned(artifact).plan))
    assert {each["path"] for each in document(inspection)["files"]} == set(MODEL)


def test_what_is_left_out_has_a_reason() -> None:
    files = {**MODEL, "data.csv": b"1,2", "pytorch_model.bin": b"pickle"}
    inspection = inspected(builders.modelpack(files, datasets=["data.csv"]))
    assert document(inspection)["left_out"] == [
        {"name": "data.csv", "size": 3, "reason": "a dataset (--datasets takes it in)"},
        {
            "name": "pytorch_model.bin",
            "size": 6,
            "reason": "a pickle beside safer weights (--allow-pickle takes it in)",
        },
    ]
    lines = text(inspection)
    assert lines[lines.index("left out") + 1 :] == [
        "        3 B  data.csv  a dataset (--datasets takes it in)",
        "        6 B  pytorch_model.bin",
        "             a pickle beside safer weights (--allow-pickle takes it in)",
    ]


def test_a_dataset_that_is_an_archive_is_told_once() -> None:
    files = {**MODEL, "data.csv": b"1,2"}
    inspection = inspected(builders.modelpack(files, form="tar", datasets=["data.csv"]))
    assert sum("data.csv" in line for line in text(inspection)) == 1
    (data,) = [each for each in document(inspection)["archives"] if each["dataset"]]
    assert data["name"] == "data.csv"


def test_an_image_whose_layers_were_not_read_has_no_files_that_are_known() -> None:
    plan = image_plan()
    inspection = Inspection(plan.manifest, plan.manifest, plan, arrange(plan, Selection(), {}))
    found = document(inspection)
    assert found["files"] is None
    assert [each["size"] for each in found["layers"]] == [400, 5000]
    assert "2 layers, 5.4 kB; what is in them is known once they are here" in text(inspection)


def test_an_image_that_was_read_has_files() -> None:
    plan = image_plan()
    merged = Merged(
        "",
        members({"config.json": b"{}", "model.safetensors": b"x" * 10}),
        LeftOut("the rest of the image", 99, "not in models"),
    )
    layout = arrange(plan, Selection(), {}, {plan.images[0].image: merged})
    inspection = Inspection(plan.manifest, plan.manifest, plan, layout)
    found = document(inspection)
    assert [each["path"] for each in found["files"]] == ["config.json", "model.safetensors"]
    assert [each["name"] for each in found["left_out"]] == ["the rest of the image"]
    assert "2 layers, 5.4 kB" in text(inspection)


def index_of(*platforms: str) -> tuple[Index, list[builders.Artifact]]:
    made = [builders.docker_v02({"config.json": name.encode()}) for name in platforms]
    entries = [
        IndexEntry(
            each, dict(zip(("os", "architecture"), name.split("/"), strict=True)), {"q": "4"}
        )
        for name, each in zip(platforms, made, strict=True)
    ]
    found = parse_document(index(entries).manifest)
    assert isinstance(found, Index)
    return found, made


def test_the_entries_of_an_index_are_listed_with_a_star_at_the_one_that_is_meant() -> None:
    several, made = index_of("linux/arm64", "linux/amd64")
    inspection = replace(inspected(made[1]), document=several)
    found = document(inspection)
    assert found["digest"] == str(several.descriptor.digest)
    assert found["manifest"] == made[1].digest
    assert found["manifests"] == [
        {
            "digest": each.digest,
            "platform": platform,
            "artifactType": None,
            "annotations": {"q": "4"},
        }
        for each, platform in zip(made, ("linux/arm64", "linux/amd64"), strict=True)
    ]
    lines = text(inspection)
    start = lines.index("index of 2 manifests")
    assert lines[start + 1 : start + 7] == [
        "  linux/arm64",
        f"    {made[0].digest}",
        "    q  4",
        "* linux/amd64",
        f"    {made[1].digest}",
        "    q  4",
    ]


def test_a_manifest_in_an_index_in_an_index_is_named() -> None:
    several, _ = index_of("linux/arm64", "linux/amd64")
    meant = builders.docker_v02(MODEL)
    lines = text(replace(inspected(meant), document=several))
    assert lines[lines.index("* in an index in it") + 1] == f"    {meant.digest}"


def test_where_it_is_not_clear_which_is_meant_the_choices_are_told_once() -> None:
    several, made = index_of("linux/arm64", "linux/amd64")
    problem = SeveralVariants(
        "several", facts=["--platform a", f"  {made[0].digest}"], hint="--platform a"
    )
    inspection = Inspection(several, None, None, problem=problem)
    shown = inspection_text(REFERENCE, inspection)
    assert shown.count(made[0].digest) == 1
    assert text(inspection)[-5:] == [
        "it would not be pulled like this (exit code 9)",
        "  several",
        "  --platform a",
        f"    {made[0].digest}",
        "  try: --platform a",
    ]
    found = document(inspection)
    assert (found["manifest"], found["packaging"], found["files"]) == (None, None, None)
    assert found["problem"] == {
        "code": "several_variants",
        "exit": 9,
        "message": problem.message,
        "facts": list(problem.facts),
        "retryable": False,
        "hint": "--platform a",
    }


def test_what_is_no_model_is_shown_as_what_it_is() -> None:
    manifest = manifest_of(
        builders.artifact(builders.layer("application/x-chart", b"{}"), [], artifact_type="a/b")
    )
    inspection = Inspection(manifest, manifest, None, problem=NotAModel("a chart"))
    assert document(inspection)["files"] is None
    lines = text(inspection)
    assert "artifact type a/b" in lines
    assert lines[-1] == "  a chart"
    assert not any(line.startswith("packaging") for line in lines)


def test_annotations_are_one_line_each_and_fit() -> None:
    notes = {"a": "short", "long": "x" * 500, "lines": "one\ntwo", "z" * 40: "y" * 40}
    plan = planned(builders.docker_v02(MODEL)).plan
    manifest = replace(plan.manifest, annotations=notes)
    lines = text(Inspection(manifest, manifest, plan, arrange(plan, Selection(), {})))
    assert lines[lines.index("annotations") + 1 :] == [
        "  a  short",
        "  lines  one two",
        "  long",
        f"    {'x' * 37}~{'x' * 38}",
        f"  {'z' * 40}",
        f"    {'y' * 40}",
    ]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("hostile", ["\x1b[2Jgone", "a\u202eb", "\ud800"])
def test_what_strangers_wrote_cannot_write_to_the_terminal(hostile: str) -> None:
    inspection = inspected(builders.docker_v02(MODEL))
    manifest = replace(manifest_of(builders.docker_v02(MODEL)), annotations={"k": hostile})
    inspection = replace(inspection, manifest=manifest, facts=Facts(name=hostile))
    shown = inspection_text(REFERENCE, inspection)
    assert shown.replace("\n", "").isprintable()
    assert json.loads(inspection_json(REFERENCE, inspection))["model"] == {"name": hostile}


def test_a_path_is_that_in_the_tree() -> None:
    artifact = builders.modelpack({f"sub/{name}": content for name, content in MODEL.items()})
    paths = [RelPath.parse(each["path"]) for each in document(inspected(artifact))["files"]]
    assert {str(path) for path in paths} == set(MODEL)

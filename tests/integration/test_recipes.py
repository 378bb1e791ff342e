"""The recipes of the documentation: what they type is what there is."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from oci_pull.cli.arguments import rewrite
from oci_pull.oci.mirror import Mirror
from oci_pull.oci.reference import parse_locator
from oci_pull.settings import OPTIONS, PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.command import Command

_DOCS = Path(__file__).parents[2] / "docs"
_FILES = [path for path in sorted((_DOCS / "recipes").rglob("*")) if path.is_file()] + [
    _DOCS / "air-gapped.md"
]
#: Variables that are no options.
_MORE = {f"{PREFIX}PASSWORD_FILE"}
_COMMAND = re.compile(r"(?:^|[\s'\"|;])(oci-pull [^#\n]*)")


def _text(path: Path) -> str:
    """With lines that go on in the next one joined, and without comments."""
    lines = path.read_text().replace("\\\n", " ").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def _commands() -> Iterator[tuple[str, str]]:
    for path in _FILES:
        for found in _COMMAND.findall(_text(path)):
            words = re.split(r"`|&&| [>&]", found)[0].rstrip("'] ")
            if words != "oci-pull":
                yield path.name, words
        if path.suffix == ".yaml":
            yield from ((path.name, words) for words in _arguments(path))


def _arguments(path: Path) -> Iterator[str]:
    """Of containers whose entry point is the command."""
    for document in yaml.safe_load_all(path.read_text()):
        for container in _containers(document):
            if "tools/oci-pull" in container["image"] and "command" not in container:
                yield shlex.join(["oci-pull", *container["args"]])


def _containers(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        for key, value in document.items():
            if key in ("containers", "initContainers"):
                yield from value
            else:
                yield from _containers(value)


@pytest.mark.parametrize(("file", "words"), sorted(set(_commands())))
def test_a_command_has_options_that_there_are(file: str, words: str, oci_pull: Command) -> None:
    # `$MODEL` and the like stand for one word.
    typed = shlex.split(re.sub(r"[\"']?\$\{?[A-Za-z0-9_#:/.*-]+\}?[\"']?", "ghcr.io/a/b", words))[
        1:
    ]
    typed = [word for word in typed if word not in ("&&", "||")]
    command = rewrite(typed)
    path = command[:2] if command[0] == "cache" else command[:1]
    page = oci_pull(*path, "-h").must_succeed().stdout
    flags = [
        word.partition("=")[0] for word in command if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word)
    ]
    assert [flag for flag in flags if not re.search(rf"(?<![\w-]){flag}(?![\w-])", page)] == []


def test_there_are_commands_in_the_recipes() -> None:
    files = {file for file, _ in _commands()}
    assert {
        "Dockerfile",
        "init-container.yaml",
        "job.yaml",
        "daemonset.yaml",
        "kserve.yaml",
    } <= files
    assert {"crontab", "gitlab-ci.yml", "github-actions.yml", "oci-pull-warm.service"} <= files


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.name)
def test_a_variable_is_one_of_ours(path: Path) -> None:
    known = {PREFIX + name.upper() for name in OPTIONS} | _MORE
    assert set(re.findall(rf"{PREFIX}[A-Z_]+", path.read_text())) <= known


@pytest.mark.parametrize(
    "path", [path for path in _FILES if path.suffix == ".yaml"], ids=lambda path: path.name
)
def test_what_a_container_mounts_is_there(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        assert {"apiVersion", "kind", "metadata"} <= document.keys()
        spec = document.get("spec", {})
        pod = spec.get("template", {}).get("spec", spec)
        volumes = {volume["name"] for volume in pod.get("volumes", ())}
        mounted = {
            mount["name"]
            for container in _containers(document)
            for mount in container.get("volumeMounts", ())
        }
        assert mounted == volumes


def test_a_list_of_a_recipe_is_one() -> None:
    from oci_pull.verbs.warm_list import parse_list

    (found, _) = yaml.safe_load_all((_DOCS / "recipes/kubernetes/daemonset.yaml").read_text())
    text = found["data"]["models.txt"]
    wanted = parse_list(text, "models.txt", lambda each: parse_locator(each.reference))
    assert [each.reference for each in wanted] == ["ghcr.io/acme/llama:v3", "ai/smollm2"]


def test_the_configurations_of_fleets_name_mirrors() -> None:
    text = (_DOCS / "recipes/fleets.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        for table in tomllib.loads(block)["registry"].values():
            for mirror in table["mirrors"]:
                Mirror.parse(mirror if isinstance(mirror, str) else mirror["url"])
    (pod,) = re.findall(r"```yaml\n(env:.*?)```", text, re.DOTALL)
    (node, mirror) = yaml.safe_load(pod)["env"]
    host, _, url = mirror["value"].replace(f"$({node['name']})", "192.0.2.1").partition("=")
    assert mirror["name"] == f"{PREFIX}MIRROR"
    assert (host, Mirror.parse(url).host) == ("ghcr.io", "192.0.2.1:30020")


def test_a_line_of_the_crontab_has_its_five_times() -> None:
    lines = _text(_DOCS / "recipes/crontab").splitlines()
    jobs = [line for line in lines if line and "=" not in line.split()[0]]
    assert jobs
    for line in jobs:
        *times, command = line.split(maxsplit=5)
        assert all(re.fullmatch(r"[\d*,/-]+", time) for time in times)
        assert command.startswith("oci-pull ")

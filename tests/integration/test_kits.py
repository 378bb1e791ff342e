"""A ModelKit whose parent is in another registry, which lets in only those whom it knows."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_tidy, assert_tree
from tests.kits import Form, Piece, kit, old_kit
from tests.servers.distribution import Distribution, Htpasswd, Options
from tests.servers.push import Credentials, push, reference

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.content import Artifact
    from tests.e2e.command import Command

_BASE = builders.tiny_model(shards=2)
#: What fine-tuning changes and adds, beside the model's own directory as it was packed.
_OWN = {
    "config.json": b'{"model_type": "llama", "tuned": true}\n',
    "chat_template.jinja": b"{{ messages }}",
}


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distribution]:
    options = Options(auth=Htpasswd({"ada": "secret"}))
    with Distribution(tmp_path_factory.mktemp("private"), options) as found:
        yield found


def _base(form: Form | None) -> Artifact:
    below = {f"model/{path}": content for path, content in _BASE.items()}
    pieces = [Piece("model", "./model"), Piece("parts", "model/config.json")]
    return old_kit(below, pieces) if form is None else kit(below, pieces, form=form)


def _child(parent: str, form: Form | None) -> Artifact:
    below = {f"model/{path}": content for path, content in _OWN.items()}
    pieces = [Piece("parts", path) for path in below]
    if form is None:
        return old_kit(below, pieces, parent=parent)
    return kit(below, pieces, form=form, parent=parent)


@pytest.mark.parametrize("form", [None, "tar", "raw", "raw+gzip"])
def test_a_child_is_pulled_over_a_parent_in_a_registry_of_its_own(
    form: Form | None,
    registry: Distribution,
    private: Distribution,
    oci_pull: Command,
    tmp_path: Path,
) -> None:
    name = f"kits/{form or 'old'}".replace("+", "-")
    push(private.url, name, "v1", _base(form), credentials=Credentials("ada", "secret"))
    parent = reference(private.url, name, "v1")
    push(registry.url, name, "v1", _child(parent, form))
    child = reference(registry.url, name, "v1")

    refused = oci_pull(child).must_fail(4)
    assert f"the parent {parent}: " in refused.stderr
    docker = oci_pull.home / ".docker"
    docker.mkdir()
    auth = base64.b64encode(b"ada:secret").decode()
    auths = {parent.partition("/")[0]: {"auth": auth}}
    (docker / "config.json").write_text(json.dumps({"auths": auths}))

    run = oci_pull(child)
    assert_tree(run.path, _BASE | _OWN)
    assert_tidy(oci_pull.cache)
    again = oci_pull("--offline", "-o", tmp_path / "out", child)
    assert_tree(again.path, _BASE | _OWN)

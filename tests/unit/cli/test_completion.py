import json
import subprocess
import sys
from pathlib import Path

import pytest

from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.trees import RECEIPT
from oci_pull.cli.completion import answer
from oci_pull.oci.digest import Digest
from oci_pull.oci.reference import Locator, Reference, parse_locator
from oci_pull.settings import Settings

_DIGEST = Digest.of(b"the manifest")
_OTHER = Digest.of(b"another one")
_PORT = "registry.example:5000/team/model:v1"
#: What a Tab does not wait for.
_SLOW = (
    "typer", "click", "httpx", "rich", "ssl", "socket", "subprocess", "dataclasses", "tomllib",
    "oci_pull.settings", "oci_pull.options", "oci_pull.errors", "oci_pull.oci", "oci_pull.adapters",
    "oci_pull.api", "oci_pull.cli.app",
)  # fmt: skip


def _pulled(root: Path, locator: Locator, tag: str | None = None, digest: Digest = _DIGEST) -> None:
    """A model that is complete, as the cache has it."""
    cache = Cache(root)
    receipt = cache.tree(locator, digest, "") / RECEIPT
    receipt.parent.mkdir(parents=True)
    receipt.write_text(json.dumps({"reference": str(locator), "digest": str(digest)}))
    if tag:
        ref = cache.ref(locator, tag)
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(f"{digest}\n")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Two models with tags, one that is only known by its digest, and one from a directory."""
    root = tmp_path / "home/.cache/oci-pull"
    _pulled(root, Reference.parse("ai/smollm2"), "latest")
    _pulled(root, Reference.parse(_PORT), "v1")
    _pulled(root, Reference.parse(f"ghcr.io/acme/x@{_OTHER}"), digest=_OTHER)
    _pulled(root, parse_locator("oci:/srv/layout:v2"), digest=_OTHER)
    seen = Cache(root).ref(Reference.parse("ghcr.io/acme/gone"), "v1")
    seen.parent.mkdir(parents=True, exist_ok=True)
    seen.write_text(f"{_DIGEST}\n")
    return root


def _answered(home: Path, words: str, **variables: str) -> list[str]:
    etc = home.parent / "etc"
    return answer(words.split(" "), {"HOME": str(home), **variables}, etc).splitlines()


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("references cache path ", ["ai/smollm2:latest", f"ghcr.io/acme/x@{_OTHER}",
                                    "oci:/srv/layout:v2", _PORT]),
        ("references cache path ai", ["ai/smollm2:latest"]),
        ("references docker.", ["docker.io/ai/smollm2:latest"]),
        ("references oci://reg", [f"oci://{_PORT}"]),
        ("references registry.example:5000/", [_PORT]),
        (f"references ghcr.io/acme/x@{str(_OTHER)[:9]}", [f"ghcr.io/acme/x@{_OTHER}"]),
        ("references nothing", []),
        ("references --default-registry registry.example:5000 team", ["team/model:v1"]),
        ("references --default-registry=registry.example:5000 ai", []),
        ("references --cache-dir /nowhere ai", []),
        ("registries re", ["registry.example:5000"]),
        ("registries d", ["docker.io"]),
        ("references,registries doctor ghcr", ["ghcr.io", f"ghcr.io/acme/x@{_OTHER}"]),
        ("logins logout ", []),
        ("unknown ", []),
        ("", []),
    ],
)  # fmt: skip
def test_what_is_cached_is_known_by_the_name_that_was_begun(
    words: str, names: list[str], cache: Path
) -> None:
    assert _answered(cache.parents[1], words) == names


def test_a_model_of_the_hub_without_an_organization_has_its_short_name(tmp_path: Path) -> None:
    _pulled(tmp_path / "c", Reference.parse("tiny"), "latest")
    variables = {"OCI_PULL_CACHE_DIR": str(tmp_path / "c")}
    for typed, name in (("t", "tiny:latest"), ("lib", "library/tiny:latest")):
        assert _answered(tmp_path, f"references {typed}", **variables) == [name]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"XDG_CACHE_HOME": "/x"},
        {"OCI_PULL_CACHE_DIR": "/c"},
        {"OCI_PULL_CACHE_DIR": "/c", "XDG_CACHE_HOME": "/x"},
    ],
)
def test_the_cache_is_where_a_pull_has_it(variables: dict[str, str], tmp_path: Path) -> None:
    """The variables are below a root of this test."""
    environ = {"HOME": str(tmp_path), **{k: f"{tmp_path}{v}" for k, v in variables.items()}}
    _pulled(Settings.load(environ, etc=tmp_path).cache, Reference.parse("ai/here"), "v1")
    assert answer(["references", ""], environ, tmp_path) == "ai/here:v1\n"


@pytest.mark.parametrize("key", ["cache-dir", "cache_dir"])
def test_the_configuration_counts_where_nothing_else_is_said(key: str, tmp_path: Path) -> None:
    file = tmp_path / ".config/oci-pull/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(
        f'{key} = "cache"\ndefault-registry = "quay.io"\n[registry."Harbor.example"]\njobs = 2\n'
    )
    environ = {"HOME": str(tmp_path)}
    _pulled(Settings.load(environ, etc=tmp_path).cache, Reference.parse("quay.io/a/b"), "v1")
    assert _answered(tmp_path, "references ") == ["a/b:v1"]
    assert _answered(tmp_path, "registries ") == ["harbor.example", "quay.io"]
    assert _answered(tmp_path, "references --config /dev/null ") == []


def test_the_registries_of_credentials_are_known_by_the_names_of_people(tmp_path: Path) -> None:
    docker = tmp_path / ".docker/config.json"
    docker.parent.mkdir()
    docker.write_text(
        json.dumps(
            {
                "auths": {"https://index.docker.io/v1/": {}, "quay.io/acme": {}},
                "credHelpers": {"gcr.io": "gcloud"},
            }
        )
    )
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {"ghcr.io": {}}}))
    variables = {"DOCKER_AUTH_CONFIG": '{"auths": {"nvcr.io": {}}}'}
    file = tmp_path / ".config/oci-pull/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[registry."ecr.example"]\ncredential_helper = "ecr-login"\n')
    found = _answered(tmp_path, f"logins --authfile {tmp_path}/auth.json ", **variables)
    assert found == ["docker.io", "ecr.example", "gcr.io", "ghcr.io", "nvcr.io", "quay.io"]


@pytest.mark.parametrize("content", ["[", "[]", '{"auths": []}', '{"auths": "x"}', "\0" * 9])
def test_what_is_broken_has_no_names(content: str, tmp_path: Path) -> None:
    for path in (".docker/config.json", ".config/oci-pull/config.toml", ".cache/oci-pull"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    assert _answered(tmp_path, "logins ") == []
    assert _answered(tmp_path, "references,registries ") == ["docker.io"]


def test_a_receipt_that_is_broken_or_strange_has_no_name(tmp_path: Path) -> None:
    for number, content in enumerate(("", "[]", '{"reference": "a b;c", "digest": "sha256:0"}')):
        receipt = tmp_path / f".cache/oci-pull/models/ghcr.io/a/b@{number}" / RECEIPT
        receipt.parent.mkdir(parents=True)
        receipt.write_text(content)
    assert _answered(tmp_path, "references ") == []


def test_a_tab_waits_for_no_import(cache: Path) -> None:
    program = f"""
import sys
sys.argv = ["oci-pull", "__complete", "references", "cache", "path", "ai"]
from oci_pull.__main__ import main
try:
    main()
except SystemExit as end:
    print(end.code, [name for name in {_SLOW!r} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"HOME": str(cache.parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "ai/smollm2:latest\n0 []\n"
    assert done.stderr == ""

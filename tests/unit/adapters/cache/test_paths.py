"""Where everything in the cache is."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_pull.adapters.cache.paths import Cache
from oci_pull.errors import CacheTooNew, NotWritable
from oci_pull.oci.digest import Digest
from oci_pull.oci.reference import LayoutReference, Reference
from tests.unit.adapters.support import names_below

DIGEST = Digest.of(b"content")
HEX = DIGEST.hex


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_every_kind_has_its_place() -> None:
    cache = Cache(Path("/c"))
    reference = Reference.parse("ghcr.io/org/model:v1")
    assert cache.blob(DIGEST) == Path(f"/c/blobs/sha256/{HEX}")
    assert cache.partial(DIGEST) == Path(f"/c/partial/{HEX}")
    assert cache.layer(DIGEST) == Path(f"/c/layers/sha256-{HEX}")
    assert cache.ref(reference, "v1") == Path("/c/refs/ghcr.io/org/model@v1")
    assert cache.tree(reference, DIGEST, "") == Path(f"/c/models/ghcr.io/org/model@{HEX[:12]}")
    assert cache.tree(reference, DIGEST, "ab12") == Path(
        f"/c/models/ghcr.io/org/model@{HEX[:12]}-ab12"
    )
    assert cache.used(reference, DIGEST, "") == Path(f"/c/used/ghcr.io/org/model@{HEX[:12]}")
    assert cache.incomplete == Path("/c/incomplete")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:5000/m:v1", "localhost+5000/m@v1"),
        ("[::1]:5000/m:v1", "[++1]+5000/m@v1"),
        ("Registry.Example/m:v1", "registry.example/m@v1"),
        ("smollm2", "docker.io/library/smollm2@latest"),
    ],
)
def test_a_registry_is_a_directory(text: str, expected: str) -> None:
    reference = Reference.parse(text)
    assert reference.tag
    assert Cache(Path("/c")).ref(reference, reference.tag) == Path("/c/refs") / expected


def test_a_layout_on_disk_is_named_by_its_path() -> None:
    first, second = (LayoutReference.parse(f"oci:{path}:v1") for path in ("/a", "/b"))
    cache = Cache(Path("/c"))
    assert cache.ref(first, "v1") != cache.ref(second, "v1")
    assert cache.ref(first, "v1").parent == Path("/c/refs/layout")


def test_a_repository_below_another_collides_with_nothing(cache: Cache) -> None:
    """A repository, its tags, and repositories below it lie in the same directories."""
    texts = ["r.io/a:b", "r.io/a/b:c", "r.io/a/b/c:d", "r.io/a:c", "r.io/a-b:c", "r.io:1/a:b"]
    paths = []
    for text in texts:
        reference = Reference.parse(text)
        assert reference.tag
        paths += [cache.ref(reference, reference.tag), cache.tree(reference, DIGEST, "")]
    for path in dict.fromkeys(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(path))
    assert len(names_below(cache.root)) == len(set(paths))


def test_a_new_cache_says_what_it_is(cache: Cache) -> None:
    cache.prepare()
    assert names_below(cache.root) == {"CACHEDIR.TAG", "oci-layout", "version"}
    assert (cache.root / "version").read_text() == "1\n"
    assert (
        (cache.root / "CACHEDIR.TAG")
        .read_bytes()
        .startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")
    )
    assert (cache.root / "oci-layout").read_bytes() == b'{"imageLayoutVersion":"1.0.0"}'


def test_a_known_cache_is_left_as_it_is(cache: Cache) -> None:
    cache.prepare()
    before = {path: path.stat().st_mtime_ns for path in cache.root.iterdir()}
    cache.prepare()
    assert {path: path.stat().st_mtime_ns for path in cache.root.iterdir()} == before


@pytest.mark.parametrize("text", ["", "nonsense", "1.5"])
def test_a_version_that_is_none_is_written_anew(cache: Cache, text: str) -> None:
    cache.prepare()
    (cache.root / "version").write_text(text)
    cache.prepare()
    assert (cache.root / "version").read_text() == "1\n"


def test_a_newer_cache_is_refused_untouched(cache: Cache) -> None:
    cache.prepare()
    (cache.root / "version").write_text("2\n")
    with pytest.raises(CacheTooNew, match="version 2") as caught:
        cache.prepare()
    assert "--cache-dir" in str(caught.value.hint)
    assert (cache.root / "version").read_text() == "2\n"


def test_a_cache_that_cannot_be_made_is_told() -> None:
    with pytest.raises(NotWritable, match="/sys/cache"):
        Cache(Path("/sys/cache")).prepare()

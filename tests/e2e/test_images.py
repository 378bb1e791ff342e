"""Models in container images: what is written, what is fetched again, what is refused."""

from __future__ import annotations

import gzip
import hashlib
import random
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.archives import Entry, directory, symlink
from tests.content import artifact, encode, layer
from tests.e2e.disk import assert_tidy, assert_tree, names_of
from tests.e2e.models import MIB, model, put
from tests.producers.images import image, image_layer, image_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.content import Content
    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

FILES = model()
SYSTEM: dict[str, Content] = {
    "etc/os-release": b"NAME=base\n",
    "usr/lib/app/config.json": b"{}",
    "config.json": b"{}",
}


def under(root: str, files: Mapping[str, Content] = FILES) -> dict[str, Content]:
    return {f"{root}/{name}": content for name, content in files.items()}


def fetched(registry: FakeRegistry, since: int = 0) -> set[str]:
    """The digests of blobs that were asked for, but for so many requests."""
    asked = registry.find("GET", "blob")[since:]
    return {one.path.rpartition("/")[2] for one in asked}


def contents(cache: Path) -> set[str]:
    """The digests of all files that were written out of images."""
    return {path.name for path in cache.glob("layers/image-*/files/*")}


def sha256(content: Content) -> str:
    assert isinstance(content, bytes)
    return hashlib.sha256(content).hexdigest()


def hardlink(name: str, target: str) -> Entry:
    return Entry(name, type=tarfile.LNKTYPE, link=target)


def device(name: str) -> Entry:
    return Entry(name, type=tarfile.CHRTYPE)


@pytest.mark.parametrize("form", ["tar", "tar+gzip", "tar+zstd"])
def test_only_the_files_that_win_are_written(
    form: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    run = oci_pull("--format", "json", put(registry, image(FILES, form=form)))  # type: ignore[arg-type]
    found = run.must_succeed().json
    assert (found["packaging"], found["servable"]) == ("image", True)
    assert_tree(Path(found["path"]), FILES)
    assert_tidy(oci_pull.cache)
    assert contents(oci_pull.cache) == {sha256(content) for content in FILES.values()}


@pytest.mark.parametrize(
    "layers",
    [
        [under("models")],
        [under("./models")],
        [under("/models")],
        [SYSTEM, under("models/q")],
        [SYSTEM, under("opt/weights")],
        # As `FROM base`, `COPY`, `RUN chmod`, `RUN rm`.
        [SYSTEM, under("models") | {"models/x.bin": b"x"}, under("models"),
         {"models/.wh.x.bin": b""}],
        [under("models", {"config.json": b"old"}), under("models") | {"models/.wh..wh..opq": b""}],
        [under("models/q", {"other.json": b"{}"}), {".wh.models": b""}, under("models")],
        [{"models": b"a file"}, under("models")],
        # Links, which are what they lead to.
        [under("opt/real"), [symlink("models", "/opt/real")]],
        [under("opt/real"), [symlink("models", "../../opt/real")]],
        [under("opt/real"), [directory("models"),
         *(symlink(f"models/{name}", f"../opt/real/{name}") for name in FILES)]],
        [under("store"), [hardlink(f"models/{name}", f"store/{name}") for name in FILES]],
        [under("models"), [symlink("models/self", "."), symlink("models/gone", "nowhere")]],
        [[symlink("models", "/opt")], under("models")],
        # Of RamaLama.
        [[*(Entry(*each) for each in under("models/q").items()),
          symlink("models/model.file", "q/model.safetensors")]],
        # What no file system of a model has.
        [under("models"), [device("models/null"), device("dev/zero")]],
        [under("models") | {"models/.oci-pull/receipt.json": b"{}"}],
        [under("models") | {"stargz.index.json": b"{}", ".no.prefetch.landmark": b"\x0f"}],
        # A cache of Hugging Face's library.
        [[Entry("hub/models--o--n/refs/main", b"a" * 40),
          *(Entry(f"hub/models--o--n/blobs/{sha256(content)}", content)
            for content in FILES.values()),
          *(symlink(f"hub/models--o--n/snapshots/{'a' * 40}/{name}",
                    f"../../blobs/{sha256(content)}") for name, content in FILES.items()),
          Entry(f"hub/models--o--n/snapshots/{'b' * 40}/config.json", b"{}"),
          Entry(f"hub/models--o--n/snapshots/{'b' * 40}/m.safetensors", b"")]],
    ],
)  # fmt: skip
def test_an_image_is_what_its_layers_make_of_each_other(
    layers: list[Mapping[str, Content] | Iterable[Entry]],
    registry: FakeRegistry,
    oci_pull: Command,
) -> None:
    pushed = image_of(*(image_layer(members) for members in layers))
    assert_tree(oci_pull(put(registry, pushed)).path, FILES)


def test_a_layer_twice_and_empty_ones_do_no_harm(registry: FakeRegistry, oci_pull: Command) -> None:
    once, empty = image_layer(under("models")), image_layer({})
    nothing = replace(layer(once.media_type, b""), diff_id=empty.diff_id)
    pushed = image_of(empty, once, empty, once, nothing)
    assert_tree(oci_pull(put(registry, pushed)).path, FILES)


def test_layers_are_read_as_they_are_and_not_as_they_are_typed(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    """Docker's type for a plain archive, gzip in several members, and a foreign layer."""
    plain = image_layer(under("models", {"config.json": FILES["config.json"]}), "tar+gzip")
    several = image_layer({"models/model.safetensors": FILES["model.safetensors"]})
    content = several.content
    assert isinstance(content, bytes)
    members = b"".join(
        gzip.compress(content[at : at + 700], mtime=0) for at in range(0, len(content), 700)
    )
    docker = "application/vnd.docker.image.rootfs."
    pushed = image_of(
        replace(plain, media_type=f"{docker}diff.tar"),
        replace(layer(f"{docker}foreign.diff.tar.gzip", members), diff_id=several.diff_id),
    )
    assert_tree(oci_pull(put(registry, pushed)).path, FILES)


def test_large_layers_go_once_their_files_are_there(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    """Below 64 MB they stay, and what wins nothing is not fetched a second time."""
    big = random.Random(0).randbytes(65 * MIB)
    stale = image_layer({"models/model.safetensors": big, "etc/x": b"x"})
    top = image_layer(under("models"))
    reference = put(registry, image_of(stale, top))
    first = oci_pull("--format", "json", reference).must_succeed().json
    assert not (oci_pull.cache / "blobs/sha256" / stale.digest.removeprefix("sha256:")).exists()
    assert (oci_pull.cache / "blobs/sha256" / top.digest.removeprefix("sha256:")).exists()
    assert_tree(Path(first["path"]), FILES)
    before = len(registry.find("GET", "blob"))
    again = oci_pull("--format", "json", reference, "--root", "/models").must_succeed().json
    assert_tree(Path(again["path"]), FILES)
    assert fetched(registry, before) == set()
    assert again["fetched"] == 0
    kept = oci_pull("--keep-archives", reference, "--cache-dir", str(oci_pull.cache / "../other"))
    assert_tree(kept.path, FILES)
    other = oci_pull.cache / "../other/blobs/sha256"
    assert (other / stale.digest.removeprefix("sha256:")).exists()
    before = len(registry.find("GET", "blob"))
    assert oci_pull("--keep-archives", reference).path == Path(first["path"])
    assert fetched(registry, before) == {stale.digest}
    assert (oci_pull.cache / "blobs/sha256" / stale.digest.removeprefix("sha256:")).exists()


def test_a_repeated_pull_of_an_image_asks_for_one_manifest(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    reference = put(registry, image(FILES))
    oci_pull(reference).must_succeed()
    before = len(registry.find("GET", "blob"))
    assert oci_pull("--format", "json", reference).must_succeed().json["unchanged"]
    assert fetched(registry, before) == set()
    assert oci_pull("--offline", reference).path.is_dir()


def test_what_is_known_of_layers_is_made_again_where_it_is_damaged(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    reference = put(registry, image(FILES))
    oci_pull(reference).must_succeed()
    for kind in ("models", "layers"):
        for path in sorted((oci_pull.cache / kind).glob("*")):
            if path.name.startswith("headers-"):
                (path / "entries").write_text('["no')
            else:
                _remove(path)
    assert_tree(oci_pull(reference).path, FILES)


def _remove(path: Path) -> None:
    for each in sorted(path.rglob("*"), reverse=True):
        if each.is_dir() and not each.is_symlink():
            each.rmdir()
        else:
            each.unlink()
    path.rmdir()


def test_two_processes_write_an_image_once(registry: FakeRegistry, oci_pull: Command) -> None:
    reference = put(registry, image(FILES))
    runs = oci_pull.at_once([reference], [reference])
    for run in runs:
        assert_tree(run.must_succeed().path, FILES)
    assert_tidy(oci_pull.cache)


@pytest.mark.parametrize(
    ("members", "code", "words"),
    [
        (SYSTEM, 9, "at the top config.json"),
        (under("models/a") | under("models/b"), 9, "--root models/a"),
        ({"models/../../x": b""}, 10, "unsafe file name"),
        (under("models") | {"models/a\x01b": b""}, 10, "unsafe file name"),
        (under("models") | {"models/CONFIG.json": b"{}"}, 10, "one file on some file systems"),
        (under("models", {"config.json": b"{}", "m.bin": b"x"}), 10, "--allow-pickle"),
    ],
)
def test_an_image_that_cannot_be_pulled_says_why(
    members: Mapping[str, Content],
    code: int,
    words: str,
    registry: FakeRegistry,
    oci_pull: Command,
) -> None:
    run = oci_pull(put(registry, image_of(image_layer(members))))
    run.must_fail(code)
    assert words in run.stderr
    assert contents(oci_pull.cache) <= {sha256(content) for content in members.values()}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "encrypted"),
        ("application/vnd.erofs.layer.v1", "EROFS"),
    ],
)
def test_a_layer_that_nobody_can_read_is_refused_before_it_is_fetched(
    kind: str, words: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    good = image_layer(under("models"))
    run = oci_pull(put(registry, image_of(good, replace(layer(kind, b"?"), diff_id="x"))))
    run.must_fail(9)
    assert words in run.stderr
    assert fetched(registry) == set()


def test_what_is_no_part_of_the_file_system_is_left_out(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    note = replace(layer("application/vnd.in-toto+json", b"{}"), diff_id="x")
    reference = put(registry, image_of(image_layer(SYSTEM | under("models")), note))
    assert_tree(oci_pull(reference).path, FILES)
    plan = oci_pull("plan", "--format", "json", reference).must_succeed().json
    reasons = {left["name"]: left["reason"] for left in plan["left_out"]}
    assert reasons == {
        "application/vnd.in-toto+json": "no part of the file system",
        "3 other files of the image": "not in /models, which is the model",
    }


def test_the_root_may_be_chosen(registry: FakeRegistry, oci_pull: Command) -> None:
    other = model(8192, seed=1)
    reference = put(registry, image_of(image_layer(under("models/a") | under("models/b", other))))
    assert_tree(oci_pull(reference, "--root", "/models/b").path, other)
    assert_tree(oci_pull(reference, "--root", "models/a").path, FILES)
    oci_pull(reference, "--root", "models/c").must_fail(9)


def test_globs_choose_among_the_files_of_an_image(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    run = oci_pull(put(registry, image(FILES)), "--include", "*.json").must_succeed()
    assert names_of(run.path) == {"config.json"}


def test_files_that_were_pushed_with_the_config_of_an_image_are_files(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    kind, title = "application/vnd.oci.image.layer.v1.tar", "org.opencontainers.image.title"
    config = layer("application/vnd.oci.image.config.v1+json", encode({"architecture": "amd64"}))
    pushed = artifact(config, [layer(kind, FILES[name], {title: name}) for name in FILES])
    found = oci_pull("--format", "json", put(registry, pushed)).must_succeed().json
    assert found["packaging"] == "oras"
    assert_tree(Path(found["path"]), FILES)

"""ModelKits that are built on others, which are in registries of their own."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from oci_pull import api, events
from oci_pull.errors import (
    AccessError,
    EndlessParents,
    ManifestUnknown,
    NotAModel,
    NotCached,
    RedirectRefused,
    TransferError,
    Unsupported,
)
from oci_pull.oci.digest import Digest
from oci_pull.settings import Settings
from tests import builders, kits
from tests.builders import Artifact, IndexEntry
from tests.fakes.faults import BlobFaults
from tests.fakes.registry import Auth, FakeRegistry
from tests.kits import Piece, kit
from tests.servers.push import write_layout

BASE = builders.tiny_model()
#: What the child changes and adds.
OWN = {"config.json": b'{"model_type": "llama", "tuned": true}', "LICENSE.tuned": b"MIT\n"}
WANTED = {**BASE, **OWN}
BASE_KIT = kit(BASE, [Piece("model", ".")])
OWN_PIECES = [Piece("parts", path) for path in OWN]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({"HOME": str(tmp_path), "OCI_PULL_CACHE_DIR": str(tmp_path / "cache")})


@pytest.fixture
def near() -> Iterator[FakeRegistry]:
    with FakeRegistry() as found:
        yield found


@pytest.fixture
def far() -> Iterator[FakeRegistry]:
    with FakeRegistry() as found:
        yield found


class Recorder:
    def __init__(self) -> None:
        self.events: list[events.Event] = []

    def on(self, event: events.Event) -> None:
        self.events.append(event)


def put(registry: FakeRegistry, repository: str, made: Artifact, tag: str = "v1") -> str:
    for child in made.children:
        registry.put(repository, None, child.manifest, child.media_type, child.blobs)
    registry.put(repository, tag, made.manifest, made.media_type, made.blobs)
    return f"{registry.address}/{repository}:{tag}"


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".oci-pull" not in path.parts
    }


def child_of(parent: str, own: Mapping[str, bytes] = OWN) -> Artifact:
    return kit(own, [Piece("parts", path) for path in own], parent=parent)


def repositories(registry: FakeRegistry, kind: str = "blob") -> set[str]:
    asked = [one.path for one in registry.requests if one.kind == kind]
    return {path.removeprefix("/v2/").rpartition(f"/{kind}s/")[0] for path in asked}


@pytest.mark.parametrize("is_far", [False, True])
def test_a_child_is_laid_out_over_its_parent_wherever_that_is(
    near: FakeRegistry, far: FakeRegistry, settings: Settings, *, is_far: bool
) -> None:
    home = far if is_far else near
    parent = put(home, "team/base", BASE_KIT)
    child = put(near, "team/tuned", child_of(parent))
    result = api.pull(child, settings=settings)
    assert files(result.path) == WANTED
    assert result.packaging == "kitops"
    expected = {"team/tuned"} if is_far else {"team/tuned", "team/base"}
    assert repositories(near) == expected
    assert repositories(far) == ({"team/base"} if is_far else set())


def test_what_a_tag_of_a_parent_is_is_asked_once(near: FakeRegistry, settings: Settings) -> None:
    parent = put(near, "team/base", BASE_KIT)
    child = put(near, "team/tuned", child_of(parent))
    api.pull(child, settings=settings)
    asked = [one.path for one in near.find(kind="manifest")]
    assert asked == ["/v2/team/tuned/manifests/v1", "/v2/team/base/manifests/v1"]


def test_a_second_pull_asks_for_the_childs_tag_alone(
    near: FakeRegistry, far: FakeRegistry, settings: Settings
) -> None:
    child = put(near, "team/tuned", child_of(put(far, "team/base", BASE_KIT)))
    api.pull(child, settings=settings)
    before = len(near.requests), len(far.requests)
    assert api.pull(child, settings=settings).unchanged
    assert (len(near.requests), len(far.requests)) == (before[0] + 1, before[1])


def test_a_pulled_child_is_found_offline_and_a_child_of_a_stranger_is_not(
    near: FakeRegistry, far: FakeRegistry, settings: Settings, tmp_path: Path
) -> None:
    parent = put(far, "team/base", BASE_KIT)
    child = put(near, "team/tuned", child_of(parent))
    path = api.pull(child, settings=settings).path
    asked = len(near.requests), len(far.requests)
    assert api.pull(child, settings=settings, offline=True).path == path
    # To another place everything is planned anew, the parent among it.
    result = api.pull(child, settings=settings, offline=True, output=tmp_path / "out")
    assert files(result.path) == WANTED
    assert (len(near.requests), len(far.requests)) == asked
    (settings.cache / "refs" / far.address.replace(":", "+") / "team" / "base@v1").unlink()
    with pytest.raises(NotCached, match=f"the parent {parent}: "):
        api.pull(child, settings=settings, offline=True, output=tmp_path / "other")


def test_a_dry_run_notes_nothing_of_a_parent(
    near: FakeRegistry, far: FakeRegistry, settings: Settings
) -> None:
    child = put(near, "team/tuned", child_of(put(far, "team/base", BASE_KIT)))
    found = api.plan(child, settings=settings)
    assert {item.digest for item in found.items} >= {
        Digest.parse(layer["digest"]) for layer in BASE_KIT.document["layers"]
    }
    assert api.inspect(child, settings=settings).plan is not None
    assert not settings.cache.exists()


def test_a_parent_may_be_an_index_and_may_be_named_by_digest(
    near: FakeRegistry, settings: Settings
) -> None:
    index = builders.index([IndexEntry(BASE_KIT)])
    put(near, "team/base", index)
    parent = f"{near.address}/team/base@{index.digest}"
    child = put(near, "team/tuned", child_of(parent))
    assert files(api.pull(child, settings=settings).path) == WANTED


def test_a_blob_of_both_comes_from_the_childs_own_repository(
    near: FakeRegistry, far: FakeRegistry, settings: Settings
) -> None:
    shared = kit(BASE, [Piece("model", ".")], form="tar")
    parent = put(far, "team/base", shared)
    own = child_of(parent, {})
    document = own.document | {"layers": shared.document["layers"]}
    kitfile = kits.kitfile_of(own)
    entry = kits.kitfile_of(shared)["model"]
    kitfile["docs"] = [{"path": "README.md", "digest": entry["digest"]}]
    both = Artifact(builders.encode(document), own.media_type, {**own.blobs, **shared.blobs})
    child = put(near, "team/tuned", kits.with_kitfile(both, kitfile))
    assert files(api.pull(child, settings=settings).path) == BASE
    layer = document["layers"][0]["digest"]
    assert not [one for one in far.find(kind="blob") if one.path.endswith(layer)]


def test_a_grandparent_is_followed_to_a_third_place(
    near: FakeRegistry, far: FakeRegistry, settings: Settings
) -> None:
    first = put(near, "team/first", BASE_KIT)
    second = put(far, "team/second", child_of(first))
    third = put(near, "team/third", child_of(second, {"config.json": b'{"third": 3}'}))
    wanted = WANTED | {"config.json": b'{"third": 3}'}
    assert files(api.pull(third, settings=settings).path) == wanted


def test_an_interrupted_parent_is_no_earlier_version_of_the_child(
    near: FakeRegistry, far: FakeRegistry, settings: Settings
) -> None:
    child = put(near, "team/tuned", child_of(put(far, "team/base", BASE_KIT)))
    far.blob_faults = BlobFaults(cut_after=20_000)
    with pytest.raises(TransferError):
        api.pull(child, settings=settings, retries=0)
    assert list(settings.cache.glob("partial/*"))
    far.blob_faults = BlobFaults()
    recorder = Recorder()
    result = api.pull(child, settings=settings, observer=recorder)
    assert files(result.path) == WANTED
    assert not [each for each in recorder.events if isinstance(each, events.Superseded)]


def _login(tmp_path: Path, registry: FakeRegistry, text: str) -> None:
    auth = base64.b64encode(text.encode()).decode()
    directory = tmp_path / ".docker"
    directory.mkdir(exist_ok=True)
    content = {"auths": {registry.address: {"auth": auth}}}
    (directory / "config.json").write_text(json.dumps(content))


def test_each_registry_gets_its_own_credentials(
    near: FakeRegistry, far: FakeRegistry, settings: Settings, tmp_path: Path
) -> None:
    near.auth = Auth(scheme="basic", users={"ada": "near-secret"}, anonymous=False)
    far.auth = Auth(scheme="basic", users={"bob": "far-secret"}, anonymous=False)
    _login(tmp_path, far, "bob:far-secret")
    child = put(near, "team/tuned", child_of(put(far, "team/base", BASE_KIT)))
    (tmp_path / "password").write_text("near-secret")
    settings = replace(settings, username="ada", password_file=tmp_path / "password")
    assert files(api.pull(child, settings=settings).path) == WANTED
    for registry, who in ((near, "ada:near-secret"), (far, "bob:far-secret")):
        sent = {one.headers.get("authorization") for one in registry.requests} - {None}
        assert sent == {f"Basic {base64.b64encode(who.encode()).decode()}"}


def test_the_password_of_the_command_line_is_for_no_parent_even_beside_the_child(
    near: FakeRegistry, tmp_path: Path, settings: Settings
) -> None:
    near.auth = Auth(scheme="basic", users={"ada": "secret"}, anonymous=False)
    parent = put(near, "team/base", BASE_KIT)
    child = put(near, "team/tuned", child_of(parent))
    (tmp_path / "password").write_text("secret")
    settings = replace(settings, username="ada", password_file=tmp_path / "password")
    with pytest.raises(AccessError, match=f"the parent {parent}: ") as caught:
        api.pull(child, settings=settings)
    assert f"oci-pull login {near.address}" in (caught.value.hint or "")
    sent = [one for one in near.requests if "team/base" in one.path]
    assert sent
    assert not any("authorization" in one.headers for one in sent)


def test_a_mirror_is_for_the_registry_that_it_was_given_for(
    near: FakeRegistry, far: FakeRegistry, settings: Settings
) -> None:
    parent = put(far, "team/base", BASE_KIT)
    child = put(near, "team/tuned", child_of(parent))
    with FakeRegistry() as of_child, FakeRegistry() as of_parent:
        put(of_parent, "team/base", BASE_KIT)
        mirror = (f"http://{of_child.address}", f"{far.address}=http://{of_parent.address}")
        result = api.pull(child, settings=settings, mirror=mirror)
        assert repositories(of_child, "manifest") == {"team/tuned"}
        assert repositories(of_parent, "manifest") == {"team/base"}
    assert files(result.path) == WANTED
    assert not far.requests


def test_what_is_broken_on_this_machine_is_told_once(
    near: FakeRegistry, far: FakeRegistry, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text("{")
    child = put(near, "team/tuned", child_of(put(far, "team/base", BASE_KIT)))
    for registry in (near, far):
        registry.auth = Auth()
    recorder = Recorder()
    api.pull(child, settings=settings, observer=recorder)
    told = [each.message for each in recorder.events if isinstance(each, events.Warned)]
    assert len([each for each in told if "config.json" in each]) == 1


def test_a_parent_that_is_not_there_is_named(near: FakeRegistry, settings: Settings) -> None:
    parent = f"{near.address}/team/base:v9"
    put(near, "team/base", BASE_KIT)
    child = put(near, "team/tuned", child_of(parent))
    with pytest.raises(ManifestUnknown, match=f"the parent {parent}: tag 'v9'") as caught:
        api.pull(child, settings=settings)
    assert caught.value.exit_code == 3


def test_what_is_wrong_with_a_parent_is_no_reason_not_to_look_at_the_child(
    near: FakeRegistry, settings: Settings
) -> None:
    parent = f"{near.address}/team/base:v9"
    found = api.inspect(put(near, "team/tuned", child_of(parent)), settings=settings)
    assert found.manifest is not None
    assert found.plan is None
    assert found.problem is not None
    assert f"the parent {parent}: " in found.problem.message


def test_a_parent_that_is_no_modelkit_is_named(near: FakeRegistry, settings: Settings) -> None:
    parent = put(near, "team/base", builders.docker_v02(BASE))
    child = put(near, "team/tuned", child_of(parent))
    with pytest.raises(NotAModel, match=f"{parent} has no Kitfile"):
        api.pull(child, settings=settings)


def test_a_kitfile_of_five_megabytes_is_refused_and_not_fetched(
    near: FakeRegistry, settings: Settings
) -> None:
    kitfile = b'{"manifestVersion": "' + b"1" * 5_000_000 + b'"}'
    child = put(near, "team/tuned", kits.with_kitfile(BASE_KIT, kitfile))
    with pytest.raises(Unsupported, match="the Kitfile of this ModelKit has 5000023 bytes"):
        api.pull(child, settings=settings)
    assert near.count(kind="blob") == 0


def test_a_child_of_itself_is_told_so(near: FakeRegistry, settings: Settings) -> None:
    itself = f"{near.address}/team/tuned:v1"
    put(near, "team/tuned", child_of(itself))
    with pytest.raises(EndlessParents, match="in a circle"):
        api.pull(itself, settings=settings)
    assert near.count(kind="manifest") == 2


def test_ten_generations_are_pulled(near: FakeRegistry, settings: Settings) -> None:
    reference = put(near, "team/kit0", BASE_KIT)
    for number in range(1, 11):
        own = {f"NOTES.{number}": str(number).encode()}
        reference = put(near, f"team/kit{number}", child_of(reference, own))
    notes = {f"NOTES.{number}": str(number).encode() for number in range(1, 11)}
    assert files(api.pull(reference, settings=settings).path) == BASE | notes
    last = put(near, "team/kit11", child_of(reference, {}))
    with pytest.raises(EndlessParents, match="more than 10"):
        api.pull(last, settings=settings)


def test_a_child_on_disk_has_its_parent_from_the_registry(
    near: FakeRegistry, settings: Settings, tmp_path: Path
) -> None:
    write_layout(tmp_path / "layout", child_of(put(near, "team/base", BASE_KIT)), "v1")
    result = api.pull(f"oci:{tmp_path / 'layout'}:v1", settings=settings)
    assert files(result.path) == WANTED
    again = api.pull(
        f"oci:{tmp_path / 'layout'}:v1", settings=settings, offline=True, output=tmp_path / "out"
    )
    assert files(again.path) == WANTED


@pytest.mark.parametrize("address", ["169.254.169.254", "[fe80::1]:5000", "100.100.100.200:80"])
@pytest.mark.parametrize("is_on_disk", [False, True])
def test_a_parent_is_never_where_no_registry_may_lead_to(
    near: FakeRegistry, settings: Settings, tmp_path: Path, address: str, *, is_on_disk: bool
) -> None:
    made = child_of(f"{address}/latest/base:v1")
    child = put(near, "team/tuned", made)
    if is_on_disk:
        child = f"oci:{tmp_path / 'layout'}:v1"
        write_layout(tmp_path / "layout", made, "v1")
    with pytest.raises(RedirectRefused, match="an address that no registry may lead to") as caught:
        api.pull(child, settings=settings)
    assert caught.value.message.startswith(f"the parent {address}/latest/base:v1: ")
    assert caught.value.exit_code == 10

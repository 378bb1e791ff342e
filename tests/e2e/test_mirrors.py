"""Mirrors, and the files that name them, through the installed command."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_tree
from tests.e2e.models import MIB, REPOSITORY, TAG, model, put
from tests.e2e.ports import silence
from tests.fakes.registry import Auth, BlobFaults, FakeRegistry, Redirects, ServerFaults
from tests.servers.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.command import Command

_FILES = model(64 * 1024)
_ARTIFACT = builders.docker_v02(_FILES)


@pytest.fixture
def mirror() -> Iterator[FakeRegistry]:
    with FakeRegistry() as found:
        put(found, _ARTIFACT)
        yield found


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(registry, _ARTIFACT)


def _write(oci_pull: Command, name: str, text: str) -> Path:
    file = oci_pull.home / ".config" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def _hub(oci_pull: Command, *urls: str) -> None:
    _write(oci_pull, "docker/daemon.json", json.dumps({"registry-mirrors": urls}))


# --- who is asked


def test_a_mirror_has_all_of_it_and_the_name_stays(
    oci_pull: Command, registry: FakeRegistry, mirror: FakeRegistry, reference: str
) -> None:
    path = oci_pull("--mirror", mirror.url, reference).path
    assert_tree(path, _FILES)
    assert registry.requests == []
    assert {request.query for request in mirror.requests} == {f"ns={registry.address}"}
    assert oci_pull("cache", "path", reference).path == path
    oci_pull("--offline", reference).must_succeed()


def test_a_mirror_is_for_the_registry_that_is_named(
    oci_pull: Command, mirror: FakeRegistry, registry: FakeRegistry, reference: str
) -> None:
    oci_pull("--mirror", f"other.example={mirror.url}", reference).must_succeed()
    assert mirror.requests == []
    oci_pull.with_env(OCI_PULL_MIRROR=f"{registry.address}={mirror.url}")(
        "-o", oci_pull.home / "out", reference
    ).must_succeed()


def test_a_mirror_may_want_a_prefix(
    oci_pull: Command, mirror: FakeRegistry, registry: FakeRegistry, reference: str
) -> None:
    put(mirror, _ARTIFACT, repository=f"proxy/hub/{REPOSITORY}")
    oci_pull("--mirror", f"{mirror.url}/proxy/hub", reference).must_succeed()
    assert all(one.path.startswith("/v2/proxy/hub/team/") for one in mirror.requests)
    assert registry.requests == []


def test_tags_come_from_the_registry_where_the_mirror_is_not_believed(
    oci_pull: Command, mirror: FakeRegistry, registry: FakeRegistry, reference: str
) -> None:
    put(mirror, builders.docker_v02(model(seed=7)))
    file = oci_pull.home / "mine.toml"
    file.write_text(
        f'[registry."{registry.address}"]\nmirrors = [{{url = "{mirror.url}", tags = false}}]\n'
    )
    assert_tree(oci_pull("--config", file, reference).path, _FILES)
    assert registry.count(kind="manifest") == 1
    assert registry.count(kind="blob") == 0


def test_the_storage_of_a_mirror_is_not_told_which_registry_is_meant(
    oci_pull: Command, mirror: FakeRegistry, reference: str
) -> None:
    mirror.redirects = Redirects()
    mirror.auth = Auth()
    assert_tree(oci_pull("--mirror", mirror.url, reference).path, _FILES)
    assert mirror.count(origin="storage") > 0
    elsewhere = [one for one in mirror.requests if one.origin != "registry"]
    assert not any("ns" in one.params for one in elsewhere)


# --- who comes next


def test_a_mirror_that_is_gone_is_told_and_passed_over(
    oci_pull: Command, mirror: FakeRegistry, reference: str
) -> None:
    mirror.close()
    run = oci_pull("--progress", "plain", "--mirror", mirror.url, reference)
    assert_tree(run.path, _FILES)
    (told,) = [line for line in run.stderr.splitlines() if "asking the next" in line]
    assert f"mirror {mirror.address}" in told


def test_a_mirror_that_says_nothing_is_given_up(
    oci_pull: Command, registry: FakeRegistry, reference: str
) -> None:
    with silence() as nobody:
        mirror = f"http://127.0.0.1:{nobody.number}"
        run = oci_pull("--stall-timeout", "0.5s", "--mirror", mirror, reference)
        assert_tree(run.path, _FILES)
        # By then it is left alone, however many blobs there are.
        assert 0 < nobody.accepted <= 1 + len(_ARTIFACT.blobs)
    assert registry.bytes_served > 0


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_a_mirror_that_refuses_is_passed_over(
    oci_pull: Command, mirror: FakeRegistry, reference: str, status: int
) -> None:
    mirror.server_faults = ServerFaults(status=status)
    assert_tree(oci_pull("--mirror", mirror.url, reference).path, _FILES)


def test_a_mirror_that_is_a_web_page_is_passed_over(
    oci_pull: Command, mirror: FakeRegistry, reference: str
) -> None:
    mirror.server_faults = ServerFaults(html=True)
    assert_tree(oci_pull("--mirror", mirror.url, reference).path, _FILES)


def test_mirrors_are_tried_in_order(
    oci_pull: Command, mirror: FakeRegistry, registry: FakeRegistry, reference: str
) -> None:
    with FakeRegistry() as empty:
        run = oci_pull("--mirror", empty.url, "--mirror", mirror.url, reference)
        assert_tree(run.path, _FILES)
        assert empty.count(kind="manifest") > 0
    assert registry.requests == []


def test_what_nobody_has_is_what_the_registry_says(
    oci_pull: Command, mirror: FakeRegistry, registry: FakeRegistry, reference: str
) -> None:
    run = oci_pull("--mirror", mirror.url, f"{registry.address}/{REPOSITORY}:none").must_fail(3)
    assert f"'none' does not exist in {registry.address}/{REPOSITORY}" in run.stderr
    assert reference


def test_wrong_bytes_of_a_mirror_are_fetched_from_the_registry(
    oci_pull: Command, mirror: FakeRegistry, registry: FakeRegistry, reference: str
) -> None:
    mirror.blob_faults = BlobFaults(corrupt_at=-1)
    assert_tree(oci_pull("--mirror", mirror.url, reference).path, _FILES)
    assert registry.bytes_served > 0


def test_a_mirror_that_ends_in_the_middle_is_carried_on_by_the_registry(
    oci_pull: Command, mirror: FakeRegistry, registry: FakeRegistry
) -> None:
    files = model(16 * MIB)
    artifact = builders.docker_v02(files)
    put(mirror, artifact)
    name = put(registry, artifact)
    # It does not get further than that, however late it is closed.
    mirror.blob_faults = BlobFaults(stall_after=4 * MIB)
    with oci_pull.start("--mirror", mirror.url, name) as running:
        running.until(lambda: mirror.bytes_served > 2 * MIB, "some came from the mirror")
        mirror.close()
        assert_tree(running.wait().path, files)
    assert 0 < registry.bytes_served < 16 * MIB


# --- how a mirror is reached


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def secure(authority: Authority) -> Iterator[FakeRegistry]:
    """A mirror whose certificate nobody knows."""
    context = authority.server().server_context()
    with FakeRegistry(tls=context) as found:
        put(found, _ARTIFACT)
        yield found


@pytest.mark.parametrize("words", [(), ("--insecure",)], ids=["proof", "insecure"])
def test_a_mirror_proves_who_it_is_whatever_the_registry_need_not(
    oci_pull: Command,
    secure: FakeRegistry,
    registry: FakeRegistry,
    reference: str,
    words: tuple[str, ...],
) -> None:
    run = oci_pull("--progress", "plain", *words, "--mirror", secure.url, reference)
    assert_tree(run.path, _FILES)
    assert "is not trusted" in run.stderr
    assert (secure.requests, registry.bytes_served > 0) == ([], True)


@pytest.mark.parametrize("how", ["insecure = true", 'ca_file = "{ca}"'])
def test_what_is_said_of_the_mirror_itself_counts(
    oci_pull: Command,
    secure: FakeRegistry,
    registry: FakeRegistry,
    reference: str,
    authority: Authority,
    how: str,
) -> None:
    said = how.format(ca=authority.ca_file)
    _write(oci_pull, "oci-pull/config.toml", f'[registry."{secure.address}"]\n{said}\n')
    assert_tree(oci_pull("--mirror", secure.url, reference).path, _FILES)
    assert registry.requests == []


# --- whose credential


def _log_in(oci_pull: Command, **users: str) -> None:
    directory = oci_pull.home / ".docker"
    directory.mkdir()
    auths = {
        host: {"auth": base64.b64encode(user.encode()).decode()} for host, user in users.items()
    }
    (directory / "config.json").write_text(json.dumps({"auths": auths}))


def test_a_mirror_gets_no_credential_of_the_registry(
    oci_pull: Command, mirror: FakeRegistry, registry: FakeRegistry, reference: str
) -> None:
    _log_in(oci_pull, **{registry.address: "ada:secret"})
    registry.auth = Auth(users={"ada": "secret"}, anonymous=False)
    mirror.auth = Auth(users={"ada": "secret"}, anonymous=False)
    assert_tree(oci_pull("--mirror", mirror.url, reference).path, _FILES)
    assert registry.count(kind="token") > 0
    assert mirror.count(kind="token", status=200) == 0
    assert not any("authorization" in one.headers for one in mirror.requests)


def test_a_mirror_gets_nothing_of_the_command_lines(
    oci_pull: Command, mirror: FakeRegistry, registry: FakeRegistry, reference: str
) -> None:
    registry.auth = Auth(users={"ada": "secret"}, anonymous=False)
    mirror.auth = Auth(users={"ada": "secret"}, anonymous=False)
    password = oci_pull.home / "password"
    password.write_text("secret")
    command = oci_pull.with_env(OCI_PULL_PASSWORD_FILE=str(password))
    assert_tree(command("--username", "ada", "--mirror", mirror.url, reference).path, _FILES)
    assert mirror.requests != []
    assert not any("authorization" in one.headers for one in mirror.requests)


def test_a_mirror_gets_the_credential_of_its_own(
    oci_pull: Command, mirror: FakeRegistry, registry: FakeRegistry, reference: str
) -> None:
    _log_in(oci_pull, **{mirror.address: "bob:other"})
    mirror.auth = Auth(users={"bob": "other"}, anonymous=False)
    assert_tree(oci_pull("--mirror", mirror.url, reference).path, _FILES)
    assert registry.requests == []


# --- what Docker and podman were told


def test_a_mirror_of_docker_hub_that_docker_was_told_of(
    oci_pull: Command, mirror: FakeRegistry
) -> None:
    _hub(oci_pull, mirror.url)
    assert_tree(oci_pull(f"{REPOSITORY}:{TAG}").path, _FILES)
    assert {request.query for request in mirror.requests} == {"ns=docker.io"}


def test_a_mirror_that_podman_was_told_of(
    oci_pull: Command, mirror: FakeRegistry, registry: FakeRegistry, reference: str
) -> None:
    put(mirror, _ARTIFACT, repository="proxy/model")
    _write(
        oci_pull,
        "containers/registries.conf",
        f'[[registry]]\nprefix = "{registry.address}/team"\n'
        f'[[registry.mirror]]\nlocation = "{mirror.address}/proxy"\ninsecure = true\n',
    )
    assert_tree(oci_pull(reference).path, _FILES)
    assert {one.path.split("/")[2] for one in mirror.requests} == {"proxy"}
    assert registry.requests == []


def test_a_registry_that_podman_has_elsewhere(oci_pull: Command, mirror: FakeRegistry) -> None:
    _write(
        oci_pull,
        "containers/registries.conf.d/50-moved.conf",
        f'[[registry]]\nprefix = "registry.invalid"\nlocation = "{mirror.address}"\n',
    )
    assert_tree(oci_pull(f"registry.invalid/{REPOSITORY}:{TAG}").path, _FILES)


def test_what_is_blocked_is_refused_in_words(
    oci_pull: Command, registry: FakeRegistry, reference: str
) -> None:
    file = _write(
        oci_pull,
        "containers/registries.conf",
        f'[[registry]]\nlocation = "{registry.address}"\nblocked = true\n',
    )
    run = oci_pull(reference).must_fail(10)
    assert f"{registry.address}/{REPOSITORY} is blocked in {file}" in run.stderr
    assert registry.requests == []


def test_an_empty_list_of_our_own_keeps_theirs_out(
    oci_pull: Command, mirror: FakeRegistry, registry: FakeRegistry, reference: str
) -> None:
    _write(
        oci_pull,
        "containers/registries.conf",
        f'[[registry]]\nlocation = "{registry.address}"\n'
        f'[[registry.mirror]]\nlocation = "{mirror.address}"\n',
    )
    _write(oci_pull, "oci-pull/config.toml", f'[registry."{registry.address}"]\nmirrors = []\n')
    assert_tree(oci_pull(reference).path, _FILES)
    assert mirror.requests == []


def test_our_own_configuration_wins_over_theirs(
    oci_pull: Command, mirror: FakeRegistry, registry: FakeRegistry, reference: str
) -> None:
    _write(
        oci_pull,
        "containers/registries.conf",
        f'[[registry]]\nlocation = "{registry.address}"\nblocked = true\n',
    )
    _write(
        oci_pull,
        "oci-pull/config.toml",
        f'[registry."{registry.address}"]\nmirrors = ["{mirror.url}"]\n',
    )
    assert_tree(oci_pull(reference).path, _FILES)
    assert registry.requests == []


def test_a_broken_file_of_theirs_is_a_warning(oci_pull: Command, reference: str) -> None:
    file = _write(oci_pull, "containers/registries.conf", "[[registry")
    run = oci_pull("--progress", "plain", reference)
    assert_tree(run.path, _FILES)
    assert f"{file} is not used: it is not TOML" in run.stderr


# --- our own file


def test_the_file_of_the_user_counts(oci_pull: Command, reference: str) -> None:
    _write(oci_pull, "oci-pull/config.toml", 'cache-dir = "cache"\n[registry."a.io"]\njobs = 1\n')
    path = oci_pull(reference).path
    assert path.is_relative_to(oci_pull.home / ".config/oci-pull/cache")


def test_a_slip_in_the_file_is_told_with_its_line(oci_pull: Command, reference: str) -> None:
    file = _write(oci_pull, "oci-pull/config.toml", "jobs = 2\nretrys = 3\n")
    run = oci_pull(reference).must_fail(2)
    assert f"{file} line 2: there is no key 'retrys'" in run.stderr
    assert "did you mean retries?" in run.stderr


def test_a_file_that_is_named_has_to_be_there(oci_pull: Command, reference: str) -> None:
    run = oci_pull("--config", "none.toml", reference).must_fail(2)
    assert "none.toml cannot be read" in run.stderr


# insecure-registries


@pytest.mark.parametrize("is_said", [True, False])
def test_docker_may_say_that_a_registry_need_not_prove_who_it_is(
    is_said: bool, oci_pull: Command, tmp_path: Path
) -> None:
    context = Authority(tmp_path / "nobody-knows-it").server().server_context()
    with FakeRegistry(tls=context) as registry:
        reference = put(registry, builders.docker_v02(model()))
        entries = [registry.address] if is_said else ["other.example"]
        _write(oci_pull, "docker/daemon.json", json.dumps({"insecure-registries": entries}))
        run, seen = oci_pull(reference), oci_pull("doctor", reference)
        if not is_said:
            run.must_fail(5)
            return
        assert_tree(run.path, model())
        assert f"the certificate of {registry.address} is not verified" in run.stderr
        assert "insecure-registries in" in seen.must_succeed().stdout

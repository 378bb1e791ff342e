"""`oci-pull doctor`: what a pull would use, and how far it would come; exit codes as of a pull."""

from __future__ import annotations

import base64
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests import builders
from tests.e2e.command import PATH
from tests.e2e.models import model, put
from tests.e2e.ports import silence, unreachable
from tests.fakes.registry import Auth, FakeRegistry, ManifestFaults, ServerFaults, TokenFaults
from tests.servers.push import write_layout

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.command import Command, Run

STEPS = ["name", "connect", "tls", "registry", "token", "manifest", "rate limit"]
SECRET = "s3cret-of-ada"
MODEL = builders.docker_v02(model())


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(registry, MODEL)


def states(run: Run) -> dict[str, str]:
    return {each["name"]: each["state"] for each in run.json["checks"]}


def facts(run: Run, name: str) -> dict[str, Any]:
    found = next(each for each in run.json["checks"] if each["name"] == name)
    return dict(found["facts"])


def steps(run: Run) -> list[str]:
    found = states(run)
    return [found[step] for step in STEPS]


def doctor(oci_pull: Command, *words: str) -> Run:
    return oci_pull("doctor", *words, "--format", "json", "--retries", "0")


def log_in(oci_pull: Command, host: str, password: str = SECRET) -> None:
    packed = base64.b64encode(f"ada:{password}".encode()).decode()
    (oci_pull.home / ".docker").mkdir()
    path = oci_pull.home / ".docker" / "config.json"
    path.write_text(json.dumps({"auths": {host: {"auth": packed}}}))


def test_a_helper_is_asked_once(registry: FakeRegistry, oci_pull: Command, reference: str) -> None:
    registry.auth = Auth(users={"ada": SECRET}, private=["team/model"])
    programs, asked = oci_pull.home / "bin", oci_pull.home / "asked"
    programs.mkdir()
    helper = programs / "docker-credential-h"
    answer = json.dumps({"Username": "ada", "Secret": SECRET})
    helper.write_text(f"#!/bin/sh\necho $1 >>{asked}\ncat >/dev/null\necho '{answer}'\n")
    helper.chmod(0o755)
    (oci_pull.home / ".docker").mkdir()
    (oci_pull.home / ".docker" / "config.json").write_text('{"credsStore": "h"}')
    run = doctor(oci_pull.with_env(PATH=f"{programs}:{PATH}"), reference).must_succeed()
    assert states(run)["manifest"] == "ok"
    assert asked.read_text().split() == ["get"]


@pytest.mark.parametrize("is_named", [False, True])
def test_a_configuration_that_cannot_be_read_is_a_finding_among_others(
    oci_pull: Command, reference: str, is_named: bool
) -> None:
    file = oci_pull.home / ".config" / "oci-pull" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("jobs = = 3\n")
    words = ("--config", str(file)) if is_named else ()
    run = doctor(oci_pull, *words, reference)
    assert run.code == 2
    assert states(run)["configuration"] == "failed"
    assert str(file) in run.json["error"]["message"]
    assert states(run)["manifest"] == "ok"


def test_an_option_that_cannot_be_is_no_finding(oci_pull: Command) -> None:
    assert "--stall-timeout" in oci_pull("doctor", "--stall-timeout", "soon").must_fail(2).stderr


def test_without_a_name_nobody_is_asked(oci_pull: Command, registry: FakeRegistry) -> None:
    command = oci_pull.with_env(OCI_PULL_DEFAULT_REGISTRY=registry.address, OCI_PULL_JOBS="3")
    run = doctor(command).must_succeed()
    assert run.json["schema"] == 1
    assert run.json["error"] is None
    assert steps(run) == ["skipped"] * len(STEPS)
    assert facts(run, "configuration")["jobs"] == {"value": 3, "origin": "OCI_PULL_JOBS"}
    assert facts(run, "configuration")["retries"] == {"value": 0, "origin": "--retries"}
    assert facts(run, "configuration")["limit_rate"] == {"value": None, "origin": "default"}
    assert not registry.requests


def test_it_changes_nothing(oci_pull: Command, reference: str) -> None:
    before = set(oci_pull.home.rglob("*"))
    run = doctor(oci_pull, reference).must_succeed()
    assert set(oci_pull.home.rglob("*")) - before == {oci_pull.temporary}
    assert facts(run, "cache")["path"] == str(oci_pull.cache)
    assert facts(run, "cache")["free"] > 0
    assert facts(run, "links")["copy"] is True


def test_all_is_well(oci_pull: Command, reference: str) -> None:
    run = doctor(oci_pull, reference).must_succeed()
    # Plain http is worth a word, on loopback too.
    assert steps(run) == ["ok", "ok", "warning", "ok", "ok", "ok", "ok"]
    assert facts(run, "manifest")["digest"] == MODEL.digest
    assert facts(run, "token")["asked_as"] == "anonymous"
    assert not run.stderr


def test_a_registry_alone_is_enough(oci_pull: Command, registry: FakeRegistry) -> None:
    run = doctor(oci_pull, registry.address).must_succeed()
    assert steps(run) == ["ok", "ok", "warning", "ok", "ok", "skipped", "skipped"]


def test_people_read_it_line_by_line(oci_pull: Command, reference: str) -> None:
    lines = oci_pull("doctor", reference).must_succeed().stdout.splitlines()
    assert [line.split()[0] for line in lines if line[0] != " "][:2] == ["configuration", "cache"]
    assert any(MODEL.digest in line for line in lines)


def test_who_asks_is_told_and_no_secret_is(
    oci_pull: Command, registry: FakeRegistry, reference: str
) -> None:
    registry.auth = Auth(users={"ada": SECRET}, anonymous=False)
    log_in(oci_pull, registry.address)
    command = oci_pull.with_env(HTTPS_PROXY=f"http://ada:{SECRET}@127.0.0.1:9")
    for run in (
        doctor(command, reference, "--proxy", f"http://ada:{SECRET}@{registry.address}"),
        doctor(command, reference),
        command("doctor", reference),
    ):
        assert SECRET not in run.stdout + run.stderr
        assert base64.b64encode(f"ada:{SECRET}".encode()).decode() not in run.stdout
    assert "config.json" in facts(doctor(oci_pull, reference), "credential")["asked_as"]


def test_a_password_that_is_wrong_ends_at_the_token(
    oci_pull: Command, registry: FakeRegistry, reference: str
) -> None:
    registry.auth = Auth(users={"ada": "another"}, anonymous=False)
    log_in(oci_pull, registry.address)
    run = doctor(oci_pull, reference).must_fail(4)
    assert steps(run) == ["ok", "ok", "warning", "ok", "failed", "skipped", "skipped"]
    assert facts(run, "tls")["version"] is None, "and not that all is well"
    assert run.json["error"]["code"] == "credentials_rejected"
    assert doctor(oci_pull, registry.address).must_fail(4).json["error"]["exit"] == 4


def test_nobody_is_asked_for_a_name_that_is_none(oci_pull: Command) -> None:
    run = doctor(oci_pull, "registry.invalid/team/model").must_fail(5)
    assert steps(run) == ["failed", *["skipped"] * 6]
    assert run.json["error"]["code"] == "name_not_resolved"


def test_a_port_where_nobody_listens_ends_at_the_connection(oci_pull: Command) -> None:
    run = doctor(oci_pull, "127.0.0.1:1/team/model").must_fail(5)
    assert steps(run) == ["ok", "failed", *["skipped"] * 5]
    assert run.json["error"]["hint"] is None, "not to do what was just done"


def test_a_port_that_lets_nobody_in_ends_in_time(oci_pull: Command) -> None:
    with unreachable() as port:
        words = (f"127.0.0.1:{port}/team/model", "--connect-timeout", "0.3s")
        assert steps(doctor(oci_pull, *words).must_fail(5))[:2] == ["ok", "failed"]


def test_a_server_that_says_nothing_ends_in_time(oci_pull: Command) -> None:
    with silence() as silent:
        words = ("--connect-timeout", "0.3s", "--stall-timeout", "0.3s")
        run = doctor(oci_pull, f"127.0.0.1:{silent.number}/team/model", *words).must_fail(5)
        assert "failed" in steps(run)


def test_ctrl_c_ends_it(oci_pull: Command) -> None:
    with silence() as silent, oci_pull.start("doctor", f"127.0.0.1:{silent.number}") as running:
        running.until(lambda: silent.accepted, "it connected")
        running.send(signal.SIGINT)
        assert running.wait().code == 130


def test_the_time_of_the_whole_counts(oci_pull: Command) -> None:
    with silence() as silent:
        run = oci_pull("doctor", f"127.0.0.1:{silent.number}", "--timeout", "0.3s")
        assert "not done after" in run.must_fail(5).stderr


def test_a_web_page_is_no_registry(
    oci_pull: Command, registry: FakeRegistry, reference: str
) -> None:
    registry.server_faults = ServerFaults(html=True)
    run = doctor(oci_pull, reference).must_fail(5)
    assert steps(run)[3:] == ["failed", *["skipped"] * 3]
    assert run.json["error"]["code"] == "not_a_registry"


def test_a_token_service_in_trouble_is_told(
    oci_pull: Command, registry: FakeRegistry, reference: str
) -> None:
    registry.auth = Auth()
    registry.token_faults = TokenFaults(status=503)
    run = doctor(oci_pull, reference).must_fail(5)
    assert steps(run)[3:] == ["ok", "failed", "skipped", "skipped"]


def test_a_tag_that_is_not_there_ends_at_the_manifest(oci_pull: Command, reference: str) -> None:
    run = doctor(oci_pull, f"{reference}-none").must_fail(3)
    assert steps(run)[3:] == ["ok", "ok", "failed", "skipped"]


def test_a_rate_limit_ends_at_the_manifest(
    oci_pull: Command, registry: FakeRegistry, reference: str
) -> None:
    registry.manifest_faults = ManifestFaults(status=429)
    assert steps(doctor(oci_pull, reference).must_fail(6))[5:] == ["failed", "skipped"]


def test_what_is_left_of_a_rate_limit_is_told(
    oci_pull: Command, registry: FakeRegistry, reference: str
) -> None:
    headers = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "76;w=21600"}
    registry.server_faults = ServerFaults(headers=headers)
    run = doctor(oci_pull, reference).must_succeed()
    assert facts(run, "rate limit")["remaining"] == 76
    registry.server_faults = ServerFaults(headers=headers | {"RateLimit-Remaining": "0;w=21600"})
    assert states(doctor(oci_pull, reference).must_succeed())["rate limit"] == "warning"


def test_mirrors_are_told(oci_pull: Command, reference: str) -> None:
    run = doctor(oci_pull, reference, "--mirror", "http://127.0.0.1:9/hub").must_succeed()
    assert facts(run, "mirrors")["mirrors"] == ["http://127.0.0.1:9/hub"]


def test_offline_nobody_is_asked(oci_pull: Command, registry: FakeRegistry, reference: str) -> None:
    run = doctor(oci_pull, reference, "--offline").must_succeed()
    assert steps(run) == ["skipped"] * len(STEPS)
    assert not registry.requests


def test_without_a_home_it_says_what_to_do(oci_pull: Command, reference: str) -> None:
    run = doctor(oci_pull.with_env(HOME=""), reference).must_fail(2)
    assert states(run)["cache"] == "failed"
    assert "--cache-dir" in run.stderr
    # What else there is to know is told all the same.
    assert states(run)["manifest"] == "ok"


def test_a_credential_file_that_cannot_be_read_is_a_warning(
    oci_pull: Command, reference: str
) -> None:
    (oci_pull.home / ".docker").mkdir()
    (oci_pull.home / ".docker" / "config.json").write_text("{")
    run = doctor(oci_pull, reference).must_succeed()
    assert states(run)["credential"] == "warning"


def test_a_cache_that_cannot_be_written_is_told(
    oci_pull: Command, reference: str, tmp_path: Path
) -> None:
    run = doctor(oci_pull, reference, "--cache-dir", "/proc/oci-pull").must_fail(7)
    assert states(run)["links"] in ("skipped", "failed")
    assert states(run)["manifest"] == "ok"


def test_a_layout_on_disk_is_looked_at(oci_pull: Command, tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "layout", MODEL, "v1")
    run = doctor(oci_pull, f"oci:{layout}:v1").must_succeed()
    assert facts(run, "manifest")["digest"] == MODEL.digest
    assert doctor(oci_pull, f"oci:{layout}:v2").must_fail(3).json["error"]["exit"] == 3


@pytest.mark.parametrize("named", ["docker://x/y", "Upper", "a b", "x.y:notaport:1"])
def test_what_is_neither_is_refused(oci_pull: Command, named: str) -> None:
    oci_pull("doctor", named).must_fail(2)


def test_ctrl_c_does_not_wait_for_a_helper(
    oci_pull: Command, registry: FakeRegistry, tmp_path: Path
) -> None:
    helper = tmp_path / "docker-credential-slow"
    begun = tmp_path / "begun"
    helper.write_text(f"#!/bin/sh\ntouch {begun}\nexec sleep 600\n")
    helper.chmod(0o755)
    (oci_pull.home / ".docker").mkdir()
    (oci_pull.home / ".docker" / "config.json").write_text('{"credsStore": "slow"}')
    command = oci_pull.with_env(PATH=f"{tmp_path}:{PATH}")
    with command.start("doctor", registry.address) as running:
        running.until(begun.exists, "the helper began")
        running.send(signal.SIGINT)
        # The helper may take thirty seconds.
        assert running.wait(25).code == 130

"""The doctor in front of a real registry, over TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests import builders
from tests.servers.distribution import Distribution, Options
from tests.servers.push import push, reference
from tests.servers.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.command import Command, Run

_REPOSITORY = "doctor/model"


@pytest.fixture(scope="module")
def authority(scratch: Path) -> Authority:
    return Authority(scratch / "doctor-tls")


@pytest.fixture(scope="module")
def encrypted(scratch: Path, authority: Authority) -> Iterator[Distribution]:
    with Distribution(scratch / "doctor", Options(tls=authority.server())) as found:
        model = builders.docker_v02(builders.tiny_model())
        push(found.url, _REPOSITORY, "v1", model, verify=authority.client_context())
        yield found


def _checks(run: Run) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in run.json["checks"]}


def test_every_step_is_well_where_the_authority_is_named(
    encrypted: Distribution, authority: Authority, oci_pull: Command
) -> None:
    name = reference(encrypted.url, _REPOSITORY, "v1")
    words = ("--ca-file", authority.ca_file, "--format", "json")
    checks = _checks(oci_pull("doctor", name, *words).must_succeed())
    steps = ("name", "connect", "tls", "registry", "token", "manifest", "rate limit")
    assert {checks[step]["state"] for step in steps} == {"ok"}
    assert checks["tls"]["facts"]["version"].startswith("TLSv1.")
    assert checks["tls"]["facts"]["issuer"]
    assert checks["connect"]["facts"]["address"] == encrypted.host
    assert str(authority.ca_file) in checks["trust"]["facts"]["files"]
    assert checks["registry"]["facts"]["version"] == "registry/2.0"


def test_a_certificate_of_nobody_known_ends_at_tls(
    encrypted: Distribution, oci_pull: Command
) -> None:
    checks = _checks(oci_pull("doctor", encrypted.host, "--format", "json").must_fail(5))
    states = [checks[step]["state"] for step in ("name", "connect", "tls", "registry")]
    assert states == ["ok", "ok", "failed", "skipped"]


def test_a_certificate_that_is_not_verified_is_worth_a_word(
    encrypted: Distribution, oci_pull: Command
) -> None:
    run = oci_pull("doctor", encrypted.host, "--insecure", "--format", "json").must_succeed()
    assert _checks(run)["trust"]["state"] == "warning"
    assert "not verified" in _checks(run)["tls"]["message"]

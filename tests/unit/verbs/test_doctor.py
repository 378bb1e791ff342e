"""Whom the doctor takes a word for, what it says of settings, and which step an error is about."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import httpx
import pytest

from oci_pull.adapters.clock import NEVER
from oci_pull.adapters.registry.http import translated
from oci_pull.cli.doctor import report_json, report_text
from oci_pull.errors import (
    AccessDenied,
    CredentialsRequired,
    InvalidReference,
    NotTls,
    NotWritable,
    OciPullError,
    ServerFailed,
    TlsFailed,
)
from oci_pull.settings import Settings
from oci_pull.verbs.finding import Finding, Report, State
from oci_pull.verbs.reach import step_of
from oci_pull.verbs.surroundings import Identity, configuration, local, shown
from oci_pull.verbs.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORIGIN = "registry.example:443"
SECRET = "s3cret"


def _local(settings: Settings, target: Target | None = None) -> Iterator[Finding]:
    return local(settings, target, "test", Identity.find(settings, target, NEVER))


@pytest.mark.parametrize(
    ("text", "host", "repository"),
    [
        ("ghcr.io", "ghcr.io", ""),
        ("ghcr.io/", "ghcr.io", ""),
        ("index.docker.io", "docker.io", ""),
        ("localhost", "localhost", ""),
        ("localhost:5000", "localhost:5000", ""),
        ("[::1]:5000", "[::1]:5000", ""),
        ("oci://ghcr.io", "ghcr.io", ""),
        ("ubuntu", "docker.io", "library/ubuntu"),
        ("ubuntu:22", "docker.io", "library/ubuntu"),
        ("ubuntu:22.04", "docker.io", "library/ubuntu"),
        ("my.model:v1", "docker.io", "library/my.model"),
        ("ghcr.io/a/b:v1", "ghcr.io", "a/b"),
    ],
)
def test_a_word_is_a_registry_where_it_can_be_nothing_else(
    text: str, host: str, repository: str
) -> None:
    target = Target.parse(text, Settings())
    assert (target.host, target.repository) == (host, repository)
    assert (target.locator is None) is (not repository)


def test_a_layout_has_no_host() -> None:
    assert Target.parse("oci:/models:v1", Settings()).host == ""


@pytest.mark.parametrize("text", ["x.y:99999", "a b", "docker://ghcr.io", "-.example"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        Target.parse(text, Settings())


def failing(error: Exception) -> OciPullError:
    return translated(error, ORIGIN)


def caused(outer: Exception, cause: Exception) -> Exception:
    outer.__cause__ = cause
    return outer


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (failing(caused(httpx.ConnectError("x"), socket.gaierror(socket.EAI_NONAME, "x"))), "name"),
        (failing(httpx.ConnectTimeout("slow")), "registry"),
        (failing(ConnectionRefusedError()), "connect"),
        (NotTls("no TLS", origin=ORIGIN), "tls"),
        (TlsFailed("not trusted", origin=ORIGIN), "tls"),
        (failing(httpx.ReadTimeout("silent")), "registry"),
        (ServerFailed("503", origin=ORIGIN), "registry"),
        (ServerFailed("503", origin="auth.example:443"), "token"),
        (TlsFailed("not trusted", origin="auth.example:443"), "token"),
        (CredentialsRequired("who?"), "token"),
        (AccessDenied("not you"), "registry"),
    ],
)
def test_the_step_that_an_error_is_about(error: OciPullError, step: str) -> None:
    assert step_of(error, ORIGIN) == step


def test_what_broke_while_it_connected_is_the_connection() -> None:
    error = failing(httpx.ConnectTimeout("slow"))
    error.__cause__ = httpx.ConnectTimeout("slow")
    assert step_of(error, ORIGIN) == "connect"


@pytest.mark.parametrize(
    "proxy", [f"http://ada:{SECRET}@proxy:3128", f"ada:{SECRET}@proxy:3128", f"{SECRET}@@/"]
)
def test_the_password_of_a_proxy_is_shown_nowhere(proxy: str, tmp_path: Path) -> None:
    settings = Settings.load({"HOME": str(tmp_path)}, {"proxy": proxy}, etc=tmp_path)
    report = Report(tuple(_local(settings)))
    assert SECRET not in report_json(report) + report_text(report)


def test_values_are_shown_as_json_has_them(tmp_path: Path) -> None:
    settings = Settings.load(
        {"OCI_PULL_INCLUDE": "*.json,*.txt"}, {"jobs": "3", "offline": True}, etc=tmp_path
    )
    facts = configuration(settings).facts
    assert facts["include"] == {"value": ["*.json", "*.txt"], "origin": "OCI_PULL_INCLUDE"}
    assert facts["jobs"] == {"value": 3, "origin": "--jobs"}
    assert facts["offline"] == {"value": True, "origin": "--offline"}
    assert facts["quiet"] == {"value": False, "origin": "default"}
    assert json.loads(json.dumps(facts)) == facts


def test_the_tables_of_registries_are_shown_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[registry."ghcr.io"]\njobs = 2\n')
    facts = configuration(Settings.load({}, {"config": path}, etc=tmp_path)).facts
    assert facts["registry.ghcr.io.jobs"]["value"] == 2
    assert str(path) in facts["registry.ghcr.io.jobs"]["origin"]


def test_a_url_is_shown_without_whom_it_is_for() -> None:
    assert shown(f"http://ada:{SECRET}@proxy:3128") == "http://***@proxy:3128"
    assert shown("http://proxy:3128") == "http://proxy:3128"


def test_the_first_failure_is_what_a_pull_would_end_with() -> None:
    first, second = NotWritable("read-only", hint="--cache-dir"), TlsFailed("who?")
    report = Report(
        (
            Finding("a", State.OK, "well"),
            Finding.failed("b", first),
            Finding.failed("c", second),
        )
    )
    assert report.error is first
    document = json.loads(report_json(report))
    assert document["error"]["exit"] == 7
    assert [each["state"] for each in document["checks"]] == ["ok", "failed", "failed"]
    assert "try: --cache-dir" in report_text(report)


def test_nothing_of_a_report_moves_the_cursor() -> None:
    report = Report((Finding("a", State.OK, "\x1b[2Jgone"),))
    assert "\x1b" not in report_text(report)
    assert "\x1b" not in json.loads(report_json(report))["checks"][0]["message"]


@pytest.mark.parametrize(
    ("named", "chosen"),
    [
        ("ghcr.io", "http://proxy:3128"),
        ("registry.corp:5000", None),
        ("registry.corp:5000/team/model", None),
        ("localhost:5000", None),
    ],
)
def test_the_proxy_that_a_registry_is_asked_through(
    named: str, chosen: str | None, tmp_path: Path
) -> None:
    environ = {"HTTPS_PROXY": f"http://ada:{SECRET}@proxy:3128", "NO_PROXY": ".corp"}
    settings = Settings.load({"HOME": str(tmp_path), **environ}, etc=tmp_path)
    findings = {each.name: each for each in _local(settings, Target.parse(named, settings))}
    assert findings["proxy"].facts["chosen"] == chosen
    assert SECRET not in repr(findings["proxy"])


def test_a_proxy_that_is_none_is_told(tmp_path: Path) -> None:
    settings = Settings.load({"HOME": str(tmp_path), "HTTPS_PROXY": "http://"}, etc=tmp_path)
    findings = {each.name: each for each in _local(settings)}
    assert findings["proxy"].state is State.FAILED
    assert findings["trust"].state is State.SKIPPED

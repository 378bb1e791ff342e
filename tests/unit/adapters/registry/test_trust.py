"""Whom the client believes."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path

import httpx
import pytest

from oci_pull.adapters.registry import trust
from oci_pull.adapters.registry.http import Network, make_client
from tests.servers.tls import Authority
from tests.unit.adapters.scripted import listening, scripted, silent

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_a_handshake_that_hangs_keeps_no_other_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    reached = threading.Event()

    def hang(connection: object) -> None:
        reached.set()
        silent(connection)  # type: ignore[arg-type]

    context = authority.server().server_context()
    with (
        listening(hang) as hanging,
        listening(scripted(_OK), tls=context) as good,
        make_client(Network(connect_timeout=20)) as client,
    ):

        def wait_for_nothing() -> None:
            with pytest.raises(httpx.HTTPError):
                client.get(f"https://{hanging}/")

        thread = threading.Thread(target=wait_for_nothing, daemon=True)
        thread.start()
        assert reached.wait(10)
        assert client.get(f"https://{good}/", timeout=5).text == "ok"
        assert thread.is_alive(), "it still waits for its handshake"


def test_the_file_of_the_environment_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path).ca_file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert trust.system_trust().cert_store_stats()["x509_ca"] == 1


def test_a_python_from_elsewhere_finds_the_systems_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL was compiled for paths that are not there, and an empty directory is no trust."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    if not any(Path(path).is_file() for path in trust._BUNDLES):
        pytest.skip("this system has no authorities")
    assert trust.system_trust().cert_store_stats()["x509_ca"] > 1


def test_certificates_are_verified() -> None:
    context = trust.system_trust()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
